"""Laws of witnesses: whatever is asked, nobody cosigns two histories."""

import hashlib
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from crypto import merkle
from crypto.errors import CryptoError, Malformed
from crypto.notes import Checkpoint, sign_checkpoint
from ledger.checkpoint import origin_of
from ledger.cosignature import cosign, open_cosignatures, with_cosignatures
from ledger.tlog_proof import TlogProof, parse_tlog_proof
from ledger.witness import (
    Cosign,
    Held,
    Request,
    judge,
    parse_request,
    parse_size,
    render_size,
)
from tests.unit.ledger import samples

ORIGIN = origin_of(samples.PROVIDER)
_hashes = st.binary(min_size=32, max_size=32)
_sizes = st.integers(0, 2**63 - 1)
_points = st.builds(Checkpoint, origin=st.just(ORIGIN), size=_sizes, root=_hashes)


def _note(point: Checkpoint) -> str:
    return sign_checkpoint(point, samples.PROVIDER_KEY)


@given(_sizes, st.lists(_hashes, max_size=63), _points)
def test_any_request_is_read_as_written(
    old: int, proof: list[bytes], point: Checkpoint
) -> None:
    request = Request(old=old, proof=tuple(proof), note=_note(point))
    assert parse_request(request.render().encode()) == request


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_any_bytes_are_a_request_or_malformed(body: bytes) -> None:
    try:
        request = parse_request(body)
    except Malformed:
        return
    assert request.render().encode() == body


@given(st.text(max_size=40))
def test_any_text_is_a_size_or_malformed(text: str) -> None:
    try:
        size = parse_size(text)
    except Malformed:
        return
    assert render_size(size) == text


@given(
    st.integers(0, 2**63 - 1),
    st.lists(_hashes, max_size=63),
    _points,
    st.none() | st.binary(max_size=64),
)
def test_any_tlog_proof_is_read_as_written(
    index: int, proof: list[bytes], point: Checkpoint, extra: bytes | None
) -> None:
    found = TlogProof(
        index=index, proof=tuple(proof), checkpoint=_note(point), extra=extra
    )
    assert parse_tlog_proof(found.render()) == found


@given(st.text(max_size=400))
def test_any_text_is_a_tlog_proof_or_malformed(text: str) -> None:
    try:
        found = parse_tlog_proof("c2sp.org/tlog-proof@v1\n" + text)
    except Malformed:
        return
    assert found.render() == "c2sp.org/tlog-proof@v1\n" + text


@given(_points, st.integers(1, 2**63 - 1), st.data())
def test_every_cosignature_opens_and_no_flipped_bit_survives(
    point: Checkpoint, at: int, data: st.DataObject
) -> None:
    line = cosign(
        point.render(), did=samples.CONSUMER, signer=samples.CONSUMER_KEY, at=at
    )
    note = with_cosignatures(_note(point), [line.render()])
    witnesses = [samples.CONSUMER_RECORD]
    assert open_cosignatures(note, witnesses) == {samples.CONSUMER: at}
    place = data.draw(st.integers(0, len(note.encode()) * 8 - 1))
    spoiled = bytearray(note.encode())
    spoiled[place // 8] ^= 1 << place % 8
    try:
        # The log's own signature is not looked at; a line of an unknown key is
        # passed over. But nobody is said to have signed what it did not.
        found = open_cosignatures(spoiled.decode(), witnesses)
    except (UnicodeDecodeError, CryptoError):
        return
    assert found in ({}, {samples.CONSUMER: at})
    if found:
        assert spoiled.decode().startswith(point.render())


@dataclass
class _Branch:
    """One of the histories that a dishonest log tells."""

    leaves: list[bytes] = field(default_factory=list)

    def root(self, size: int) -> bytes:
        return merkle.root(self.leaves[:size])

    def proof(self, old: int, size: int) -> list[bytes]:
        return merkle.consistency_proof(old, size, merkle.stored(self.leaves))


class DishonestLog(RuleBasedStateMachine):
    """A log with several histories asks one witness for whatever it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = [_Branch()]
        self.held: Held | None = None
        self.cosigned: list[tuple[_Branch, int]] = []
        self.made = 0

    def _leaf(self) -> bytes:
        self.made += 1
        return hashlib.sha256(self.made.to_bytes(4)).digest()

    @rule(which=st.integers(0, 5), count=st.integers(1, 9))
    def grow(self, which: int, count: int) -> None:
        branch = self.branches[which % len(self.branches)]
        branch.leaves += [self._leaf() for _ in range(count)]

    @rule(which=st.integers(0, 5), keep=st.integers(0, 40))
    def fork(self, which: int, keep: int) -> None:
        leaves = self.branches[which % len(self.branches)].leaves
        self.branches.append(_Branch([*leaves[:keep], self._leaf()]))
        self.branches = self.branches[-5:]

    @rule(
        which=st.integers(0, 5),
        other=st.integers(0, 5),
        size=st.integers(0, 60),
        old=st.integers(0, 60) | st.none(),
    )
    def ask(self, which: int, other: int, size: int, old: int | None) -> None:
        """With the right old size, or another; with a proof of this tree or another."""
        branch = self.branches[which % len(self.branches)]
        size = min(size, len(branch.leaves))
        known = self.held.size if self.held else 0
        old = known if old is None else old
        point = Checkpoint(origin=ORIGIN, size=size, root=branch.root(size))
        tree = self.branches[other % len(self.branches)]
        proof: list[bytes] = []
        if 0 < old <= size <= len(tree.leaves):
            proof = tree.proof(old, size)
        if isinstance(judge(old, proof, point, self.held), Cosign):
            assert old == known
            self.held = Held(size=size, root=point.root)
            self.cosigned.append((_Branch(list(branch.leaves[:size])), size))

    @invariant()
    def what_was_cosigned_is_one_growing_history(self) -> None:
        for (before, size), (after, larger) in zip(
            self.cosigned, self.cosigned[1:], strict=False
        ):
            assert size <= larger
            assert after.leaves[:size] == before.leaves


TestDishonestLog = DishonestLog.TestCase
