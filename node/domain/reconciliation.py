"""What a comparison of two copies of a stream can find, and its words.

Each difference says who lacks what. One that is *mended* was there when the copies
were compared, and is gone now: an answer that was lost has been fetched. The words
are for people, on one page, in both languages.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any, Final


class Kind(StrEnum):
    """What differs. `we` is the node that compares."""

    ANSWER_LOST = "answer_lost"
    NOT_GIVEN = "not_given"
    ERASED = "erased"
    NEVER_ASKED = "never_asked"
    ANSWER_WRONG = "answer_wrong"
    ROLLED_BACK = "rolled_back"
    FORKED = "forked"
    PARTNER_LACKS = "partner_lacks"
    PARTNER_UNSIGNED = "partner_unsigned"
    WE_LACK = "we_lack"
    CLAIMED = "claimed"


WORDS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.ANSWER_LOST: (
        (
            "We lacked these receipts: the answers were lost on the way. They are kept "
            "and signed back now; the values that were lost with them are not."
        ),
        "我方缺少这些回执：答复在途中丢失。回执现已补存并回签，随之丢失的数值未能找回。",
    ),
    Kind.NOT_GIVEN: (
        (
            "The provider says that it holds these receipts, and does not show them "
            "under its signature."
        ),
        "提供方称持有这些回执，却未出示经其签名的原件。",
    ),
    Kind.ERASED: (
        "We lack these receipts, and the provider has erased what they said.",
        "我方缺少这些回执，而提供方已抹除其内容。",
    ),
    Kind.NEVER_ASKED: (
        (
            "The provider signed receipts about calls that we never made, and shows no "
            "request of ours. We do not sign them; they are evidence against it."
        ),
        (
            "提供方签署了我方从未发起的调用的回执，且拿不出我方签名的请求。"
            "我方不予回签，此为对其不利的证据。"
        ),
    ),
    Kind.ANSWER_WRONG: (
        "We hold these receipts and do not sign them: the answers failed our checks.",
        "我方持有这些回执但不予回签：答复未通过核验。",
    ),
    Kind.ROLLED_BACK: (
        (
            "The provider lacks receipts that it has signed: its history was cut off, "
            "or put back to an older copy."
        ),
        "提供方缺少其已签署的回执：历史被截断，或被还原为旧副本。",
    ),
    Kind.FORKED: (
        (
            "The provider has two histories: from this number on it shows others than "
            "those it gave us."
        ),
        "提供方有两段历史：自此编号起，它出示的回执与给我方的不同。",
    ),
    Kind.PARTNER_LACKS: (
        (
            "The consumer lacks these receipts: the answers were lost on the way. It "
            "fetches them when it reconciles with us."
        ),
        "使用方缺少这些回执：答复在途中丢失。使用方与我方对账时会补取。",
    ),
    Kind.PARTNER_UNSIGNED: (
        "The consumer holds these receipts and has not signed them back.",
        "使用方持有这些回执，但尚未回签。",
    ),
    Kind.WE_LACK: (
        (
            "The consumer holds receipts under our signature that our store lacks: "
            "our own history was cut off, changed, or put back to an older copy."
        ),
        (
            "使用方持有经我方签名、而我方存储中没有的回执："
            "我方历史被截断、更改，或被还原为旧副本。"
        ),
    ),
    Kind.CLAIMED: (
        "The consumer claims another history, and shows no signature of ours for it.",
        "使用方声称历史不同，却拿不出我方的签名。",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that two copies of a stream have differently.

    Attributes:
        numbers: Of the receipts, ascending.
        evidence: What shows it, by the name of a file.
        mended: Whether it is gone now.
    """

    kind: Kind
    numbers: Sequence[int]
    evidence: Mapping[str, Any]
    mended: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, with words."""
        english, chinese = WORDS[self.kind]
        return {
            "kind": self.kind.value,
            "numbers": in_brief(self.numbers),
            "count": len(self.numbers),
            "mended": self.mended,
            "en": english,
            "zh": chinese,
            "evidence": dict(self.evidence),
        }


def in_brief(numbers: Iterable[int]) -> str:
    """Return ascending numbers as people write them: `0-2, 5`."""
    if isinstance(numbers, range) and len(numbers) > 1:
        return f"{numbers[0]}-{numbers[-1]}"
    runs = groupby(enumerate(numbers), key=lambda each: each[1] - each[0])
    ends = [[number for _, number in run] for _, run in runs]
    return ", ".join(
        f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in ends
    )
