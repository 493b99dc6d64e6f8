"""Draft a snapshot: work out its tree before anybody has to wait for it.

Of a hundred thousand records that takes a second or two, in which a store that was
locked would answer nobody. So all of it is read and hashed in one state of the
store; then, with the store locked, it is only looked whether that state still
holds, and the draft is put in its place. If it does not hold, nothing has happened.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from crypto import typed
from crypto.signing import Signer
from ledger import tiles
from ledger.snapshots import FIRST, Snapshot, customer_leaf, sign_snapshot
from node.domain.agreement import Status, render_instant
from node.domain.negotiation import Role
from node.ports import (
    Clock,
    KeptAgreement,
    KeptSnapshot,
    Publication,
    Randomness,
    SealPlace,
    UnitOfWork,
)
from node.services.commit import Commit

START = (-1, "")
"""Comes before every version and key."""


class Unsealed(Exception):
    """There is a record that is not sealed as it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a snapshot to come starts from.

    Attributes:
        declaration: Hash of what is declared under the agreement.
        last: The newest snapshot, None before the first.
        sealed: Version up to which every record is in that snapshot's tree; None if
            there is no tree, or it is over other customers or records of another
            schema or key.
    """

    provider: str
    agreement: str
    publication: Publication
    declaration: str
    last: Snapshot | None
    sealed: int | None

    @property
    def dataset(self) -> str:
        """Return the dataset's id."""
        return self.publication.dataset.id

    @property
    def following(self) -> int:
        """Return the number of the snapshot to come."""
        return self.last.sequence + 1 if self.last else 0

    @property
    def after(self) -> tuple[int, str]:
        """Return version and key after which records can be unsealed."""
        return START if self.sealed is None else (self.sealed + 1, "")

    def fits(self, now: "Basis | None") -> bool:
        """Tell whether what was sealed on this can be kept now.

        Not if fields have another meaning: a record can be sealed under the old one
        in its new version, and look as if it were sealed as it is.
        """
        return now is not None and _meaning(self) == _meaning(now)

    def is_still(self, now: "Basis | None") -> bool:
        """Tell whether a snapshot that was drafted on this can be published now."""
        return (
            now is not None
            and self.fits(now)
            and self.publication.version == now.publication.version
        )


def _meaning(basis: Basis) -> tuple[object, ...]:
    publication = basis.publication
    return (
        basis.agreement,
        basis.declaration,
        basis.last,
        publication.schema,
        publication.key_id,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A snapshot that is worked out and not yet signed.

    Attributes:
        pending: How many seals were kept for it.
        old: Seals that do not hold any more.
        size: Number of leaves.
        tree: The tiles that change.
    """

    basis: Basis
    pending: int
    old: Collection[SealPlace]
    size: int
    tree: Mapping[tiles.Place, bytes]
    root: bytes


def stands(
    view: UnitOfWork, agreement: str, current: KeptSnapshot | None, key_id: str
) -> bool:
    """Tell whether a snapshot is over the customers that are declared now.

    Args:
        key_id: Of the key that this node proves with.
    """
    if current is None:
        return False
    snapshot = current.signed.snapshot
    declared = view.agreements.declaration_hash(agreement)
    return (snapshot.declaration, snapshot.bbs_key_id) == (declared, key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftSnapshot:
    """Drafts snapshots, and signs them."""

    commit: Commit
    clock: Clock
    randomness: Randomness
    signer: Signer

    def needed(
        self, view: UnitOfWork, agreement: str
    ) -> tuple[KeptAgreement, Publication, str] | None:
        """Return what an agreement's snapshot is about; None if it needs none.

        Returns:
            The agreement, its dataset, and the hash of what is declared under it.
        """
        kept = view.agreements.get(agreement)
        if kept is None or kept.role is not Role.PROVIDER:
            return None
        if kept.status is Status.REVOKED:
            return None
        if self.clock.now() >= kept.agreement.terms.valid_to:
            return None
        if not kept.agreement.terms.shows_records:
            return None
        publication = view.datasets.get(kept.agreement.dataset)
        declaration = view.agreements.declaration_hash(agreement)
        if publication is None or declaration is None:
            return None
        return kept, publication, declaration

    def basis(self, view: UnitOfWork, agreement: str) -> Basis | None:
        """Return what a snapshot starts from; None if there is none to make now."""
        needed = self.needed(view, agreement)
        if needed is None:
            return None
        kept, publication, declaration = needed
        if publication.key_id != self.commit.key_id:
            return None  # until it is published under the key that is ours now
        current = view.snapshots.current(agreement)
        last = current.signed.snapshot if current else None
        standing = last is not None and (
            (last.declaration, last.schema_hash, last.bbs_key_id)
            == (
                declaration,
                typed.schema_hash(publication.schema).hex(),
                publication.key_id,
            )
        )
        return Basis(
            provider=kept.agreement.assigner,
            agreement=agreement,
            publication=publication,
            declaration=declaration,
            last=last,
            sealed=last.version if last is not None and standing else None,
        )

    def __call__(
        self,
        view: UnitOfWork,
        agreement: str,
        keys: Sequence[str] | None,
        after: tuple[int, str],
    ) -> Draft | None:
        """Work out the snapshot of what is sealed; None if it has not changed.

        Args:
            keys: Look whether the seals of these records, and the new ones, still
                hold; None for all of them.
            after: Version and key of records; those before are known to be sealed.

        Raises:
            Unsealed: Something is not sealed yet.
        """
        basis = self.basis(view, agreement)
        if basis is None:
            return None
        snapshots, whole = view.snapshots, basis.sealed is None
        if snapshots.stale(agreement, basis.dataset, after=after, most=1):
            raise Unsealed
        new = snapshots.pending(agreement, basis.following)
        looked = None
        if keys is not None and not whole:
            looked = sorted({*keys, *(seal.key for seal in new)})
        old = frozenset(snapshots.outdated(agreement, basis.dataset, looked))
        changed = sorted({seal.position for seal in (*new, *old)})
        if not whole and not changed:
            return None
        return self._draft(view, basis, len(new), old, None if whole else changed)

    def _draft(
        self,
        view: UnitOfWork,
        basis: Basis,
        pending: int,
        old: frozenset[SealPlace],
        changed: Sequence[int] | None,
    ) -> Draft | None:
        declaration = view.agreements.declaration(basis.agreement)
        if declaration is None:
            return None
        size, tokens = declaration.size, declaration.tokens
        # Whose customer we do not know has a leaf that says nothing.
        positions = range(size) if changed is None else changed
        leaves = {position: self.randomness(32) for position in positions}
        leaves |= self._leaves(view, basis, tokens, old, changed)
        wanted = () if changed is None else tiles.needed(size, leaves)
        stored = view.snapshots.tiles(basis.agreement, wanted)
        tree, root = tiles.change(size, leaves, stored)
        return Draft(
            basis=basis, pending=pending, old=old, size=size, tree=tree, root=root
        )

    def _leaves(
        self,
        view: UnitOfWork,
        basis: Basis,
        tokens: bytes,
        old: frozenset[SealPlace],
        changed: Sequence[int] | None,
    ) -> Iterator[tuple[int, bytes]]:
        @cache
        def header(version: int) -> bytes:
            publication, agreement = basis.publication, basis.agreement
            return self.commit.header(publication, agreement, version).to_bytes()

        for leaf in view.snapshots.leaves(basis.agreement, changed, old):
            token = tokens[32 * leaf.position : 32 * (leaf.position + 1)]
            records = [(point, header(version)) for point, version in leaf.records]
            yield leaf.position, customer_leaf(token, records)

    def publish(self, work: UnitOfWork, draft: Draft) -> bool:
        """Sign a snapshot and change its tree; False if the draft is not true now."""
        basis = draft.basis
        self.hold(work, basis.agreement)
        pending = work.snapshots.count_pending(basis.agreement, basis.following)
        if not basis.is_still(self.basis(work, basis.agreement)):
            return False
        if pending != draft.pending:
            return False
        work.snapshots.drop(basis.agreement, draft.old)
        signed = sign_snapshot(self._snapshot(draft), self.signer)
        kept = KeptSnapshot(signed=signed, salt=self.randomness(32), index=None)
        work.snapshots.publish(kept, draft.tree)
        return True

    def hold(self, work: UnitOfWork, agreement: str) -> None:
        """Keep an agreement and its dataset as they are until the transaction ends."""
        kept = work.agreements.hold(agreement)
        if kept is not None:
            work.datasets.hold(kept.agreement.dataset)

    def _snapshot(self, draft: Draft) -> Snapshot:
        basis, publication = draft.basis, draft.basis.publication
        return Snapshot(
            provider=basis.provider,
            agreement=basis.agreement,
            dataset=basis.dataset,
            version=publication.version,
            sequence=basis.following,
            previous=basis.last.snapshot_id if basis.last else FIRST,
            declaration=basis.declaration,
            customers=draft.size,
            root=draft.root.hex(),
            schema_hash=typed.schema_hash(publication.schema).hex(),
            messages=typed.size(publication.schema),
            bbs_key_id=publication.key_id,
            at=render_instant(self.clock.now()),
            key_id=self.signer.key_id(basis.provider),
        )
