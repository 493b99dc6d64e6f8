"""The verdict: nothing false is not the same as all of it checked."""

from itertools import product

import pytest

from ledger.conclusion import Verdict, conclude, sentence
from ledger.steps import Step, step
from ledger.verifier import Exit, exit_code

CHECKED = step("receipt", "checked", "")
FAILED = step("provider_signature", "failed", "why")
UNKNOWN = step("provider_signature", "unknown", "")
PENDING = step("countersignature", "pending", "")
UNASKED = step("chain", "not_asked", "")


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ((CHECKED,), Verdict.VERIFIED),
        ((CHECKED, UNASKED), Verdict.CHAIN_NOT_CHECKED),
        ((CHECKED, step("keys", "unreachable", "")), Verdict.CHAIN_NOT_CHECKED),
        ((CHECKED, step("snapshot", "elsewhere", "")), Verdict.CHAIN_NOT_CHECKED),
        ((CHECKED, PENDING, UNASKED), Verdict.PENDING),
        ((CHECKED, PENDING), Verdict.PENDING),
        ((UNKNOWN, PENDING, UNASKED), Verdict.UNKNOWN),
        ((step("snapshot", "untold", ""), CHECKED), Verdict.UNKNOWN),
        ((step("complete", "erased", ""), CHECKED), Verdict.UNKNOWN),
        ((step("complete", "part", ""), CHECKED), Verdict.VERIFIED),
        ((FAILED, UNKNOWN, PENDING, UNASKED, CHECKED), Verdict.NOT_VERIFIED),
    ],
)
def test_the_verdict_is_what_the_weakest_step_allows(
    steps: tuple[Step, ...], verdict: Verdict
) -> None:
    assert conclude(steps) is verdict
    assert conclude(steps[::-1]) is verdict


def test_only_what_was_checked_on_the_chain_is_called_verified_without_more() -> None:
    said = {
        Verdict.VERIFIED: "VERIFIED: ",
        Verdict.CHAIN_NOT_CHECKED: "VERIFIED, CHAIN NOT CHECKED: ",
        Verdict.PENDING: "PENDING: ",
        Verdict.UNKNOWN: "NOT VERIFIED, NOTHING FALSE FOUND: ",
        Verdict.NOT_VERIFIED: "NOT VERIFIED: ",
    }
    found = {
        conclude(steps): sentence(steps, "en")
        for steps in (
            [CHECKED],
            [CHECKED, UNASKED],
            [CHECKED, PENDING],
            [CHECKED, UNKNOWN],
            [CHECKED, FAILED],
        )
    }
    assert {
        verdict: words[: len(said[verdict])] for verdict, words in found.items()
    } == said


def test_a_bad_verdict_says_why_in_both_languages() -> None:
    assert sentence([CHECKED, FAILED], "en").endswith(FAILED.words["en"])
    assert sentence([CHECKED, FAILED], "zh").endswith(FAILED.words["zh"])
    assert not sentence([CHECKED], "zh").isascii()


def test_a_sentence_is_one_line() -> None:
    for steps, language in product(
        ([CHECKED], [UNASKED], [PENDING, FAILED], [UNKNOWN, PENDING]), ("en", "zh")
    ):
        assert "\n" not in sentence(steps, language)


def test_a_chain_is_spoken_of_only_where_there_is_one() -> None:
    assert "chain" not in sentence([CHECKED], "en")
    assert "chain" in sentence([CHECKED, step("chain", "checked", "")], "en")


@pytest.mark.parametrize(
    ("verdict", "online", "offline"),
    [
        (Verdict.VERIFIED, Exit.OK, Exit.OK),
        (Verdict.CHAIN_NOT_CHECKED, Exit.PARTIAL, Exit.OK),
        (Verdict.PENDING, Exit.PARTIAL, Exit.PARTIAL),
        (Verdict.UNKNOWN, Exit.PARTIAL, Exit.PARTIAL),
        (Verdict.NOT_VERIFIED, Exit.NOT_VERIFIED, Exit.NOT_VERIFIED),
    ],
)
def test_the_exit_code_tells_false_from_not_looked_at(
    verdict: Verdict, online: Exit, offline: Exit
) -> None:
    assert exit_code(verdict, offline=False) is online
    assert exit_code(verdict, offline=True) is offline
