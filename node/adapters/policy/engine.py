"""What every policy engine shares: check, ask, read, and deny on any fault.

A decision is asked for in three steps. (1) The question is checked; one that is
malformed never reaches the engine. (2) The engine is asked, within a time limit.
(3) Its answer is read. Whatever goes wrong on the way is a *denial* with a code
of its own: no engine, no decision, no data.

What this does not protect against: an engine that lies consistently. The
self-test catches one that is broken, not one that is malicious.
"""

import abc
import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Self

from crypto.errors import Malformed
from node.adapters.policy.answer import PolicyFault, read_answer
from node.adapters.policy.bundle import Bundle
from node.adapters.policy.question import UNHASHED, check_question, input_hash
from node.domain.decision import Decision


class PolicyEngine(abc.ABC):
    """A policy decision point. Enter it before use: `async with`.

    Args:
        bundle: The policies that decide.
        timeout_s: Longest time one decision may take, in seconds.
    """

    def __init__(self, bundle: Bundle, *, timeout_s: float) -> None:
        self.bundle = bundle
        self.timeout_s = timeout_s

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Return the engine's name and version, for receipts."""

    @abc.abstractmethod
    async def ready(self) -> None:
        """Check that the engine holds our policies and decides as pinned.

        Raises:
            Unavailable: It does not answer, or answers the corpus differently.
        """

    @abc.abstractmethod
    async def _ask(self, question: Mapping[str, Any]) -> object:
        """Return the value of the result rule, or raise `PolicyFault`."""

    @abc.abstractmethod
    async def __aenter__(self) -> Self:
        """Start or reach the engine."""

    @abc.abstractmethod
    async def __aexit__(self, *_: object) -> None:
        """Give the engine up."""

    async def decide(self, question: Mapping[str, Any]) -> Decision:
        """Decide. A fault of the engine is a denial with a code of its own."""
        hashed = input_hash(question)
        try:
            check_question(question)
        except Malformed:
            return self._denied("request.malformed", hashed)
        return await self.evaluate(question, hashed)

    async def evaluate(
        self, question: Mapping[str, Any], hashed: str = UNHASHED
    ) -> Decision:
        """Let the engine decide without checking the question first.

        For the self-test and for tests: the policies themselves must deny what
        is malformed. `question` must be JSON.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await self._ask(question)
            return read_answer(
                answer,
                asked=_asked(question),
                asked_about=_asked_about(question),
                figured=_figured(question),
                revision=self.bundle.revision,
                input_hash=hashed,
                engine=self.name,
            )
        except TimeoutError:
            return self._denied("policy.timeout", hashed)
        except PolicyFault as fault:
            return self._denied(fault.code, hashed)

    def _denied(self, code: str, hashed: str) -> Decision:
        return Decision(
            allow=False,
            fields=(),
            predicate_fields=(),
            denials=(code,),
            denied_fields=(),
            obligations=(),
            revision=self.bundle.revision,
            input_hash=hashed,
            engine=self.name,
        )


def _asked(question: Mapping[str, Any]) -> list[str]:
    try:
        return _texts(question["request"]["fields"])
    except (KeyError, TypeError):
        return []


def _asked_about(question: Mapping[str, Any]) -> list[str]:
    try:
        predicates = question["request"]["predicates"]
        return [name for each in predicates for name in _texts(each["fields"])]
    except (KeyError, TypeError):
        return []


def _figured(question: Mapping[str, Any]) -> list[str] | None:
    try:
        plan = question["request"]["plan"]
        return (
            None if plan is None else _texts(each["field"] for each in plan["fields"])
        )
    except (KeyError, TypeError):
        return None


def _texts(names: Iterable[object]) -> list[str]:
    return [name for name in names if isinstance(name, str)]
