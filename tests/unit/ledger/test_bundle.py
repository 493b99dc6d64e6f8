"""Bundles: each call is so, and these are all of them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from crypto.encoding import canonical
from crypto.errors import Malformed
from ledger.bundle import (
    Erased,
    Manifest,
    Parties,
    SignedManifest,
    Under,
    parse_first,
    parse_line,
    render_line,
    sign_manifest,
    under_of,
)
from ledger.conclusion import Verdict, conclude
from ledger.evidence import Evidence
from ledger.memory_registry import MemoryRegistry
from ledger.receipts import sign_receipt
from ledger.registry import fingerprint
from ledger.steps import State
from ledger.trust import Trust
from tests.unit.ledger import bundled, samples

STORY = bundled.story()
ENTRIES = list(STORY.entries)
NEWEST = ENTRIES[-1].signed
FIRST = bundled.manifest(ENTRIES, NEWEST)
WHOLE = bundled.lines(FIRST, ENTRIES)
FILE = b"".join(map(render_line, WHOLE))
assert isinstance(FIRST, SignedManifest)
MANIFEST: Manifest = FIRST.manifest


def check(
    entries: Any, first: Any = FIRST, trust: Trust = STORY.trust
) -> dict[str, str]:
    """What is not checked of a file with these entries."""
    return bundled.weak(bundled.check(bundled.lines(first, entries), trust))


def why(entries: Any, first: Any = FIRST) -> str:
    """Why a file is not complete."""
    steps = bundled.check(bundled.lines(first, entries), STORY.trust)
    assert bundled.weak(steps)["complete"] == "failed"
    return bundled.detail(steps, "complete")


def test_a_whole_stream_is_checked_in_every_step() -> None:
    steps = bundled.check(WHOLE, STORY.trust)
    assert bundled.weak(steps) == {}
    assert [step.name for step in steps] == [
        *("manifest", "receipt", "provider_signature", "countersignature"),
        *("inclusion", "checkpoint", "consistency", "anchor", "chain"),
        *("request_signature", "answer", "complete"),
    ]
    assert bundled.detail(steps, "receipt") == "10 / 10"
    assert bundled.detail(steps, "answer") == "1 / 1"
    assert bundled.detail(steps, "complete") == "0 … 9"
    assert conclude(steps) is Verdict.VERIFIED


def test_either_party_can_export_its_stream() -> None:
    first = bundled.manifest(
        ENTRIES, NEWEST, samples.CONSUMER_KEY, exporter=samples.CONSUMER
    )
    assert check(ENTRIES, first) == {}


def test_checkpoints_and_anchors_stand_in_the_file_once() -> None:
    assert [type(line) for line in WHOLE].count(Under) == 3
    assert FILE.count(b'"participants"') == 1
    for anchor in {each.anchor.checkpoint for each in ENTRIES if each.anchor}:
        # Under it as the checkpoint, and in its anchor as what was anchored.
        assert FILE.count(json.dumps(anchor, ensure_ascii=False).encode()) == 2


def test_lines_read_back_as_they_were_written() -> None:
    first, parties, *rest = FILE.splitlines()
    assert parse_first(json.loads(first)) == FIRST
    told = parse_line(json.loads(parties), Parties(), None)
    assert isinstance(told, Parties)
    under = None
    for line, written in zip(rest, WHOLE[2:], strict=True):
        found = parse_line(json.loads(line), told, under)
        under = found if isinstance(found, Under) else under
        if isinstance(written, Evidence):
            assert isinstance(found, Evidence)
            assert replace(found, participants=written.participants) == written
        else:
            assert found == written


def test_the_chain_is_not_asked_for_each_receipt() -> None:
    class Counted:
        asked = 0
        chain_id, contract = STORY.chain.chain_id, STORY.chain.contract

        def commitment(self, member: str, epoch: int) -> bytes | None:
            self.asked += 1
            return STORY.chain.commitment(member, epoch)

    chain: Any = Counted()
    steps = bundled.check(WHOLE, replace(STORY.trust, chain=chain))
    assert bundled.weak(steps) == {}
    assert chain.asked == 3


def test_without_a_chain_it_is_only_said_to_be_anchored() -> None:
    steps = bundled.check(WHOLE, Trust(pins=samples.PINS))
    assert bundled.weak(steps) == {"chain": "not_checked"}
    assert conclude(steps) is Verdict.CHAIN_NOT_CHECKED


def test_a_receipt_that_is_left_out_is_named() -> None:
    assert why([*ENTRIES[:3], *ENTRIES[4:]]) == "missing: 3"
    assert why([*ENTRIES[:3], *ENTRIES[6:]]) == "missing: 3 … 5"


def test_receipts_that_are_left_out_at_either_end_are_named() -> None:
    head, tail = ENTRIES[2:], ENTRIES[:-2]
    assert why(head) == "missing: 0 … 1"
    assert why(head, bundled.manifest(head, NEWEST)) == "missing: 0 … 1"
    assert "manifest says 10" in why(tail)
    assert why(tail, bundled.manifest(tail, NEWEST)) == "missing: 8 … 9"
    assert why([], bundled.manifest([], NEWEST)) == "missing: 0 … 9"


def test_a_stream_without_calls_is_complete() -> None:
    steps = bundled.check([bundled.manifest([], None)], STORY.trust)
    assert bundled.weak(steps) == {}


def test_a_last_receipt_that_is_not_the_signed_head_is_caught() -> None:
    last = ENTRIES[-1]
    other = replace(last.signed.receipt, customers=9)
    swapped = replace(last, signed=sign_receipt(other, samples.PROVIDER_KEY))
    assert "names as the newest" in why([*ENTRIES[:-1], swapped])


def test_reordered_or_doubled_receipts_are_caught() -> None:
    swapped = [*ENTRIES[:3], ENTRIES[4], ENTRIES[3], *ENTRIES[5:]]
    assert why(swapped) == "missing: 3"
    assert "where it cannot" in why([*ENTRIES[:3], ENTRIES[2], *ENTRIES[3:]])


def test_an_edited_receipt_breaks_the_file_after_it() -> None:
    old = ENTRIES[4]
    edited = sign_receipt(replace(old.signed.receipt, records=1), samples.PROVIDER_KEY)
    file = [*ENTRIES[:4], replace(old, signed=edited), *ENTRIES[5:]]
    assert why(file) == "number 5 names another one as the one before"
    assert check(file) == dict.fromkeys(
        ["countersignature", "inclusion", "complete"], "failed"
    )


def test_a_receipt_of_another_stream_is_caught() -> None:
    foreign = samples.receipt(agreement="agreement-2", sequence=3, previous="ab" * 32)
    signed = sign_receipt(foreign, samples.PROVIDER_KEY)
    file = [*ENTRIES[:3], replace(ENTRIES[3], signed=signed), *ENTRIES[4:]]
    assert why(file) == "number 3 is of another stream"


def test_an_excerpt_says_that_it_is_one() -> None:
    part = ENTRIES[3:7]
    since: dict[str, Any] = {
        "since": "2026-11-22T00:00:00Z",
        "until": "2026-11-23T00:00:00Z",
    }
    first = bundled.manifest(part, NEWEST, **since)
    steps = bundled.check(bundled.lines(first, part), STORY.trust)
    assert bundled.weak(steps) == {}
    [found] = [step for step in steps if step.name == "complete"]
    assert (found.outcome, found.detail) == ("part", "3 … 6 / 10")
    assert why([*part[:1], *part[2:]], first) == "missing: 4"
    late = bundled.manifest(part, NEWEST, since=since["since"])
    assert why(part, late) == "missing: 7 … 9"


def test_what_was_erased_is_told_and_not_called_checked() -> None:
    gone = ENTRIES[4].signed.receipt.receipt_id
    erased: list[Any] = [
        *ENTRIES[:4],
        Erased(sequence=4, receipt_id=gone),
        *ENTRIES[5:],
    ]
    assert check(erased) == {"complete": "not_checked"}
    steps = bundled.check(bundled.lines(FIRST, erased), STORY.trust)
    assert bundled.detail(steps, "complete") == "0 … 9: 1 / 10"
    assert conclude(steps) is Verdict.UNKNOWN


def test_a_receipt_cannot_be_hidden_as_an_erased_one_of_another_id() -> None:
    hidden = [*ENTRIES[:4], Erased(sequence=4, receipt_id="ab" * 32), *ENTRIES[5:]]
    assert why(hidden) == "number 5 names another one as the one before"


def test_one_wrong_signature_among_many_is_named() -> None:
    bent = replace(ENTRIES[6].signed, signature=bytes(64))
    file = [*ENTRIES[:6], replace(ENTRIES[6], signed=bent), *ENTRIES[7:]]
    steps = bundled.check(bundled.lines(FIRST, file), STORY.trust)
    assert bundled.weak(steps)["provider_signature"] == "failed"
    detail = bundled.detail(steps, "provider_signature")
    assert detail.startswith("1 / 10: first at number 6: ")


def test_what_does_not_exist_yet_is_pending() -> None:
    young = bundled.story(whole=False)
    waiting = ["inclusion", "checkpoint", "consistency", "anchor", "chain"]
    assert check(young.entries) == dict.fromkeys(waiting, "pending")


def test_a_request_of_another_call_is_caught() -> None:
    stolen = replace(ENTRIES[3], request=ENTRIES[4].request)
    file = [*ENTRIES[:3], stolen, *ENTRIES[4:]]
    assert check(file) == {"request_signature": "failed"}


def test_a_file_may_hold_no_requests() -> None:
    bare = [replace(each, request=None) for each in ENTRIES]
    assert check(bare) == {}


def test_keys_are_looked_up_for_each_key_that_signed() -> None:
    at = STORY.chain.started
    registry = MemoryRegistry(clock=lambda: at)
    accounts = {did: party.chain_address for did, party in samples.PINS.items()}
    registry.found(list(accounts.items()))
    for did, key in [(samples.PROVIDER, samples.PROVIDER_KEY)]:
        held = fingerprint("ed25519", key.public_bytes)
        registry.set_key(accounts[did], suite="ed25519", fingerprint=held)
    registry.clock = lambda: at + 1000
    trust = replace(STORY.trust, registry=registry)
    assert check(ENTRIES, trust=trust) == {"keys": "failed"}
    # Without the consumer's signatures only the provider's key is looked up.
    alone = [replace(each, countersignature=None, request=None) for each in ENTRIES]
    assert check(alone, trust=trust) == {"countersignature": "pending"}
    # One entry with another key under the same checkpoint is not passed over.
    mixed = [*alone[:4], ENTRIES[4], *alone[5:]]
    assert check(mixed, trust=trust)["keys"] == "failed"


def test_a_manifest_of_somebody_else_is_caught() -> None:
    signed = SignedManifest(manifest=MANIFEST, signature=bytes(64))
    assert check(ENTRIES, signed) == {"manifest": "failed"}
    claimed = replace(MANIFEST, count=9, last=8)
    assert (
        check(ENTRIES[:-1], replace(signed, manifest=claimed))["manifest"] == "failed"
    )


def test_a_head_that_the_exporter_did_not_sign_is_caught() -> None:
    bent = replace(MANIFEST.head, signature=bytes(64))
    first = sign_manifest(replace(MANIFEST, head=bent), samples.PROVIDER_KEY)
    assert check(ENTRIES, first) == {"manifest": "failed"}


def test_an_exporter_that_nobody_pinned_is_not_checked() -> None:
    unknown = check(ENTRIES, trust=Trust(pins={}))
    assert unknown["manifest"] == "not_checked"
    steps = bundled.check(WHOLE, Trust(pins={}, trust_embedded=True))
    [found] = [step for step in steps if step.name == "manifest"]
    assert found.outcome == "embedded"
    assert conclude(steps) is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "change",
    [
        {"exporter": "did:web:somebody"},
        {"stream": "ab" * 32},
        {"count": 0},
        {"first": None},
        {"first": 10},
        {"count": -1},
        {"since": "yesterday"},
        {"at": None},
        {"head": None},
        {"agreement": "agreement-2"},
        {"key_id": "did:web:somebody#x"},
    ],
)
def test_a_manifest_out_of_form_does_not_parse(change: dict[str, Any]) -> None:
    written = FIRST.to_json()
    with pytest.raises(Malformed):
        parse_first(written | {"manifest": written["manifest"] | change})


def test_a_manifest_with_a_head_of_another_does_not_parse() -> None:
    other = bundled.head(NEWEST, samples.CONSUMER_KEY, samples.CONSUMER)
    with pytest.raises(Malformed, match="another's"):
        replace(MANIFEST, head=other)


def test_a_first_line_out_of_form_is_the_only_step() -> None:
    for line in (b"", b"{}\n", b"[]\n", b"\xff\n", FILE.splitlines()[0][:-9] + b"\n"):
        [step] = bundled.check(line, STORY.trust)
        assert (step.name, step.state) == ("manifest", State.FAILED)


ENTRY = json.loads(render_line(ENTRIES[0]))


@pytest.mark.parametrize(
    "line",
    [
        {},
        [],
        None,
        {"participants": []},
        {"participants": [], "histories": [], "more": 1},
        {"participants": [{}], "histories": []},
        {"participants": [], "histories": [{}]},
        {"checkpoint": None, "anchor": None},
        {"checkpoint": "note"},
        {"checkpoint": "note", "anchor": {}},
        {"erased": {"sequence": 1}},
        {"erased": {"sequence": -1, "receipt": "ab" * 32}},
        {"erased": {"sequence": 1, "receipt": "no"}},
        ENTRY | {"more": 1},
        ENTRY | {"request": None},
        ENTRY | {"request": ""},
        ENTRY | {"request": "A" * 5000},
        ENTRY | {"salt": None},
        ENTRY | {"index": None},
        ENTRY | {"countersignature": {}},
        {name: ENTRY[name] for name in ENTRY if name != "salt"},
    ],
)
def test_a_line_out_of_form_is_told_by_its_number(line: Any) -> None:
    head = b"".join(map(render_line, WHOLE[:3]))
    rest = b"".join(map(render_line, WHOLE[3:]))
    file = head + canonical(line) + b"\n" + rest
    steps = bundled.check(file, STORY.trust)
    assert bundled.weak(steps) == {"receipt": "failed"}
    assert "line 4: " in bundled.detail(steps, "receipt")


def test_an_entry_in_the_tree_needs_a_checkpoint_above_it() -> None:
    file = [line for line in WHOLE if not isinstance(line, Under)]
    steps = bundled.check(file, STORY.trust)
    assert "no checkpoint above" in bundled.detail(steps, "receipt")
    assert bundled.weak(steps)["complete"] == "failed"


def test_a_file_that_was_cut_off_is_not_complete() -> None:
    for cut in (FILE[:-1], FILE[:-500], FILE[: len(FILE) // 2]):
        steps = bundled.check(cut, STORY.trust)
        assert bundled.weak(steps)["complete"] == "failed"
        assert "cut off" in bundled.detail(steps, "receipt")


def test_progress_is_told_of_all_entries() -> None:
    told: list[tuple[int, int | None]] = []
    bundled.check(WHOLE, STORY.trust, progress=lambda *found: told.append(found))
    assert told[-1] == (10, 10)


def test_a_place_of_nothing_is_under_nothing() -> None:
    assert under_of(replace(ENTRIES[0], inclusion=None, anchor=None)) is None
