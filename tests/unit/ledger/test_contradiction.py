"""Contradictions: two partners compare, and a judge believes the files alone."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from crypto.errors import Invalid
from crypto.typed import Field
from ledger.conditions import Condition
from ledger.contradiction import Contradiction, contradictions
from ledger.evidence import Evidence, parse_evidence
from ledger.records import Value
from tests.unit.ledger import samples, world

THEIRS = "agreement-2"
Rows = Mapping[str, Sequence[Mapping[str, Value]]]


def evidence(
    agreement: str = samples.AGREEMENT,
    rows: Rows = world.KEPT,
    *,
    names: Sequence[str] = samples.FIELDS,
    where: Sequence[Condition] = (),
    opened: Sequence[str] = ("LEI-A",),
    **changes: Any,
) -> Evidence:
    """What a partner under an agreement was told, and whom its tokens mean."""
    own = world.commit(rows, agreement=agreement, **changes)
    customers = [world.token(who, agreement) for who in world.WHO]
    signed, disclosure = world.answer(own, names, where, customers)
    return Evidence(
        signed=signed,
        salt=samples.seed("salt"),
        participants=(),
        disclosure=disclosure,
        openings=tuple(world.opening(who, agreement) for who in opened),
    )


def edited(**changes: Value) -> Rows:
    """The same records, the first of the first customer changed as said."""
    row, other = world.KEPT["LEI-A"]
    return {**world.KEPT, "LEI-A": ({**row, **changes}, other)}


def found(one: Evidence, other: Evidence) -> list[tuple[str, ...]]:
    """On which fields two files contradict each other, by customer."""
    told = contradictions(
        parse_evidence(one.render()),
        parse_evidence(other.render()),
        samples.PINS,
        random_bytes=secrets.token_bytes,
    )
    assert told == contradictions(one, other, samples.PINS)
    return [each.fields for each in told]


OURS = evidence()


def test_partners_that_were_told_the_same_contradict_nothing() -> None:
    assert found(OURS, evidence(THEIRS)) == []
    assert found(OURS, OURS) == []


def test_different_values_of_one_version_are_named_by_their_field() -> None:
    lie = evidence(THEIRS, edited(order_total="99.00"))
    for one, other in [(OURS, lie), (lie, OURS)]:
        assert contradictions(one, other, samples.PINS) == (
            Contradiction(
                identifier="LEI-A",
                records=(2, 2),
                versions=(),
                fields=("order_total",),
            ),
        )
    both = evidence(THEIRS, edited(order_total="99.00", ordered_on=None))
    assert found(OURS, both) == [("order_total", "ordered_on")]


def test_only_fields_that_both_were_shown_are_compared() -> None:
    lie = evidence(THEIRS, edited(order_total="99.00"), names=("ordered_on", "region"))
    assert found(OURS, lie) == []
    lie = evidence(THEIRS, edited(ordered_on="2026-11-03"), names=("ordered_on",))
    assert found(OURS, lie) == [("ordered_on",)]


def test_records_are_compared_in_any_order() -> None:
    turned = {**world.KEPT, "LEI-A": world.KEPT["LEI-A"][::-1]}
    assert found(OURS, evidence(THEIRS, turned)) == []


def test_values_that_are_mixed_between_records_contradict_as_a_whole() -> None:
    one, two = world.KEPT["LEI-A"]
    mixed = {
        **world.KEPT,
        "LEI-A": (
            {**one, "ordered_on": two["ordered_on"]},
            {**two, "ordered_on": one["ordered_on"]},
        ),
    }
    assert found(OURS, evidence(THEIRS, mixed)) == [("order_total", "ordered_on")]
    for name in samples.FIELDS:
        assert found(OURS, evidence(THEIRS, mixed, names=(name,))) == []


def test_another_number_of_records_is_a_contradiction() -> None:
    fewer = {**world.KEPT, "LEI-A": world.KEPT["LEI-A"][:1]}
    lie = evidence(THEIRS, fewer, names=("region",))
    told = contradictions(OURS, lie, samples.PINS)
    assert told == (
        Contradiction(identifier="LEI-A", records=(2, 1), versions=(7,), fields=()),
    )


def test_every_customer_that_both_opened_is_compared() -> None:
    opened = ("LEI-A", "LEI-B", "LEI-C")
    lie = {
        **edited(order_total="99.00"),
        "LEI-B": ({**world.KEPT["LEI-B"][0], "ordered_on": None},),
    }
    one, other = evidence(opened=opened), evidence(THEIRS, lie, opened=opened)
    assert [each.identifier for each in contradictions(one, other, samples.PINS)] == [
        "LEI-A",
        "LEI-B",
    ]
    assert found(OURS, other) == [("order_total",)]


def test_what_was_proved_contradicts_what_was_shown() -> None:
    proved = evidence(names=(), where=[Condition.of("at_most", ["units"], [3])])
    honest = evidence(THEIRS, names=("units",))
    assert found(proved, honest) == []
    lie = evidence(THEIRS, edited(units=4), names=("units",))
    assert found(proved, lie) == [("units",)]
    assert found(lie, proved) == [("units",)]


def test_what_was_proved_contradicts_what_was_proved() -> None:
    low = evidence(names=(), where=[Condition.of("at_most", ["units"], [3])])
    high = Condition.of("between", ["units"], [4, 9])
    rest: dict[str, Value] = {"order_total": "0.00", "ordered_on": None}
    most: Rows = {**world.KEPT, "LEI-A": [{**rest, "units": n} for n in (4, 9)]}
    assert found(low, evidence(THEIRS, most, names=(), where=[high])) == [("units",)]
    among = Condition.of("one_of", ["units"], [4, 9])
    assert found(low, evidence(THEIRS, most, names=(), where=[among])) == [("units",)]
    wide = Condition.of("between", ["units"], [3, 9])
    assert found(low, evidence(THEIRS, most, names=(), where=[wide])) == []


def test_a_withheld_record_may_be_any_record() -> None:
    where = [world.AT_LEAST_THREE]
    some = evidence(names=("ordered_on",), where=where)
    assert some.signed.receipt.withheld == 1
    assert found(some, evidence(THEIRS)) == []
    # It hides what it hides, and no more: two shown records are two of two.
    other = edited(ordered_on="2026-11-03")
    assert found(some, evidence(THEIRS, other)) == [("ordered_on",)]
    hidden = evidence(THEIRS, other, names=("ordered_on",), where=where)
    assert found(some, hidden) == []


def test_a_customer_that_is_not_shared_with_one_of_them_is_no_contradiction() -> None:
    less = {who: rows for who, rows in world.KEPT.items() if who != "LEI-A"}
    opened = ("LEI-A", "LEI-B")
    assert found(evidence(opened=opened), evidence(THEIRS, less, opened=opened)) == []


def test_a_field_that_is_defined_in_two_ways_at_one_version_is_named() -> None:
    first, *rest = world.SCHEMA
    assert isinstance(first, Field)
    dollars = (replace(first, unit="USD"), *rest)
    own = world.commit(agreement=THEIRS, schema=dollars)
    customers = [world.token(who, THEIRS) for who in world.WHO]
    signed, disclosure = world.answer(own, customers=customers, schema=dollars)
    other = replace(evidence(THEIRS), signed=signed, disclosure=disclosure)
    assert found(OURS, other) == [("order_total",)]


def at(version: int, *versions: int, agreement: str = THEIRS, **more: Any) -> Evidence:
    """What is told of the two records of `LEI-A`, of these versions."""
    since = {"LEI-A": versions}
    return evidence(agreement, versions=since, version=version, **more)


def told(one: Evidence, other: Evidence) -> list[tuple[Any, ...]]:
    """Numbers, versions and fields that do not fit, whichever comes first."""
    found, turned = (
        contradictions(*pair, samples.PINS, random_bytes=secrets.token_bytes)
        for pair in ((one, other), (other, one))
    )
    assert [(each.versions, each.fields) for each in found] == [
        (each.versions, each.fields) for each in turned
    ]
    return [(each.records, each.versions, each.fields) for each in found]


LIE = edited(order_total="99.00")
EARLIER = at(7, 3, 5, agreement=samples.AGREEMENT)


@pytest.mark.parametrize("later", [7, 8, 20])
def test_what_has_not_changed_must_be_what_it_was(later: int) -> None:
    assert told(EARLIER, at(later, 3, 5)) == []
    assert told(EARLIER, at(later, 3, 5, rows=LIE)) == [((2, 2), (), ("order_total",))]


@pytest.mark.parametrize("version", [8, 9])
def test_what_has_changed_since_may_be_another(version: int) -> None:
    assert told(EARLIER, at(9, version, 5, rows=LIE)) == []
    # Both have changed, or the other one: the first is still what it was.
    assert told(EARLIER, at(9, version, 9, rows=LIE)) == []
    assert told(EARLIER, at(9, 3, version, rows=LIE)) == [
        ((2, 2), (), ("order_total",))
    ]


def test_at_one_version_a_record_came_to_be_at_one_version() -> None:
    assert told(EARLIER, at(7, 3, 6)) == [((2, 2), (5, 6), ())]
    assert told(EARLIER, at(7, 3, 3)) == [((2, 2), (3, 5), ())]
    assert told(EARLIER, at(7, 6, 5, rows=LIE)) == [((2, 2), (3, 6), ())]


def test_a_record_that_was_there_was_told_of() -> None:
    # The later one shows a record of version 6, of which the earlier one tells nothing.
    assert told(EARLIER, at(8, 3, 6)) == [((2, 2), (6,), ())]
    assert told(EARLIER, at(8, 3, 3)) == [((2, 2), (3,), ())]
    assert told(EARLIER, at(8, 6, 8)) == [((2, 2), (6,), ())]


def test_records_come_and_go_between_two_versions() -> None:
    one, two = world.KEPT["LEI-A"]
    for rows, versions in [
        ((one,), (3,)),
        ((two,), (5,)),
        ((one, two, two), (3, 5, 8)),
        ((one, two, one, two), (3, 5, 8, 9)),
        ((two, one), (8, 9)),
    ]:
        later = at(9, *versions, rows={**world.KEPT, "LEI-A": rows})
        assert told(EARLIER, later) == []
    # But not those that had been there before.
    more = at(9, 3, 5, 5, rows={**world.KEPT, "LEI-A": (one, two, two)})
    assert told(EARLIER, more) == [((2, 3), (5,), ())]


def test_what_is_withheld_in_the_later_one_has_a_version_too() -> None:
    where = [world.AT_LEAST_THREE]
    for versions, expected in [
        ((3, 5), []),
        ((3, 9), []),
        ((3, 6), [((2, 2), (6,), ())]),
        ((6, 5), [((2, 2), (6,), ())]),
    ]:
        later = at(9, *versions, names=("ordered_on",), where=where)
        assert later.signed.receipt.withheld == 1
        assert told(EARLIER, later) == expected


def test_what_was_proved_of_an_unchanged_record_contradicts_what_was_shown() -> None:
    most = [Condition.of("at_most", ["units"], [3])]
    proved = at(7, 3, 5, agreement=samples.AGREEMENT, names=(), where=most)
    lie = edited(units=4)
    assert told(proved, at(9, 3, 5, rows=lie, names=("units",))) == [
        ((2, 2), (), ("units",))
    ]
    assert told(proved, at(9, 8, 5, rows=lie, names=("units",))) == []


def test_a_field_may_be_defined_anew_with_all_its_records() -> None:
    first, *rest = world.SCHEMA
    assert isinstance(first, Field)
    dollars = (replace(first, unit="USD"), *rest)

    def later(*versions: int) -> Evidence:
        own = world.commit(
            agreement=THEIRS,
            schema=dollars,
            version=9,
            versions={"LEI-A": versions},
        )
        customers = [world.token(who, THEIRS) for who in world.WHO]
        signed, disclosure = world.answer(own, customers=customers, schema=dollars)
        return replace(evidence(THEIRS), signed=signed, disclosure=disclosure)

    assert told(EARLIER, later(8, 9)) == []
    assert told(EARLIER, later(8, 5)) == [((2, 2), (), ("order_total",))]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(OURS, openings=()), "without openings"),
        (replace(OURS, disclosure=None, openings=()), "without a disclosure"),
        (evidence(THEIRS, opened=("LEI-B",)), "no customer"),
        (evidence(THEIRS, opened=("LEI-C",)), "no customer"),
        (evidence(THEIRS, dataset="others"), "dataset"),
        (replace(OURS, openings=(world.opening("LEI-A", THEIRS),)), "openings"),
        (
            replace(OURS, signed=replace(OURS.signed, signature=bytes(64))),
            "provider_signature",
        ),
        (replace(OURS, disclosure=evidence(THEIRS).disclosure), "disclosure"),
    ],
)
def test_what_does_not_verify_or_compare_proves_nothing(
    other: Evidence, words: str
) -> None:
    for one, two in [(OURS, other), (other, OURS)]:
        with pytest.raises(Invalid, match=words):
            contradictions(one, two, samples.PINS)


def test_without_a_pinned_key_nothing_is_proved() -> None:
    with pytest.raises(Invalid):
        contradictions(OURS, evidence(THEIRS), {})
