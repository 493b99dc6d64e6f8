"""Snapshots: their form, their signature, their law, and the leaves under them."""

import dataclasses
import hashlib
import json
from typing import Any

import pytest

from crypto.errors import InvalidSignature, Malformed
from crypto.keys import Ed25519Key
from crypto.typed import parse_header, schema_hash
from ledger import log, snapshots
from ledger.errors import Inconsistent
from ledger.snapshots import (
    Age,
    Snapshot,
    check_successor,
    compare,
    customer_leaf,
    declaration_hash,
    parse_signed_snapshot,
    parse_snapshot,
    record_header,
    sign_snapshot,
    verify_snapshot,
)
from tests.unit.ledger import samples, world

FIRST = world.snapshot()
SIGNED = sign_snapshot(FIRST, samples.PROVIDER_KEY)


def after(previous: Snapshot, /, **changes: Any) -> Snapshot:
    """The snapshot that follows another."""
    following: dict[str, Any] = {
        "sequence": previous.sequence + 1,
        "previous": previous.snapshot_id,
        "version": previous.version,
    }
    return world.snapshot(**(following | changes))


def test_a_snapshot_reads_back_as_it_was_written() -> None:
    again = parse_snapshot(json.loads(FIRST.canonical()))
    assert again == FIRST
    message = SIGNED.to_json() | {"schema": "else"}
    assert parse_signed_snapshot(message) == SIGNED


def test_the_id_is_the_hash_of_the_tagged_canonical_bytes() -> None:
    written = json.dumps(FIRST.to_json(), sort_keys=True, separators=(",", ":"))
    tagged = b"fieldpact/snapshot/1\0" + written.encode()
    assert FIRST.snapshot_id == hashlib.sha256(tagged).hexdigest()


@pytest.mark.parametrize("member", sorted(FIRST.to_json()))
def test_a_snapshot_without_one_of_its_members_does_not_parse(member: str) -> None:
    core = FIRST.to_json()
    del core[member]
    with pytest.raises(Malformed, match="lacks"):
        parse_snapshot(core)


@pytest.mark.parametrize("member", sorted(FIRST.to_json()))
@pytest.mark.parametrize("value", [None, 1.5, [], {}, True, "\n", -1, 2**53])
def test_a_member_of_the_wrong_kind_does_not_parse(member: str, value: object) -> None:
    with pytest.raises(Malformed):
        parse_snapshot(FIRST.to_json() | {member: value})


@pytest.mark.parametrize(
    "change",
    [
        {"typ": "fieldpact/snapshot/2"},
        {"customers": 0},
        {"customers": 6},
        {"customers": 2**33},
        {"messages": 8},
        {"root": "AB" * 32},
        {"sequence": 1},
        {"previous": "ab" * 32},
        {"key_id": samples.CONSUMER_KEY.key_id(samples.CONSUMER)},
        {"bbs_key_id": samples.BBS_KEY.key_id(samples.CONSUMER)},
        {"more": 1},
    ],
)
def test_a_snapshot_out_of_form_or_law_does_not_parse(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_snapshot(FIRST.to_json() | change)


@pytest.mark.parametrize("customers", [1, 2, 2**20, 2**32])
def test_a_tree_has_a_power_of_two_of_leaves(customers: int) -> None:
    assert world.snapshot(customers=customers).customers == customers


def test_a_signature_holds_for_its_own_snapshot_only() -> None:
    verify_snapshot(SIGNED, samples.PROVIDER_RECORD)
    for other in (
        dataclasses.replace(SIGNED, snapshot=world.snapshot(version=8)),
        dataclasses.replace(SIGNED, signature=bytes(64)),
    ):
        with pytest.raises(InvalidSignature):
            verify_snapshot(other, samples.PROVIDER_RECORD)


def test_another_key_than_the_pinned_one_is_refused() -> None:
    other = Ed25519Key.from_bytes(samples.seed("other"))
    snapshot = world.snapshot(key_id=other.key_id(samples.PROVIDER))
    with pytest.raises(InvalidSignature, match="not pinned"):
        verify_snapshot(sign_snapshot(snapshot, other), samples.PROVIDER_RECORD)
    with pytest.raises(ValueError, match="another key"):
        sign_snapshot(FIRST, other)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"snapshot": FIRST.to_json()},
        {"snapshot": FIRST.to_json(), "snapshot_signature": "AAAA"},
        {"snapshot_signature": SIGNED.to_json()["snapshot_signature"]},
    ],
)
def test_half_a_signed_snapshot_does_not_parse(message: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_signed_snapshot(message)


def test_a_snapshot_is_a_leaf_of_the_log_as_a_receipt_is() -> None:
    salt = samples.seed("salt")
    committed = hashlib.sha256(salt + FIRST.canonical() + SIGNED.signature).digest()
    assert log.commitment(SIGNED, salt) == committed


def test_snapshots_without_gaps_follow_their_law() -> None:
    second = after(FIRST, version=9)
    third = after(second)
    for previous, following in [(None, FIRST), (FIRST, second), (second, third)]:
        check_successor(previous, following)


def test_a_gap_a_fork_a_step_back_and_a_swap_break_the_law() -> None:
    second = after(FIRST, version=9)
    third = after(second)
    for previous, following in [
        (None, second),
        (FIRST, third),
        (FIRST, FIRST),
        (FIRST, world.snapshot(root="ab" * 32)),
        (second, FIRST),
        (second, after(second, version=8)),
        (world.snapshot(root="ab" * 32), second),
        (FIRST, after(FIRST, agreement="agreement-2")),
        (FIRST, after(FIRST, dataset="leads")),
    ]:
        with pytest.raises(Inconsistent):
            check_successor(previous, following)


def test_a_consumer_that_sees_some_snapshots_knows_newer_from_older() -> None:
    second = after(FIRST, version=9)
    third = after(second)
    assert compare(None, second) is Age.FIRST
    assert compare(FIRST, third) is Age.NEWER
    assert compare(FIRST, second) is Age.NEWER
    assert compare(third, third) is Age.SAME
    assert compare(third, FIRST) is Age.OLDER
    assert compare(third, second) is Age.OLDER


def test_two_snapshots_of_one_number_are_proof_of_a_fork() -> None:
    for one, other in [
        (FIRST, world.snapshot(root="ab" * 32)),
        (FIRST, world.snapshot(version=8)),
        (after(FIRST), after(FIRST, at="2026-11-22T18:00:01Z")),
    ]:
        with pytest.raises(Inconsistent, match="one number"):
            compare(one, other)


def test_a_version_that_goes_back_is_inconsistent_whichever_was_seen_first() -> None:
    third = after(after(FIRST), version=6)
    for newest, seen in [(FIRST, third), (third, FIRST)]:
        with pytest.raises(Inconsistent, match="earlier version"):
            compare(newest, seen)


def test_a_neighbour_that_names_another_before_it_is_inconsistent() -> None:
    second = after(FIRST, previous="ab" * 32)
    for newest, seen in [(FIRST, second), (second, FIRST)]:
        with pytest.raises(Inconsistent, match="names another"):
            compare(newest, seen)


def test_snapshots_of_two_agreements_do_not_compare() -> None:
    with pytest.raises(Inconsistent, match="different agreements"):
        compare(FIRST, world.snapshot(agreement="agreement-2"))


def test_a_declaration_is_hashed_in_order_and_in_full() -> None:
    tokens = world.declared()
    tagged = b"fieldpact/declaration/1\0" + b"".join(tokens)
    assert declaration_hash(tokens) == hashlib.sha256(tagged).hexdigest()
    for wrong in (
        tokens[::-1],
        tokens[:7],
        [*tokens[:7], tokens[6]],
        [*tokens[:7], tokens[7] + b"x"],
        [],
    ):
        with pytest.raises(Malformed):
            declaration_hash(wrong)


def test_a_leaf_is_the_hash_of_the_customer_and_all_its_records() -> None:
    token, one, two = samples.seed("customer"), b"\1" * 48, b"\2" * 48
    header = b"header"
    entry = token + (2).to_bytes(8, "big")
    entry += one + hashlib.sha256(header).digest()
    entry += two + hashlib.sha256(b"another").digest()
    tagged = b"fieldpact/customer-leaf/1\0" + entry
    leaf = customer_leaf(token, [(one, header), (two, b"another")])
    assert leaf == hashlib.sha256(b"\0" + tagged).digest()


def test_leaves_differ_in_customer_number_order_and_header_of_their_records() -> None:
    token, one, two = samples.seed("customer"), b"\1" * 48, b"\2" * 48
    leaves = [
        customer_leaf(token, [(one, b"a"), (two, b"a")]),
        customer_leaf(token, [(two, b"a"), (one, b"a")]),
        customer_leaf(token, [(one, b"a")]),
        customer_leaf(token, [(one, b"b")]),
        customer_leaf(token, [(one, b"a"), (one, b"a")]),
        customer_leaf(samples.seed("another"), [(one, b"a")]),
    ]
    assert len(set(leaves)) == 6


@pytest.mark.parametrize(
    ("token", "records"),
    [
        (bytes(31), [(bytes(48), b"")]),
        (bytes(32), []),
        (bytes(32), [(bytes(47), b"")]),
        (bytes(32), [(bytes(48), b""), (bytes(49), b"")]),
    ],
)
def test_a_leaf_of_no_record_or_of_odd_lengths_does_not_exist(
    token: bytes, records: list[tuple[bytes, bytes]]
) -> None:
    with pytest.raises(Malformed):
        customer_leaf(token, records)


def test_a_record_is_bound_to_what_its_snapshot_says() -> None:
    header = parse_header(record_header(FIRST, 5).to_bytes())
    assert dataclasses.asdict(header) == {
        "issuer": samples.PROVIDER,
        "key_id": samples.BBS_KEY.key_id(samples.PROVIDER),
        "dataset": samples.DATASET,
        "schema_hash": schema_hash(world.SCHEMA).hex(),
        "messages": 16,
        "grant": samples.AGREEMENT,
        "version": 5,
    }


def test_the_first_snapshot_names_none_before_it() -> None:
    assert FIRST.previous == snapshots.FIRST == "0" * 64
