"""Completeness: are receipts that come one after the other all of them?

Numbers of a stream have no gap, and each receipt names the one before. So a run of
them that begins and ends where its exporter says, and skips nothing, is whole. Whether
the exporter told the end rightly shows when the other party tells of a later one.

Spec: `docs/protocols/evidence.md`, section "Bundles".
"""

from dataclasses import dataclass

from ledger.bundle import Manifest
from ledger.errors import Inconsistent
from ledger.receipts import FIRST, Receipt
from ledger.steps import Outcome


@dataclass(slots=True, kw_only=True)
class Completeness:
    """Whether receipts that come one after the other are a whole run of a stream.

    Attributes:
        manifest: What the exporter says of the run.
        taken: How many came so far.
        erased: Of how many the content was erased.
        number: Of the newest; None before the first.
        newest: Its id.
        fault: What is wrong first, or None.
    """

    manifest: Manifest
    taken: int = 0
    erased: int = 0
    number: int | None = None
    newest: str = FIRST
    fault: str | None = None

    def take(self, receipt: Receipt) -> None:
        """Take the next receipt, and note the first thing that is wrong."""
        self.fault = self.fault or self._wrong(receipt)
        self._go_on(receipt.sequence, receipt.receipt_id)

    def take_erased(self, number: int, receipt_id: str) -> None:
        """Take one whose content was erased: nobody can tell what it named before."""
        self.fault = self.fault or self._wrong_number(number)
        self.erased += 1
        self._go_on(number, receipt_id)

    def _go_on(self, number: int, receipt_id: str) -> None:
        self.taken += 1
        self.number, self.newest = number, receipt_id

    def _wrong_number(self, number: int) -> str | None:
        expected = self.manifest.first if self.number is None else self.number + 1
        if expected is None or number < expected:
            return f"number {number} stands where it cannot"
        return _missing(expected, number)

    def _wrong(self, receipt: Receipt) -> str | None:
        number = receipt.sequence
        if fault := self._wrong_number(number):
            return fault
        if receipt.stream != self.manifest.stream:
            return f"number {number} is of another stream"
        if self.number is not None and receipt.previous != self.newest:
            return f"number {number} names another one as the one before"
        return None

    def outcome(self) -> Outcome:
        """Return how it came out, once all were taken.

        Raises:
            Inconsistent: Receipts are missing, or stand where they cannot.
        """
        if fault := self.fault or self._wrong_end():
            raise Inconsistent(fault)
        told = self.manifest
        here = f"{told.first} … {told.last}" if told.count else "0"
        if self.erased:
            return "erased", f"{here}: {self.erased} / {self.taken}"
        if told.since is not None or told.until is not None:
            return "part", f"{here} / {told.head.head.count}"
        return "checked", here

    def _wrong_end(self) -> str | None:
        told, head = self.manifest, self.manifest.head.head
        if self.taken != told.count or (told.count and self.number != told.last):
            return f"the manifest says {told.count}, up to number {told.last}"
        if told.since is None and told.count and told.first:
            return _missing(0, told.first)
        if told.until is not None or (told.since is not None and not told.count):
            return None
        after = 0 if self.number is None else self.number + 1
        if fault := _missing(after, head.count):
            return fault
        if after > head.count or self.newest != head.head:
            return "the last is not the one that the exporter names as the newest"
        return None


def _missing(expected: int, number: int) -> str | None:
    """Name the numbers that are missing before one, if any are."""
    if number <= expected:
        return None
    last = number - 1
    return f"missing: {expected}" + ("" if last == expected else f" … {last}")
