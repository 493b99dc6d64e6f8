"""Two checkpoints of one size with different roots accuse the log, to anybody."""

import json
from dataclasses import replace
from typing import Any

import pytest

from crypto.errors import InvalidSignature, Malformed
from crypto.notes import Checkpoint, sign_checkpoint
from ledger.checkpoint import origin_of
from ledger.cosignature import cosign, with_cosignatures
from ledger.equivocation import (
    Equivocation,
    equivocation,
    parse_equivocation,
    verify_equivocation,
)
from ledger.steps import State, verdict
from tests.unit.ledger import samples

LOG = samples.PROVIDER_RECORD
POINT = Checkpoint(origin=origin_of(LOG.did), size=5, root=samples.seed("one"))
OTHER = replace(POINT, root=samples.seed("other"))


def note(point: Checkpoint = POINT) -> str:
    return sign_checkpoint(point, samples.PROVIDER_KEY)


def cosigned(point: Checkpoint) -> str:
    text = point.render()
    line = cosign(text, did=samples.CONSUMER, signer=samples.CONSUMER_KEY, at=1)
    return with_cosignatures(note(point), [line.render()])


def proof() -> Equivocation:
    found = equivocation(LOG, note(), note(OTHER))
    assert found is not None
    return found


def states(value: Any, pins: Any = samples.PINS) -> dict[str, str]:
    return {each.name: each.outcome for each in verify_equivocation(value, pins)}


def test_the_proof_is_verified_by_whoever_pins_the_log() -> None:
    value = json.loads(json.dumps(proof().to_json()))
    steps = verify_equivocation(value, samples.PINS)
    assert verdict(steps) is State.CHECKED
    assert [each.name for each in steps] == ["equivocation", "equivocation_notes"]
    assert all(each.words["en"] and each.words["zh"] for each in steps)
    assert states(value, {}) == {
        "equivocation": "checked",
        "equivocation_notes": "unknown",
    }


def test_the_order_and_the_witnesses_make_no_other_proof() -> None:
    ways = [(note(), note(OTHER)), (note(OTHER), note())]
    ways.append((cosigned(OTHER), cosigned(POINT)))
    found = [equivocation(LOG, *way) for way in ways]
    assert found == [proof()] * 3
    assert len(proof().fault_id) == 64
    third = equivocation(LOG, note(), note(replace(POINT, root=samples.seed("third"))))
    assert third is not None
    assert third.fault_id != proof().fault_id


def test_what_can_both_be_so_is_no_proof() -> None:
    assert equivocation(LOG, note(), cosigned(POINT)) is None
    assert equivocation(LOG, note(), note(replace(OTHER, size=6))) is None
    with pytest.raises(InvalidSignature):
        equivocation(samples.CONSUMER_RECORD, note(), note(OTHER))


def test_two_checkpoints_that_do_not_contradict_accuse_nobody() -> None:
    value = proof().to_json()
    for changes in (
        {"second": value["first"]},
        {"second": cosigned(replace(OTHER, size=6))},
    ):
        found = states(value | changes)
        assert found == {"equivocation": "failed", "equivocation_notes": "checked"}


@pytest.mark.parametrize("member", ["first", "second"])
def test_a_note_that_the_log_did_not_sign_accuses_nobody(member: str) -> None:
    value = proof().to_json()
    for forged in (
        sign_checkpoint(replace(POINT, root=samples.seed("x")), samples.CONSUMER_KEY),
        note(replace(POINT, origin="else/log")),
        note(replace(POINT, root=samples.seed("y"))).replace("\n5\n", "\n6\n"),
    ):
        found = states(value | {member: forged})
        assert found["equivocation_notes"] == "failed"


def test_another_log_cannot_be_accused_by_its_name() -> None:
    value = proof().to_json() | {"provider": samples.CONSUMER}
    assert states(value)["equivocation_notes"] == "failed"


@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "fieldpact/equivocation/2"},
        {"provider": "nobody"},
        {"provider": "did:key:z6Mk"},
        {"first": 5},
        {"first": ""},
        {"second": "one\n\ntwo\n"},
        {"more": 1},
    ],
)
def test_what_is_no_proof_does_not_parse(changes: dict[str, Any]) -> None:
    value = proof().to_json() | changes
    with pytest.raises(Malformed):
        parse_equivocation(value)
    assert states(value) == {"equivocation": "failed"}


def test_nothing_parses_without_all_its_members() -> None:
    for member in proof().to_json():
        value = proof().to_json()
        del value[member]
        assert states(value) == {"equivocation": "failed"}
    anything: tuple[Any, ...] = (None, [], "proof", 5)
    for nonsense in anything:
        assert states(nonsense) == {"equivocation": "failed"}
