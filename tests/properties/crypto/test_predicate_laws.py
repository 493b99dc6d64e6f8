"""Laws of predicates: honest ones verify, bent ones never do, nothing else is raised."""

import dataclasses
import datetime
import secrets
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.bbs import ARKWORKS
from crypto.bbs.suite import ORDER
from crypto.errors import CryptoError, Invalid, InvalidBatch, Malformed
from crypto.predicates import (
    Claim,
    Statement,
    Window,
    between,
    bits,
    equal,
    no_more_than,
    one_of,
    parse_statement,
    sum_at_least,
    verify,
    verify_batch,
)
from crypto.predicates.kinds import Predicate
from crypto.predicates.weights import digits, weights
from crypto.tokens import check_opening, customer_opening, customer_token
from crypto.typed import (
    FIRST_FIELD,
    NULL_STEP,
    TOP,
    Field,
    Kind,
    parse_header,
    places,
    schema_hash,
    told,
)
from tests.unit.crypto.typed_world import (
    FIELDS,
    HEADER,
    SCHEMA,
    claim,
    sealed,
    statement,
)

MONEY = Field(name="m", kind=Kind.MONEY, unit="EUR", scale=2)
CENTS = st.integers(-(10**12), 10**12)
NUMBERS = st.integers(0, TOP)
SPANS = st.integers(1, 300) | st.builds(
    lambda bits, by: 2**bits + by, st.integers(1, 64), st.sampled_from([-1, 0, 1])
)


def _money(cents: int) -> str:
    return f"{Decimal(cents).scaleb(-2):.2f}"


def test_small_weights_write_exactly_the_numbers_from_zero_to_the_most() -> None:
    for most in range(1, 600):
        sums = {0}
        for weight in weights(most):
            sums |= {one + weight for one in sums}
        assert sums == set(range(most + 1))
        assert len(weights(most)) == most.bit_length()
        assert weights(most)[-1] == 1


@given(SPANS, st.data())
def test_weights_write_every_number_up_to_the_most_and_none_above(
    most: int, data: st.DataObject
) -> None:
    value = data.draw(st.integers(0, most) | st.sampled_from([0, most, most // 2]))
    pairs = zip(weights(most), digits(value, most), strict=True)
    assert sum(weight * bit for weight, bit in pairs) == value
    assert set(digits(value, most)) <= {0, 1}
    assert sum(weights(most)) == most


@settings(max_examples=40)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=256), st.integers(1, ORDER - 1))
def test_bits_are_committed_to_as_any_numbers_are(
    digits: list[int], blinding: int
) -> None:
    made = bits.commit(ARKWORKS, digits, blinding)
    plain = ARKWORKS.msm(*bits.commitment(ARKWORKS, digits, blinding))
    assert ARKWORKS.encode_g1(made) == ARKWORKS.encode_g1(plain)


@settings(max_examples=40)
@given(CENTS, CENTS, st.integers(0, 10**6), st.integers(0, 10**6), st.data())
def test_every_honest_presentation_verifies(
    spend: int, paid: int, below: int, above: int, data: st.DataObject
) -> None:
    values: dict[str, object] = {
        "spend": _money(spend),
        "paid": _money(paid),
        "bonus": _money(spend),
        "accepted": data.draw(st.dates()).isoformat(),
        "orders": data.draw(st.integers(-(2**53) + 1, 2**53 - 1)),
        "returns": 1,
        "active": data.draw(st.booleans()),
        "region": data.draw(st.sampled_from(["华东", "x", ""])),
        "home": "华东",
    }
    low, high = sorted(
        ["spend", "paid"], key=lambda name: (spend, paid)[name == "paid"]
    )
    total = Decimal(spend + paid - below).scaleb(-2)
    possible: list[Predicate] = [
        between(SCHEMA, "spend", _money(spend - below), _money(spend + above + 1)),
        no_more_than(SCHEMA, low, high),
        sum_at_least(SCHEMA, "spend", "paid", f"{total:.2f}", bits=24),
        equal(SCHEMA, "spend", "bonus"),
        one_of(SCHEMA, "region", ["", "x", "华东", "y"]),
    ]
    asked = data.draw(st.lists(st.sampled_from(possible), unique=True, max_size=4))
    hidden = {index for one in asked for index in one.indexes}
    free = [
        field.name for i, field in enumerate(FIELDS, FIRST_FIELD) if i not in hidden
    ]
    shown = data.draw(st.sets(st.sampled_from(free)))
    anchored = data.draw(st.booleans())
    stated = statement(*asked, shown=tuple(shown), anchored=anchored)
    verify(claim(stated, record=sealed(values), values=values))


@settings(max_examples=60)
@given(NUMBERS, NUMBERS, SPANS)
def test_a_window_holds_of_exactly_the_numbers_within_it(
    value: int, lo: int, span: int
) -> None:
    near = min(lo, TOP - 1)
    window = Window(first=2, lo=near, hi=min(TOP, near + span))
    for one in (value, window.lo - 1, window.lo, window.hi, window.hi + 1):
        try:
            window.bits({2: one})
        except ValueError:
            assert not window.lo <= one <= window.hi
        else:
            assert window.lo <= one <= window.hi


@given(NUMBERS, st.integers(2, 63), st.integers(2, 63), st.sampled_from([1, -1]))
def test_no_window_holds_of_a_missing_value(
    number: int, first: int, second: int, sign: int
) -> None:
    if first == second:
        return
    low, high = sorted([first, second])
    lo, hi = (0, 2 * TOP) if sign > 0 else (-TOP, TOP)
    widest = Window(first=low, second=high, sign=sign, lo=lo, hi=hi)
    nulls = {index: NULL_STEP * (index + 1) for index in (low, high)}
    for values in (nulls, {**nulls, low: number}, {**nulls, high: number}):
        assert not widest.lo <= widest.reach(values, 0) <= widest.hi


@given(CENTS, CENTS)
def test_money_is_ordered_as_its_numbers(one: int, other: int) -> None:
    numbers = [MONEY.number(_money(cents)) for cents in (one, other)]
    assert numbers[0] - numbers[1] == one - other


@given(st.dates(), st.dates())
def test_dates_are_ordered_as_their_numbers(
    one: datetime.date, other: datetime.date
) -> None:
    field = Field(name="d", kind=Kind.DATE)
    numbers = [field.number(day.isoformat()) for day in (one, other)]
    assert numbers[0] - numbers[1] == (one - other).days


@given(st.text() | st.integers() | st.none() | st.booleans(), st.sampled_from(FIELDS))
def test_any_value_is_mapped_or_malformed(value: object, field: Field) -> None:
    try:
        field.scalar(value, 2)
    except Malformed:
        return


@given(st.binary(max_size=200), st.integers(0, 400), st.binary(max_size=40))
def test_any_octets_are_a_statement_or_a_header_in_one_spelling_or_malformed(
    data: bytes, at: int, patch: bytes
) -> None:
    stated = statement(between(SCHEMA, "orders", 1, 9), shown=("home",)).to_bytes()
    patched = stated[:at] + patch + stated[at + len(patch) :]
    for octets in (data, patched):
        try:
            found: Statement = parse_statement(octets, SCHEMA)
        except Malformed:
            continue
        assert found.to_bytes() == octets
    header = HEADER.to_bytes()
    for octets in (data, header[:at] + patch + header[at + len(patch) :]):
        try:
            read = parse_header(octets)
        except Malformed:
            continue
        assert read.to_bytes() == octets


@settings(max_examples=30)
@given(st.sets(st.sampled_from([field.name for field in FIELDS])), st.data())
def test_whatever_is_told_the_hash_and_what_is_proved_are_the_same(
    names: set[str], data: st.DataObject
) -> None:
    part = told(SCHEMA, names)
    assert schema_hash(part) == schema_hash(SCHEMA)
    shown = data.draw(st.sets(st.sampled_from(sorted(names)))) if names else set()
    here = statement(shown=tuple(shown), schema=part, anchored=True)
    assert here.to_bytes() == dataclasses.replace(here, schema=SCHEMA).to_bytes()
    verify(claim(here))
    for name in {field.name for field in FIELDS} - names:
        with pytest.raises(Malformed):
            places(part, [name])


@settings(max_examples=60)
@given(
    st.binary(min_size=32, max_size=32),
    st.text(min_size=1),
    st.text(min_size=1),
    st.binary(min_size=32, max_size=32),
)
def test_a_token_opens_to_one_identifier_and_with_one_opening(
    key: bytes, customer: str, other: str, opening: bytes
) -> None:
    try:
        token = customer_token(key, customer)
    except Malformed:
        return
    right = customer_opening(key, customer)
    check_opening(token, right, customer)
    for shown, who in ((right, other), (opening, customer), (opening, other)):
        if (shown, who) == (right, customer):
            continue
        with pytest.raises(CryptoError):
            check_opening(token, shown, who)


MADE = claim(
    statement(
        between(SCHEMA, "orders", 3, 9),
        one_of(SCHEMA, "home", ["华东", "x", "y"]),
        shown=("accepted",),
        anchored=True,
    )
)


@settings(max_examples=200)
@given(st.integers(0, 8 * len(MADE.proof) - 1))
def test_no_flipped_bit_of_a_presentation_survives(bit: int) -> None:
    number = int.from_bytes(MADE.proof, "big") ^ (1 << bit)
    bent = number.to_bytes(len(MADE.proof), "big")
    try:
        verify(dataclasses.replace(MADE, proof=bent))
    except CryptoError:
        return
    raise AssertionError(bit)


@settings(max_examples=60)
@given(st.binary(min_size=len(MADE.proof), max_size=len(MADE.proof)) | st.binary())
def test_any_octets_are_refused_as_a_presentation_without_another_error(
    data: bytes,
) -> None:
    try:
        verify(dataclasses.replace(MADE, proof=data))
    except CryptoError:
        return
    raise AssertionError


@settings(max_examples=30)
@given(st.integers(-(2**53) + 1, 2**53 - 1), st.integers(-50, 50), st.integers(1, 40))
def test_a_range_is_proved_if_and_only_if_it_is_true(
    value: int, below: int, span: int
) -> None:
    lo = max(-(2**53) + 1, min(value + below, 2**53 - 42))
    record = sealed({**_BASE, "orders": value})
    asked = statement(between(SCHEMA, "orders", lo, lo + span))
    try:
        verify(claim(asked, record=record))
    except Invalid:
        assert not lo <= value <= lo + span
    else:
        assert lo <= value <= lo + span


_BASE: dict[str, object] = {field.name: None for field in FIELDS}


CLAIMS = [
    claim(
        statement(
            between(SCHEMA, "orders", 3, 9 + place), shown=("home",), anchored=True
        ),
        seed=f"{place}",
    )
    for place in range(4)
]


@settings(max_examples=80)
@given(
    st.lists(st.sampled_from(range(4)), min_size=1, max_size=5),
    st.integers(0, 8 * len(CLAIMS[0].proof) - 1),
    st.sampled_from(["proof", "moves", "commitment", "ph"]),
    st.booleans(),
)
def test_a_batch_names_exactly_those_that_do_not_verify(
    places: list[int], bit: int, part: str, told: bool
) -> None:
    claims = [CLAIMS[place] for place in places]
    if not told:
        claims = [dataclasses.replace(one, moves=b"") for one in claims]
    data = getattr(claims[-1], part)
    if data:
        bent = int.from_bytes(data, "big") ^ (1 << bit % (8 * len(data)))
        changed: dict[str, Any] = {part: bent.to_bytes(len(data), "big")}
        claims[-1] = dataclasses.replace(claims[-1], **changed)
    wrong = {place for place, one in enumerate(claims) if _fails(one)}
    assert wrong == (set() if part == "moves" else {len(claims) - 1})
    assert _faults(claims) == wrong


def _fails(one: Claim) -> bool:
    try:
        verify(one)
    except CryptoError:
        return True
    return False


def _faults(claims: list[Claim]) -> set[int]:
    try:
        verify_batch(claims, random_bytes=secrets.token_bytes)
    except InvalidBatch as error:
        return set(error.faults)
    return set()
