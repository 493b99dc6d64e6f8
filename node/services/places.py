"""Places: where entries of our own log stand, and the proofs of it.

An entry is shown under the checkpoint that an anchor fixed, as soon as there is one:
then nothing is needed to lead from the one to the other. Many entries lie under one
checkpoint, and the paths of neighbours share most of their nodes; so many are proved
at once, with one question to the store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from crypto import merkle
from crypto.hashing import Hashing
from ledger import log
from ledger.cosignature import with_cosignatures
from ledger.evidence import Anchor, Inclusion, Place
from node.ports import StoredAnchor, StoredCheckpoint, UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """A checkpoint, and the anchor that fixed it, if there is one.

    Attributes:
        first: The smallest index that it is known to be shown for.
        note: The checkpoint with what witnesses signed under it.
    """

    first: int
    checkpoint: StoredCheckpoint
    stored: StoredAnchor | None
    note: str

    def holds(self, index: int) -> bool:
        """Tell whether an entry is to be shown under it."""
        return self.first <= index < self.checkpoint.size


@dataclass(slots=True, kw_only=True)
class Places:
    """Looks up places in one transaction.

    Attributes:
        hashing: The hash function of our log.
    """

    view: UnitOfWork
    hashing: Hashing
    _cover: Cover | None = field(default=None)

    def place(self, salt: bytes, index: int | None) -> Place:
        """Return the place of one entry. See `places`."""
        return self.places([(salt, index)])[0]

    def places(self, entries: Sequence[tuple[bytes, int | None]]) -> list[Place]:
        """Return where entries stand.

        Args:
            entries: Salt and index of each; no index: it is not in the tree yet.
                Quickest in the order of the log.
        """
        found = [(salt, at, self._covering(at)) for salt, at in entries]
        wanted: dict[log.Coordinates, None] = {}
        for _, index, cover in found:
            if index is not None and cover is not None:
                reads = log.reads(partial(self._proof, index, cover))
                wanted |= dict.fromkeys(reads)
        nodes = self.view.log.nodes(wanted)
        return [self._place(*each, nodes) for each in found]

    def _place(
        self,
        salt: bytes,
        index: int | None,
        cover: Cover | None,
        nodes: Mapping[log.Coordinates, bytes],
    ) -> Place:
        if index is None or cover is None:
            return Place(salt=salt)
        proof = self._proof(index, cover, lambda level, at: nodes[level, at])
        return Place(
            salt=salt,
            inclusion=Inclusion(index=index, proof=tuple(proof), checkpoint=cover.note),
            anchor=_anchor(cover.stored),
        )

    def _proof(self, index: int, cover: Cover, read: merkle.Reader) -> list[bytes]:
        size = cover.checkpoint.size
        return merkle.inclusion_proof(index, size, read, hashing=self.hashing)

    def _covering(self, index: int | None) -> Cover | None:
        if index is None:
            return None
        if self._cover is None or not self._cover.holds(index):
            self._cover = self._look(index)
        return self._cover

    def _look(self, index: int) -> Cover | None:
        stored = self.view.log.anchor_covering(index)
        checkpoint = self.view.log.checkpoint(stored.size if stored else None)
        if checkpoint is None or checkpoint.size <= index:
            return None
        lines = self.view.witness.cosignatures(checkpoint.size)
        note = with_cosignatures(checkpoint.note, (each.line for each in lines))
        return Cover(first=index, checkpoint=checkpoint, stored=stored, note=note)


def _anchor(stored: StoredAnchor | None) -> Anchor | None:
    if stored is None or stored.transaction is None or stored.block is None:
        return None
    return Anchor(
        chain_id=stored.chain_id,
        contract=stored.contract,
        member=stored.member.lower(),
        epoch=stored.epoch,
        commitment=stored.commitment,
        salt=stored.salt,
        checkpoint=stored.note,
        consistency=(),
        transaction=stored.transaction,
        block=stored.block,
    )
