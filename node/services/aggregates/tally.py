"""Tally: from the rows of a CRM to figures that may be told.

The rows are read once, in a thread, and only the columns that the plan names. What is
found is exact and stays in that thread; what comes out is noised, drawn once for the
plan and kept before anything leaves. Asked again, it is the same.

A plan is refused here for whom it would be about, not for what it asks:

* `plan.narrowing`: the same groups and measure were answered before with one condition
  more or less. Found in the plans alone; costs nothing.
* `cohort.too_small`: the plan's cohort, or its difference from the cohort of an earlier
  plan, has fewer than `k_min` customers. That is tested on one noised number, the
  smallest of these, at a tenth of the plan's epsilon; a refusal costs that tenth.

Earlier plans are those under the same agreement in the running period of its allowance,
whether they were answered or are being answered.

Spec: `docs/protocols/fp-map-1.md`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from crypto import noise
from crypto.encoding import canonical
from crypto.errors import Malformed
from crypto.kernels.packing import numbers
from ledger.plans import Party, Plan
from node.domain.agreement import Agreement
from node.domain.cells import Amounts, Gathering
from node.domain.noised import (
    Laplace,
    Noised,
    Shares,
    Spread,
    noised,
    spread_of,
)
from node.ports import Clock, Publication, Randomness, Sources, Store, UnitOfWork
from node.services.aggregates import budget
from node.services.aggregates.earlier import Known, look
from node.services.aggregates.kept_tables import price_of_refusal, read, refused, write
from node.services.aggregates.scan import scan
from node.services.aggregates.steps import Refusal, Run

_MOST_TOLD: Final = 2**53 - 1
"""No spread is larger: it is told as a number of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What each declared customer adds to each cell, and the noised figures over them.

    Attributes:
        size: Positions in the declaration.
        matrix: One number for each cell and position, a cell's positions together, as
            `crypto.kernels.packing` writes numbers. Exact and secret.
        noised: Of each segment, the plan's cells.
    """

    size: int
    matrix: bytes = field(repr=False)
    noised: Noised


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts and sums over a provider's customers, for plans.

    Attributes:
        laplace: Adds noise.
        spread: How large that noise is.
    """

    sources: Sources
    store: Store
    clock: Clock
    randomness: Randomness
    laplace: Laplace = noise.laplace
    spread: Spread = noise.spread

    async def cells(
        self,
        plan: Plan,
        party: Party,
        agreement: Agreement,
        publication: Publication,
        run: Run,
    ) -> Noised:
        """Return the plan's cells, noised and suppressed: the same every time.

        Raises:
            Refusal: `plan.malformed`, `plan.narrowing`, `cohort.too_small`, or
                `aggregate.bound`: a cell is larger than a slot holds.
            Unavailable: The source does not answer, or not in time.
        """

        async def _make() -> tuple[Known, bytes]:
            known = await self._known(plan, party, agreement)
            amounts = await self._gather(plan, publication, known, run)
            return known, await asyncio.to_thread(self._cells, plan, amounts)

        kept = await self._drawn(plan, "noised", _make, run)
        return (await asyncio.to_thread(read, plan, kept))[0]

    async def rows(
        self,
        plan: Plan,
        party: Party,
        agreement: Agreement,
        publication: Publication,
        run: Run,
        *,
        masks: Sequence[int],
        size: int,
        declaration: str,
    ) -> Rows:
        """Return what each declared customer adds, and the noised figures of segments.

        Args:
            masks: Of each segment, a bit for each position; no two have one in common.
            size: Positions in the declaration that they are about.
            declaration: Its hash.

        Raises:
            Refusal: As `cells`; and `plan.mismatch`: another was declared since.
        """

        async def _make() -> tuple[Known, bytes]:
            known = await self._known(plan, party, agreement)
            # Before anything is noised: else a test would be had for nothing.
            if (known.declaration, known.size) != (declaration, size):
                raise Refusal("plan.mismatch")
            amounts = await self._gather(plan, publication, known, run)
            made = await asyncio.to_thread(self._rows, plan, amounts, known, masks)
            return known, made

        kept = await self._drawn(plan, "rows", _make, run)
        table, matrix = await asyncio.to_thread(read, plan, kept)
        return Rows(size=size, matrix=matrix, noised=table)

    async def customer_values(
        self,
        plan: Plan,
        party: Party,
        agreement: Agreement,
        publication: Publication,
        run: Run,
    ) -> Mapping[str, int]:
        """Return what each customer adds to a plan without groups, clipped. Exact!

        Whether there are enough customers is for the caller to test, once it knows
        which of them count.

        Returns:
            By normalised key, of the customers who pass the filters and have a value:
            from minus the plan's bound up to it.

        Raises:
            Refusal: `plan.malformed` or `plan.narrowing`.
            Unavailable: The source does not answer, or not in time.
        """

        async def _make() -> bytes:
            known, bound = await self._known(plan, party, agreement), plan.measure.bound
            amounts = await self._gather(plan, publication, known, run, least=-bound)
            found = amounts.by_customer
            return await asyncio.to_thread(
                lambda: canonical({name: cells[0] for name, cells in found.items()})
            )

        kept = await run.once("values", _make, secret=True)
        found: Mapping[str, int] = await asyncio.to_thread(json.loads, kept)
        return found

    async def _known(self, plan: Plan, party: Party, agreement: Agreement) -> Known:
        if (party.agreement, party.dataset) != (agreement.id, agreement.dataset):
            raise Refusal("plan.mismatch")
        self._check_noise(plan)
        now = self.clock.now()
        return await self.store.read(partial(look, plan, agreement, now))

    def _check_noise(self, plan: Plan) -> None:
        """See that noise can be drawn, and what is told of it be written as JSON.

        Before anything is drawn: what cannot be kept then would have been had for
        nothing.
        """
        shares = Shares.of(plan)
        cells = plan.cell_count * max(len(plan.segment_labels), 1)
        try:
            for share in (shares.test, shares.counts):
                self.spread(plan.contribution, share, 0.5)
            told = spread_of(plan, cells, self.spread)
        except Malformed:
            raise Refusal("plan.malformed") from None
        if told > _MOST_TOLD:
            raise Refusal("plan.malformed")

    async def _drawn(
        self,
        plan: Plan,
        stage: str,
        make: Callable[[], Awaitable[tuple[Known, bytes]]],
        run: Run,
    ) -> bytes:
        """Draw once; what was drawn is kept and paid for at once, or neither is.

        Raises:
            Outdated: The price was given back meanwhile.
            Refusal: See `budget.drawn`.
        """
        under: list[int | None] = []

        async def _make() -> bytes:
            known, made = await make()
            under.append(known.reservation)
            return made

        def _final(work: UnitOfWork, made: bytes) -> None:
            price = price_of_refusal(made)
            budget.drawn(work, plan.plan_hash, under[-1], price=price)

        return await run.once(stage, _make, secret=True, within=_final)

    async def _gather(
        self,
        plan: Plan,
        publication: Publication,
        known: Known,
        run: Run,
        *,
        least: int = 0,
    ) -> Amounts:
        """Read every row once. Progress is told, and whether to go on asked."""
        try:
            gathering = Gathering(
                plan, publication.dataset, known.others, known.positions
            )
        except Malformed:
            raise Refusal("plan.malformed") from None
        loop = asyncio.get_running_loop()
        total = publication.report.get("rows", 0)

        def _tell(done: int) -> None:
            told = run.tell("rows", done, max(total, done))
            asyncio.run_coroutine_threadsafe(told, loop).result()

        await run.tell("rows", 0, total)
        dataset = publication.dataset
        await asyncio.to_thread(
            lambda: scan(self.sources(dataset), dataset, gathering, self.clock, _tell)
        )
        return await asyncio.to_thread(gathering.amounts, self.randomness(32), least)

    def _cells(self, plan: Plan, amounts: Amounts) -> bytes:
        count = plan.cell_count
        customers, sums = amounts.customers(count), amounts.sums(count)
        return self._made(plan, amounts.smallest, customers, sums)

    def _rows(
        self, plan: Plan, amounts: Amounts, known: Known, masks: Sequence[int]
    ) -> bytes:
        columns, size = plan.cell_count, known.size
        matrix = [0] * (columns * size)
        customers, sums = [0] * (len(masks) * columns), [0] * (len(masks) * columns)
        segment = {
            name: number
            for name, position in known.positions.items()
            for number, mask in enumerate(masks)
            if mask >> position & 1
        }
        for name, cells in amounts.by_customer.items():
            first = segment[name] * columns if name in segment else None
            for cell, amount in cells.items():
                matrix[cell * size + known.positions[name]] = amount
                if first is not None:
                    customers[first + cell] += 1
                    sums[first + cell] += amount
        matched = [0] * len(masks)
        for name in amounts.members & segment.keys():
            matched[segment[name]] += 1
        sides = [min(count, amounts.cohort - count) for count in matched]
        smallest = min(amounts.smallest, *sides)
        return self._made(plan, smallest, customers, sums, numbers(matrix))

    def _made(
        self,
        plan: Plan,
        smallest: int,
        customers: Sequence[int],
        sums: Sequence[int],
        matrix: bytes = b"",
    ) -> bytes:
        """Test the least number of customers that figures could be about, noised.

        The table is made whichever way that ends. Else time would tell: of a plan whose
        price is given back meanwhile, for another call about it that is refused, what
        was drawn is drawn again, and this would be found out for nothing.

        Returns:
            What is kept: the table, or of a refusal as much.
        """
        share = Shares.of(plan).test
        (found,) = self.laplace([smallest], sensitivity=1, epsilon_micro=share)
        table = write(self._noised(plan, customers, sums), matrix)
        if found >= plan.k_min:
            return table
        return refused("cohort.too_small", share, instead_of=table)

    def _noised(
        self, plan: Plan, customers: Sequence[int], sums: Sequence[int]
    ) -> Noised:
        return noised(
            plan,
            customers=customers,
            sums=sums,
            laplace=self.laplace,
            spread=self.spread,
        )
