"""Provers that cheat: with digits that are no bits, at the edges, or afterwards."""

import dataclasses
import functools
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from crypto.anchored import Sealed
from crypto.bbs import ARKWORKS, Backend
from crypto.bbs.backends import G1
from crypto.bbs.suite import ORDER
from crypto.bbs.wire import read_messages, write_scalars
from crypto.errors import Invalid, InvalidProof
from crypto.predicates import Claim, Member, Window, between, bits, verify
from crypto.predicates.kinds import Predicate
from crypto.predicates.verify import Opened
from crypto.transcript import presentation_header
from crypto.typed import OFFSET, TOP
from tests.unit.crypto.typed_world import (
    FALSE,
    HEADER,
    KEY,
    PH,
    RECORD,
    SCHEMA,
    TRUE,
    VALUES,
    claim,
    sealed,
    source,
    statement,
)

proving = importlib.import_module("crypto.predicates.prove")
verifying = importlib.import_module("crypto.predicates.verify")

MESSAGES = dict(enumerate(read_messages(RECORD.messages)))


def _cheat(
    monkeypatch: pytest.MonkeyPatch,
    predicate: Predicate,
    free: Sequence[int] | None = None,
    record: Sealed = RECORD,
) -> Claim:
    """Prove with digits that fit the sums, whether or not they are bits."""
    values = dict(enumerate(read_messages(record.messages)))
    digits = predicate.complete(free or [0] * predicate.free, values, 1)
    with monkeypatch.context() as patch:
        _forge(patch, digits)
        return claim(statement(predicate, anchored=True), record=record)


def _forge(patch: pytest.MonkeyPatch, digits: Sequence[int]) -> None:
    """Let the prover take any numbers for bits."""

    def committed(backend: Backend, entries: Sequence[int], blinding: int) -> G1:
        return backend.msm(*bits.commitment(backend, entries, blinding))

    patch.setattr(proving, "_witness", lambda *_: digits)
    patch.setattr(bits, "commit", committed)


# --- Digits that are no bits -------------------------------------------------


@pytest.mark.parametrize("name", FALSE)
def test_digits_that_are_no_bits_prove_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidProof):
        verify(_cheat(monkeypatch, FALSE[name]))


def test_the_forger_of_these_tests_forges_the_sums_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its digits of a true statement may be bits, and then it is believed."""
    verify(_cheat(monkeypatch, between(SCHEMA, "orders", 6, 7)))
    honest = between(SCHEMA, "orders", 3, 9)
    verify(_cheat(monkeypatch, honest, honest.bits(MESSAGES)[:-1]))


HALF = pow(2, -1, ORDER)


@pytest.mark.parametrize("digit", [2, 3, ORDER - 1, HALF, TOP, 2**128])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    "predicate",
    [
        between(SCHEMA, "orders", 3, 9),
        between(SCHEMA, "orders", 8, 14),
        Window(first=7, second=8, sign=-1, lo=-3, hi=3),
        Window(first=7, second=8, lo=2 * OFFSET, hi=2 * OFFSET + 6),
        Member(first=7, among=tuple(OFFSET + x for x in (1, 5, 7, 9))),
        Member(first=7, among=tuple(OFFSET + x for x in (1, 5, 6, 8))),
    ],
)
def test_one_digit_that_is_no_bit_proves_nothing_at_any_place(
    predicate: Predicate, place: int, digit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the sum is right, and the statement may even be true."""
    free = [0] * predicate.free
    free[place] = digit
    with pytest.raises(InvalidProof):
        verify(_cheat(monkeypatch, predicate, free))


@pytest.mark.parametrize("name", ["between", "one of", "no more than, backwards"])
def test_each_digit_is_checked_by_itself(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bits are right but for one, and what that takes is given to the last."""
    predicate = TRUE[name]
    honest = predicate.bits(MESSAGES)
    for place in range(predicate.free):
        free = honest[: predicate.free]
        free[place] += 1 if free[place] else -1
        with pytest.raises(InvalidProof):
            verify(_cheat(monkeypatch, predicate, free))


def test_a_set_is_not_left_by_a_sum_of_its_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """7 = 3 + 4 is no member of {3, 4}: that takes two ones, not one."""
    small = Member(first=7, among=(OFFSET + 3, OFFSET + 4, 2 * OFFSET + 7))
    values = {**VALUES, "orders": 7}
    with pytest.raises(InvalidProof):
        verify(_cheat(monkeypatch, small, [1], sealed(values)))
    middle = Member(first=7, among=(OFFSET + 6, OFFSET + 7, OFFSET + 8))
    with pytest.raises(InvalidProof):  # half of 6 and half of 8
        verify(_cheat(monkeypatch, middle, [HALF]))


# --- Edges -------------------------------------------------------------------

SPANS = sorted(
    {1, 2, 3, 4, 5, TOP}
    | {2**k - 1 for k in (3, 7, 8, 16, 31, 32, 33, 63)}
    | {2**k for k in (3, 7, 8, 16, 31, 32, 33, 63)}
)
LEAST, MOST = "-92233720368547758.08", "92233720368547758.07"


@functools.cache
def _record(spend: str, paid: str) -> Sealed:
    return sealed({**VALUES, "spend": spend, "paid": paid})


def _edges(
    monkeypatch: pytest.MonkeyPatch,
    record: Sealed,
    inside: Mapping[str, Any],
    outside: Mapping[str, Any],
) -> None:
    verify(claim(statement(Window(**inside)), record=record))
    beside = Window(**outside)
    with pytest.raises(Invalid, match="false of this record"):
        claim(statement(beside), record=record)
    with pytest.raises(InvalidProof):
        verify(_cheat(monkeypatch, beside, record=record))


@pytest.mark.parametrize("span", SPANS)
def test_a_range_is_exact_at_both_ends(
    span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = _record(LEAST, MOST)  # the numbers 0 and `TOP`
    last = min(TOP, span + 1)
    low = {"first": 2, "lo": 0, "hi": span}, {"first": 2, "lo": 1, "hi": last}
    high = (
        {"first": 3, "lo": TOP - span, "hi": TOP},
        {"first": 3, "lo": TOP - last, "hi": TOP - 1},
    )
    if last > 1:
        for inside, outside in (low, high):
            _edges(monkeypatch, record, inside, outside)


@pytest.mark.parametrize("span", SPANS[:-1])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_or_a_difference_is_exact_at_both_ends(
    sign: int, span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = _record("0.07", "0.02")
    value = 2 * OFFSET + 9 if sign > 0 else 5
    of: dict[str, Any] = {"first": 2, "second": 3, "sign": sign}
    for lo, beside in ((value, value + 1), (value - span, value - span - 1)):
        inside = {**of, "lo": lo, "hi": lo + span}
        outside = {**of, "lo": beside, "hi": beside + span}
        _edges(monkeypatch, record, inside, outside)


def test_the_widest_windows_are_proved() -> None:
    verify(claim(statement(Window(first=2, lo=0, hi=TOP))))
    verify(claim(statement(Window(first=2, second=3, sign=-1, lo=-TOP, hi=TOP))))
    verify(claim(statement(Window(first=2, second=3, lo=0, hi=2 * TOP))))


@pytest.mark.parametrize(
    ("sign", "value", "lo", "hi"),
    [
        (-1, (LEAST, MOST), -TOP, TOP - 1),
        (-1, (MOST, LEAST), 1 - TOP, TOP),
        (1, (LEAST, LEAST), 0, 2 * TOP - 1),
        (1, (MOST, MOST), 1, 2 * TOP),
    ],
)
def test_the_ends_of_sums_and_differences_are_within_reach(
    sign: int, value: tuple[str, str], lo: int, hi: int
) -> None:
    window = Window(first=2, second=3, sign=sign, lo=lo, hi=hi)
    verify(claim(statement(window), record=_record(*value)))


# --- First moves after the question ------------------------------------------


def _chosen_afterwards(made: Claim) -> Claim:
    """Choose K_c so that K_d comes out as it was hashed, whatever the digits are."""
    opened = Opened.of(made, ARKWORKS)
    (*_, k_d), c = opened.equations, opened.reopened.proof.challenge
    points, scalars = k_d  # Com(f * (c - f); z2) - K_c * c
    hashed = ARKWORKS.decode_g1(made.moves[-48:])
    inverse = pow(c, -1, ORDER)
    weights = [number * inverse % ORDER for number in (*scalars[:-1], ORDER - 1)]
    k_c = ARKWORKS.encode_g1(ARKWORKS.msm([*points[:-1], hashed], weights))
    at = made.proof.index(opened.points[1])
    return dataclasses.replace(
        made, proof=made.proof[:at] + k_c + made.proof[at + 48 :]
    )


def test_a_first_move_that_is_chosen_after_the_question_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same forger is believed by a transcript that leaves its move out."""
    false = between(SCHEMA, "orders", 8, 9)
    forged = _chosen_afterwards(_cheat(monkeypatch, false))
    with pytest.raises(InvalidProof):
        verify(forged)

    def weak(ph: bytes, stated: bytes, *, anchor: Any, bits: Sequence[bytes]) -> bytes:
        left = [*bits[:1], *bits[2:]]
        return presentation_header(ph, stated, anchor=anchor, bits=left)

    monkeypatch.setattr(proving, "presentation_header", weak)
    monkeypatch.setattr(verifying, "presentation_header", weak)
    verify(_chosen_afterwards(_cheat(monkeypatch, false)))


def test_an_answer_that_is_moved_after_the_question_is_caught() -> None:
    """7 and 7 are "equal but for 1" once an answer is moved by the challenge."""
    true = statement(Window(first=7, second=8, sign=-1, lo=0, hi=0), anchored=True)
    false = statement(Window(first=7, second=8, sign=-1, lo=1, hi=1), anchored=True)
    made = claim(true)
    moved = bytearray(made.proof)
    hidden = [j for j in range(16) if j not in set(true.shown)]
    at = 240 + 32 * hidden.index(7)
    c = int.from_bytes(made.proof[-32:], "big")
    answer = int.from_bytes(moved[at : at + 32], "big") + c
    moved[at : at + 32] = write_scalars([answer])
    opened = dataclasses.replace(made, statement=false, proof=bytes(moved))
    Opened.of(opened, ARKWORKS)  # the tie holds ...
    with pytest.raises(InvalidProof):
        verify(opened)  # ... and T2 does not


def test_entries_that_follow_are_not_the_forgers_to_choose() -> None:
    """Entries that follow from m^ are computed by the verifier, never read."""
    true = claim(statement(between(SCHEMA, "orders", 3, 9), anchored=True))
    other = statement(between(SCHEMA, "orders", 4, 10), anchored=True)
    assert bits.free(other) == bits.free(true.statement) == 2
    with pytest.raises(InvalidProof):
        verify(dataclasses.replace(true, statement=other))


def test_digits_of_one_predicate_do_not_stand_for_those_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two windows of one shape, of which only one is true."""
    orders, spend = (
        between(SCHEMA, "orders", 3, 9),
        Window(first=2, lo=OFFSET, hi=OFFSET + 6),
    )
    digits = orders.bits(MESSAGES)
    with monkeypatch.context() as patch:
        _forge(patch, digits * 2)
        made = claim(statement(spend, orders, anchored=True))
    with pytest.raises(InvalidProof):
        verify(made)


def test_random_bytes_that_repeat_between_the_masks_are_refused() -> None:
    """One mask for two answers would give both hidden numbers away."""
    count = 0

    def repeating(length: int) -> bytes:
        nonlocal count
        count += 1
        return source(f"{count % 20}")(length)  # BBS draws 16, the bits 6

    with pytest.raises(ValueError, match="random bytes is broken"):
        proving.prove(
            RECORD,
            statement(between(SCHEMA, "orders", 3, 9)),
            public=KEY.public_bytes,
            header=HEADER,
            ph=PH,
            random_bytes=repeating,
        )
    assert count == 22
