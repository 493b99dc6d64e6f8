"""Forks: proof that a provider has two histories of one stream.

A provider may sign one receipt of each number of a stream, and may not forget it.
Two things show, to anybody who pins its keys, that it did otherwise:

    receipts   two receipts of one stream and number, both signed by it
    heads      a receipt signed by it; a head of the consumer that shows this
               receipt; and the provider's answer to that head, which leaves no
               room for the receipt

The second needs no clock. The consumer's head bears the provider's own signature
over the receipt, which cannot be known before it is made, and the answer names that
head: so the provider signed first the receipt, and then that there is none.

A proof shows what the holder of the provider's key signed. It does not tell fraud
from a store that was put back to an older copy; both break the promise.

Spec: `docs/protocols/streams.md`, section "Forks".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from crypto.encoding import canonical, sha256, tagged
from crypto.errors import Invalid, Malformed
from ledger import shape
from ledger.participants import Pins
from ledger.receipts import (
    SignedReceipt,
    parse_signed_receipt,
    verify_receipt,
)
from ledger.steps import Outcome, Step, run, step
from ledger.streams import SignedHead, denies, parse_signed_head, shows, verify_head

TYPE: Final = "fieldpact/stream-fork/1"
_SIGNED: Final = {"receipt", "provider_signature"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """What shows that a provider has two histories of a stream. Nothing is verified.

    Attributes:
        first: A receipt.
        second: Another of the same stream and number; or None.
        heads: Where there is no second one: a head of the consumer that shows the
            first, and the provider's answer to it.
    """

    first: SignedReceipt
    second: SignedReceipt | None = None
    heads: tuple[SignedHead, SignedHead] | None = None

    def __post_init__(self) -> None:
        """Check that there is one proof, and not two or none."""
        if (self.second is None) == (self.heads is None):
            raise Malformed("a fork is shown by two receipts, or by two heads")

    @property
    def provider(self) -> str:
        """Whose fault it is, if the proof holds."""
        return self.first.receipt.provider

    @property
    def both(self) -> tuple[SignedHead, SignedHead]:
        """The consumer's head and the provider's answer, where there are any."""
        if self.heads is None:
            raise ValueError("this fork is shown by two receipts")
        return self.heads

    @property
    def fork_id(self) -> str:
        """Return the id of what is proved: 64 hex digits, the same from each finder."""
        place = [self.first.receipt.stream, self.first.receipt.sequence]
        return sha256(tagged("stream-fork", canonical(place))).hex()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, as it stands in a file."""
        found: dict[str, Any] = {"typ": TYPE, "first": self.first.to_json()}
        if self.second is not None:
            return found | {"second": self.second.to_json()}
        asked, answered = self.both
        return found | {"asked": asked.to_json(), "answered": answered.to_json()}


def parse_fork(value: object) -> Fork:
    """Read a proof.

    Raises:
        Malformed: A member is missing, unknown or wrong.
    """
    found = shape.members(
        value, {"typ", "first"}, "fork", optional={"second", "asked", "answered"}
    )
    shape.constant(found["typ"], TYPE, "typ")
    first = _receipt(found["first"], "first")
    if "second" in found:
        shape.members(found, {"typ", "first", "second"}, "fork")
        return Fork(first=first, second=_receipt(found["second"], "second"))
    shape.members(found, {"typ", "first", "asked", "answered"}, "fork")
    asked, answered = (parse_signed_head(found[name]) for name in ("asked", "answered"))
    return Fork(first=first, heads=(asked, answered))


def _receipt(value: object, what: str) -> SignedReceipt:
    return parse_signed_receipt(shape.members(value, _SIGNED, what))


def verify_fork(value: object, pins: Pins) -> tuple[Step, ...]:
    """Check a proof that a provider has two histories of a stream.

    1. `fork`: it parses, and what it holds cannot all be so.
    2. `fork_receipts`: the provider signed the receipts, with pinned keys.
    3. `fork_heads`, where there are heads: the provider signed its answer.

    The consumer's signature over its head is not looked at: what binds the provider
    is that its own answer names that head.

    Args:
        value: The JSON value of a file.
        pins: Pinned participants by DID, from the consortium's registry.
    """
    try:
        fork = parse_fork(value)
    except Malformed as error:
        return (step("fork", "failed", str(error)),)
    checks: dict[str, Callable[[], Outcome]] = {
        "fork": lambda: _contradiction(fork),
        "fork_receipts": lambda: _receipts(fork, pins),
    }
    if fork.heads is not None:
        checks["fork_heads"] = lambda: _answer(fork, pins)
    return tuple(run(name, check) for name, check in checks.items())


def _contradiction(fork: Fork) -> Outcome:
    one = fork.first.receipt
    found = f"{one.stream} number {one.sequence}"
    if fork.second is not None:
        other = fork.second.receipt
        if (one.stream, one.sequence) != (other.stream, other.sequence):
            raise Invalid("the receipts are of different places")
        if one.receipt_id == other.receipt_id:
            raise Invalid("both receipts say the same")
        return "checked", found
    asked, answered = fork.both
    if not shows(asked.head, fork.first):
        raise Invalid("the consumer's head does not show the receipt")
    if asked.head.signer != one.consumer or answered.head.signer != one.provider:
        raise Invalid("the heads are not of the consumer and the provider")
    if answered.head.answers != asked.head.digest:
        raise Invalid("the provider's head answers another one")
    if not denies(answered.head, fork.first):
        raise Invalid("the provider's head leaves room for the receipt")
    return "checked", found


def _receipts(fork: Fork, pins: Pins) -> Outcome:
    if (provider := pins.get(fork.provider)) is None:
        return "unknown", fork.provider
    for each in filter(None, (fork.first, fork.second)):
        verify_receipt(each, provider)
    return "checked", fork.provider


def _answer(fork: Fork, pins: Pins) -> Outcome:
    _, answered = fork.both
    if (provider := pins.get(fork.provider)) is None:
        return "unknown", fork.provider
    verify_head(answered, provider)
    return "checked", answered.head.at
