"""Disclosures: what a receipt covers of them, and every way to alter one."""

import json
import secrets
from dataclasses import replace
from typing import Any

import pytest

from crypto.encoding import b64u
from crypto.errors import CryptoError, InvalidProof, InvalidSignature, Malformed
from crypto.typed import Field, Kind, told
from ledger.conditions import Condition, ordered
from ledger.disclosure import (
    CustomerAnswer,
    Disclosure,
    ShownRecord,
    parse_disclosure,
    verify_disclosure,
)
from ledger.receipts import SignedReceipt
from ledger.snapshots import declaration_hash, sign_snapshot
from tests.unit.ledger import samples, world

WHERE = (world.AT_LEAST_THREE,)
SIGNED, DISCLOSURE = world.answer(where=WHERE)
"""The second record of the first customer is withheld: it has no units."""

ONE, OTHER, MISSING = DISCLOSURE.answers
assert ONE.records
assert OTHER.records
FIRST, SECOND = ONE.records


def check(
    disclosure: Disclosure = DISCLOSURE,
    signed: SignedReceipt = SIGNED,
    **known: Any,
) -> None:
    """Verify as the consumer does."""
    rest = {"rank": world.rank, "random_bytes": secrets.token_bytes}
    verify_disclosure(
        disclosure, signed.receipt, samples.PROVIDER_RECORD, **(rest | known)
    )


def altered(
    record: ShownRecord | None = None, answer: CustomerAnswer | None = None
) -> Disclosure:
    """The disclosure with another first record, or another first answer."""
    assert ONE.records
    if record is not None:
        answer = replace(ONE, records=(record, *ONE.records[1:]))
    assert answer is not None
    return replace(DISCLOSURE, answers=(answer, OTHER, MISSING))


def flipped(data: bytes) -> bytes:
    """The same octets but for one bit."""
    return bytes([data[0] ^ 1]) + data[1:]


@pytest.mark.parametrize("rank", [world.rank, None])
@pytest.mark.parametrize("random_bytes", [secrets.token_bytes, None])
def test_an_honest_disclosure_verifies(rank: Any, random_bytes: Any) -> None:
    check(rank=rank, random_bytes=random_bytes)
    check(declaration=declaration_hash(world.declared()))
    assert (DISCLOSURE.records, DISCLOSURE.withheld) == (2, 1)


@pytest.mark.parametrize(
    ("names", "where"),
    [
        (samples.FIELDS, ()),
        ((), WHERE),
        (("region",), ordered([*WHERE, Condition.of("equal", ["returned", "units"])])),
        (tuple(field.name for field in world.SCHEMA), ()),  # type: ignore[union-attr]
    ],
)
def test_fields_conditions_or_both_can_be_asked_for(
    names: tuple[str, ...], where: tuple[Condition, ...]
) -> None:
    signed, disclosure = world.answer(names=names, where=where)
    check(disclosure, signed)
    again = json.loads(json.dumps(disclosure.to_json()))
    assert parse_disclosure(again) == disclosure


def test_a_disclosure_reads_back_as_it_was_written() -> None:
    again = parse_disclosure(json.loads(json.dumps(DISCLOSURE.to_json())))
    assert again == DISCLOSURE
    assert "region" not in json.dumps(DISCLOSURE.to_json())


def test_a_draft_without_proofs_reads_back_too() -> None:
    draft = world.draft(world.committed(), where=WHERE)
    assert parse_disclosure(json.loads(json.dumps(draft.to_json()))) == draft
    assert draft.response_hash == DISCLOSURE.response_hash


COVERED: list[Disclosure] = [
    replace(DISCLOSURE, snapshot=world.commit().snapshot),
    replace(DISCLOSURE, answers=DISCLOSURE.answers[:2]),
    replace(DISCLOSURE, answers=DISCLOSURE.answers[::-1]),
    altered(answer=replace(ONE, customer=samples.seed("another"))),
    altered(answer=replace(ONE, records=None)),
    altered(answer=replace(ONE, records=(FIRST,))),
    altered(answer=replace(ONE, records=(SECOND, FIRST))),
    altered(replace(FIRST, version=6)),
    altered(replace(FIRST, commitment=flipped(FIRST.commitment))),
    altered(replace(FIRST, fields=None)),
    altered(replace(FIRST, fields={})),
    altered(replace(FIRST, fields={**(FIRST.fields or {}), "order_total": "1.00"})),
]


@pytest.mark.parametrize("other", COVERED)
def test_what_the_receipt_covers_cannot_be_altered(other: Disclosure) -> None:
    with pytest.raises(InvalidProof, match="another response"):
        check(other)


def test_the_response_hash_tells_all_of_these_apart() -> None:
    hashes = {other.response_hash for other in [DISCLOSURE, *COVERED]}
    assert len(hashes) == len(COVERED) + 1


FOLLOWS: dict[str, tuple[Disclosure, str]] = {
    "presentation": (
        altered(replace(FIRST, presentation=flipped(FIRST.presentation))),
        "customer 1, record 1",
    ),
    "another's presentation": (
        altered(replace(FIRST, presentation=OTHER.records[0].presentation)),
        "customer 1, record 1",
    ),
    "no presentation": (
        altered(replace(FIRST, presentation=b"", moves=b"")),
        "customer 1, record 1",
    ),
    "index": (altered(answer=replace(ONE, index=ONE.index ^ 1)), "customer 1: "),
    "path": (
        altered(answer=replace(ONE, path=(flipped(ONE.path[0]), *ONE.path[1:]))),
        "customer 1: these are not the records",
    ),
    "shorter path": (
        altered(answer=replace(ONE, path=ONE.path[:-1])),
        "customer 1: these are not the records",
    ),
    "longer path": (
        altered(answer=replace(ONE, path=(*ONE.path, bytes(32)))),
        "customer 1: these are not the records",
    ),
}


@pytest.mark.parametrize("name", FOLLOWS)
@pytest.mark.parametrize("random_bytes", [secrets.token_bytes, None])
def test_what_follows_from_the_receipt_cannot_be_altered_either(
    name: str, random_bytes: Any
) -> None:
    other, words = FOLLOWS[name]
    assert other.response_hash == DISCLOSURE.response_hash
    with pytest.raises(InvalidProof, match=words):
        check(other, random_bytes=random_bytes)


def test_moves_only_make_it_quicker() -> None:
    for moves in (b"", flipped(FIRST.moves), FIRST.moves[:-48], bytes(48)):
        check(altered(replace(FIRST, moves=moves)))


def test_a_schema_that_tells_something_else_is_caught() -> None:
    schema = DISCLOSURE.schema
    fields, first = list(schema), schema[0]
    assert isinstance(first, Field)
    dollars = [replace(first, unit="USD"), *fields[1:]]
    salted = [replace(first, salt=bytes(32)), *fields[1:]]
    for other in (dollars, salted, fields[1:], fields[::-1]):
        with pytest.raises(CryptoError):
            check(replace(DISCLOSURE, schema=tuple(other)))
    with pytest.raises(Malformed):
        check(replace(DISCLOSURE, schema=told(schema, samples.FIELDS)))


AGREED = {field.name: field for field in world.SCHEMA if isinstance(field, Field)}


def test_fields_have_the_type_unit_and_scale_that_were_agreed_on() -> None:
    check(agreed={})
    check(agreed=AGREED)
    units = AGREED["units"]
    check(agreed={"units": replace(units, salt=bytes(32))})
    for other in (
        replace(units, unit="boxes"),
        replace(units, kind=Kind.DATE),
        replace(AGREED["order_total"], name="units"),
    ):
        with pytest.raises(InvalidProof, match="units has another type"):
            check(agreed=AGREED | {"units": other})


def test_more_may_be_told_of_the_schema_than_is_needed() -> None:
    check(replace(DISCLOSURE, schema=world.SCHEMA))


@pytest.mark.parametrize(
    "change",
    [
        {"agreement": "agreement-2"},
        {"dataset": "leads"},
        {"bbs_key_id": samples.PROVIDER + "#bls12381g2-another"},
        {"schema_hash": "ab" * 32},
        {"messages": 32},
        {"root": "ab" * 32},
        {"customers": 16},
    ],
)
def test_a_snapshot_of_something_else_is_caught_though_it_is_signed(
    change: dict[str, Any],
) -> None:
    own = world.commit_to(
        world.committed().values,
        world.committed().sealed,
        world.committed().facts,
        change | {"declaration": world.committed().facts.declaration},
    )
    other = replace(DISCLOSURE, snapshot=own.snapshot)
    signed = world.sign_answer(other, where=WHERE, agreement=samples.AGREEMENT)
    with pytest.raises(InvalidProof):
        check(other, signed)


def test_a_snapshot_that_somebody_else_signed_is_caught() -> None:
    key_id = samples.CONSUMER_KEY.key_id(samples.PROVIDER)
    facts = replace(world.committed().facts, key_id=key_id)
    other = replace(DISCLOSURE, snapshot=sign_snapshot(facts, samples.CONSUMER_KEY))
    signed = world.sign_answer(other, where=WHERE)
    with pytest.raises(InvalidSignature):
        check(other, signed)
    forged = replace(DISCLOSURE.snapshot, signature=bytes(64))
    with pytest.raises(InvalidSignature):
        check(replace(DISCLOSURE, snapshot=forged))


def test_the_snapshot_is_the_one_that_the_receipt_names() -> None:
    signed = world.sign_answer(DISCLOSURE, where=WHERE, snapshot="ab" * 32)
    with pytest.raises(InvalidProof, match="names another snapshot"):
        check(DISCLOSURE, signed)


def test_a_snapshot_of_other_customers_than_were_declared_is_caught() -> None:
    with pytest.raises(InvalidProof, match="other customers"):
        check(declaration="ab" * 32)


def test_the_statement_is_the_one_that_the_receipt_says_was_asked_for() -> None:
    weaker = (Condition.of("at_least", ["units"], [0]),)
    changes: tuple[dict[str, Any], ...] = (
        {"statement": "ab" * 32},
        {"where": weaker},
        {"fields": ("order_total",)},
    )
    for change in changes:
        receipt = replace(SIGNED.receipt, **change)
        with pytest.raises(InvalidProof, match="another statement"):
            check(DISCLOSURE, replace(SIGNED, receipt=receipt))


def test_another_bound_than_the_one_asked_for_cannot_be_proved() -> None:
    weaker = (Condition.of("at_least", ["units"], [1]),)
    drafted = world.draft(world.committed(), where=WHERE)
    signed = world.sign_answer(drafted, where=WHERE)
    proved = world.prove(drafted, signed, world.committed(), where=weaker)
    with pytest.raises(InvalidProof, match="customer 1, record 1"):
        check(proved, signed)


@pytest.mark.parametrize(
    "change", [{"customers": 2}, {"records": 1}, {"records": 3}, {"withheld": 0}]
)
def test_counts_that_differ_from_the_receipt_are_caught(change: dict[str, Any]) -> None:
    signed = world.sign_answer(DISCLOSURE, where=WHERE, **change)
    with pytest.raises(InvalidProof, match="not as many"):
        check(DISCLOSURE, signed)


def test_a_customer_answered_twice_is_caught() -> None:
    twice = replace(DISCLOSURE, answers=(ONE, OTHER, OTHER))
    signed = world.sign_answer(twice, where=WHERE)
    with pytest.raises(InvalidProof, match="not as many customers"):
        check(twice, signed)


@pytest.mark.parametrize(
    "fields",
    [
        {"order_total": "12.50"},
        {"order_total": "12.50", "ordered_on": "2026-11-02", "region": "华东"},
        {},
    ],
)
def test_more_or_fewer_fields_than_the_receipt_says_are_caught(
    fields: dict[str, Any],
) -> None:
    other = altered(replace(FIRST, fields=fields))
    signed = world.sign_answer(other, where=WHERE)
    with pytest.raises(InvalidProof, match="other fields"):
        check(other, signed)


@pytest.mark.parametrize("value", ["12.51", "12.5", None, 12, True])
def test_another_value_is_caught_though_the_receipt_goes_along_with_it(
    value: Any,
) -> None:
    lie = {**(FIRST.fields or {}), "order_total": value}
    drafted = altered(replace(FIRST, fields=lie))
    signed = world.sign_answer(drafted, where=WHERE)
    proved = world.prove(drafted, signed, world.committed(), where=WHERE)
    with pytest.raises(InvalidProof, match="customer 1, record 1"):
        check(proved, signed)


def test_a_record_is_not_younger_than_its_snapshot() -> None:
    other = altered(replace(FIRST, version=world.VERSION + 1))
    signed = world.sign_answer(other, where=WHERE)
    with pytest.raises(InvalidProof, match="younger"):
        check(other, signed)


def test_a_disclosure_of_another_provider_is_caught() -> None:
    with pytest.raises(CryptoError):
        verify_disclosure(
            DISCLOSURE,
            SIGNED.receipt,
            samples.CONSUMER_RECORD,
            rank=None,
            random_bytes=None,
        )


def test_a_disclosure_beside_a_refusal_is_caught() -> None:
    refusal = samples.refusal()
    with pytest.raises(InvalidProof):
        verify_disclosure(
            DISCLOSURE, refusal, samples.PROVIDER_RECORD, rank=None, random_bytes=None
        )


WRITTEN = DISCLOSURE.to_json()
SHARED, _, NOT_SHARED = WRITTEN["disclosures"]
RECORD, WITHHELD = SHARED["records"]


def without(found: dict[str, Any], name: str) -> dict[str, Any]:
    """An object without one of its members."""
    return {member: value for member, value in found.items() if member != name}


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        NOT_SHARED | {"customer": "AA"},
        NOT_SHARED | {"records": []},
        NOT_SHARED | {"index": 0},
        NOT_SHARED | {"status": "unknown"},
        NOT_SHARED | {"status": "disclosed"},
        without(NOT_SHARED, "customer"),
        *(without(SHARED, name) for name in SHARED),
        SHARED | {"status": "not_shared"},
        SHARED | {"status": "withheld"},
        SHARED | {"index": -1},
        SHARED | {"index": True},
        SHARED | {"path": None},
        SHARED | {"path": [b64u(bytes(31))]},
        SHARED | {"path": [b64u(bytes(32))] * 33},
        SHARED | {"records": []},
        SHARED | {"records": None},
        SHARED | {"more": 1},
    ],
)
def test_an_answer_out_of_form_does_not_parse(answer: Any) -> None:
    with pytest.raises(Malformed):
        parse_disclosure(WRITTEN | {"disclosures": [answer]})


@pytest.mark.parametrize(
    "record",
    [
        [],
        without(RECORD, "version"),
        without(RECORD, "commitment"),
        without(RECORD, "fields"),
        RECORD | {"version": -1},
        RECORD | {"commitment": b64u(bytes(47))},
        RECORD | {"fields": []},
        RECORD | {"fields": None},
        RECORD | {"fields": {"a": []}},
        RECORD | {"fields": {"a": 1.5}},
        RECORD | {"presentation": ""},
        RECORD | {"presentation": "?"},
        RECORD | {"moves": ""},
        RECORD | {"more": 1},
        WITHHELD | {"presentation": "AAAA"},
        WITHHELD | {"moves": "AAAA"},
    ],
)
def test_a_record_out_of_form_does_not_parse(record: Any) -> None:
    parse_disclosure(WRITTEN | {"disclosures": [SHARED]})
    with pytest.raises(Malformed):
        parse_disclosure(WRITTEN | {"disclosures": [SHARED | {"records": [record]}]})


@pytest.mark.parametrize("member", sorted(WRITTEN))
def test_a_disclosure_has_exactly_its_members(member: str) -> None:
    for wrong in (
        without(WRITTEN, member),
        WRITTEN | {member: None},
        WRITTEN | {member: 1},
        WRITTEN | {"more": 1},
    ):
        with pytest.raises(Malformed):
            parse_disclosure(wrong)


def _withheld(disclosure: Disclosure) -> list[bool]:
    return [record.fields is None for _, _, record in disclosure.each()]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition.of("at_least", ["units"], [3]), [False, True, False]),
        (Condition.of("at_most", ["units"], [3]), [False, False, True]),
        (
            Condition.of("before", ["ordered_on"], ["2026-11-03"]),
            [False, True, False],
        ),
        (Condition.of("one_of", ["region"], ["华东", "华南"]), [False, False, False]),
    ],
)
def test_a_record_that_does_not_meet_a_condition_is_withheld(
    condition: Condition, expected: list[bool]
) -> None:
    names = ("gift",)
    signed, disclosure = world.answer(names=names, where=[condition])
    check(disclosure, signed)
    assert _withheld(disclosure) == expected
    assert signed.receipt.withheld == sum(expected)


def test_a_withheld_record_is_counted_and_still_in_its_leaf() -> None:
    left_out = replace(ONE, records=(FIRST,))
    other = altered(answer=left_out)
    signed = world.sign_answer(other, where=WHERE)
    with pytest.raises(InvalidProof, match="these are not the records"):
        check(other, signed)
