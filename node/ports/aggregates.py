"""Aggregates: what was spent, what is under way, and where the arithmetic is done."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from node.domain.negotiation import Role

Kernel: TypeAlias = Callable[..., bytes]
"""A module-level function of `crypto.kernels`: octets in, octets out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Octets that many calls of a kernel need, such as a key: sent to a worker once.

    The kernel is given the octets.

    Attributes:
        digest: SHA-256 of the octets, by which workers keep them.
    """

    digest: bytes
    octets: bytes = field(repr=False)


class Compute(Protocol):
    """Does arithmetic that takes longer than the event loop may stand still."""

    async def __call__(self, kernel: Kernel, *arguments: bytes | Shared) -> bytes:
        """Run a kernel in another process; return what it returns.

        A worker that dies costs time and nothing else: the call is made again.

        Raises:
            CryptoError: What the kernel raised.
            Unavailable: No worker could do it (`compute.unavailable`).
        """
        ...

    @property
    def width(self) -> int:
        """How many calls are worth having under way at once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A budget of privacy: what may be spent in one period, and what was.

    Attributes:
        name: Of an agreement (`agreement:<id>`) or a dataset (`dataset:<id>`).
        period: Its first day, `2026-10-01`, or `always`.
        cap: Micro-epsilon.
        spent: Reserved or committed, micro-epsilon.
    """

    name: str
    period: str
    cap: int
    spent: int

    @property
    def left(self) -> int:
        """Micro-epsilon that can still be reserved."""
        return max(self.cap - self.spent, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What one plan takes from budgets.

    Attributes:
        plan: Hash of the plan, 64 hex digits. A plan is charged once.
        query: Hash of what it asks (`Plan.query_hash`).
        agreement: Its id.
        dataset: Its id.
        core: The plan, canonical JSON.
        epsilon_micro: What is taken, rounded up.
        committed: Whether something was computed from data; only then is it for good.
        roster: DIDs of the parties that contributed to the same sum, sorted.
        at: When it was reserved; None before.
        reservation: Its number; None before. Whoever reserves anew, after it was given
            back, has another one.
    """

    plan: str
    query: str
    agreement: str
    dataset: str
    core: str
    epsilon_micro: int
    committed: bool
    roster: tuple[str, ...] = ()
    at: datetime.datetime | None = None
    reservation: int | None = field(default=None, compare=False)


class Budgets(Protocol):
    """The ledger of budgets: reserve, then commit; nothing comes back after that."""

    def accounts(self, wanted: Sequence[tuple[str, str]]) -> Sequence[Account]:
        """Return accounts by name and period; with cap 0 those never spent from."""
        ...

    def reserve(
        self,
        spending: Spending,
        accounts: Sequence[Account],
        at: datetime.datetime,
    ) -> bool:
        """Take a plan's cost from every account, or from none.

        A plan that has reserved before takes nothing again.

        Args:
            accounts: Name, period and cap as agreed today; `spent` is not looked at.

        Returns:
            False where an account has less left than the plan costs.
        """
        ...

    def commit(self, plan: str, roster: Sequence[str] = ()) -> None:
        """Make a reservation final: its result may leave.

        Again, it changes nothing, but for a roster that was not told before.

        Raises:
            Conflict: Nothing was reserved, or for another roster
                (`budget.unreserved`, `budget.roster`).
        """
        ...

    def settle(self, plan: str, epsilon_micro: int) -> None:
        """Make a reservation final at a lower price; the rest is given back.

        For a plan that was refused after part of its price had been spent on finding
        out. What is final already stays as it is.

        Args:
            epsilon_micro: At most what was reserved.
        """
        ...

    def tell(self, plan: str) -> int:
        """Return what a committed plan has cost, the first time that it is told.

        For the receipt that says so, in its transaction. Whoever commits, and however
        often a step is repeated: the receipts of a plan say its price once.

        Returns:
            Micro-epsilon; 0 where nothing is final, or a receipt has said so.
        """
        ...

    def give_up(self, plan: str) -> None:
        """Give back a reservation from which nothing was computed. Not a commit."""
        ...

    def spent(self, agreement: str, since: datetime.datetime) -> Sequence[Spending]:
        """Return what was reserved or committed under an agreement, newest first."""
        ...

    def plans(self, agreement: str, since: datetime.datetime) -> int:
        """Return how many plans `spent` would return."""
        ...

    def of(self, plan: str) -> Spending | None:
        """Return what a plan reserved, or None."""
        ...

    def hold(self, plan: str) -> Spending | None:
        """Return the same; until the commit nobody else changes it."""
        ...

    def told(self, stream: str, since: datetime.datetime) -> int:
        """Return what a provider's receipts say was spent, micro-epsilon.

        Args:
            stream: In which this node is the consumer. Receipts that do not verify,
                and those that were erased, do not count.
        """
        ...


class JobState(StrEnum):
    """How far a job has come."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptJob:
    """One side's part in one plan.

    Attributes:
        id: 32 hex digits.
        kind: Of the plan.
        role: Consumer where we asked, provider where we answer.
        plan: Its hash. There is one job per plan and role.
        partner: DID of the other side; of several, of the first.
        core: The signed plan, JSON.
        stage: What is being done, a word such as `blind`.
        done: Parts of the stage that are done.
        total: Parts of the stage; 0 where nobody knows.
        began_at: When the stage began, epoch milliseconds.
        told: What went wrong, or what came out: a JSON object for people.
    """

    id: str
    kind: str
    role: Role
    plan: str
    partner: str
    core: str
    state: JobState
    stage: str
    done: int
    total: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    began_at: int
    told: Mapping[str, Any]


class Jobs(Protocol):
    """Jobs, and what their stages have made so far."""

    def open(self, job: KeptJob) -> KeptJob:
        """Keep a job; return it, or the one that there is of its plan and role."""
        ...

    def get(self, job_id: str) -> KeptJob | None:
        """Return a job, or None."""
        ...

    def of(self, plan: str, role: Role) -> KeptJob | None:
        """Return the job of a plan in a role, or None."""
        ...

    def all(self, most: int) -> Sequence[KeptJob]:
        """Return jobs, newest first."""
        ...

    def running(self) -> Sequence[KeptJob]:
        """Return jobs that are neither done nor ended, oldest first."""
        ...

    def tell(self, job: KeptJob) -> bool:
        """Replace state, stage, counts and times; False where it was cancelled.

        False also where it is done and this says otherwise, or there is no such job:
        what has ended well stays.
        """
        ...

    def fix(self, job_id: str, before: str, plan: str, core: str) -> bool:
        """Replace a job's plan by the one that its preparation has led to.

        Args:
            before: Hash of the plan that it has; the job keeps another one.
            plan: Hash of the new one.
            core: The new one, signed, JSON.

        Returns:
            Whether it was replaced.
        """
        ...

    def keep(self, job_id: str, stage: str, part: int, octets: bytes) -> bytes:
        """Keep what a part of a stage made; return what is kept: the first stays."""
        ...

    def kept(self, job_id: str, stage: str) -> Mapping[int, bytes]:
        """Return what the parts of a stage made, by part."""
        ...

    def forget(self, before: datetime.datetime) -> int:
        """Drop the stages of jobs that ended before; return how many jobs.

        What was drawn for them cannot be given again: only for plans that have
        expired.
        """
        ...
