"""Laws of the ledger, for whatever hypothesis thinks of."""

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from crypto import merkle
from crypto.encoding import canonical, sha256
from crypto.errors import CryptoError, Malformed
from ledger import checkpoint, log, records
from ledger.checkpoint import Checkpoint
from ledger.errors import Inconsistent
from ledger.evidence import Evidence, evidence_of, parse_evidence
from ledger.memory import MemoryNodes
from ledger.receipts import Receipt, parse_receipt
from ledger.records import FieldType, SchemaField
from ledger.response import parse_response
from ledger.steps import State, verdict
from ledger.verify import verify_evidence
from tests.unit.ledger import samples

FULL, CHAIN = samples.story()
FILE = FULL.render()
WORDS = st.text(
    st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30
)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
NAMES = st.lists(WORDS, unique=True, max_size=4).map(sorted).map(tuple)
COUNTS = st.integers(0, 2**53 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def receipts_(draw: st.DrawFn) -> Receipt:
    """Any well-formed receipt."""
    sequence = draw(COUNTS)
    changes: dict[str, Any] = {
        "agreement": draw(WORDS),
        "sequence": sequence,
        "previous": draw(DIGESTS.filter(lambda d: set(d) != {"0"}))
        if sequence
        else "0" * 64,
        "request_hash": draw(DIGESTS),
        "dataset": draw(WORDS),
        "purpose": draw(WORDS),
        "fields": draw(NAMES.filter(len)),
        "customers": draw(COUNTS),
    }
    if draw(st.booleans()):
        return samples.receipt(
            **changes, records=draw(COUNTS), response_hash=draw(DIGESTS)
        )
    unsaid = draw(
        st.sets(st.sampled_from(["agreement", "dataset", "purpose", "consumer"]))
    )
    changes |= dict.fromkeys(unsaid)
    return samples.refusal(**changes, denials=draw(NAMES.filter(len)))


@given(receipts_())
def test_a_receipt_rendered_and_parsed_is_the_same(receipt: Receipt) -> None:
    again = parse_receipt(json.loads(receipt.canonical()))
    assert again == receipt
    assert again.canonical() == receipt.canonical()


@given(receipts_(), receipts_())
def test_two_receipts_never_share_an_id(one: Receipt, other: Receipt) -> None:
    assert (one == other) == (one.receipt_id == other.receipt_id)


@given(JSON, st.sampled_from(sorted(samples.receipt().to_json())))
def test_whatever_stands_in_a_receipt_it_parses_or_is_malformed(
    value: Any, name: str
) -> None:
    core = samples.receipt().to_json() | {name: value}
    with contextlib.suppress(Malformed):
        assert parse_receipt(core).to_json() == core


@given(st.binary(max_size=200))
def test_any_bytes_parse_as_evidence_or_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_evidence(data)


@given(JSON, st.data())
def test_any_value_anywhere_in_evidence_parses_or_is_malformed(
    value: Any, data: st.DataObject
) -> None:
    written = json.loads(FILE)
    place = written
    while True:
        name = data.draw(
            st.sampled_from(
                sorted(place) if isinstance(place, dict) else range(len(place))
            )
        )
        if (
            not isinstance(place[name], dict | list)
            or not place[name]
            or data.draw(st.booleans())
        ):
            break
        place = place[name]
    place[name] = value
    for parse in (evidence_of, lambda found: parse_response(found | {"header": 1})):
        with contextlib.suppress(Malformed):
            parse(written)
    try:
        steps = verify_evidence(evidence_of(written), samples.PINS, CHAIN)
    except Malformed:
        return
    assert steps


def bound(evidence: Evidence) -> Evidence:
    """Evidence without the members that say where to look, and nothing rests on."""
    assert evidence.anchor
    anchor = replace(evidence.anchor, transaction="0x" + "0" * 64, block=0)
    return replace(evidence, participants=(), anchor=anchor)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 8 * len(FILE) - 1))
def test_no_flipped_bit_of_evidence_survives(bit: int) -> None:
    data = bytearray(FILE)
    data[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(Malformed):
        assume(bound(parse_evidence(bytes(data))) != bound(FULL))
    steps = verify_evidence(bytes(data), samples.PINS, CHAIN)
    assert verdict(steps) is not State.CHECKED


def test_the_members_left_out_of_the_bit_flips_change_nothing() -> None:
    steps = verify_evidence(bound(FULL), samples.PINS, CHAIN)
    assert steps == verify_evidence(FULL, samples.PINS, CHAIN)


@given(st.lists(st.integers(0, 9), max_size=12))
def test_in_whatever_batches_it_grew_the_root_is_that_of_its_leaves(
    batches: list[int],
) -> None:
    nodes, leaves, size = MemoryNodes(), list[bytes](), 0
    for batch in batches:
        fresh = [sha256(bytes([size, number])) for number in range(batch)]
        leaves += fresh
        result = log.integrate(size, nodes, fresh)
        nodes.store(result.nodes)
        assert result.root == merkle.root(leaves)
        assert result.size == len(leaves)
        size = result.size


@given(st.integers(1, 300), st.data())
def test_every_honest_proof_from_stored_nodes_verifies(
    size: int, data: st.DataObject
) -> None:
    nodes = MemoryNodes()
    leaves = [sha256(number.to_bytes(2, "big")) for number in range(size)]
    nodes.store(log.integrate(0, nodes, leaves).nodes)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    root = merkle.root(leaves)

    def inclusion(read: merkle.Reader) -> list[bytes]:
        return merkle.inclusion_proof(index, size, read)

    few = {place: nodes(*place) for place in log.reads(inclusion)}
    proof = inclusion(lambda *place: few[place])
    merkle.verify_inclusion(
        leaf=leaves[index], index=index, size=size, proof=proof, root=root
    )
    checkpoint.advance(
        Checkpoint(origin="o", size=old, root=merkle.root(leaves[:old])),
        Checkpoint(origin="o", size=size, root=root),
        merkle.consistency_proof(old, size, nodes),
    )


@given(st.integers(), st.integers(0, 18))
def test_an_amount_of_money_has_one_spelling(cents: int, scale: int) -> None:
    sign, digits = "-" * (cents < 0), str(abs(cents)).zfill(scale + 1)
    spelled = sign + (f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits)
    field = SchemaField(name="x", type=FieldType.MONEY, scale=scale)
    assert field.message(spelled) == f'"{spelled}"'.encode()
    for other in (
        f"+{spelled}",
        f"0{spelled}",
        f"{spelled}0" if scale else f"{spelled}.0",
    ):
        with pytest.raises(Malformed):
            field.message(other)


@given(st.sampled_from(list(FieldType)), JSON)
def test_any_value_has_a_message_or_is_malformed(kind: FieldType, value: Any) -> None:
    field = SchemaField(name="x", type=kind)
    with contextlib.suppress(Malformed):
        assert field.message(value) == canonical(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_header_or_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        records.parse_header(data)


class GrowingLog(RuleBasedStateMachine):
    """A follower of a log that may be honest, or shrink, or rewrite itself."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes, self.leaves = MemoryNodes(), list[bytes]()
        self.newest: Checkpoint | None = None
        self.seen: list[Checkpoint] = []

    def at(self, leaves: list[bytes]) -> Checkpoint:
        return Checkpoint(origin="o", size=len(leaves), root=merkle.root(leaves))

    def proof(self, size: int, read: merkle.Reader) -> list[bytes]:
        old = self.newest.size if self.newest else 0
        return merkle.consistency_proof(old, size, read) if 0 < old <= size else []

    @rule(count=st.integers(0, 5))
    def grow(self, count: int) -> None:
        size = len(self.leaves)
        fresh = [sha256((size + number).to_bytes(4, "big")) for number in range(count)]
        self.nodes.store(log.integrate(size, self.nodes, fresh).nodes)
        self.leaves += fresh

    @rule()
    def publish(self) -> None:
        new = self.at(self.leaves)
        self.newest = checkpoint.advance(
            self.newest, new, self.proof(new.size, self.nodes)
        )
        self.seen.append(new)

    @precondition(lambda self: self.newest and self.newest.size)
    @rule(data=st.data())
    def shrinking_is_refused(self, data: st.DataObject) -> None:
        assert self.newest
        size = data.draw(st.integers(0, self.newest.size - 1))
        with pytest.raises(Inconsistent):
            checkpoint.advance(self.newest, self.at(self.leaves[:size]), [])

    @precondition(lambda self: self.newest and self.newest.size)
    @rule(data=st.data())
    def rewriting_is_refused(self, data: st.DataObject) -> None:
        assert self.newest
        index = data.draw(st.integers(0, self.newest.size - 1))
        other = [*self.leaves[:index], bytes(32), *self.leaves[index + 1 :]]
        for read in (self.nodes, merkle.stored(other)):
            with pytest.raises((Inconsistent, CryptoError)):
                checkpoint.advance(
                    self.newest, self.at(other), self.proof(len(other), read)
                )

    @invariant()
    def what_was_seen_is_still_there(self) -> None:
        sizes = [known.size for known in self.seen]
        assert sizes == sorted(sizes)
        for known in self.seen[-2:]:
            assert known.root == merkle.root(self.leaves[: known.size])


TestGrowingLog = GrowingLog.TestCase
TestGrowingLog.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None
)
