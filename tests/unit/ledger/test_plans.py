"""Plans: their form, the laws of every kind, their hashes and their signature."""

import json
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import InvalidSignature, Malformed
from crypto.keys import Ed25519Key
from ledger.conditions import Condition
from ledger.participants import PastKey
from ledger.plan_laws import MOST_CELLS, MOST_OCTETS
from ledger.plan_parts import GRAINS, MOST_VALUES, period
from ledger.plans import (
    Group,
    Kind,
    Measure,
    Plan,
    Replaced,
    SignedPlan,
    parse_plan,
    parse_signed_plan,
    sign_plan,
    verify_plan,
)
from tests.unit.ledger import planned, samples
from tests.unit.ledger.planned import (
    COUNT,
    MEMBERS,
    REGIONS,
    SHIPPED,
    TOTAL,
    WEEKS,
    flipped,
    party,
    plan,
    rows,
    second_round,
)

LISTS = (Kind.INTERSECTION, Kind.JOINT_SUM, Kind.RING_COUNT)
TWO_FIELDS = Condition.of("no_more_than", ["order_total", "limit"])
HEX = "ab" * 32


def group(count: int, field: str = "code") -> Group:
    """A group of so many values."""
    return Group(field=field, grain="value", values=tuple(map(str, range(count))))


# --- form


@pytest.mark.parametrize("one", planned.EVERY, ids=lambda p: f"{p.kind} {p.mode}")
def test_a_plan_of_every_kind_reads_back_as_it_was_written(one: Plan) -> None:
    again = parse_plan(json.loads(one.canonical()))
    assert again == one
    assert again.canonical() == one.canonical()
    assert hash(again) == hash(one)
    signed = planned.signed(one)
    assert parse_signed_plan(json.loads(json.dumps(signed.to_json()))) == signed


def test_every_member_is_written_and_none_else() -> None:
    assert set(plan().to_json()) == {"typ", *MEMBERS}


@pytest.mark.parametrize("member", ["typ", *MEMBERS])
def test_a_plan_without_one_of_its_members_does_not_parse(member: str) -> None:
    core = plan().to_json()
    del core[member]
    with pytest.raises(Malformed, match="lacks"):
        parse_plan(core)


def test_a_plan_with_another_member_does_not_parse() -> None:
    with pytest.raises(Malformed, match="not defined"):
        parse_plan(plan().to_json() | {"note": "hello"})
    with pytest.raises(Malformed, match="not defined"):
        parse_signed_plan(planned.signed().to_json() | {"note": "hello"})


@pytest.mark.parametrize("member", ["typ", *MEMBERS])
@pytest.mark.parametrize("value", [1.5, {}, [1], True, "\n", -1, 2**53, "x" * 300])
def test_a_member_of_the_wrong_kind_does_not_parse(member: str, value: object) -> None:
    with pytest.raises(Malformed):
        parse_plan(plan().to_json() | {member: value})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("typ", "fieldpact/plan/2"),
        ("kind", "Heat-map"),
        ("kind", "mean"),
        ("mode", "c"),
        ("mode", None),
        ("round", HEX.upper()),
        ("round", "ab" * 16),
        ("asker", "https://127.0.0.1:8102"),
        ("parties", {}),
        ("purpose", "サービス"),
        ("cohort", "none"),
        ("contribution", 0),
        ("contribution", 51),
        ("contribution", "2"),
        ("epsilon_micro", 20_000_001),
        ("k_min", 4),
        ("k_min", 1_000_001),
        ("created", "2026-11-22T18:00:00+00:00"),
        ("expires", "2026-11-23"),
        ("measure", {"what": "mean", "field": "order_total", "bound": 1}),
        ("measure", {"what": "count", "field": None, "bound": True}),
        ("measure", {"what": "count", "field": None}),
        ("replaces", {"round": HEX}),
        ("segment_labels", [""]),
        ("totals", ["Region"]),
    ],
)
def test_a_value_out_of_form_does_not_parse(member: str, value: object) -> None:
    with pytest.raises(Malformed):
        parse_plan(plan().to_json() | {member: value})


def test_a_kind_that_is_only_spelled_like_one_is_none() -> None:
    with pytest.raises(Malformed):
        plan(kind=Kind.HEAT_MAP, cohort=1)
    with pytest.raises(Malformed):
        replace(plan(), kind="heat-map")  # type: ignore[arg-type]


# --- laws of the parts


@pytest.mark.parametrize(
    "changes",
    [
        {"values": ()},
        {"values": ("a", "b", "a")},
        {"values": ("",)},
        {"values": ("x" * 257,)},
        {"values": ("华" * 257,)},
        {"values": ("e\u0301",)},
        {"values": ("a\n",)},
        {"values": ("\x00",)},
        {"values": ("华\x1f",)},
        {"values": ("\x7f",)},
        {"values": ("\x80",)},
        {"values": ("\x9f",)},
        {"values": ("\ud800",)},
        {"values": (1,)},
        {"values": tuple(map(str, range(MOST_VALUES + 1)))},
        {"grain": "hour"},
        {"grain": "week", "values": ("2026-11-17",)},
        {"grain": "month", "values": ("2026-11-02",)},
        {"grain": "quarter", "values": ("2026-11-01",)},
        {"grain": "year", "values": ("2026-07-01",)},
        {"grain": "day", "values": ("2026-02-30",)},
        {"grain": "day", "values": ("20261116",)},
        {"grain": "day", "values": ("2026-W47-1",)},
        {"grain": "day", "values": ("2026-11-16T00:00:00",)},
        {"grain": "week", "values": ("Monday",)},
        {"field": "Region"},
    ],
)
def test_a_group_that_contradicts_itself_cannot_exist(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        Group(**({"field": "region", "grain": "value", "values": ("a",)} | changes))


@pytest.mark.parametrize(
    ("grain", "first"),
    [
        ("day", "2026-11-18"),
        ("week", "2026-11-16"),
        ("month", "2026-11-01"),
        ("quarter", "2026-10-01"),
        ("year", "2026-01-01"),
    ],
)
def test_a_date_counts_under_the_first_day_of_its_period(
    grain: str, first: str
) -> None:
    dated = Group(field="ordered_on", grain=grain, values=(first,))
    assert dated.label("2026-11-18") == first
    assert dated.label("2026-11-18T10:00:00") is None
    assert dated.label("1999-01-01") is None
    assert dated.label(None) is None
    assert dated.label(20261118) is None


@given(st.dates(), st.sampled_from([grain for grain in GRAINS if grain != "value"]))
def test_the_first_day_of_a_period_is_in_it(day: Any, grain: str) -> None:
    first = period(grain, day.isoformat())
    assert first is not None
    assert first <= day.isoformat()
    assert period(grain, first) == first


def test_values_of_every_type_have_one_label() -> None:
    of = Group(field="x", grain="value", values=("true", "7", "12.50", "华东"))
    assert of.label(True) == "true"
    assert of.label(False) is None
    assert of.label(7) == "7"
    assert of.label(1) is None
    assert of.label("12.50") == "12.50"
    assert of.label("12.5") is None
    assert of.label("华东") == "华东"
    assert [of.place(value) for value in ("true", 7, "12.50", None)] == [0, 1, 2, None]


@pytest.mark.parametrize(
    "values",
    [
        {"what": "sum", "field": None, "bound": 5},
        {"what": "count", "field": None, "bound": 2},
        {"what": "count", "field": "units", "bound": 0},
        {"what": "sum", "field": "units", "bound": 2**40 + 1},
        {"what": "sum", "field": "units", "bound": 0},
        {"what": "sum", "field": "units", "bound": True},
        {"what": "mean", "field": "units", "bound": 1},
        {"what": "sum", "field": "Units", "bound": 1},
    ],
)
def test_a_measure_that_contradicts_itself_cannot_exist(values: Any) -> None:
    with pytest.raises(Malformed):
        Measure(**values)


@pytest.mark.parametrize(
    "missing", [(), ("did:web:b", "did:web:a"), ("did:web:a", "did:web:a"), ("a",)]
)
def test_a_replaced_round_names_who_was_missing(missing: Any) -> None:
    with pytest.raises(Malformed):
        Replaced(round=HEX, missing=missing)


# --- laws of plans


@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"expires": "2026-11-22T18:00:00Z"}, "expires before"),
        ({"expires": "2026-11-23T18:00:01Z"}, "more than a day"),
        ({"key_id": samples.PROVIDER_KEY.key_id(samples.PROVIDER)}, "another's"),
        ({"mode": ""}, "mode"),
        ({"mode": "count"}, "mode"),
        ({"parties": ()}, "one party"),
        ({"parties": (party(1), party(3))}, "one party"),
        ({"groups": (WEEKS, replace(WEEKS, grain="day"))}, "groups twice"),
        ({"groups": (group(4096), group(17, "b"))}, "cells"),
        ({"filters": (TWO_FIELDS,)}, "two fields"),
        ({"filters": (SHIPPED, SHIPPED)}, "each once"),
        ({"parameters": ""}, "known set"),
        ({"parameters": "bfv-8192-40"}, "known set"),
        ({"parameters": "bfv-4096-40"}, "multiply"),
        ({"key": HEX}, "asker's key"),
        ({"totals": ("region",)}, "nothing is flipped"),
        ({"epsilon_micro": 0}, "nothing is spent"),
        ({"size": 96}, "size"),
        ({"commitment": HEX}, "commitment"),
        ({"segments": HEX}, "segments"),
        ({"segment_labels": ("a",)}, "labels of segments"),
        ({"replaces": second_round().replaces}, "of many"),
    ],
)
def test_a_heat_map_that_breaks_a_law_cannot_exist(
    changes: dict[str, Any], law: str
) -> None:
    with pytest.raises(Malformed, match=law):
        plan(**changes)


@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"segments": None}, "segments"),
        ({"segment_labels": ()}, "labels of segments"),
        ({"segment_labels": ("a", "a")}, "twice"),
        ({"cohort": "all"}, "shared"),
        ({"key": HEX}, "asker's key"),
        (
            {"groups": (group(4096),), "segment_labels": tuple("abcdefghijklmnopq")},
            "cells",
        ),
    ],
)
def test_segments_that_break_a_law_cannot_exist(
    changes: dict[str, Any], law: str
) -> None:
    with pytest.raises(Malformed, match=law):
        rows(**changes)


@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"key": None}, "asker's key"),
        ({"totals": ("units",)}, "totals"),
        ({"totals": ("region", "ordered_on")}, "totals"),
        ({"totals": ("region", "region")}, "totals"),
    ],
)
def test_a_flipped_heat_map_that_breaks_a_law_cannot_exist(
    changes: dict[str, Any], law: str
) -> None:
    with pytest.raises(Malformed, match=law):
        flipped(**changes)


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"size": 0}, "size"),
        ({"size": 100}, "size"),
        ({"size": 2**23}, "size"),
        ({"commitment": None}, "commitment"),
        ({"groups": (REGIONS,)}, "by group"),
        ({"contribution": 2}, "counts twice"),
        ({"key": HEX}, "asker's key"),
    ],
)
def test_a_comparison_of_lists_that_breaks_a_law_cannot_exist(
    kind: Kind, changes: dict[str, Any], law: str
) -> None:
    with pytest.raises(Malformed, match=law):
        plan(kind, **changes)


@pytest.mark.parametrize("kind", [Kind.INTERSECTION, Kind.RING_COUNT])
@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"measure": TOTAL}, "just counted"),
        ({"measure": Measure(what="count", field="units", bound=1)}, "just counted"),
        ({"filters": (SHIPPED,)}, "filtered"),
        ({"parameters": "bfv-8192-41"}, "not needed"),
        ({"parties": (party(1), party(3), party(4))}, "parties"),
        ({"parties": ()}, "parties"),
    ],
)
def test_an_exact_count_that_breaks_a_law_cannot_exist(
    kind: Kind, changes: dict[str, Any], law: str
) -> None:
    with pytest.raises(Malformed, match=law):
        plan(kind, **changes)


@pytest.mark.parametrize(
    ("kind", "changes", "law"),
    [
        (Kind.INTERSECTION, {"mode": ""}, "mode"),
        (Kind.INTERSECTION, {"mode": "C"}, "mode"),
        (Kind.INTERSECTION, {"parties": (party(1), party(3))}, "parties"),
        (Kind.RING_COUNT, {"mode": "count"}, "mode"),
        (Kind.RING_COUNT, {"parties": (party(1),)}, "parties"),
        (Kind.JOINT_SUM, {"measure": COUNT}, "no field"),
        (Kind.JOINT_SUM, {"parties": (party(1), party(3))}, "one party"),
        (Kind.JOINT_SUM, {"parameters": "bfv-4096-40"}, "multiply"),
        (Kind.JOINT_SUM, {"epsilon_micro": 0}, "nothing is spent"),
        (Kind.FEDERATED_SUM, {"parties": (party(1), party(3))}, "three"),
        (Kind.FEDERATED_SUM, {"key": None}, "asker's key"),
        (Kind.FEDERATED_SUM, {"epsilon_micro": 0}, "nothing is spent"),
        (Kind.FEDERATED_SUM, {"size": 96}, "size"),
        (Kind.FEDERATED_SUM, {"commitment": HEX}, "commitment"),
        (Kind.FEDERATED_SUM, {"parties": (party(3), party(1), party(4))}, "sorted"),
        (Kind.FEDERATED_SUM, {"parties": (party(1), party(1), party(3))}, "sorted"),
        (
            Kind.FEDERATED_SUM,
            {"parties": (party(1), replace(party(2), did=samples.CONSUMER), party(3))},
            "asker is a party",
        ),
    ],
)
def test_a_plan_that_breaks_a_law_of_its_kind_cannot_exist(
    kind: Kind, changes: dict[str, Any], law: str
) -> None:
    with pytest.raises(Malformed, match=law):
        plan(kind, **changes)


@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"round": samples.seed("round given up").hex()}, "replaces itself"),
        ({"parties": (party(1), party(3), party(5))}, "asked again"),
    ],
)
def test_a_second_round_that_breaks_a_law_cannot_exist(
    changes: dict[str, Any], law: str
) -> None:
    with pytest.raises(Malformed, match=law):
        second_round(**changes)


def test_a_plan_is_as_large_as_it_may_be_and_no_larger() -> None:
    assert plan(groups=(group(4096), group(16, "b"))).cell_count == MOST_CELLS
    wide = Group(
        field="a", grain="value", values=tuple(f"{n:0256}" for n in range(1024))
    )
    with pytest.raises(Malformed, match=str(MOST_OCTETS)):
        plan(groups=(wide,))


def test_a_law_is_broken_by_what_is_parsed_too() -> None:
    with pytest.raises(Malformed, match="mode"):
        parse_plan(plan().to_json() | {"mode": "list"})


# --- what a plan tells


def test_cells_are_the_product_of_the_groups_in_order() -> None:
    one = plan()
    cells = list(one.labels())
    assert one.cell_count == len(cells) == 6
    assert cells[:2] == [("2026-11-09", "华东"), ("2026-11-09", "North")]
    for place, (week, region) in enumerate(cells):
        assert one.cell_of({"ordered_on": week, "region": region}) == place
    assert one.cell_of({"ordered_on": "2026-11-12", "region": "South"}) == 2
    assert one.cell_of({"ordered_on": "2026-11-12", "region": "West"}) is None
    assert one.cell_of({"region": "South"}) is None


def test_without_groups_there_is_one_cell() -> None:
    one = plan(Kind.JOINT_SUM)
    assert (one.cell_count, list(one.labels()), one.cell_of({})) == (1, [()], 0)


def test_a_plan_tells_every_field_that_it_names() -> None:
    assert plan().fields == ("ordered_on", "region")
    assert plan(Kind.JOINT_SUM).fields == ("order_total", "shipped_on")
    assert plan(Kind.INTERSECTION).fields == ()


def test_a_plan_finds_its_parties() -> None:
    one = plan(Kind.FEDERATED_SUM)
    assert one.party(samples.PROVIDER) == party(1)
    assert one.party(samples.CONSUMER) is None


# --- hashes


def test_the_hashes_of_a_plan_are_known() -> None:
    one = plan()
    assert one.plan_hash == (
        "fd2483d57e6b09e679cd5b5e0101c04448ecca7d3f70993a8c17dd2c35fd327e"
    )
    assert one.query_hash == (
        "4136a2b193db8e4ac96550acdfd2f121b24e3163e2b33b2b58780cb8fb9910d7"
    )


_OTHER: dict[str, Any] = {
    "round": HEX,
    "purpose": "marketing",
    "groups": (REGIONS,),
    "measure": Measure(what="count", field="units", bound=1),
    "filters": (SHIPPED,),
    "cohort": "shared",
    "contribution": 3,
    "epsilon_micro": 500_001,
    "k_min": 11,
    "parties": (replace(party(1), agreement_hash=HEX),),
    "created": "2026-11-22T18:00:01Z",
    "expires": "2026-11-23T17:59:59Z",
    "key_id": samples.CONSUMER + "#ed25519-another",
}


@pytest.mark.parametrize("member", _OTHER)
def test_a_plan_with_another_member_has_another_hash_and_no_signature(
    member: str,
) -> None:
    signed = planned.signed()
    other = replace(signed.plan, **{member: _OTHER[member]})
    assert other.plan_hash != signed.plan.plan_hash
    forged = SignedPlan(plan=other, signature=signed.signature)
    with pytest.raises(InvalidSignature):
        verify_plan(forged, samples.CONSUMER_RECORD)


@pytest.mark.parametrize(
    "member",
    [
        *("round", "purpose", "contribution", "epsilon_micro", "k_min", "parties"),
        *("created", "expires", "key_id"),
    ],
)
def test_the_same_question_at_another_price_is_the_same_question(member: str) -> None:
    other = replace(plan(), **{member: _OTHER[member]})
    assert other.query_hash == plan().query_hash


@pytest.mark.parametrize("member", ["groups", "measure", "filters", "cohort"])
def test_another_question_is_another_one(member: str) -> None:
    other = replace(plan(), **{member: _OTHER[member]})
    assert other.query_hash != plan().query_hash


def test_the_order_of_groups_and_values_makes_no_other_question() -> None:
    turned = replace(REGIONS, values=tuple(reversed(REGIONS.values)))
    assert plan(groups=(turned, WEEKS)).query_hash == plan().query_hash
    assert plan(groups=(turned, WEEKS)).plan_hash != plan().plan_hash
    fewer = replace(REGIONS, values=REGIONS.values[:2])
    assert plan(groups=(WEEKS, fewer)).query_hash != plan().query_hash


def test_a_second_round_and_another_roster_ask_the_same() -> None:
    asked = plan(Kind.FEDERATED_SUM)
    assert second_round().query_hash == asked.query_hash
    more = (party(1), party(3), party(4), party(6))
    assert replace(asked, parties=more, key=HEX).query_hash == asked.query_hash
    assert plan(Kind.HEAT_MAP, groups=(REGIONS,), measure=TOTAL).query_hash != (
        asked.query_hash
    )


# --- signatures


def test_a_plan_verifies_under_the_key_of_its_asker() -> None:
    for one in planned.EVERY:
        verify_plan(planned.signed(one), samples.CONSUMER_RECORD)


def test_a_plan_is_signed_with_the_key_that_it_names() -> None:
    with pytest.raises(ValueError, match="another key"):
        sign_plan(plan(), samples.PROVIDER_KEY)


def test_a_plan_of_another_asker_is_not_believed() -> None:
    with pytest.raises(InvalidSignature):
        verify_plan(planned.signed(), samples.PROVIDER_RECORD)


def test_a_plan_by_another_key_is_not_believed() -> None:
    key = Ed25519Key.from_bytes(samples.seed("another"))
    stolen = sign_plan(plan(key_id=key.key_id(samples.CONSUMER)), key)
    with pytest.raises(InvalidSignature, match="not pinned"):
        verify_plan(stolen, samples.CONSUMER_RECORD)
    forged = SignedPlan(plan=plan(), signature=key.sign(plan().canonical()))
    with pytest.raises(InvalidSignature):
        verify_plan(forged, samples.CONSUMER_RECORD)


def test_a_signature_over_a_plan_is_over_nothing_else() -> None:
    untagged = samples.CONSUMER_KEY.sign(plan().canonical())
    with pytest.raises(InvalidSignature):
        verify_plan(
            SignedPlan(plan=plan(), signature=untagged), samples.CONSUMER_RECORD
        )


def test_a_plan_that_was_signed_with_a_past_key_verifies() -> None:
    new = Ed25519Key.from_bytes(samples.seed("new"))
    past = PastKey(key=samples.CONSUMER_RECORD.signing, until="2026-11-23T00:00:00Z")
    asker = replace(
        samples.CONSUMER_RECORD,
        keys={**samples.CONSUMER_RECORD.keys, "ed25519": new.public_bytes},
        past_keys=(past,),
    )
    verify_plan(planned.signed(), asker)


@pytest.mark.parametrize("value", ["", "AA", 1, None, "!" * 86])
def test_a_signature_out_of_form_does_not_parse(value: object) -> None:
    with pytest.raises(Malformed):
        parse_signed_plan(planned.signed().to_json() | {"signature": value})


# --- whatever hypothesis thinks of

LABELS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs"]),
    min_size=1,
    max_size=8,
).filter(lambda text: text.isprintable())


@st.composite
def groups_(draw: st.DrawFn, field: str) -> Group:
    """Any group of a field."""
    grain = draw(st.sampled_from(GRAINS))
    if grain == "value":
        labels = draw(st.lists(LABELS, min_size=1, max_size=5))
        found = [unicodedata.normalize("NFC", label) for label in labels]
    else:
        days = draw(st.lists(st.dates(), min_size=1, max_size=5))
        found = [str(period(grain, day.isoformat())) for day in days]
    return Group(field=field, grain=grain, values=tuple(dict.fromkeys(found)))


@given(st.data())
def test_any_plan_reads_back_as_it_was_written(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=4))
    one = plan(
        groups=tuple(data.draw(groups_(name)) for name in names),
        contribution=data.draw(st.integers(1, 50)),
        epsilon_micro=data.draw(st.integers(1, 20_000_000)),
        k_min=data.draw(st.integers(5, 1_000_000)),
        round=data.draw(st.binary(min_size=32, max_size=32)).hex(),
    )
    again = parse_plan(json.loads(one.canonical()))
    assert again == one
    assert again.plan_hash == one.plan_hash
    for place, labels in enumerate(one.labels()):
        told = dict(zip(names, labels, strict=True))
        assert one.cell_of(told) == place
    assert one.cell_count <= MOST_CELLS


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    st.sampled_from(MEMBERS),
)
def test_any_member_parses_or_is_malformed(value: Any, member: str) -> None:
    try:
        parse_plan(plan().to_json() | {member: value})
    except Malformed:
        return
