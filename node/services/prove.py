"""Prove: make the presentations of a disclosure, on all cores.

A presentation takes milliseconds of arithmetic, most of it without the
interpreter's lock, so the records of one answer are proved in threads. Calls take
turns: one about ten thousand records holds up no other for longer than a few.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Final

from crypto.anchored import Sealed
from ledger.disclosure import Disclosure, ShownRecord
from ledger.presentation import prove_record
from ledger.receipts import Receipt
from ledger.snapshots import record_header
from node.ports import Randomness
from node.services.read import Draft

_WAITING: Final = 4
"""Records of one call that are being proved, or are next: enough for both cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prove:
    """Proves what is shown, and what was asked about what is not.

    Attributes:
        public: The node's BBS key, 96 bytes.
        threads: Where the arithmetic runs.
    """

    public: bytes
    randomness: Randomness
    threads: Executor

    async def __call__(self, draft: Draft, receipt: Receipt) -> Disclosure:
        """Return the disclosure with its presentations, bound to the receipt."""
        loop = asyncio.get_running_loop()

        def one(
            customer: bytes, position: int, shown: ShownRecord, sealed: Sealed | None
        ) -> ShownRecord:
            if sealed is None:
                return shown
            made = prove_record(
                sealed,
                draft.statement,
                public=self.public,
                header=record_header(draft.disclosure.snapshot.snapshot, shown.version),
                receipt=receipt,
                customer=customer,
                position=position,
                random_bytes=self.randomness,
            )
            return replace(shown, presentation=made.proof, moves=made.moves)

        proved: dict[int, ShownRecord] = {}
        queue = enumerate(_records(draft))

        async def work() -> None:
            for place, each in queue:
                made = await loop.run_in_executor(self.threads, one, *each)
                proved[place] = made

        await asyncio.gather(*(work() for _ in range(_WAITING)))
        rest = (proved[place] for place in range(len(proved)))
        answers = tuple(
            replace(answer, records=tuple(next(rest) for _ in answer.records))
            if answer.records is not None
            else answer
            for answer in draft.disclosure.answers
        )
        return replace(draft.disclosure, answers=answers)


def _records(draft: Draft) -> Iterator[tuple[bytes, int, ShownRecord, Sealed | None]]:
    """Walk over the records of a draft, customer by customer."""
    for answer, behind in zip(draft.disclosure.answers, draft.records, strict=True):
        pairs = zip(answer.records or (), behind, strict=True)
        for position, (shown, sealed) in enumerate(pairs):
            yield answer.customer, position, shown, sealed
