"""What both sides of a federated sum hold to: limits, and who may be left out.

*Differencing* is taking one sum off another: of four companies and of three of them
the same question gives what the fourth alone has, under the noise of both sums. So a
provider that has contributed to a sum does not contribute to the same question, be it
with more labels or fewer, over a roster that differs by one company - but for one case.
A company that does not answer ends a round, and the others go on without it. Then the
new plan says so, signed by the asker: this round is replaced, and this company did not
contribute to it. Whether that is true the company left out can show, by its receipt.

Spec: `docs/protocols/fp-agg-1.md`, sections "Bounds" and "Who is left out".
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from crypto.parameters import ParameterSet, parameter_set
from ledger.plans import Party, Plan, parse_plan
from node.domain.agreement import Agreement
from node.ports import Publication
from node.ports.aggregates import Spending
from node.services.aggregates.steps import Refusal, Run

ACCEPT: Final = "accept"
CONTRIBUTE: Final = "contribute"


class NoisedCells(Protocol):
    """What a provider contributes, before it is masked."""

    @property
    def cells(self) -> Sequence[int]:
        """Clipped, suppressed and noised, none below zero; one for each cell."""
        ...

    @property
    def bound(self) -> int:
        """No cell is larger; it follows from the plan."""
        ...

    @property
    def spread(self) -> int:
        """How far noise may have moved a cell."""
        ...


class Cells(Protocol):
    """Makes a provider's own table, noised at full scale: once for a run."""

    async def __call__(
        self,
        plan: Plan,
        party: Party,
        agreement: Agreement,
        publication: Publication,
        run: Run,
    ) -> NoisedCells:
        """Return the table. Raises `Refusal` where the cohort is too small."""
        ...


@dataclass(frozen=True, slots=True)
class Shape:
    """How the table of a plan is laid out in ciphertexts.

    Attributes:
        parameters: The set that the plan names.
        cells: How many numbers there are.
        parties: How many rows are added up.
    """

    parameters: ParameterSet
    cells: int
    parties: int

    @classmethod
    def of(cls, plan: Plan) -> "Shape":
        """Return the shape of a plan's table."""
        return cls(parameter_set(plan.parameters), plan.cell_count, len(plan.parties))

    @property
    def most(self) -> int:
        """No cell of the sum is larger: it would not be told from a negative one."""
        return self.parameters.most

    @property
    def share(self) -> int:
        """No cell of one party is larger, so that no sum is."""
        return self.most // self.parties

    @property
    def ciphertexts(self) -> int:
        """How many ciphertexts a row fills."""
        return -(-self.cells // self.parameters.slots)

    def pieces(self, row: Sequence[int]) -> Iterator[Sequence[int]]:
        """Cut a row into what goes into one ciphertext each."""
        slots = self.parameters.slots
        return (row[at : at + slots] for at in range(0, len(row), slots))

    def centred(self, row: Iterable[int]) -> list[int]:
        """Take numbers modulo T, each of size below T/2."""
        prime, half = self.parameters.plain_modulus, self.most
        return [((number + half) % prime) - half for number in row]


def may_contribute(plan: Plan, earlier: Iterable[Spending]) -> None:
    """Check that a contribution takes nobody off an earlier sum.

    Args:
        plan: Which is to be contributed to.
        earlier: What was spent for the same asker in this period, on other plans.

    Raises:
        Refusal: `round.replayed` where another plan had the same round;
            `roster.differencing` where a cell of it was answered over a roster that
            differs by one company, of which this plan says nothing.
    """
    roster = frozenset(party.did for party in plan.parties)
    for spending in earlier:
        if not spending.roster or spending.plan == plan.plan_hash:
            continue
        before = frozenset(spending.roster)
        if len(before ^ roster) != 1 and plan.round not in spending.core:
            continue  # plans can be long, and there can be many
        answered = parse_plan(json.loads(spending.core))
        if answered.round == plan.round:
            raise Refusal("round.replayed")
        if _ask_alike(plan, answered):
            _check_difference(plan, roster, answered.round, before)


def _ask_alike(plan: Plan, other: Plan) -> bool:
    """Tell whether two plans have a cell in common, whatever else they ask for."""
    one, two = map(_grouped, (plan, other))
    return (
        _asked(plan) == _asked(other)
        and one.keys() == two.keys()
        and all(one[each] & two[each] for each in one)
    )


def _asked(plan: Plan) -> tuple[object, ...]:
    measure = plan.measure
    return plan.kind, plan.cohort, measure.what, measure.field, plan.filters


def _grouped(plan: Plan) -> Mapping[tuple[str, str], frozenset[str]]:
    return {(each.field, each.grain): frozenset(each.values) for each in plan.groups}


def _check_difference(
    plan: Plan, roster: frozenset[str], round_id: str, before: frozenset[str]
) -> None:
    if len(before ^ roster) != 1:
        return
    told = plan.replaces
    explained = (
        told is not None
        and told.round == round_id
        and frozenset(told.missing) == before - roster
    )
    if not explained:
        raise Refusal("roster.differencing")
