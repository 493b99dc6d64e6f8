"""The conclusion: one sentence under all the steps of a verification.

A reader who looks at the last line only must not believe more than was looked at. So
"nothing is false" is told apart from "all of it holds": a chain that nobody asked, a
signature that is still to come, and a signer whose key nobody pinned each have their
own conclusion, and none of them is called verified without more.

Spec: `docs/protocols/evidence.md`, section "The verdict".
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Final

from ledger.steps import Step
from ledger.wording import State

ASKING: Final = frozenset({"not_asked", "unreachable", "elsewhere"})
"""Outcomes of steps that only the chain can answer, and did not."""


class Verdict(StrEnum):
    """What all steps of a verification come to, weakest first.

    NOT_VERIFIED: something is false. UNKNOWN: nothing is, but part of it nobody here
    can check, most often for want of a pinned key. PENDING: what is there holds, and
    something does not exist yet. CHAIN_NOT_CHECKED: all of it holds, except that the
    chain was not asked. VERIFIED: all of it holds.
    """

    NOT_VERIFIED = "not_verified"
    UNKNOWN = "unknown"
    PENDING = "pending"
    CHAIN_NOT_CHECKED = "chain_not_checked"
    VERIFIED = "verified"


_CAUSES: Final[Mapping[Verdict, Callable[[Step], bool]]] = {
    Verdict.NOT_VERIFIED: lambda step: step.state is State.FAILED,
    Verdict.UNKNOWN: lambda step: (
        step.state is State.NOT_CHECKED and step.outcome not in ASKING
    ),
    Verdict.PENDING: lambda step: step.state is State.PENDING,
    Verdict.CHAIN_NOT_CHECKED: lambda step: step.outcome in ASKING,
    Verdict.VERIFIED: lambda _: True,
}
_WORDS: Final[Mapping[Verdict, tuple[str, str]]] = {
    Verdict.NOT_VERIFIED: ("NOT VERIFIED: ", "核验未通过："),
    Verdict.UNKNOWN: ("NOT VERIFIED, NOTHING FALSE FOUND: ", "未能核验，未发现不实："),
    Verdict.PENDING: ("PENDING: ", "待完成："),
    Verdict.CHAIN_NOT_CHECKED: (
        (
            "VERIFIED, CHAIN NOT CHECKED: all signatures and proofs hold; that it is "
            "anchored is only what the file says."
        ),
        "核验通过，未核验链上记录：签名与证明全部成立，锚定仅为文件自称。",
    ),
    Verdict.VERIFIED: ("VERIFIED: every step holds.", "核验通过：每一步均成立。"),
}
_ON_CHAIN: Final = (
    "VERIFIED: every step holds, on the chain too.",
    "核验通过：每一步均成立，包括链上记录。",
)


def conclude(steps: Iterable[Step]) -> Verdict:
    """Return what the steps come to: the first verdict that has a cause."""
    steps = tuple(steps)
    return next(each for each in Verdict if any(map(_CAUSES[each], steps)))


def sentence(steps: Iterable[Step], language: str) -> str:
    """Say the verdict in one sentence, and why where it is not a good one.

    Args:
        steps: At least one.
        language: `en` or `zh`.
    """
    steps = tuple(steps)
    found = conclude(steps)
    chinese = language == "zh"
    opening = _WORDS[found][chinese]
    if found is Verdict.VERIFIED and any(step.name == "chain" for step in steps):
        return _ON_CHAIN[chinese]
    if not opening.endswith((": ", "：")):
        return opening
    causes = [step for step in steps if _CAUSES[found](step)]
    return opening + ("" if chinese else " ").join(
        step.words[language] for step in causes
    )
