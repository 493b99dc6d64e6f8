"""Prove: make the presentations of a disclosure, on all cores.

A presentation takes milliseconds of arithmetic, most of it without the
interpreter's lock, so the records of one answer are proved in threads.
"""

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

from ledger.disclosure import Disclosure
from ledger.presentation import prove_record
from ledger.receipts import Receipt
from ledger.records import parse_header
from node.ports import Randomness
from node.services.read import Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Prove:
    """Proves that what is shown stands in records this node signed.

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
        one = partial(
            prove_record,
            public=self.public,
            header=parse_header(draft.disclosure.header),
            schema=draft.disclosure.schema,
            receipt=receipt,
            random_bytes=self.randomness,
        )
        proofs = [
            await asyncio.gather(
                *(
                    loop.run_in_executor(
                        self.threads,
                        partial(
                            one,
                            record.signed,
                            receipt.fields,
                            customer=answer.customer,
                            position=position,
                        ),
                    )
                    for position, record in enumerate(behind)
                )
            )
            for answer, behind in zip(
                draft.disclosure.answers, draft.records, strict=True
            )
        ]
        answers = tuple(
            replace(
                answer,
                records=tuple(
                    replace(shown, presentation=proof)
                    for shown, proof in zip(answer.records, row, strict=True)
                ),
            )
            if answer.records is not None
            else answer
            for answer, row in zip(draft.disclosure.answers, proofs, strict=True)
        )
        return replace(draft.disclosure, answers=answers)
