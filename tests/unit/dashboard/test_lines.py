"""The lines that only the server fills in: request, witnesses, keys."""

import zoneinfo
from dataclasses import replace
from typing import Any

import pytest

from dashboard.i18n import Speech
from dashboard.registry import Registry
from dashboard.verification import Checked, check_on_server, file_of
from ledger.cosignature import cosign, with_cosignatures
from ledger.evidence import Evidence, evidence_of
from ledger.memory_registry import MemoryRegistry
from ledger.registry import fingerprint
from tests.unit.ledger import asking, samples, world

STORY, CHAIN = world.story()
FULL = replace(STORY, disclosure=None, snapshot_place=None, openings=())
PINNED = Registry(pins=samples.PINS, source="registry.json", digest="ab" * 32)
ANCHORED = CHAIN.started + 1


def cosigned(evidence: Evidence) -> Evidence:
    """Evidence under a checkpoint that the consumer's node has cosigned."""
    assert evidence.inclusion
    note = evidence.inclusion.checkpoint
    text = note.rpartition("\n\n")[0] + "\n"
    line = cosign(text, did=samples.CONSUMER, signer=samples.CONSUMER_KEY, at=1)
    signed = with_cosignatures(note, [line.render()])
    return replace(evidence, inclusion=replace(evidence.inclusion, checkpoint=signed))


def registry(*, keys: bool = True) -> MemoryRegistry:
    """The registry on the chain, with or without the provider's key."""
    found = MemoryRegistry(clock=lambda: ANCHORED - 1)
    found.found([(did, each.chain_address) for did, each in samples.PINS.items()])
    parties = {samples.CONSUMER: samples.CONSUMER_KEY}
    if keys:
        parties[samples.PROVIDER] = samples.PROVIDER_KEY
    for did, key in parties.items():
        held = fingerprint("ed25519", key.public_bytes)
        account = samples.PINS[did].chain_address
        found.set_key(account, suite="ed25519", fingerprint=held)
    found.clock = lambda: ANCHORED + 1
    return found


def check(evidence: Evidence, language: Any = "en", keys: Any = None) -> Checked:
    receipt = evidence.signed.receipt
    return check_on_server(
        evidence.to_json() | {"canonical": "", "committed": None},
        receipt.receipt_id,
        registry=PINNED,
        chain=CHAIN,
        keys=keys,
        speech=Speech(language=language, zone=zoneinfo.ZoneInfo("UTC")),
        grants={},
    )


def states(checked: Checked) -> dict[str, str]:
    return {line.name: line.state for line in checked.lines}


def test_a_line_is_there_only_where_the_evidence_tells_something() -> None:
    bare = states(check(FULL))
    assert bare.keys().isdisjoint({"request", "witnesses", "keys"})
    token = asking.token(FULL.signed.receipt)
    assert states(check(replace(FULL, request=token)))["request"] == "checked"
    assert states(check(cosigned(FULL)))["witnesses"] == "checked"
    assert states(check(FULL, keys=registry()))["keys"] == "checked"


def test_how_many_witnesses_there_were_is_said() -> None:
    [line] = [each for each in check(cosigned(FULL)).lines if each.name == "witnesses"]
    assert line.words.endswith("1 / 1")


def test_a_request_of_another_call_is_no_reason_to_believe_the_record() -> None:
    other = asking.token(FULL.signed.receipt, jti="A" * 22)
    checked = check(replace(FULL, request=other))
    assert states(checked)["request"] == "failed"
    assert (checked.verdict, checked.facts) == ("failed", ())


def test_keys_that_did_not_hold_are_a_failure() -> None:
    checked = check(FULL, keys=registry(keys=False))
    assert states(checked)["keys"] == "failed"
    assert checked.facts == ()


def test_histories_that_nobody_compares_are_stated() -> None:
    told = replace(FULL, histories=(registry().history(samples.PROVIDER),))
    checked = check(told)
    assert states(checked)["keys"] == "stated"
    assert checked.verdict == "stated"
    assert checked.facts


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_line_speaks_the_readers_language(language: str) -> None:
    token = asking.token(FULL.signed.receipt)
    checked = check(cosigned(replace(FULL, request=token)), language, registry())
    told = {line.name: line.words for line in checked.lines}
    for name in ("request", "witnesses", "keys"):
        assert told[name].isascii() == (language == "en")


def test_the_file_to_hand_on_holds_all_of_it() -> None:
    token = asking.token(FULL.signed.receipt)
    history = registry().history(samples.PROVIDER)
    told = cosigned(replace(FULL, request=token, histories=(history,)))
    answer = told.to_json() | {"canonical": "", "committed": None}
    assert evidence_of(file_of(answer)) == told
