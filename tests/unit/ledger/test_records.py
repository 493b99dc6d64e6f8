"""Schemas on the wire: what is told of them, and the one hash they have."""

import json

import pytest

from crypto.encoding import b64u
from crypto.errors import Malformed
from crypto.typed import MOST_FIELDS, Opaque, schema_hash, told
from ledger.records import parse_schema, schema_to_json
from tests.unit.ledger import samples, world

WRITTEN = schema_to_json(world.SCHEMA)


def test_a_schema_reads_back_as_it_was_written() -> None:
    assert parse_schema(json.loads(json.dumps(WRITTEN))) == world.SCHEMA


def test_a_schema_of_which_little_is_told_has_the_same_hash() -> None:
    few = told(world.SCHEMA, ["units"])
    written = json.loads(json.dumps(schema_to_json(few)))
    again = parse_schema(written)
    assert again == few
    assert schema_hash(again) == schema_hash(world.SCHEMA)
    assert sum(isinstance(field, Opaque) for field in again) == 5
    assert [set(field) for field in written].count({"digest"}) == 5
    assert "region" not in json.dumps(written)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Total"},
        {"name": "x" * 65},
        {"name": 1},
        {"type": "float"},
        {"type": []},
        {"unit": 1},
        {"unit": "two words"},
        {"scale": 19},
        {"scale": -1},
        {"scale": True},
        {"type": "integer", "scale": 2},
        {"salt": b64u(bytes(31))},
        {"salt": None},
        {"digest": b64u(bytes(32))},
        {"more": 1},
    ],
)
def test_a_field_out_of_form_is_no_field(change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        parse_schema([WRITTEN[0] | change])


@pytest.mark.parametrize("member", sorted(WRITTEN[0]))
def test_a_field_is_told_whole_or_not_at_all(member: str) -> None:
    less = {name: value for name, value in WRITTEN[0].items() if name != member}
    with pytest.raises(Malformed):
        parse_schema([less])


@pytest.mark.parametrize("digest", ["", b64u(bytes(31)), None, 1])
def test_a_digest_out_of_form_is_no_field(digest: object) -> None:
    with pytest.raises(Malformed):
        parse_schema([{"digest": digest}])


def test_a_schema_has_each_field_once_and_not_too_many() -> None:
    opaque = [
        {"digest": b64u(samples.seed(str(number)))} for number in range(MOST_FIELDS + 1)
    ]
    assert len(parse_schema(opaque[:-1])) == MOST_FIELDS
    assert parse_schema([]) == ()
    for wrong in (WRITTEN[:1] * 2, opaque, opaque[:1] * 2, None, [1]):
        with pytest.raises(Malformed):
            parse_schema(wrong)
