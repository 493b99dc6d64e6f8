"""The end of the story: is every call receipted, proved, anchored, and silent?"""

import json
import time
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import httpx

from examples.demo.calls import Call, Calls, Unexpected
from examples.demo.consortium import Consortium, Member
from examples.demo.leaks import CannotLook, told
from ledger.evidence import Evidence
from ledger.receipts import parse_signed_receipt
from ledger.steps import State, Step
from ledger.verify import verify_evidence

ANCHOR_WAIT_S = 60.0
_WITH_SNAPSHOT = frozenset({"disclosure", "snapshot"})


def wait_anchored(world: Consortium, calls: Calls) -> None:
    """Wait until every receipt is anchored; there must be one for each call.

    Raises:
        Unexpected: A receipt too many or too few, or not anchored in time.
    """
    until = time.monotonic() + ANCHOR_WAIT_S
    while True:
        found = [each.desk.get("/audit/summary")["receipts"] for each in world.members]
        total, anchored = (
            sum(each[name] for each in found) for name in ("total", "anchored")
        )
        if total != len(calls.made):
            raise Unexpected(f"{len(calls.made)} calls, and {total} receipts")
        if anchored == total:
            return
        if time.monotonic() > until:
            raise Unexpected(f"{anchored} of {total} receipts are anchored")
        time.sleep(0.1)


def verify(world: Consortium, call: Call) -> Sequence[Step]:
    """Check all the evidence for a call, with pinned keys and with the chain.

    Raises:
        Unexpected: A step does not hold. A receipt that nobody asked for through
            a node of its own may lack the countersignature, and nothing else.
    """
    evidence = json.dumps(_evidence(call)).encode()
    made = world.federation
    steps = verify_evidence(
        evidence, made.pins, made.chain, registry=made.keys, receipt_id=call.receipt
    )
    for each in steps:
        unsigned = each.name == "countersignature" and call.asker is None
        fine = {State.CHECKED, State.PENDING} if unsigned else {State.CHECKED}
        if each.state not in fine:
            raise Unexpected(f"{call.receipt}: {each.words['en']} {each.detail}")
    if _WITH_SNAPSHOT & {each.name for each in steps} not in (set(), _WITH_SNAPSHOT):
        raise Unexpected(f"{call.receipt}: nobody looked for its snapshot")
    return steps


def anchored_since(checked: Iterable[Sequence[Step]]) -> list[str]:
    """Return epochs and times since which answers are fixed, as the chain says.

    Args:
        checked: What `verify` returned.

    Returns:
        As `epoch 2 2026-11-22T18:20:00Z`, earliest first.
    """
    snapshots = (each for steps in checked for each in steps if each.name == "snapshot")
    return sorted({each.detail for each in snapshots}, key=lambda at: at.split()[-1])


def _evidence(call: Call) -> dict[str, Any]:
    """Return what the asker's node holds; or the receipt with the public proofs."""
    if call.asker is not None:
        found: dict[str, Any] = call.asker.desk.get(f"/audit/receipts/{call.receipt}")
        for shown_beside in ("canonical", "committed"):
            found.pop(shown_beside, None)
        return found
    signed = parse_signed_receipt(call.body)
    held = Evidence(signed=signed, salt=bytes(32), participants=()).to_json()
    url = f"{call.provider.desk.settings.url}/log/proof/{call.receipt}"
    answer = httpx.get(url, timeout=120, trust_env=False)
    proof: dict[str, Any] = answer.raise_for_status().json()
    return held | proof


def look_at_dashboards(world: Consortium, calls: Calls) -> None:
    """See that each compliance officer is shown every call to the company.

    And the plans that were answered: those of the supplier who asked, and those of the
    car maker who answered.

    Raises:
        Unexpected: A receipt or a plan is missing.
    """
    for member in world.members:
        given = {each.receipt for each in calls.made if each.provider is member}
        if missing := given - member.dashboard.receipts():
            raise Unexpected(f"{member.dashboard.url} does not show {missing}")
    for member in (world.maker, world.supplier):
        pages = "".join(member.dashboard.figures())
        if missing := {plan for plan in calls.plans if plan not in pages}:
            raise Unexpected(f"{member.dashboard.url} does not show plans {missing}")


def unauthorised_values(world: Consortium, calls: Calls) -> int:
    """Count the values that a company told and was not allowed to tell.

    A value may be told as often as an answer was allowed to hold it, and not once
    more. As often it must also be found: a search that misses those would miss
    others.

    Raises:
        Unexpected: The search is blind.
    """
    public = [
        file.read_bytes() for file in (world.federation.folder / "chain").iterdir()
    ]
    count = 0
    for member in world.members:
        allowed = calls.authorised[member.key]
        try:
            found = told([*_sent(world, member), *public], member.company.values())
        except CannotLook as error:
            raise Unexpected("what was sent is compressed or in chunks") from error
        if missed := allowed - found:
            raise Unexpected(f"the search does not find what was told: {missed}")
        count += (found - allowed).total()
    return count


def _sent(world: Consortium, member: Member) -> list[bytes]:
    """Return every byte that a company's node said to others, or others beside it."""
    asked = [each.tap.asked() for each in world.members if each is not member]
    return [*member.tap.answered(), *chain.from_iterable(asked)]
