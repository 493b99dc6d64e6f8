"""Cells: what each customer adds to each cell of a table, cut off where agreed.

A table counts or sums over customers, and what one customer can do to it decides how
much noise hides that customer. So before anything is added up, each is limited: what
one adds to one cell is *clipped* to the plan's bound, and nobody is in more cells than
the plan's *contribution*. Of those who are in more, the cells are drawn by a keyed hash
under a secret that is fresh for every plan: neither the order of the rows nor the
partner has a say in it.

A *cohort* is the set of customers who have a record that passes the filters. In the
same reading of the same rows it is compared with the cohorts of earlier plans: two
answers whose cohorts differ in a few customers are, subtracted, an answer about those.

Nothing here is noised: these are exact figures over people, and they do not leave.

Spec: `docs/protocols/fp-map-1.md`, section "What a customer adds".
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b

from crypto.errors import Malformed
from ledger.conditions import Condition
from ledger.plans import Plan
from node.domain.dataset import Dataset, Value
from node.domain.measured import Test, counted, measured


@dataclass(frozen=True, slots=True)
class Cohort:
    """Customers who have a record that passes all of the filters.

    Attributes:
        shared: Only of those whom both sides know.
    """

    filters: tuple[Condition, ...]
    shared: bool

    @classmethod
    def of(cls, plan: Plan) -> "Cohort":
        """Return the cohort that a plan is over."""
        return cls(plan.filters, plan.cohort == "shared")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Amounts:
    """What was found in the rows, by customer; exact and secret.

    Attributes:
        by_customer: What each adds to each cell: limited in cells and in amount.
        cohort: How many customers there are in the plan's cohort.
        differences: In how many it differs from each of the other cohorts.
        members: The cohort's customers.
    """

    by_customer: Mapping[str, Mapping[int, int]]
    cohort: int
    differences: tuple[int, ...]
    members: frozenset[str]

    @property
    def smallest(self) -> int:
        """The smallest of the groups of customers that the figures could be about.

        One customer more or less changes it by one at most.
        """
        return min((self.cohort, *self.differences))

    def sums(self, count: int) -> list[int]:
        """Return the sum of each of so many cells."""
        totals = [0] * count
        for amounts in self.by_customer.values():
            for cell, amount in amounts.items():
                totals[cell] += amount
        return totals

    def customers(self, count: int) -> list[int]:
        """Return how many customers are in each of so many cells."""
        totals = [0] * count
        for amounts in self.by_customer.values():
            for cell in amounts:
                totals[cell] += 1
        return totals


class Gathering:
    """Takes rows one after the other, and keeps what they add to whom.

    Attributes:
        fields: Those whose values it needs.
        own: Those of them that the plan names.

    Args:
        plan: What is asked.
        dataset: Types the fields.
        others: Cohorts of earlier plans. One with a filter that does not fit any more,
            because the dataset has changed, is left out.
        shared: The customers whom both sides know.

    Raises:
        Malformed: A field is not there or not for figures, a filter does not fit its
            field, or what is summed is no number.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: Dataset,
        others: Sequence[Cohort] = (),
        shared: Collection[str] = frozenset(),
    ) -> None:
        self._plan, self._shared = plan, shared
        for name in plan.fields:
            counted(dataset, name)
        self._amount = measured(plan, dataset)
        tests: dict[Condition, Test] = {}
        own = Cohort.of(plan)
        self._cohorts = [(own.shared, _tests(own, dataset, tests))]
        for each in others:
            # What cannot be evaluated any more is no cohort of these rows.
            with suppress(Malformed):
                self._cohorts.append((each.shared, _tests(each, dataset, tests)))
        named = {name for condition in tests for name in condition.fields}
        self.own = frozenset(plan.fields)
        self.fields = self.own | named
        self._in: dict[str, int] = defaultdict(int)
        self._cells: dict[str, dict[int, int]] = defaultdict(dict)

    def take(self, customer: str, values: Mapping[str, Value]) -> None:
        """Take one row.

        Args:
            customer: Normalised key.
            values: In wire form by name, of every field in `fields`.
        """
        passed = 0
        for number, (shared, tests) in enumerate(self._cohorts):
            known = not shared or customer in self._shared
            if known and all(test(values) for test in tests):
                passed |= 1 << number
        if not passed:
            return
        self._in[customer] |= passed
        if not passed & 1 or (amount := self._amount(values)) is None:
            return
        if (cell := self._plan.cell_of(values)) is not None:
            cells = self._cells[customer]
            cells[cell] = cells.get(cell, 0) + amount

    def amounts(self, seed: bytes, least: int = 0) -> Amounts:
        """Return what was found, limited as the plan says.

        Args:
            seed: 32 random bytes, secret, for this plan only.
            least: No amount is lower: 0, as tables are told, or minus the plan's bound.
        """
        plan = self._plan
        limited = {
            customer: {
                cell: min(max(cells[cell], least), plan.measure.bound)
                for cell in _chosen(customer, cells, plan.contribution, seed)
            }
            for customer, cells in self._cells.items()
        }
        differences = [0] * (len(self._cohorts) - 1)
        for passed in self._in.values():
            for number in range(len(differences)):
                differences[number] += (passed ^ passed >> number + 1) & 1
        members = frozenset(name for name, passed in self._in.items() if passed & 1)
        return Amounts(
            by_customer=limited,
            cohort=len(members),
            differences=tuple(differences),
            members=members,
        )


def _tests(cohort: Cohort, dataset: Dataset, made: dict[Condition, Test]) -> list[Test]:
    """Return the tests of a cohort, each made once. Raises `Malformed`."""
    found = {each: made.get(each) or Test(each, dataset) for each in cohort.filters}
    made.update(found)
    return list(found.values())


def _chosen(
    customer: str, cells: Iterable[int], most: int, seed: bytes
) -> Collection[int]:
    """Draw the cells in which a customer counts: keyed, the same in any order."""
    found = list(cells)
    if len(found) <= most:
        return found
    name = customer.encode()

    def drawn(cell: int) -> bytes:
        return blake2b(cell.to_bytes(4, "big") + name, key=seed).digest()

    return sorted(found, key=drawn)[:most]
