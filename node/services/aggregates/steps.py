"""Steps: how the protocols for aggregates are put together from messages.

A *plan* says what is asked; its *steps* are the messages by which the asker gets it
from each provider, one HTTP call each. Every step is authenticated, decided and
receipted like a query (`node.services.aggregates.answer`); what a step does is the
protocol's, a `Handler`. The asker's side of a protocol is an `Asking`, which calls
steps (`node.services.aggregates.call`).

Both sides work in a *run*: the durable part of a job. What a stage of it has made is
kept before the next begins, so whoever goes on after a kill draws no second noise and
no second key.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ledger.plans import Party, Plan, SignedPlan
from node.domain.agreement import Agreement
from node.errors import Unavailable
from node.ports import Publication, UnitOfWork
from node.ports.aggregates import Kernel, Shared

Within: TypeAlias = Callable[[UnitOfWork, bytes], None]
"""Does something with what was made."""


class Refusal(Exception):
    """A step that is refused for what it holds; the message is the denial code.

    It becomes a receipt like any refusal by the policy.

    Attributes:
        spent: Micro-epsilon that finding this out has cost: nothing comes back.
    """

    def __init__(self, code: str, *, spent: int = 0) -> None:
        super().__init__(code)
        self.spent = spent


def wrong(detail: str) -> Unavailable:
    """Return the error of an answer that is not what the protocol says."""
    return Unavailable("partner.malformed", f"The partner's answer {detail}.")


class Run(Protocol):
    """What one side does for one plan, so that it can go on after a kill."""

    async def once(
        self,
        stage: str,
        make: Callable[[], Awaitable[bytes]],
        *,
        secret: bool = False,
        within: Within | None = None,
    ) -> bytes:
        """Return what a stage has made; make and keep it the first time.

        Durable before it returns. Of two that make it at once, both get the first.

        Args:
            secret: Kept encrypted under the node's storage key.
            within: Done in the transaction that keeps it. If it raises, that is raised,
                and nothing is kept.
        """
        ...

    async def map(
        self,
        stage: str,
        kernel: Kernel,
        parts: Sequence[bytes],
        *common: bytes | Shared,
        size: int = 1,
    ) -> list[bytes]:
        """Run ``kernel(*common, part)`` for each part, in worker processes.

        What is kept already is not computed again.

        Args:
            size: Things in a part, for the count that people are shown.

        Raises:
            Cancelled: The job was cancelled.
        """
        ...

    async def compute(self, kernel: Kernel, *arguments: bytes | Shared) -> bytes:
        """Run one kernel in a worker process; nothing is kept."""
        ...

    async def tell(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Show how far it is. Raises `Cancelled`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCall:
    """A step that was allowed, for a handler.

    Attributes:
        party: Our entry in the plan.
        arguments: The step's own JSON members.
        payload: The step's octets.
    """

    signed: SignedPlan
    party: Party
    step: str
    arguments: Mapping[str, Any]
    payload: bytes
    agreement: Agreement
    publication: Publication

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.signed.plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a step sends back.

    Attributes:
        members: JSON object.
        payload: Octets.
    """

    members: Mapping[str, Any]
    payload: bytes = b""


class Handler(Protocol):
    """The provider's side of one kind of plan."""

    @property
    def steps(self) -> Sequence[str]:
        """Names of its steps, in the order in which they are called."""
        ...

    def reserves(self, plan: Plan, step: str) -> bool:
        """Tell whether the plan's price is put aside before a step.

        So it must be before the first step that tells anything; and a plan that costs
        nothing still counts among those of the day.
        """
        ...

    def charges(self, plan: Plan, step: str) -> bool:
        """Tell whether a step makes the price final: its answer is what is paid for."""
        ...

    async def __call__(self, call: StepCall, run: Run) -> Answer:
        """Do a step.

        The same step with the same payload gives the same answer again: what is
        random is drawn in `run.once`.

        Raises:
            Refusal: It is not one that can be answered.
            Unavailable: The CRM or a worker does not answer.
        """
        ...


class Preparing(Protocol):
    """What a kind of plan needs of us that takes long, before it is signed."""

    async def __call__(
        self, plan: Plan, inputs: Mapping[str, Any], run: Run
    ) -> tuple[Plan, Mapping[str, Any]]:
        """Return the plan with what it lacked, and the inputs of its `Asking`.

        Of the same run it returns the same each time, for a plan that lacks nothing,
        too.

        Args:
            inputs: What the job was begun with.
        """
        ...


class Asking(Protocol):
    """The asker's side of one kind of plan."""

    async def __call__(
        self, signed: SignedPlan, inputs: Mapping[str, Any], run: Run
    ) -> Mapping[str, Any]:
        """Carry out a plan; return its result, a JSON object.

        Args:
            inputs: What only we know: weights, customers. Never sent as it is. What
                the job was begun with, or what its `Preparing` made of that.
        """
        ...


class CallStep(Protocol):
    """Calls a step of a partner's node: what an `Asking` is built with."""

    async def __call__(
        self,
        signed: SignedPlan,
        party: Party,
        step: str,
        arguments: Mapping[str, Any],
        payload: bytes = b"",
    ) -> Answer:
        """Send a step; return the checked answer, once its receipt is kept.

        Raises:
            Refused: The provider refused; the code is its first denial.
            Unavailable: It did not answer, or not with what verifies.
        """
        ...
