"""The committed vectors of FP-BBS-1 and FP-LBV-1, judged twice."""

import json
from typing import Any

import pytest

from crypto.predicates import Claim, Member, Statement, Window, verify, verify_batch
from crypto.predicates.kinds import Predicate
from crypto.tokens import check_opening
from crypto.typed import Field, Kind, Opaque, parse_header
from tests.unit.crypto import second_verifier
from tests.unit.crypto.typed_world import SCHEMA, VALUES, source
from tests.vectors import generate_predicates
from tests.vectors.reading import HERE, cases, expectation

ALL = [*cases("fp-bbs-1"), *cases("fp-lbv-1")]


def _field(found: dict[str, Any]) -> Field | Opaque:
    if "digest" in found:
        return Opaque(bytes.fromhex(found["digest"]))
    salt = bytes.fromhex(found["salt"])
    return Field(**found | {"kind": Kind(found["kind"]), "salt": salt})


def _predicate(found: dict[str, Any]) -> Predicate:
    if "among" in found:
        among = tuple(int(value, 16) for value in found["among"])
        return Member(first=found["first"], among=among)
    return Window(**found | {"lo": int(found["lo"]), "hi": int(found["hi"])})


def _read(case: dict[str, Any]) -> Claim:
    stated = case["statement"]
    statement = Statement(
        schema=tuple(map(_field, case["schema"])),
        disclosed=tuple(stated["disclosed"]),
        predicates=tuple(map(_predicate, stated["predicates"])),
        anchored=stated["anchored"],
    )
    assert statement.to_bytes().hex() == case["statement_octets"]
    commitment = case["commitment"]
    return Claim(
        proof=bytes.fromhex(case["proof"]),
        shown=case["shown"],
        statement=statement,
        public=bytes.fromhex(case["public"]),
        header=parse_header(case["header"].encode()),
        ph=bytes.fromhex(case["ph"]),
        commitment=commitment and bytes.fromhex(commitment),
        moves=bytes.fromhex(case["moves"]),
    )


def test_no_format_of_records_or_presentations_has_changed() -> None:
    for path, text in generate_predicates.render().items():
        assert path.read_text() == text


@pytest.mark.parametrize("case", ALL)
def test_each_vector_comes_out_as_it_says(case: dict[str, Any]) -> None:
    with expectation(case["expect"]):
        verify(_read(case))


def test_the_good_vectors_hold_as_a_batch() -> None:
    good = [_read(p.values[0]) for p in ALL if p.values[0]["expect"] == "success"]
    assert len(good) == 14
    verify_batch(good, random_bytes=source("weights"))


@pytest.mark.parametrize("case", ALL)
def test_the_second_verifier_says_the_same(case: dict[str, Any]) -> None:
    assert second_verifier.statement_octets(case).hex() == case["statement_octets"]
    if case["expect"] == "success":
        second_verifier.check(case)
    else:
        with pytest.raises(second_verifier.Refused):
            second_verifier.check(case)


def test_the_second_verifier_maps_values_to_the_same_messages() -> None:
    record = json.loads((HERE / "fp-bbs-1.json").read_text())["record"]
    digested = b"".join(map(bytes.fromhex, record["messages"][1:]))
    tagged = second_verifier.tag("record-digest", digested)
    assert second_verifier.sha(tagged).hex() == record["digest"]
    listed = json.loads((HERE / "fp-bbs-1.json").read_text())["cases"][0]["schema"]
    assert len(listed) == len(SCHEMA)
    for index, field in enumerate(listed, 2):
        number = second_verifier.message(field, VALUES[field["name"]], index)
        assert number.to_bytes(32, "big").hex() == record["messages"][index]
    assert record["messages"][2 + len(listed) :] == ["00" * 32] * 5


def test_the_second_verifier_opens_tokens_as_well() -> None:
    found = json.loads((HERE / "fp-bbs-1.json").read_text())["token"]
    token, opening, customer = found["token"], found["opening"], found["customer"]
    assert second_verifier.opens(token, opening, customer)
    assert not second_verifier.opens(token, opening, customer[::-1])
    check_opening(bytes.fromhex(token), bytes.fromhex(opening), customer)
