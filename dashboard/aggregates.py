"""What the node states of aggregates: jobs, what came out of them, and budgets.

A *job* is one side's part in one plan: the consumer's, who asked, or the provider's,
who answers. Its *result* is told to whoever asked. A *budget* is how much privacy
(epsilon, here in millionths) may be spent on an agreement, or on a dataset, in one
period, and how much was.

Every value of this module is the node's word, as in `dashboard.statements`. The plan
behind a job is not: it is signed, and `dashboard.plans` checks it.
"""

import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dashboard.statements import Instant


class _Statement(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Trouble(_Statement):
    """Why a job failed.

    Attributes:
        code: A denial's code, or one of the node's errors.
        detail: In words of the node, which are English.
    """

    code: str
    detail: str = ""


class Job(_Statement):
    """What is told of a job, in the list and alone.

    Attributes:
        role: `consumer` where this company asked, `provider` where it answers.
        partners: DIDs of the other sides.
        done: Parts of the stage that are done.
        total: Parts of the stage; 0 where nobody knows.
        rate: Parts a second, None while nobody knows.
        eta_s: Seconds until the stage should be done.
        spent: Micro-epsilon, over all parties.
        refused: Whether it ended in a refusal, and not in a fault.
    """

    id: str
    kind: str
    mode: str
    role: Literal["consumer", "provider"]
    partners: tuple[str, ...]
    agreement: str | None
    dataset: str | None
    state: Literal["running", "done", "failed", "cancelled"]
    stage: str
    done: int
    total: int
    rate: float | None
    eta_s: int | None
    created_at: Instant
    updated_at: Instant
    spent: int
    error: Trouble | None
    refused: bool

    @property
    def outcome(self) -> str:
        """How it stands, in one word: its state, or `refused`."""
        return "refused" if self.refused else self.state


class ListedJob(Job):
    """One item of `GET /audit/jobs`.

    Attributes:
        plan: Hash of the plan, 64 hex digits.
        result: Whether there is one to look at.
    """

    plan: str
    result: bool


class JobList(_Statement):
    """`GET /audit/jobs`: newest first."""

    items: tuple[ListedJob, ...]


class ResultGroup(_Statement):
    """By what the cells of a result are told apart; as in the plan, or as summed."""

    field: str
    grain: str
    values: tuple[str, ...]


class Pair(_Statement):
    """How many customers two of three companies share; None where too few."""

    between: tuple[str, str]
    count: int | None


class Result(_Statement):
    """What came out of a plan.

    Attributes:
        groups: In the order of the cells; the last group's values change fastest.
        cells: Figures in smallest units, None where the cell was suppressed.
        unit: What is counted, if it has a name.
        scale: Digits after the point: a figure of 1250 at scale 2 is 12.50.
        spread: Noise moved no figure by more than this, in smallest units, but in one
            of a hundred results; None or 0 where there is no noise.
        spreads: Of each cell, where cells have spreads of their own, by their weights.
        weighted: Whether the asker has multiplied cells by numbers of its own.
        hidden: Of each cell, how many that it sums up were suppressed, and count zero.
        count: How many customers, None where they are too few to be told.
        asked: Of how many that were looked for.
        fewer_than: The least that is told, where `count` is less.
        pairs: Of three companies, what each two share.
        declared: How many shared customers the views under the agreement now know.
        sum: In smallest units.
        mean: In the unit that people read.
        rate: A share, from 0 to 1.
        spent: Micro-epsilon by the party that spent it.
    """

    kind: str = ""
    mode: str = ""
    groups: tuple[ResultGroup, ...] = ()
    cells: tuple[int | None, ...] = ()
    unit: str | None = None
    scale: int = Field(default=0, ge=0, le=18)
    spread: int | None = Field(default=None, ge=0)
    spreads: tuple[Annotated[int, Field(ge=0)], ...] = ()
    weighted: bool = False
    hidden: tuple[int, ...] = ()
    count: int | None = None
    asked: int | None = None
    fewer_than: int | None = None
    pairs: tuple[Pair, ...] = ()
    declared: int | None = None
    sum: int | None = None
    mean: Decimal | None = None
    rate: Decimal | None = None
    spent: dict[str, int] = {}

    @model_validator(mode="after")
    def _cells_fill_the_groups(self) -> "Result":
        wanted = 1
        for group in self.groups:
            wanted *= len(group.values)
        if self.groups and len(self.cells) != wanted:
            raise ValueError("there are not as many cells as the groups make")
        if self.spreads and len(self.spreads) != len(self.cells):
            raise ValueError("there are not as many spreads as cells")
        return self


class StepReceipt(_Statement):
    """What is told of the receipt of a step; the receipt itself is checked elsewhere.

    Attributes:
        party: DID of the provider.
        step: Its name.
        spent: Micro-epsilon.
        state: How far a receipt of ours is, or how one that we received was checked.
    """

    id: str
    party: str
    step: str
    decision: Literal["allow", "deny"]
    denials: tuple[str, ...]
    spent: int
    state: Literal["sequenced", "integrated", "anchored", "verified", "unverified"]


class WholeJob(Job):
    """`GET /audit/jobs/{id}`.

    Attributes:
        plan: The signed plan, not checked.
        result: What came out, None while or where there is nothing.
        receipts: Of the plan's steps, the oldest first.
        more_receipts: Whether there are older ones.
    """

    plan: dict[str, Any]
    result: Result | None
    receipts: tuple[StepReceipt, ...]
    more_receipts: bool


class _Account(_Statement):
    """What may be spent in one period; amounts in micro-epsilon.

    Attributes:
        first: When the period began.
        until: When the next one begins; None where none does.
    """

    dataset: str
    first: Instant | datetime.date | None = Field(alias="from")
    until: Instant | datetime.date | None
    cap: int
    spent: int
    left: int


class Budget(_Account):
    """One item of `GET /audit/budget`: what an agreement has.

    Attributes:
        status: Of the agreement.
        plans_today: Plans that were charged today, of `plans_per_day`; None where
            that is the partner's to know.
    """

    agreement: str
    partner: str
    status: str = "active"
    plans_today: int | None = None
    plans_per_day: int


class DatasetBudget(_Account):
    """What all partners together may spend on a dataset."""


class BudgetReport(_Statement):
    """`GET /audit/budget`.

    Attributes:
        items: Of agreements under which others ask us.
        asked: Of those under which we ask: what receipts say that we spent.
        datasets: Ours among those.
    """

    items: tuple[Budget, ...]
    asked: tuple[Budget, ...] = ()
    datasets: tuple[DatasetBudget, ...]
