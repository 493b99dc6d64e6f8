"""Customer keys: one spelling for one customer, or the reason why not."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.customer import RULES, BadCustomer, doubt, normalise, rule_problem


@pytest.mark.parametrize(
    ("rule", "raw", "key"),
    [
        # GB 32100-2015; made here, the check digit by hand as well.
        ("uscc", "91310000MA1FP0LX5W", "91310000MA1FP0LX5W"),
        ("uscc", " 9131 0000-MA1F p0lx5w ", "91310000MA1FP0LX5W"),
        ("uscc", "９１３１００００ＭＡ１ＦＰ０ＬＸ５Ｗ", "91310000MA1FP0LX5W"),
        # ISO 17442; the LEI of the Global LEI Foundation.
        ("lei", "506700ge1g29325qx363", "506700GE1G29325QX363"),
        # ISO 3779; the example of 49 CFR 565, and a European one without check digit.
        ("vin", "1m8gdm9axkp042788", "1M8GDM9AXKP042788"),
        ("vin", "WVW-ZZZ1JZ-XW000001", "WVWZZZ1JZXW000001"),
        ("e164", "+86 138 0013 8000", "+8613800138000"),
        ("e164:CN", "138 0013 8000", "+8613800138000"),
        ("e164:CN", "13800138000", "+8613800138000"),
        ("e164:CN", 13800138000, "+8613800138000"),
        ("e164:DE", "+86 138 0013 8000", "+8613800138000"),
        ("e164:CN", "010-6552 9988", "+861065529988"),
        ("name", "  ACME\u00a0 Straße \n", "acme strasse"),
        ("name", "ＡＣＭＥ", "acme"),
        ("exact", " Acme ", " Acme "),
        ("exact", 12, "12"),
        ("exact", Decimal(12), "12"),
    ],
)
def test_spellings_of_one_identifier_have_one_key(
    rule: str, raw: Any, key: str
) -> None:
    assert normalise(rule, raw) == key
    assert normalise(rule, key) == key


@pytest.mark.parametrize(
    ("rule", "raw", "kind"),
    [
        *[(rule.name, raw, "empty") for rule in RULES for raw in (None, "", " \t")],
        *[(rule.name, raw, "not_text") for rule in RULES for raw in (True, 1.5, b"x")],
        *[(rule.name, raw, "format") for rule in RULES for raw in ("a\x00", "\ud800")],
        ("uscc", "91310000MA1FP0LX5", "length"),
        ("uscc", "91310000MA1FP0LX5X", "check_digit"),
        ("uscc", "91310000MA1FP0IX5W", "format"),
        ("uscc", "9131000AMA1FP0LX5W", "format"),
        ("lei", "506700GE1G29325QX364", "check_digit"),
        ("lei", "506700GE1G29325QX36", "length"),
        ("lei", "506700GE1G29325QX3六3", "format"),
        ("vin", "1M8GDM9AXKP04278", "length"),
        ("vin", "1M8GDM9AXKPO42788", "format"),
        ("e164", "138 0013 8000", "region"),
        ("e164:CN", "12", "format"),
        ("e164:CN", "call me", "format"),
        ("e164:CN", "+8613800138000 ext. 5", "extension"),
    ],
)
def test_what_is_no_such_identifier_is_refused_with_the_reason(
    rule: str, raw: Any, kind: str
) -> None:
    with pytest.raises(BadCustomer) as caught:
        normalise(rule, raw)
    assert caught.value.kind == str(caught.value) == kind
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_every_wrong_digit_of_a_credit_code_is_noticed() -> None:
    good = "91310000MA1FP0LX5W"
    for place in range(18):
        for digit in "0123456789":
            if digit != good[place]:
                with pytest.raises(BadCustomer):
                    normalise("uscc", good[:place] + digit + good[place + 1 :])


def test_letters_in_the_first_places_of_a_credit_code_are_lawful() -> None:
    from stdnum.cn import uscc

    body = "N2110101MA01ABCD9"
    code = body + uscc.calc_check_digit(body)
    assert normalise("uscc", code) == code


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("1M8GDM9AXKP042788", None),
        ("11111111111111111", None),
        ("1M8GDM9A1KP042788", "check_digit"),
    ],
)
def test_a_wrong_check_digit_of_a_vin_is_only_a_doubt(
    key: str, why: str | None
) -> None:
    assert normalise("vin", key) == key
    assert doubt("vin", key) == why
    assert doubt("exact", key) is None


_rules = st.sampled_from([rule.name for rule in RULES] + ["e164:CN", "e164:US"])
_identifiers = (
    st.text()
    | st.from_regex(r"[0-9A-Z]{17,20}", fullmatch=True)
    | st.from_regex(r"\+?[0-9 ()-]{5,18}", fullmatch=True)
)


@given(rule=_rules, raw=_identifiers)
def test_a_key_is_its_own_key(rule: str, raw: str) -> None:
    try:
        key = normalise(rule, raw)
    except BadCustomer:
        return
    assert normalise(rule, key) == key
    assert key.encode()


@given(raw=st.text())
def test_a_name_does_not_depend_on_case_or_spacing(raw: str) -> None:
    try:
        key = normalise("name", raw)
    except BadCustomer:
        return
    assert normalise("name", f" {raw} ") == normalise("name", raw.casefold()) == key


def test_every_rule_is_known_by_its_name_and_has_both_titles() -> None:
    for rule in RULES:
        assert rule_problem(rule.name) is None
        assert rule.title.en
        assert rule.title.zh
    assert rule_problem("e164:CN") is None
    assert rule_problem("e164:") is not None
