"""Statements: what can be said, in one spelling, and what makes no sense."""

from collections.abc import Callable
from typing import Any

import pytest

from crypto.bbs.suite import ORDER
from crypto.errors import Malformed
from crypto.predicates import (
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
)
from crypto.typed import OFFSET, TOP, Field, Kind
from tests.unit.crypto.typed_world import MIXED, SCHEMA, TRUE, statement


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
        {"second": 3, "sign": 2, "lo": 1, "hi": 1},
        {"second": 3, "sign": 0, "lo": 0, "hi": 0},
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
    "among",
    [(), (1,), (1, 1), (2, 1), (1, ORDER), (1, 2, ORDER), (-1, 1), tuple(range(65))],
)
def test_a_set_has_two_to_64_scalars_that_ascend(among: tuple[int, ...]) -> None:
    with pytest.raises(Malformed):
        Member(first=2, among=among)
    assert Member(first=2, among=(0, ORDER - 1)).weights == (0, ORDER - 1)


DATES = (Field(name="first", kind=Kind.DATE), Field(name="second", kind=Kind.DATE))
DAYS = 719162, 2932896
"""Days from 0001-01-01 to 1970-01-01, and from there to 9999-12-31."""
MOST = 2**53 - 1
CENTS = OFFSET + 100


@pytest.mark.parametrize(
    ("made", "lo", "hi"),
    [
        (after(SCHEMA, "accepted", "1970-01-01"), OFFSET + 1, OFFSET + DAYS[1]),
        (before(SCHEMA, "accepted", "1970-01-01"), OFFSET - DAYS[0], OFFSET - 1),
        (at_least(SCHEMA, "accepted", "1970-01-02"), OFFSET + 1, OFFSET + DAYS[1]),
        (at_least(SCHEMA, "orders", 7), OFFSET + 7, OFFSET + MOST),
        (at_most(SCHEMA, "orders", 7), OFFSET - MOST, OFFSET + 7),
        (at_least(SCHEMA, "spend", "1.00"), CENTS, TOP),
        (at_most(SCHEMA, "spend", "1.00"), 0, CENTS),
        (at_least(SCHEMA, "spend", "1.00", bits=8), CENTS, CENTS + 255),
        (at_most(SCHEMA, "spend", "1.00", bits=8), CENTS - 255, CENTS),
        (at_least(SCHEMA, "spend", "1.00", bits=1), CENTS, CENTS + 1),
        (at_least(SCHEMA, "spend", "1.00", bits=64), CENTS, TOP),
        (at_least(SCHEMA, "accepted", "9999-12-30", bits=9), *(OFFSET + DAYS[1] + x
            for x in (-1, 0))),
        (no_more_than(SCHEMA, "spend", "paid"), -TOP, 0),
        (no_more_than(SCHEMA, "paid", "spend"), 0, TOP),
        (no_more_than(SCHEMA, "orders", "returns"), -2 * MOST, 0),
        (no_more_than(DATES, "second", "first"), 0, sum(DAYS)),
        (no_more_than(SCHEMA, "orders", "returns", bits=3), -7, 0),
        (sum_at_least(SCHEMA, "spend", "paid", "1.00"), CENTS + OFFSET, 2 * TOP),
        (sum_at_least(SCHEMA, "orders", "returns", 7), 2 * OFFSET + 7,
            2 * OFFSET + 2 * MOST),
    ],
)  # fmt: skip
def test_an_open_end_is_where_the_numbers_of_the_type_end(
    made: Window, lo: int, hi: int
) -> None:
    assert (made.lo, made.hi) == (lo, hi)


def test_dates_and_integers_need_fewer_bits_than_amounts() -> None:
    asked = (
        (after(SCHEMA, "accepted", "0001-01-01"), 22),
        (before(SCHEMA, "accepted", "9999-12-31"), 22),
        (no_more_than(DATES, "first", "second"), 22),
        (at_least(SCHEMA, "orders", 0), 53),
        (at_least(SCHEMA, "orders", -MOST), 54),
        (at_least(SCHEMA, "spend", "0.00"), 63),
        (at_least(SCHEMA, "spend", "-92233720368547758.08"), 64),
    )
    for window, bits in asked:
        assert len(window.weights) == bits


@pytest.mark.parametrize(
    "make",
    [
        lambda: between(SCHEMA, "nothing", 1, 2),
        lambda: between(SCHEMA, "region", "a", "b"),
        lambda: between(SCHEMA, "orders", "1", "2"),
        lambda: between(SCHEMA, "spend", "1.0", "2.00"),
        lambda: before(SCHEMA, "orders", "2026-01-01"),
        lambda: before(SCHEMA, "spend", "1.00"),
        lambda: after(SCHEMA, "spend", "1.00"),
        lambda: after(SCHEMA, "accepted", "2026-02-30"),
        lambda: at_least(SCHEMA, "orders", 1, bits=0),
        lambda: at_least(SCHEMA, "orders", 1, bits=65),
        lambda: one_of(SCHEMA, "orders", [1]),
        lambda: one_of(SCHEMA, "orders", [1, 1]),
        lambda: one_of(SCHEMA, "orders", [1, None]),
        lambda: one_of(SCHEMA, "orders", range(65)),
        lambda: one_of(SCHEMA, "orders", [1, True]),
        lambda: at_least(SCHEMA, "active", True),
        lambda: at_most(SCHEMA, "region", "x"),
        lambda: no_more_than(SCHEMA, "region", "home"),
        lambda: sum_at_least(SCHEMA, "region", "home", "x"),
        lambda: sum_at_least(DATES, "first", "second", "2026-01-01"),
        lambda: after(SCHEMA, "accepted", "9999-12-31"),
        lambda: before(SCHEMA, "accepted", "0001-01-01"),
        lambda: at_least(SCHEMA, "orders", 2**53 - 1),
        lambda: at_most(SCHEMA, "spend", "-92233720368547758.08"),
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


def _listed(disclosed: tuple[int, ...], *predicates: bytes) -> bytes:
    """Write the octets of a statement that may make no sense."""
    head = statement().to_bytes()[:-5]
    shown = b"".join(index.to_bytes(2, "big") for index in disclosed)
    counts = [len(listed).to_bytes(2, "big") for listed in (disclosed, predicates)]
    return head + b"\0" + counts[0] + shown + counts[1] + b"".join(predicates)


def test_octets_that_name_an_index_twice_or_out_of_order_are_malformed() -> None:
    asked = between(SCHEMA, "orders", 3, 9).to_bytes()
    other = between(SCHEMA, "returns", 3, 9).to_bytes()
    assert parse_statement(_listed((3, 4), asked, other), SCHEMA).bits == 6
    for disclosed in ((3, 3), (4, 3), (7,), (8,), (0,), (1,), (11,), (3, 4, 4)):
        with pytest.raises(Malformed):
            parse_statement(_listed(disclosed, asked, other), SCHEMA)
    for listed in ((asked, asked), (asked, other, asked), (other + asked,)):
        with pytest.raises(Malformed):
            parse_statement(_listed((3, 4), *listed), SCHEMA)
    same = b"\x01\x01" + asked[2:4] * 2 + asked[6:]  # a - a
    with pytest.raises(Malformed):
        parse_statement(_listed((), same), SCHEMA)


def test_counts_that_are_not_those_of_the_lists_are_malformed() -> None:
    data = MIXED.to_bytes()
    at = len(statement().to_bytes()) - 4
    assert data[at : at + 2] == b"\0\2"
    for place in (at, at + 2 + 2 * 2):
        for count in (0, 1, 4, 255, 65535):
            other = data[:place] + count.to_bytes(2, "big") + data[place + 2 :]
            with pytest.raises(Malformed):
                parse_statement(other, SCHEMA)


def test_a_presentation_proves_at_most_256_bits_and_64_predicates() -> None:
    widest = [Window(first=index, lo=0, hi=TOP) for index in (2, 3, 9)]
    widest.append(Window(first=2, lo=0, hi=TOP - 1))
    assert statement(*widest).bits == 256
    with pytest.raises(Malformed):
        statement(*widest, Window(first=2, lo=0, hi=1))
    equal_but_for = [
        Window(first=2, second=3, sign=-1, lo=by, hi=by) for by in range(65)
    ]
    assert statement(*equal_but_for[:64]).bits == 0
    with pytest.raises(Malformed):
        statement(*equal_but_for)


def test_all_fields_of_a_schema_may_be_asked_about() -> None:
    asked = Statement(schema=DATES, predicates=(equal(DATES, "first", "second"),))
    assert asked.shown == tuple(range(4, 16))
    assert not asked.anchored
