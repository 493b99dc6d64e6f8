"""Doubles without a disk or a network: tree nodes, a chain, a provider's log.

They keep every promise of the ports, and forget everything when they go. A
`MemoryLog` walks entries through all four stations, and shows on one page what
a node does with a database, a background task and a real chain:

    sequence  →  integrate  →  publish  →  anchor

Not for production: nothing here is durable, and nothing is safe to share
between threads.
"""

from collections.abc import Iterable
from dataclasses import replace

from crypto import merkle
from crypto.signing import Signer
from ledger import log
from ledger.checkpoint import (
    Checkpoint,
    anchor_commitment,
    origin_of,
    sign_checkpoint,
)
from ledger.evidence import Anchor, Evidence, Inclusion, Place
from ledger.memory_chain import MemoryChain
from ledger.participants import Participant
from ledger.ports import Anchored
from ledger.receipts import SignedReceipt
from ledger.snapshots import SignedSnapshot


class MemoryNodes:
    """Complete subtrees of a log, in a dictionary. Is a `merkle.Reader`."""

    def __init__(self) -> None:
        self._nodes: dict[log.Coordinates, bytes] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Return a stored hash; `KeyError` when it was never stored."""
        return self._nodes[level, index]

    def store(self, nodes: Iterable[tuple[int, int, bytes]]) -> None:
        """Keep the nodes of an `Integration`; what is stored never changes."""
        for level, index, node in nodes:
            if self._nodes.setdefault((level, index), node) != node:
                raise ValueError("a stored node changes")


class MemoryLog:
    """A provider's log, and everything it can say about an entry.

    Args:
        participant: The provider, as its consortium pins it.
        key: Its signing key.
    """

    def __init__(self, participant: Participant, key: Signer) -> None:
        self.participant = participant
        self.nodes = MemoryNodes()
        self.size = 0
        self._key = key
        self._hashing = participant.hashing
        self._entries: list[tuple[SignedReceipt | SignedSnapshot, bytes]] = []
        self._notes: list[tuple[int, str]] = []
        self._anchors: list[tuple[int, Anchor]] = []

    def sequence(self, signed: SignedReceipt | SignedSnapshot, *, salt: bytes) -> int:
        """Give an entry its place in the log's order."""
        self._entries.append((signed, salt))
        return len(self._entries) - 1

    def integrate(self) -> None:
        """Join every waiting entry to the tree."""
        waiting = self._entries[self.size :]
        leaves = [log.leaf(*entry, hashing=self._hashing) for entry in waiting]
        result = log.integrate(self.size, self.nodes, leaves, hashing=self._hashing)
        self.nodes.store(result.nodes)
        self.size = result.size

    def publish(self) -> str:
        """Sign a checkpoint of the tree as it is."""
        checkpoint = Checkpoint(
            origin=origin_of(self.participant.did),
            size=self.size,
            root=merkle.root_at(self.size, self.nodes, hashing=self._hashing),
        )
        note = sign_checkpoint(checkpoint, self._key)
        self._notes.append((self.size, note))
        return note

    def anchor(self, chain: MemoryChain, *, salt: bytes) -> Anchored:
        """Anchor the newest published checkpoint under the next epoch."""
        size, note = self._notes[-1]
        anchored = chain.anchor(
            epoch=chain.latest_epoch(chain.member) + 1,
            commitment=anchor_commitment(note, salt, hashing=self._hashing),
        )
        anchor = Anchor(
            chain_id=chain.chain_id,
            contract=chain.contract,
            member=chain.member,
            epoch=anchored.epoch,
            commitment=anchored.commitment,
            salt=salt,
            checkpoint=note,
            consistency=(),
            transaction=anchored.transaction,
            block=anchored.block,
        )
        self._anchors.append((size, anchor))
        return anchored

    def place(self, index: int) -> Place:
        """Return where an entry stands by now, from first to last."""
        _, salt = self._entries[index]
        published = [(size, note) for size, note in self._notes if size > index]
        if not published:
            return Place(salt=salt)
        size, note = published[0]
        proof = merkle.inclusion_proof(index, size, self.nodes, hashing=self._hashing)
        inclusion = Inclusion(index=index, proof=tuple(proof), checkpoint=note)
        place = Place(salt=salt, inclusion=inclusion)
        anchored = [(later, anchor) for later, anchor in self._anchors if later >= size]
        if not anchored:
            return place
        later, anchor = anchored[0]
        steps = merkle.consistency_proof(size, later, self.nodes, hashing=self._hashing)
        return replace(place, anchor=replace(anchor, consistency=tuple(steps)))

    def evidence(self, index: int, *consumer: Participant) -> Evidence:
        """Return all there is to show for a receipt by now."""
        signed, _ = self._entries[index]
        if isinstance(signed, SignedSnapshot):
            raise TypeError("a snapshot is no call")
        place = self.place(index)
        return Evidence(
            signed=signed,
            salt=place.salt,
            participants=(self.participant, *consumer),
            inclusion=place.inclusion,
            anchor=place.anchor,
        )
