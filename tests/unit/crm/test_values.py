"""Values on their way to the wire: exactly, or not at all."""

import datetime
import unicodedata
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.dataset import Field, FieldType, Grade, Mode, Title
from node.domain.values import LARGEST, BadValue, record_key, to_wire

_EAST = datetime.timezone(datetime.timedelta(hours=8))


def field(type_: FieldType, scale: int = 2) -> Field:
    return Field(
        name="f",
        column="f",
        type=type_,
        title=Title(en="F", zh="字段"),
        grade=Grade.GENERAL,
        personal=False,
        modes=frozenset({Mode.PLAIN}),
        scale=scale,
    )


@pytest.mark.parametrize(
    ("type_", "raw", "wire"),
    [
        ("text", "e\u0301", "\u00e9"),
        ("text", " kept ", " kept "),
        ("text", 7, "7"),
        ("text", Decimal("1.50"), "1.50"),
        ("text", UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("text", datetime.date(2026, 1, 2), "2026-01-02"),
        ("text", " \t\n", None),
        ("text", None, None),
        ("integer", 5, 5),
        ("integer", -LARGEST, -LARGEST),
        ("integer", " +007 ", 7),
        ("integer", 5.0, 5),
        ("integer", Decimal("5.00"), 5),
        ("integer", "", None),
        ("date", datetime.date(2026, 1, 2), "2026-01-02"),
        ("date", datetime.datetime.fromisoformat("2026-01-02T23:59"), "2026-01-02"),
        ("date", datetime.datetime(2026, 1, 2, 1, tzinfo=_EAST), "2026-01-02"),
        ("date", "2026-01-02", "2026-01-02"),
        ("date", "2026-01-02T23:59:59.5Z", "2026-01-02"),
        ("date", "2026-01-02 00:00:00", "2026-01-02"),
        ("date", datetime.date(1, 1, 1), "0001-01-01"),
        ("money", "1234.5", "1234.50"),
        ("money", 1234.5, "1234.50"),
        ("money", 0.1, "0.10"),
        ("money", 1100.04, "1100.04"),
        ("money", 1e5, "100000.00"),
        ("money", Decimal("-0.05"), "-0.05"),
        ("money", Decimal("-0.00"), "0.00"),
        ("money", "-0", "0.00"),
        ("money", Decimal("1E+3"), "1000.00"),
        ("money", Decimal("1.2300"), "1.23"),
        ("money", 0, "0.00"),
        ("boolean", True, True),
        ("boolean", 0, False),
        ("boolean", "YES", True),
        ("boolean", " f ", False),
        ("boolean", "否", False),
        ("boolean", b"\x01", True),
        ("boolean", b"\x00", False),
    ],
)
def test_a_value_has_one_form_on_the_wire(type_: str, raw: Any, wire: Any) -> None:
    found = to_wire(field(FieldType(type_)), raw)
    assert found == wire
    assert type(found) is type(wire)


@pytest.mark.parametrize(
    ("type_", "raw", "kind"),
    [
        ("text", 1.5, "not_text"),
        ("text", True, "not_text"),
        ("text", b"x", "not_text"),
        ("text", "\ud800", "not_unicode"),
        ("text", "a\x00b", "not_unicode"),
        ("integer", "1,234", "not_an_integer"),
        ("integer", "٣", "not_an_integer"),
        ("integer", "1e3", "not_an_integer"),
        ("integer", 1.5, "not_an_integer"),
        ("integer", float("nan"), "not_an_integer"),
        ("integer", True, "not_an_integer"),
        ("integer", LARGEST + 1, "out_of_range"),
        ("integer", "9" * 21, "not_an_integer"),
        ("integer", 10**400, "out_of_range"),
        ("date", "02/01/2026", "not_a_date"),
        ("date", "20260102", "not_a_date"),
        ("date", "2026-02-30", "not_a_date"),
        ("date", "2026-01-02Tnoon", "not_a_date"),
        ("date", 45000, "not_a_date"),
        ("money", "9.999", "too_precise"),
        ("money", 0.1 + 0.2, "too_precise"),
        ("money", Decimal("1E-999999"), "too_precise"),
        ("money", Decimal("1E+999999"), "out_of_range"),
        ("money", Decimal("NaN"), "not_money"),
        ("money", float("inf"), "not_money"),
        ("money", "¥5", "not_money"),
        ("money", "1,000.00", "not_money"),
        ("money", "90071992547409.92", "out_of_range"),
        ("money", False, "not_money"),
        ("boolean", 2, "not_a_boolean"),
        ("boolean", "maybe", "not_a_boolean"),
        ("boolean", 1.0, "not_a_boolean"),
        ("boolean", b"", "not_a_boolean"),
    ],
)
def test_what_has_no_exact_form_is_refused_by_kind_and_never_shown(
    type_: str, raw: Any, kind: str
) -> None:
    with pytest.raises(BadValue) as caught:
        to_wire(field(FieldType(type_)), raw)
    assert caught.value.kind == str(caught.value) == kind
    assert caught.value.__cause__ is None


@given(units=st.integers(-LARGEST, LARGEST), scale=st.integers(0, 6))
def test_money_comes_back_to_the_last_digit(units: int, scale: int) -> None:
    money = field(FieldType.MONEY, scale)
    exact = Decimal(units).scaleb(-scale)
    wire = to_wire(money, exact)
    assert isinstance(wire, str)
    assert Decimal(wire) == exact
    assert len(wire.partition(".")[2]) == scale
    assert to_wire(money, wire) == to_wire(money, f"{exact:f}") == wire


@given(raw=st.floats())
def test_a_float_is_taken_by_its_shortest_form_or_refused(raw: float) -> None:
    try:
        wire = to_wire(field(FieldType.MONEY), raw)
    except BadValue:
        return
    assert float(str(wire)) == raw


_raw = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.uuids()
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{0,12}Z?")
    | st.from_regex(r"[+-]?[0-9]{1,25}\.?[0-9]{0,25}")
)


@given(type_=st.sampled_from(FieldType), raw=_raw)
def test_any_value_has_a_form_that_is_its_own_form_or_a_kind(
    type_: FieldType, raw: Any
) -> None:
    try:
        wire = to_wire(field(type_), raw)
    except BadValue:
        return
    assert to_wire(field(type_), wire) == wire
    if isinstance(wire, str):
        assert unicodedata.is_normalized("NFC", wire)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("A-1", "A-1"),
        (" A ", " A "),
        (5, "5"),
        (Decimal("5.0"), "5"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("", None),
        ("  ", None),
        ("\ud800", None),
        ("a\x00", None),
        (None, None),
        (True, None),
        (5.0, None),
        (Decimal("5.5"), None),
        (Decimal("NaN"), None),
        (b"x", None),
    ],
)
def test_a_record_is_named_by_text_whole_numbers_and_uuids(
    raw: Any, key: str | None
) -> None:
    assert record_key(raw) == key
