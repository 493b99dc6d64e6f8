"""What comes out when two copies of a stream are compared, and the search for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ledger.errors import LedgerError
from ledger.fork import Fork
from ledger.receipts import Receipt, check_successor
from ledger.streams import Place, SignedHead, denies, differing
from node.domain.negotiation import Role
from node.domain.reconciliation import Difference, Kind
from node.ports import Store, UnitOfWork
from node.services.partner_copy import PartnerCopy, Told
from node.services.stream_side import MOST_ENTRIES, Ours, Side, entry_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How one stream compares.

    Attributes:
        questions: How many receipts the search asked for.
        delivered: How many countersignatures reached the other side meanwhile.
        forks: Proofs that its provider has two histories.
        lost: Whether the provider that has lost its history is this node.
    """

    ours: Place
    theirs: Place
    questions: int
    delivered: int
    differences: Sequence[Difference]
    forks: Sequence[Fork] = ()
    lost: bool = False


async def search(
    store: Store, side: Side, ours: Ours, theirs: Place, partner: PartnerCopy
) -> int | None:
    """Return the first number at which the partner has another receipt, or None."""
    steps = differing(ours.place, theirs, ours.numbers)
    try:
        at = next(steps)
        while True:
            held = await store.read(partial(entry_at, side=side, number=at))
            if at == theirs.count - 1:
                told: str | None = theirs.head
            else:
                shown = await partner.one(at)
                told = shown.receipt_id if shown else None
            at = steps.send(held is None or told is None or told == held.receipt_id)
    except StopIteration as end:
        found: int | None = end.value
        return found


def by_heads(ours: Ours, own: SignedHead, told: Told) -> Fork | None:
    """Return the proof that the provider denies our newest receipt, or None."""
    newest = ours.newest.signed if ours.newest else None
    if newest is None or not denies(told.head.head, newest):
        return None
    return Fork(first=newest, heads=(own, told.head))


def twice(view: UnitOfWork, side: Side) -> list[Fork]:
    """Return where we hold two receipts of one number, both of the provider."""
    copy = view.streams.copy(Role.CONSUMER)
    found = []
    for number in copy.twice(side.stream):
        entries = copy.at(side.stream, number)
        held = [e.signed for e in entries if e.signed and side.holds(e.signed, number)]
        if len(held) > 1:
            found.append(Fork(first=held[0], second=held[1]))
    return found


def forked(number: int, fork: Fork | None) -> tuple[Difference, Fork | None]:
    """Return two histories as a difference, with what shows it."""
    return difference(Kind.FORKED, [number], fork)


def difference(
    kind: Kind, numbers: Sequence[int], fork: Fork | None
) -> tuple[Difference, Fork | None]:
    """Return a difference that a proof shows, beside the proof."""
    evidence: dict[str, Any] = {}
    if fork is not None:
        receipt = fork.first.receipt
        name = f"fork-{receipt.stream[:8]}-{receipt.sequence}.json"
        evidence[name] = fork.to_json()
    return Difference(kind=kind, numbers=numbers, evidence=evidence), fork


def fits(view: UnitOfWork, side: Side, receipt: Receipt) -> bool:
    """Tell whether a receipt follows the one before, and the next one follows it."""
    for entry in view.streams.copy(Role.CONSUMER).at(
        side.stream, receipt.sequence - 1, 3
    ):
        held = entry.signed
        if not side.holds(held, entry.sequence) or held is None:
            continue
        pair = (held.receipt, receipt)
        before, after = sorted(pair, key=lambda each: each.sequence)
        try:
            if before.sequence != after.sequence:
                check_successor(before, after)
        except LedgerError:
            return False
    return True


def runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Return ascending numbers as runs: the first, and how many follow at once."""
    at = 0
    while at < len(numbers):
        size = 1
        while (
            size < MOST_ENTRIES
            and at + size < len(numbers)
            and numbers[at + size] == numbers[at] + size
        ):
            size += 1
        yield numbers[at], size
        at += size
