"""A run of a plan without a node: kept in memory, computed in this process."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ledger.plans import Party, SignedPlan
from node.ports.aggregates import Kernel, Shared
from node.services.aggregates.steps import Answer, Handler, StepCall, Within


class MemoryRun:
    """Implements `node.services.aggregates.steps.Run`.

    Attributes:
        kept: What stages made, by stage and part.
        told: Every stage that was shown, with its counts.
    """

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int], bytes] = {}
        self.told: list[tuple[str, int, int]] = []

    async def once(
        self,
        stage: str,
        make: Callable[[], Awaitable[bytes]],
        *,
        secret: bool = False,
        within: Within | None = None,
    ) -> bytes:
        if (stage, 0) not in self.kept:
            self.kept[stage, 0] = await make()
        return self.kept[stage, 0]

    async def map(
        self,
        stage: str,
        kernel: Kernel,
        parts: Sequence[bytes],
        *common: bytes | Shared,
        size: int = 1,
    ) -> list[bytes]:
        for number, part in enumerate(parts):
            if (stage, number) not in self.kept:
                self.kept[stage, number] = await self.compute(kernel, *common, part)
            await self.tell(stage, (number + 1) * size, len(parts) * size)
        return [self.kept[stage, number] for number in range(len(parts))]

    async def compute(self, kernel: Kernel, *arguments: bytes | Shared) -> bytes:
        given = (it.octets if isinstance(it, Shared) else it for it in arguments)
        return kernel(*given)

    async def tell(self, stage: str, done: int = 0, total: int = 0) -> None:
        self.told.append((stage, done, total))


class DirectCalls:
    """Implements `CallStep`: hands each step to a handler, without policy or receipt.

    Attributes:
        sent: Every step that was called, with its answer.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        places: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Take a handler and the agreement and publication of each provider, by DID."""
        self.handlers, self.places = handlers, places
        self.runs: dict[tuple[str, str], MemoryRun] = {}
        self.sent: list[tuple[StepCall, Answer]] = []

    async def __call__(
        self,
        signed: SignedPlan,
        party: Party,
        step: str,
        arguments: Mapping[str, Any],
        payload: bytes = b"",
    ) -> Answer:
        call = StepCall(
            signed=signed,
            party=party,
            step=step,
            arguments=arguments,
            payload=payload,
            **self.places[party.did],
        )
        run = self.runs.setdefault((party.did, signed.plan.plan_hash), MemoryRun())
        answer = await self.handlers[party.did](call, run)
        self.sent.append((call, answer))
        return answer


class Killed(Exception):
    """The process that did a run is gone."""


class MortalRun(MemoryRun):
    """A run whose process is killed once, right after it has kept so many things."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self.lives = lives

    async def once(
        self,
        stage: str,
        make: Callable[[], Awaitable[bytes]],
        *,
        secret: bool = False,
        within: Within | None = None,
    ) -> bytes:
        known = (stage, 0) in self.kept
        made = await super().once(stage, make, secret=secret)
        self._age(0 if known else 1)
        return made

    async def map(
        self,
        stage: str,
        kernel: Kernel,
        parts: Sequence[bytes],
        *common: bytes | Shared,
        size: int = 1,
    ) -> list[bytes]:
        known = len(self.kept)
        made = await super().map(stage, kernel, parts, *common, size=size)
        self._age(len(self.kept) - known)
        return made

    def _age(self, kept: int) -> None:
        alive, self.lives = self.lives > 0, self.lives - kept
        if alive and self.lives <= 0:
            raise Killed
