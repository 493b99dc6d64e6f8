"""The builds of snapshots that this process is at: whose turn it is, and how far it is.

Of several processes that work on one store, one at a time builds for an agreement. Its
turn ends by itself when it dies. How far a build has come is for operators, who ask;
and for the node's log, which is told every few seconds.
"""

import logging
from dataclasses import dataclass, field
from typing import Final

from node.ports import Clock, UnitOfWork

_log = logging.getLogger("fieldpact.snapshots")
_TELL_MS: Final = 5000.0
_TURN_S: Final = 30


@dataclass(slots=True)
class Progress:
    """How far a build has come; sealing a record takes milliseconds."""

    done: int
    total: int
    started_ms: float
    began_with: int
    told_ms: float

    def speed(self, now_ms: float) -> tuple[float, float | None]:
        """Return records a second so far, and the seconds that are left."""
        passed_s = max((now_ms - self.started_ms) / 1000, 0.001)
        rate = (self.done - self.began_with) / passed_s
        return rate, (self.total - self.done) / rate if rate else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Builds:
    """What is being built here, by agreement.

    Attributes:
        process: Names this process, where several work on one store.
    """

    clock: Clock
    process: str = ""
    under_way: dict[str, Progress] = field(default_factory=dict)

    def take(self, work: UnitOfWork, agreement: str) -> bool:
        """Take the turn, or keep it for longer; False if another process has it."""
        now = self.clock.now()
        return work.turns.take(_turn(agreement), self.process, now, _TURN_S)

    def give_back(self, work: UnitOfWork, agreement: str) -> None:
        """Let others have the turn."""
        work.turns.give_back(_turn(agreement), self.process)

    def begin(self, agreement: str, done: int, total: int) -> None:
        """Start to count."""
        now = self.clock.elapsed_ms()
        self.under_way[agreement] = Progress(done, total, now, done, now)
        _log.info("%s: %d of %d records are sealed", agreement, done, total)

    def tell(self, agreement: str, sealed: int) -> None:
        """Count what was sealed, and write it to the log every few seconds."""
        if (state := self.under_way.get(agreement)) is None:
            return
        state.done = min(state.total, state.done + sealed)
        now = self.clock.elapsed_ms()
        if now - state.told_ms < _TELL_MS:
            return
        state.told_ms = now
        rate, left_s = state.speed(now)
        _log.info(
            "%s: %d of %d records sealed, %.0f/s, %.0f s to go",
            *(agreement, state.done, state.total, rate, left_s or 0),
        )

    def end(self, agreement: str) -> None:
        """Stop to count, if that had begun."""
        if (built := self.under_way.pop(agreement, None)) is not None:
            seconds = (self.clock.elapsed_ms() - built.started_ms) / 1000
            _log.info(
                "%s: %d of %d records sealed, after %.1f s",
                *(agreement, built.done, built.total, seconds),
            )


def _turn(agreement: str) -> str:
    """Name what one process does alone: the builds of one agreement."""
    return f"snapshot:{agreement}"
