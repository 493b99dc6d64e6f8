"""The store: its transactions, and what auditors ask of it."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from node.ports.aggregates import Budgets, Jobs
from node.ports.calls import Erasure, Receipts
from node.ports.data import Agreements, Datasets, Snapshots
from node.ports.log import Log, Turns
from node.ports.others import Alarms, Faults, Streams, Witness

T = TypeVar("T")


class UnitOfWork(Protocol):
    """One transaction. Not to be kept beyond the function it was given to."""

    @property
    def datasets(self) -> Datasets:
        """Return the datasets of this transaction."""
        ...

    @property
    def agreements(self) -> Agreements:
        """Return the agreements of this transaction."""
        ...

    @property
    def snapshots(self) -> Snapshots:
        """Return the commitments of this transaction."""
        ...

    @property
    def receipts(self) -> Receipts:
        """Return the receipts of this transaction."""
        ...

    @property
    def log(self) -> Log:
        """Return the log of this transaction."""
        ...

    @property
    def alarms(self) -> Alarms:
        """Return the alarms of this transaction."""
        ...

    @property
    def erasure(self) -> Erasure:
        """Return what can be erased in this transaction."""
        ...

    @property
    def turns(self) -> Turns:
        """Return what processes share out among themselves."""
        ...

    @property
    def witness(self) -> Witness:
        """Return what was seen of logs, in this transaction."""
        ...

    @property
    def faults(self) -> Faults:
        """Return the proofs of faults of this transaction."""
        ...

    @property
    def streams(self) -> Streams:
        """Return the copies of streams, in this transaction."""
        ...

    @property
    def budgets(self) -> Budgets:
        """Return the budgets of privacy of this transaction."""
        ...

    @property
    def jobs(self) -> Jobs:
        """Return the jobs of this transaction."""
        ...


class Store(Protocol):
    """The node's own database. Transactions are plain functions, run in threads."""

    async def read(self, question: Callable[[UnitOfWork], T]) -> T:
        """Ask something of one consistent state, and change nothing.

        Raises:
            Unavailable: The database did not answer.
        """
        ...

    async def write(self, action: Callable[[UnitOfWork], T]) -> T:
        """Do something whole: committed when it returns, undone when it raises.

        Returns only when a power cut cannot undo it any more.

        Raises:
            Unavailable: The database did not answer. What it was asked to do has
                happened whole or not at all.
        """
        ...

    async def scrub(self) -> None:
        """Have the database overwrite what was erased, as far as it can be told to."""
        ...


class Audit(Protocol):
    """Questions of the dashboard about what is in the store; JSON values."""

    async def summary(
        self, since: datetime.datetime, until: datetime.datetime
    ) -> Mapping[str, Any]:
        """Return the key figures of a window of time."""
        ...

    async def calls(
        self,
        *,
        since: datetime.datetime,
        until: datetime.datetime,
        filters: Mapping[str, str],
        before: int | None,
        after: int | None,
        most: int,
    ) -> Mapping[str, Any]:
        """Return a page of calls, newest first, with facets.

        Args:
            filters: Value by column, among them `plan`, a hash; `partner` may be
                `unknown`.
            before: Only calls with a smaller sequence number.
            after: Only calls with a larger one, the nearest.
        """
        ...

    async def agreements(self, at: datetime.datetime) -> Sequence[Mapping[str, Any]]:
        """Return agreements with their use."""
        ...

    async def streams(self) -> Sequence[Mapping[str, Any]]:
        """Return how the stream of each agreement stands."""
        ...

    async def received(
        self, plan: str | None, before: int | None, most: int
    ) -> Mapping[str, Any]:
        """Return a page of what this node read from others.

        Args:
            plan: Hash of the plan whose steps are wanted; None for everything.
            before: Only what was received before this number.
        """
        ...
