"""Laws of the ledger, for whatever hypothesis thinks of."""

import contextlib
import json
import secrets
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from crypto import merkle
from crypto.encoding import sha256
from crypto.errors import CryptoError, Malformed
from crypto.typed import Field, Kind
from ledger import checkpoint, log
from ledger.checkpoint import Checkpoint
from ledger.conditions import Condition, parse_condition
from ledger.disclosure import parse_disclosure, verify_disclosure
from ledger.errors import Inconsistent
from ledger.evidence import Anchor, Evidence, evidence_of, parse_evidence
from ledger.memory import MemoryNodes
from ledger.receipts import Receipt, parse_receipt
from ledger.response import parse_response
from ledger.snapshots import (
    Age,
    Snapshot,
    check_successor,
    compare,
    parse_snapshot,
)
from ledger.steps import State, verdict
from ledger.verify import verify_evidence
from tests.unit.ledger import planned, samples, world

FULL, CHAIN = world.story()
STEP = planned.signed()
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
    }
    if draw(st.booleans()):
        return draw(steps_(changes))
    changes |= {"customers": draw(COUNTS)}
    if draw(st.booleans()):
        sent = {"records": draw(COUNTS), "response_hash": draw(DIGESTS)}
        if draw(st.booleans()):
            return samples.receipt(**changes, **sent)
        where = {"where": (world.AT_LEAST_THREE,), "withheld": draw(COUNTS)}
        return samples.receipt(**changes, **sent, **where)
    unsaid = draw(
        st.sets(st.sampled_from(["agreement", "dataset", "purpose", "consumer"]))
    )
    changes |= dict.fromkeys(unsaid)
    return samples.refusal(**changes, denials=draw(NAMES.filter(len)))


@st.composite
def steps_(draw: st.DrawFn, changes: dict[str, Any]) -> Receipt:
    """Any well-formed receipt of a step, with these members."""
    changes |= {"step": draw(WORDS), "fields": draw(NAMES), "plan": draw(DIGESTS)}
    changes |= {"spent": draw(st.integers(0, 20_000_000))}
    if draw(st.booleans()):
        return planned.step_receipt(STEP, **changes, response_hash=draw(DIGESTS))
    if draw(st.booleans()):
        changes |= {"plan": None, "spent": 0}
    denials = draw(NAMES.filter(len))
    return planned.step_refusal(STEP, **changes, denials=denials)


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
    for parse in (evidence_of, lambda found: parse_response(found | {"schema": 1})):
        with contextlib.suppress(Malformed):
            parse(written)
    try:
        steps = verify_evidence(evidence_of(written), samples.PINS, CHAIN)
    except Malformed:
        return
    assert steps


def bound(evidence: Evidence) -> Evidence:
    """Evidence without what nothing rests on: where to look, and what makes it quick."""
    assert evidence.disclosure
    assert evidence.snapshot_place
    place, told = evidence.snapshot_place, evidence.disclosure
    answers = tuple(
        replace(
            answer,
            records=answer.records
            and tuple(replace(record, moves=b"") for record in answer.records),
        )
        for answer in told.answers
    )
    return replace(
        evidence,
        participants=(),
        anchor=nowhere(evidence.anchor),
        snapshot_place=replace(place, anchor=nowhere(place.anchor)),
        disclosure=replace(told, answers=answers),
    )


def nowhere(anchor: Anchor | None) -> Anchor | None:
    """An anchor that does not say in which transaction to look."""
    return anchor and replace(anchor, transaction="0x" + "0" * 64, block=0)


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


@given(JSON, st.sampled_from(sorted(world.snapshot().to_json())))
def test_whatever_stands_in_a_snapshot_it_parses_or_is_malformed(
    value: Any, name: str
) -> None:
    core = world.snapshot().to_json() | {name: value}
    with contextlib.suppress(Malformed):
        assert parse_snapshot(core).to_json() == core


@given(JSON, st.sampled_from(["fields", "is", "values"]))
def test_whatever_stands_in_a_condition_it_parses_or_is_malformed(
    value: Any, name: str
) -> None:
    core = world.AT_LEAST_THREE.to_json() | {name: value}
    with contextlib.suppress(Malformed):
        assert parse_condition(core).to_json() == core


FIELD = (Field(name="x", kind=Kind.INTEGER), Field(name="y", kind=Kind.INTEGER))
NUMBERS = st.integers(-(2**53) + 2, 2**53 - 2)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_condition_holds_exactly_where_arithmetic_says_so(
    x: int, y: int, bound: int
) -> None:
    values = {"x": x, "y": y}

    def holds(operator: str, names: list[str], *bounds: int) -> bool:
        return Condition.of(operator, names, bounds).holds(FIELD, values)

    assert holds("at_least", ["x"], bound) == (x >= bound)
    assert holds("at_most", ["x"], bound) == (x <= bound)
    assert holds("no_more_than", ["x", "y"]) == (x <= y)
    assert holds("no_more_than", ["y", "x"]) == (y <= x)
    assert holds("equal", ["x", "y"]) == (x == y)
    assert holds("sum_at_least", ["x", "y"], bound) == (x + y >= bound)
    if y < bound:
        assert holds("between", ["x"], y, bound) == (y <= x <= bound)
    if y != bound:
        assert holds("one_of", ["x"], y, bound) == (x in {y, bound})


DISCLOSED = FULL.disclosure.to_json() if FULL.disclosure else {}


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every text and number in JSON, as its container and its name there."""
    names = value if isinstance(value, dict) else range(len(value))
    found: list[tuple[Any, Any]] = []
    for name in names:
        inner = value[name]
        found += places(inner) if isinstance(inner, dict | list) else [(value, name)]
    return found


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(places(DISCLOSED)) - 1), st.data())
def test_no_member_of_a_disclosure_is_exchanged_for_another(
    at: int, data: st.DataObject
) -> None:
    """Each is under the receipt, the snapshot or a proof; but for `moves`."""
    written = json.loads(json.dumps(DISCLOSED))
    every = places(written)
    within, name = every[at]
    assume(name != "moves")
    others = [holder[key] for holder, key in every if key != "moves"]
    within[name] = data.draw(st.sampled_from(others))
    assume(written != DISCLOSED)
    with pytest.raises(CryptoError):
        verify_disclosure(
            parse_disclosure(written),
            FULL.signed.receipt,
            samples.PROVIDER_RECORD,
            rank=world.rank,
            random_bytes=secrets.token_bytes,
        )


@st.composite
def histories(draw: st.DrawFn) -> list[Snapshot]:
    """Snapshots of one agreement, as an honest provider makes them."""
    found: list[Snapshot] = []
    for _ in range(draw(st.integers(1, 6))):
        last = found[-1] if found else None
        more: dict[str, Any] = {"root": draw(DIGESTS)}
        if last:
            more |= {"sequence": last.sequence + 1, "previous": last.snapshot_id}
            more |= {"version": last.version + draw(st.integers(0, 2))}
        found.append(world.snapshot(**more))
    return found


@given(histories(), st.data())
def test_of_any_two_snapshots_the_later_is_newer(
    history: list[Snapshot], data: st.DataObject
) -> None:
    one, other = (
        data.draw(st.integers(0, len(history) - 1), label=name) for name in "ab"
    )
    ages = {-1: Age.OLDER, 0: Age.SAME, 1: Age.NEWER}
    sign = (other > one) - (other < one)
    assert compare(history[one], history[other]) is ages[sign]
    rewritten = replace(history[one], root=sha256(b"another").hex())
    with pytest.raises(Inconsistent):
        compare(history[one], rewritten)
    for before, after in pairwise(history):
        check_successor(before, after)


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
