"""Predicates: what is proved, and everything that must not be."""

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from crypto import bbs
from crypto.bbs import ARKWORKS, BbsKey
from crypto.bbs.suite import ORDER
from crypto.errors import CryptoError, Invalid, InvalidProof, Malformed
from crypto.predicates import (
    Claim,
    Member,
    Statement,
    Window,
    after,
    at_least,
    at_most,
    before,
    between,
    equal,
    no_more_than,
    one_of,
    parse_statement,
    sum_at_least,
    verify,
)
from crypto.predicates.kinds import Predicate
from crypto.predicates.verify import Opened
from crypto.transcript import presentation_header
from crypto.typed import TOP, TYPED, Header, parse_header
from tests.unit.crypto.test_bbs_backends import _g1_outside_the_subgroup
from tests.unit.crypto.typed_world import (
    HEADER,
    KEY,
    PH,
    RECORD,
    SCHEMA,
    VALUES,
    claim,
    sealed,
    source,
    statement,
)

proving = importlib.import_module("crypto.predicates.prove")

TRUE: dict[str, Predicate] = {
    "at least": at_least(SCHEMA, "spend", "500000.00", bits=32),
    "at least, all the way": at_least(SCHEMA, "spend", "-1.00"),
    "at most": at_most(SCHEMA, "spend", "500000.00", bits=8),
    "at most, all the way": at_most(SCHEMA, "paid", "0.00"),
    "between": between(SCHEMA, "orders", 3, 9),
    "before": before(SCHEMA, "accepted", "1970-01-01", bits=7),
    "before, all the way": before(SCHEMA, "accepted", "1970-01-01"),
    "after": after(SCHEMA, "accepted", "1969-12-30", bits=4),
    "after, all the way": after(SCHEMA, "accepted", "1969-12-30"),
    "one of": one_of(SCHEMA, "region", ["华东", "华北", "x"]),
    "one of two": one_of(SCHEMA, "active", [True, False]),
    "one of numbers": one_of(SCHEMA, "orders", range(-20, 44)),
    "no more than": no_more_than(SCHEMA, "paid", "spend", bits=40),
    "no more than, backwards": no_more_than(SCHEMA, "returns", "orders"),
    "sum at least": sum_at_least(SCHEMA, "spend", "paid", "499987.50", bits=16),
    "sum at least, all the way": sum_at_least(SCHEMA, "spend", "paid", "1.00"),
    "equal numbers": equal(SCHEMA, "orders", "returns"),
    "equal texts": equal(SCHEMA, "region", "home"),
}
FALSE: dict[str, Predicate] = {
    "at least": at_least(SCHEMA, "spend", "500000.01", bits=32),
    "at least, too far below": at_least(SCHEMA, "spend", "499000.00", bits=8),
    "at most": at_most(SCHEMA, "spend", "499999.99"),
    "between": between(SCHEMA, "orders", 8, 9),
    "before": before(SCHEMA, "accepted", "1969-12-31"),
    "after": after(SCHEMA, "accepted", "1969-12-31"),
    "one of": one_of(SCHEMA, "region", ["华北", "x", "y"]),
    "one of two": one_of(SCHEMA, "home", ["华北", "x"]),
    "no more than": no_more_than(SCHEMA, "spend", "paid"),
    "sum at least": sum_at_least(SCHEMA, "spend", "paid", "499987.51"),
    "equal": equal(SCHEMA, "spend", "paid"),
    "missing, at least": at_least(SCHEMA, "bonus", "-92233720368547758.08"),
    "missing, no more than": no_more_than(SCHEMA, "bonus", "spend"),
    "missing, no less than": no_more_than(SCHEMA, "spend", "bonus"),
    "missing, sum": sum_at_least(SCHEMA, "spend", "bonus", "0.00"),
    "missing, equal": equal(SCHEMA, "spend", "bonus"),
}

MIXED = statement(
    between(SCHEMA, "orders", 3, 9),
    one_of(SCHEMA, "home", ["华东", "x", "y"]),
    no_more_than(SCHEMA, "paid", "spend", bits=28),
    equal(SCHEMA, "orders", "returns"),
    shown=("accepted", "region"),
    anchored=True,
)
CLAIM = claim(MIXED)


def _with(**changes: Any) -> Claim:
    return dataclasses.replace(CLAIM, **changes)


@pytest.mark.parametrize("name", TRUE)
@pytest.mark.parametrize("anchored", [False, True])
def test_what_is_true_is_proved(name: str, anchored: bool) -> None:
    verify(claim(statement(TRUE[name], anchored=anchored)))


@pytest.mark.parametrize("name", FALSE)
def test_what_is_false_is_not_proved(name: str) -> None:
    with pytest.raises(Invalid, match="false of this record"):
        claim(statement(FALSE[name]))


def test_several_are_proved_together_beside_fields_shown() -> None:
    verify(CLAIM)
    assert len(CLAIM.proof) == 272 + 32 * (16 - 5 - 2) + 96 + 32 * (2 + 1 + 27 + 2)


def test_nothing_or_everything_can_be_shown() -> None:
    verify(claim(statement()))
    verify(claim(statement(anchored=True, shown=tuple(sorted(VALUES)))))


def test_a_chain_of_equalities_holds_together() -> None:
    values = {**VALUES, "paid": "500000.00", "bonus": "500000.00"}
    record = sealed(values)
    chain = statement(
        equal(SCHEMA, "spend", "paid"),
        equal(SCHEMA, "paid", "bonus"),
        equal(SCHEMA, "spend", "bonus"),
        between(SCHEMA, "bonus", "499999.99", "500000.00"),
    )
    verify(claim(chain, record=record))


def test_two_presentations_have_nothing_in_common() -> None:
    other = claim(MIXED, seed="other").proof
    pieces = {CLAIM.proof[at : at + 16] for at in range(0, len(CLAIM.proof), 16)}
    assert not pieces & {other[at : at + 16] for at in range(0, len(other), 16)}


# --- A cheating prover -------------------------------------------------------


def _cheat(monkeypatch: pytest.MonkeyPatch, *predicates: Predicate) -> Claim:
    """Prove with digits that fit the sums, and are no bits."""

    def forged(stated: Statement, values: dict[int, int]) -> list[int]:
        return [
            digit
            for each in stated.predicates
            for digit in each.complete([0] * each.free, values, 1)
        ]

    monkeypatch.setattr(proving, "_witness", forged)
    return claim(statement(*predicates))


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


# --- Edges -------------------------------------------------------------------

SPANS = [1, 2, 3, 7, 8, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**52 - 1, 2**52]


@pytest.mark.parametrize("span", SPANS)
def test_a_range_is_exact_at_both_ends(
    span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for lo in (7, 7 - span):  # the value 7 is the lower, the upper end
        verify(claim(statement(between(SCHEMA, "orders", lo, lo + span))))
    for lo in (8, 6 - span):  # one beside
        outside = between(SCHEMA, "orders", lo, lo + span)
        with pytest.raises(Invalid):
            claim(statement(outside))
        with monkeypatch.context() as patch, pytest.raises(InvalidProof):
            verify(_cheat(patch, outside))


def test_the_widest_windows_are_proved() -> None:
    verify(claim(statement(Window(first=2, lo=0, hi=TOP))))
    verify(claim(statement(Window(first=2, second=3, sign=-1, lo=-TOP, hi=TOP))))
    verify(claim(statement(Window(first=2, second=3, lo=0, hi=2 * TOP))))


@pytest.mark.parametrize(
    "bounds",
    [
        {"lo": 5, "hi": 5},
        {"lo": 6, "hi": 5},
        {"lo": -1, "hi": 5},
        {"lo": 0, "hi": TOP + 1},
        {"second": 3, "lo": 5, "hi": 5},
        {"second": 3, "lo": 0, "hi": 2 * TOP + 1},
        {"second": 3, "sign": -1, "lo": -TOP - 1, "hi": 0},
        {"second": 3, "sign": 2, "lo": 0, "hi": 1},
        {"second": None, "sign": -1, "lo": 0, "hi": 1},
        {"second": 2, "sign": -1, "lo": 0, "hi": 1},
        {"second": 1, "sign": -1, "lo": 0, "hi": 1},
    ],
)
def test_a_window_of_nothing_or_beyond_the_numbers_is_malformed(
    bounds: dict[str, Any],
) -> None:
    with pytest.raises(Malformed):
        Window(first=2, **bounds)


@pytest.mark.parametrize(
    "among", [(), (1,), (1, 1), (2, 1), (1, ORDER), (-1, 1), tuple(range(65))]
)
def test_a_set_has_two_to_64_scalars_that_ascend(among: tuple[int, ...]) -> None:
    with pytest.raises(Malformed):
        Member(first=2, among=among)


# --- Statements --------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: between(SCHEMA, "nothing", 1, 2),
        lambda: between(SCHEMA, "region", "a", "b"),
        lambda: between(SCHEMA, "orders", "1", "2"),
        lambda: between(SCHEMA, "spend", "1.0", "2.00"),
        lambda: before(SCHEMA, "orders", "2026-01-01"),
        lambda: after(SCHEMA, "accepted", "2026-02-30"),
        lambda: at_least(SCHEMA, "orders", 1, bits=0),
        lambda: at_least(SCHEMA, "orders", 1, bits=65),
        lambda: one_of(SCHEMA, "orders", [1]),
        lambda: one_of(SCHEMA, "orders", [1, 1]),
        lambda: one_of(SCHEMA, "orders", [1, None]),
        lambda: one_of(SCHEMA, "orders", range(65)),
        lambda: equal(SCHEMA, "orders", "orders"),
        lambda: statement(equal(SCHEMA, "orders", "spend")),
        lambda: statement(no_more_than(SCHEMA, "accepted", "spend")),
        lambda: statement(Window(first=5, second=6, sign=-1, lo=0, hi=1)),
        lambda: statement(Window(first=5, second=6, sign=-1, lo=1, hi=1)),
        lambda: statement(Window(first=5, lo=0, hi=1)),
        lambda: statement(Window(first=0, lo=0, hi=1)),
        lambda: statement(Window(first=1, lo=0, hi=1)),
        lambda: statement(Window(first=11, lo=0, hi=1)),
        lambda: statement(Window(first=-3, lo=0, hi=1)),
        lambda: statement(between(SCHEMA, "orders", 1, 9), shown=("orders",)),
        lambda: statement(equal(SCHEMA, "orders", "returns"), shown=("returns",)),
        lambda: statement(*[between(SCHEMA, "orders", 1, 9)] * 2),
        lambda: statement(
            *(Window(first=2, lo=0, hi=TOP - number) for number in range(5))
        ),
        lambda: Statement(schema=SCHEMA, disclosed=(3, 3)),
        lambda: Statement(schema=SCHEMA, disclosed=(4, 3)),
        lambda: Statement(schema=SCHEMA, disclosed=(0,)),
        lambda: Statement(schema=SCHEMA, disclosed=(1,)),
        lambda: Statement(schema=SCHEMA, disclosed=(11,)),
        lambda: Statement(schema=SCHEMA, disclosed=(-1,)),
    ],
)
def test_a_statement_that_makes_no_sense_is_malformed(
    make: Callable[[], object],
) -> None:
    with pytest.raises(Malformed):
        make()


def test_a_statement_reads_as_it_was_written() -> None:
    stated = [statement(each) for each in TRUE.values()]
    for one in (*stated, MIXED, statement()):
        assert parse_statement(one.to_bytes(), SCHEMA) == one
    assert len({one.digest for one in stated}) == len(stated)


def test_the_octets_of_a_statement_are_cut_nowhere() -> None:
    data = MIXED.to_bytes()
    for cut in range(len(data)):
        with pytest.raises(Malformed):
            parse_statement(data[:cut], SCHEMA)
    with pytest.raises(Malformed):
        parse_statement(data + b"\0", SCHEMA)
    with pytest.raises(Malformed):
        parse_statement(data, SCHEMA[1:])


# --- Every byte --------------------------------------------------------------


def _mutations(data: bytes) -> Iterator[bytes]:
    for at, noise in enumerate(source("noise")(len(data))):
        yield data[:at] + bytes([data[at] ^ (noise or 1)]) + data[at + 1 :]


def _refused(changed: Claim) -> bool:
    try:
        verify(changed)
    except CryptoError:
        return True
    return False


def test_no_byte_of_a_presentation_can_be_changed() -> None:
    for at, proof in enumerate(_mutations(CLAIM.proof)):
        if at > 192 and at % 8:
            continue  # four of each scalar are enough
        assert _refused(_with(proof=proof))


def test_no_byte_of_a_statement_can_be_changed() -> None:
    read = 0
    for data in _mutations(MIXED.to_bytes()):
        try:
            other = parse_statement(data, SCHEMA)
        except Malformed:
            continue
        read += 1
        assert _refused(_with(statement=other))
    assert read > 50


def test_no_byte_of_a_header_can_be_changed() -> None:
    read = 0
    for data in _mutations(HEADER.to_bytes()):
        try:
            other = parse_header(data)
        except Malformed:
            continue
        read += 1
        assert _refused(_with(header=other))
    assert read > 10


@pytest.mark.parametrize("part", ["ph", "commitment", "public"])
def test_no_byte_of_what_the_verifier_expects_can_be_changed(part: str) -> None:
    for data in _mutations(getattr(CLAIM, part)):
        assert _refused(_with(**{part: data}))


def test_a_presentation_is_cut_nowhere() -> None:
    for cut in range(len(CLAIM.proof)):
        with pytest.raises(Malformed):
            verify(_with(proof=CLAIM.proof[:cut]))
    with pytest.raises(Malformed):
        verify(_with(proof=CLAIM.proof + bytes(32)))


SCALARS = [*range(144, 560, 32), *range(656, len(CLAIM.proof), 32)]
POINTS = [0, 48, 96, 560, 608]


@pytest.mark.parametrize("at", SCALARS)
def test_a_scalar_that_is_not_reduced_is_malformed(at: int) -> None:
    number = int.from_bytes(CLAIM.proof[at : at + 32], "big")
    for other in (ORDER, 2**256 - 1, (number + ORDER) % 2**256):
        data = CLAIM.proof[:at] + other.to_bytes(32, "big") + CLAIM.proof[at + 32 :]
        with pytest.raises(Malformed):
            verify(_with(proof=data))


BAD_POINTS = {
    "the identity": b"\xc0" + bytes(47),
    "the identity, spelt otherwise": b"\xe0" + bytes(47),
    "zeros": bytes(48),
    "beyond the field": b"\xff" * 48,
    "outside the subgroup": _g1_outside_the_subgroup(),
}


@pytest.mark.parametrize("name", BAD_POINTS)
@pytest.mark.parametrize("at", POINTS)
def test_what_is_no_point_of_the_group_is_malformed(name: str, at: int) -> None:
    data = CLAIM.proof[:at] + BAD_POINTS[name] + CLAIM.proof[at + 48 :]
    with pytest.raises(Malformed):
        verify(_with(proof=data))
    with pytest.raises(Malformed):
        verify(_with(commitment=BAD_POINTS[name]))


@pytest.mark.parametrize("at", POINTS)
def test_a_point_of_another_place_is_refused(at: int) -> None:
    for other in {*POINTS} - {at}:
        point = CLAIM.proof[other : other + 48]
        with pytest.raises(InvalidProof):
            verify(_with(proof=CLAIM.proof[:at] + point + CLAIM.proof[at + 48 :]))


# --- Replay and exchange -----------------------------------------------------


@pytest.mark.parametrize(
    "ph", [b"", PH + b"\0", PH[:-1], b"other" + PH, PH.replace(b"nonce", b"Nonce")]
)
def test_a_presentation_is_for_one_audience_agreement_purpose_and_nonce(
    ph: bytes,
) -> None:
    with pytest.raises(InvalidProof):
        verify(_with(ph=ph))


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "did:web:b"},
        {"key_id": "did:web:a#2"},
        {"dataset": "e"},
        {"grant": "h"},
        {"version": 1},
    ],
)
def test_a_presentation_is_of_one_header(changes: dict[str, Any]) -> None:
    other: Header = dataclasses.replace(HEADER, **changes)
    with pytest.raises(InvalidProof):
        verify(_with(header=other))


def test_another_commitment_of_the_same_record_is_refused() -> None:
    with pytest.raises(InvalidProof):
        verify(_with(commitment=sealed(seed="other").commitment))


def test_a_provider_that_answers_from_a_record_it_did_not_commit_to_is_caught() -> None:
    other = sealed({**VALUES, "accepted": "1960-01-01"}, seed="other")
    values = {**VALUES, "accepted": "1960-01-01"}
    made = claim(MIXED, record=other, values=values)
    verify(made)
    with pytest.raises(InvalidProof):
        verify(dataclasses.replace(made, commitment=RECORD.commitment))
    mixed = dataclasses.replace(other, commitment=RECORD.commitment)
    with pytest.raises(InvalidProof):
        verify(claim(MIXED, record=mixed, values=values))


def test_a_commitment_is_given_if_and_only_if_it_is_asked_for() -> None:
    with pytest.raises(Malformed):
        verify(_with(commitment=None))
    plain = claim(statement())
    with pytest.raises(Malformed):
        verify(dataclasses.replace(plain, commitment=RECORD.commitment))


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"accepted": "1969-12-31"},
        {"accepted": "1969-12-31", "region": "华东", "active": True},
        {"accepted": "1969-12-31", "active": True},
        {"accepted": "1969-12-31", "region": 1},
        {"accepted": "华东", "region": "华东"},
    ],
)
def test_the_values_shown_are_those_asked_for_and_of_their_types(
    shown: dict[str, object],
) -> None:
    with pytest.raises(Malformed):
        verify(_with(shown=shown))


@pytest.mark.parametrize("value", ["1970-01-01", None])
def test_another_value_is_refused(value: str | None) -> None:
    with pytest.raises(InvalidProof):
        verify(_with(shown={"accepted": value, "region": "华东"}))


def test_a_missing_value_can_be_shown() -> None:
    verify(claim(statement(shown=("bonus",))))


def test_another_key_did_not_sign_it() -> None:
    with pytest.raises(InvalidProof):
        verify(_with(public=BbsKey.generate(b"o" * 32).public_bytes))


def test_a_false_signature_gives_a_false_proof() -> None:
    forged = dataclasses.replace(RECORD, signature=sealed(seed="other").signature)
    with pytest.raises(InvalidProof, match="signature"):
        verify(claim(MIXED, record=forged))


def test_a_schema_of_another_type_unit_or_scale_is_refused() -> None:
    others: list[dict[str, Any]] = [{"unit": "USD"}, {"scale": 3}]
    for changes in others:
        changed = [dataclasses.replace(field, **changes) for field in SCHEMA[:2]]
        schema = (*changed, *SCHEMA[2:])
        header = Header.of(
            schema,
            issuer=HEADER.issuer,
            key_id=HEADER.key_id,
            dataset=HEADER.dataset,
            grant=HEADER.grant,
            version=HEADER.version,
        )
        other = dataclasses.replace(MIXED, schema=schema)
        with pytest.raises(Malformed):
            verify(_with(statement=other))
        with pytest.raises(InvalidProof):
            verify(_with(statement=other, header=header))


def test_the_predicates_of_a_statement_cannot_change_places() -> None:
    first, second, *rest = MIXED.predicates
    other = dataclasses.replace(MIXED, predicates=(second, first, *rest))
    with pytest.raises(InvalidProof):
        verify(_with(statement=other))


@pytest.mark.parametrize(
    "scalars",
    [
        b"",
        RECORD.scalars[:-32],
        RECORD.scalars[:-1],
        RECORD.scalars + bytes(32),
        b"\xff" * 32 + RECORD.scalars[32:],
    ],
)
def test_a_record_out_of_form_is_not_presented(scalars: bytes) -> None:
    for stated in (MIXED, statement()):
        with pytest.raises(Malformed):
            claim(stated, record=dataclasses.replace(RECORD, scalars=scalars))


def test_a_record_with_numbers_of_its_own_in_the_padding_is_not_believed() -> None:
    """The padding is shown, and what is shown is zero."""
    filled = RECORD.scalars[:-32] + bytes(31) + b"\1"
    commitment, signature = KEY.seal_scalars(
        HEADER.to_bytes(),
        [filled[at : at + 32] for at in range(0, len(filled), 32)],
        suite=TYPED,
        random_bytes=source("filled"),
    )
    record = dataclasses.replace(
        RECORD, scalars=filled, signature=signature, commitment=commitment
    )
    with pytest.raises(InvalidProof):
        verify(claim(statement(anchored=True), record=record))


# --- The first moves ---------------------------------------------------------


def test_the_moves_are_what_the_verifier_computes() -> None:

    opened = Opened.of(CLAIM, ARKWORKS)
    sums = [ARKWORKS.encode_g1(ARKWORKS.msm(*one)) for one in opened.equations]
    assert CLAIM.moves == b"".join(sums)


def test_what_is_in_a_presentation_is_an_unmodified_proof_of_bbs() -> None:
    moves = [CLAIM.moves[at : at + 48] for at in range(0, len(CLAIM.moves), 48)]
    cut = 272 + 32 * (16 - len(MIXED.shown))
    sent = [CLAIM.proof[cut : cut + 48], CLAIM.proof[cut + 48 : cut + 96]]
    bound = presentation_header(
        PH,
        MIXED.to_bytes(),
        anchor=[RECORD.commitment, moves[2]],
        bits=[*sent, *moves[3:]],
    )
    bbs.frame(TYPED, ARKWORKS, KEY.public_bytes, HEADER.to_bytes(), 16).verify_proof(
        CLAIM.proof[:cut],
        [RECORD.messages[index] for index in MIXED.shown],
        disclosed=MIXED.shown,
        ph=bound,
    )
