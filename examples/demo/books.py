"""The books: both sides of an agreement keep its receipts, and compare them."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from examples.demo.calls import Unexpected
from examples.demo.consortium import Consortium, Member
from examples.demo.narration import Teller

_WITNESS_WAIT_S: Final = 60.0


def compare(world: Consortium, tell: Teller) -> None:
    """Have the companies compare their receipts, and say what they find.

    Raises:
        Unexpected: Two copies differ in what they must not.
    """
    maker, supplier, operator = world.members
    tell.chapter("The books")
    tell.step(
        f"{maker.name} and {operator.name} compare: how many receipts each has, and "
        "which is the newest, signed."
    )
    streams = _reconcile(maker, operator)
    if any(each["state"] != "same" for each in streams):
        raise Unexpected(f"the copies of {maker.name} and {operator.name} differ")
    count = sum(each["ours"]["count"] for each in streams)
    tell.good(f"{count} {_receipts(count)}, the same on both sides")
    tell.step(f"{supplier.name} compares with {maker.name}.")
    streams = _reconcile(supplier, maker)
    found = [
        (each["kind"], each["count"]) for it in streams for each in it["differences"]
    ]
    if found:
        raise Unexpected(f"it found {found}")
    count = sum(each["theirs"]["count"] for each in streams)
    tell.good(f"{count} {_receipts(count)}, the same on both sides")
    tell.more(
        "The call that somebody sent again, as told above, is not among them: "
        "that receipt names nobody."
    )


def _receipts(count: int) -> str:
    return "receipt" if count == 1 else "receipts"


def _reconcile(member: Member, partner: Member) -> Sequence[Mapping[str, Any]]:
    asked = {"partner": partner.desk.did, "agreement": None}
    report = member.desk.post("/management/reconcile", asked)
    streams: Sequence[Mapping[str, Any]] = report["streams"]
    if any(each["state"] == "unreachable" for each in streams):
        raise Unexpected(f"{partner.name} did not answer")
    return streams


def show_witnesses(member: Member, tell: Teller) -> None:
    """Say how many partners have cosigned a company's log.

    Raises:
        Unexpected: None has, in all this time.
    """
    tell.step(f"Its partners cosign what the log of {member.name} has become.")
    until = time.monotonic() + _WITNESS_WAIT_S
    with tell.waiting("waiting for cosignatures"):
        while True:
            seen = member.desk.get("/audit/summary")["witnesses"]
            newest = seen["newest"]
            if newest and newest["cosigned"]:
                break
            if time.monotonic() > until:
                raise Unexpected(f"nobody has cosigned the log of {member.name}")
            time.sleep(0.2)
    tell.good(
        f"{newest['cosigned']} of {seen['known']} witnesses cosigned its first "
        f"{newest['size']:,} entries"
    )
