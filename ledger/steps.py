"""Steps of a verification, and the verdict, which is the weakest of them.

Elsewhere a verification raises; here a reader wants to see every step, the
sound ones too. So each step is run to its end and kept, and `require` raises for
those who only want to go on when all of it holds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from crypto.errors import CryptoError, Invalid
from ledger.errors import LedgerError
from ledger.wording import WORDS, State, state_of

__all__ = ["Outcome", "State", "Step", "require", "run", "step", "verdict"]

Outcome: TypeAlias = tuple[str, str]
"""Name of an outcome in `wording`, and a detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was looked at.

    Attributes:
        name: Of the step, as numbered in `verify_evidence`.
        outcome: Why it is in that state: a name in `wording`.
        words: What came out, for people, by language (`en`, `zh`).
        detail: A fact in brief: an id, two sizes, or why it failed.
    """

    name: str
    outcome: str
    state: State
    words: Mapping[str, str]
    detail: str

    def to_json(self) -> dict[str, str]:
        """Return a flat JSON object, the words under `en` and `zh`."""
        told = {"name": self.name, "state": self.state.value, "detail": self.detail}
        return told | dict(self.words)


def verdict(steps: Iterable[Step]) -> State:
    """Return the weakest state of all steps."""
    strength = list(State)
    return min((step.state for step in steps), key=strength.index)


def require(steps: Iterable[Step]) -> None:
    """Refuse to go on unless every step holds.

    Raises:
        Invalid: Naming the steps that do not.
    """
    if missing := [step for step in steps if step.state is not State.CHECKED]:
        raise Invalid("; ".join(f"{step.name}: {step.detail}" for step in missing))


def run(name: str, check: Callable[[], Outcome]) -> Step:
    """Look at one thing, and say how it came out."""
    try:
        outcome, detail = check()
    except (CryptoError, LedgerError) as error:
        outcome, detail = "failed", str(error)
    return step(name, outcome, detail)


def step(name: str, outcome: str, detail: str) -> Step:
    """Return the step that an outcome amounts to."""
    english, chinese = WORDS[f"{name}.{outcome}"]
    return Step(
        name=name,
        outcome=outcome,
        state=state_of(outcome),
        words={"en": english, "zh": chinese},
        detail=detail,
    )
