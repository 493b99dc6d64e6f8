"""What was published of the tree: checkpoints, anchors, what witnesses signed."""

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection

from crypto.errors import CryptoError
from crypto.notes import Checkpoint, open_checkpoint
from ledger.checkpoint import anchor_commitment, origin_of
from ledger.cosignature import open_cosignatures, with_cosignatures
from ledger.participants import Participant
from ledger.rebuild import Rebuild
from node.adapters.sql import tables as t
from node.adapters.sql.fsck.findings import Basis, Finding, Row, pages

_HELD: Final = ("mined", "final", "adopted")
_STATES: Final = ("queued", "signed", "sent", *_HELD)


def _opened(note: str, owner: Participant) -> Checkpoint:
    """Return a log's checkpoint. Raises `CryptoError` where it did not sign it."""
    origin = origin_of(owner.did)
    return open_checkpoint(note, origin=origin, keys=owner.verifiers)


class Checkpoints:
    """Checkpoints in the order of their sizes, beside a tree that grows."""

    def __init__(self, connection: Connection, basis: Basis) -> None:
        found = pages(connection, t.checkpoints, t.checkpoints.c.size)
        self._rows = (row for rows in found for row in rows)
        self._next = next(self._rows, None)
        self._newest = -1
        self._basis = basis

    def follow(self, rebuild: Rebuild) -> Iterator[Finding]:
        """Check the checkpoint of the size that the tree has now, if there is one."""
        while self._next is not None and self._next.size <= rebuild.size:
            row, self._next = self._next, next(self._rows, None)
            self._newest = row.size
            self._basis.checkpoints += 1
            for wrong in self._wrongs(row, rebuild):
                yield Finding("checkpoints", str(row.size), wrong)

    def _wrongs(self, row: Row, rebuild: Rebuild) -> Iterator[str]:
        try:
            told = _opened(row.note, self._basis.me)
        except CryptoError as error:
            yield f"note: {error}"
            told = None
        roots = rebuild.roots() if row.size == rebuild.size else set()
        if told is None:
            if row.root not in roots:
                yield "root: not the root of the tree at this size"
        elif told.size != row.size:
            yield f"size: the note is about {told.size}"
        elif told.root not in roots:
            yield "note: signs another root than the tree has at this size"
        elif told.root != row.root:
            yield "root: not what the note says"

    def finish(self, rebuild: Rebuild) -> Iterator[Finding]:
        """Name checkpoints that are beyond the tree; miss the newest."""
        if rebuild.size and self._newest != rebuild.size:
            wrong = "missing, though the tree has this size"
            yield Finding("checkpoints", str(rebuild.size), wrong)
        while self._next is not None:
            row, self._next = self._next, next(self._rows, None)
            wrong = f"size: the tree has only {rebuild.size} entries"
            yield Finding("checkpoints", str(row.size), wrong)


def check_anchors(connection: Connection, basis: Basis, size: int) -> Iterator[Finding]:
    """Check every anchor, and compare it with the chain where it is to be asked.

    Raises:
        ChainUnavailable: The chain does not answer.
    """
    c = t.anchors.c
    epochs: dict[tuple[int, str, str], int] = {}
    for rows in pages(connection, t.anchors, c.epoch, c.row):
        for row in rows:
            basis.anchors += 1
            account = (row.chain_id, row.contract, row.member)
            following = epochs.get(account, 0) + 1
            name = f"{row.row} (epoch {row.epoch})"
            if row.epoch != following:
                yield Finding("anchors", name, f"epoch: {following} is missing before")
            epochs[account] = row.epoch
            for wrong in _anchor_wrongs(connection, row, basis, size):
                yield Finding("anchors", name, wrong)
    yield from _beyond(basis, epochs)


def _anchor_wrongs(
    connection: Connection, row: Row, basis: Basis, size: int
) -> Iterator[str]:
    if row.state not in _STATES:
        yield "state: no state of an anchor"
    if row.state in {"mined", "final"} and None in {row.transaction_hash, row.block}:
        yield "transaction_hash: missing, though the chain is said to hold it"
    if row.state != "adopted":
        yield from _opening_wrongs(connection, row, basis, size)
    yield from _chain_wrongs(row, basis)


def _opening_wrongs(
    connection: Connection, row: Row, basis: Basis, size: int
) -> Iterator[str]:
    try:
        told = _opened(row.note, basis.me)
    except CryptoError as error:
        yield f"note: {error}"
        return
    if told.size != row.size:
        yield f"size: the note is about {told.size}"
        return
    c = t.checkpoints.c
    known = connection.scalar(sa.select(c.root).where(c.size == told.size))
    if known is None or told.size > size:
        yield f"note: there is no checkpoint of {told.size} entries"
    elif known != told.root:
        yield "note: anchors another root than the checkpoint of this size"
    hashing = basis.me.hashing
    if anchor_commitment(row.note, row.salt, hashing=hashing) != row.commitment:
        yield "commitment: note and salt do not open it"


def _chain_wrongs(row: Row, basis: Basis) -> Iterator[str]:
    chain = basis.chain
    if chain is None or row.state not in _HELD:
        return
    if row.contract.lower() != chain.contract.lower():
        return  # of a contract that was anchored in before
    if row.chain_id != chain.chain_id:
        yield f"chain_id: the chain that answers is {chain.chain_id}"
        return
    held = chain.commitment(row.member, row.epoch)
    if held is None:
        yield "commitment: the chain holds nothing for this epoch"
    elif held != row.commitment:
        yield f"commitment: the chain holds {held.hex()[:16]}… for this epoch"


def _beyond(basis: Basis, epochs: dict[tuple[int, str, str], int]) -> Iterator[Finding]:
    """Name epochs that the chain holds of this node and the store does not."""
    chain = basis.chain
    if chain is None:
        return
    member = basis.me.chain_address.lower()
    known = max(
        (
            epoch
            for (_, contract, account), epoch in epochs.items()
            if (contract.lower(), account.lower()) == (chain.contract.lower(), member)
        ),
        default=0,
    )
    latest = chain.latest_epoch(member) if basis.latest is None else basis.latest
    if latest > known:
        wrong = f"missing: the chain holds {latest} epochs of this node"
        yield Finding("anchors", f"(epoch {known + 1})", wrong)


def check_cosignatures(connection: Connection, basis: Basis) -> Iterator[Finding]:
    """Check what witnesses have signed of our checkpoints."""
    c = t.cosignatures.c
    for rows in pages(connection, t.cosignatures, c.size, c.witness):
        for row in rows:
            name = f"{row.size} {row.witness}"
            witness = basis.participant(row.witness)
            known = sa.select(t.checkpoints.c.note).where(
                t.checkpoints.c.size == row.size
            )
            note = connection.scalar(known)
            if note is None:
                yield Finding("cosignatures", name, "size: no checkpoint has it")
            elif witness is not None:
                for wrong in _cosignature_wrongs(row, note, witness):
                    yield Finding("cosignatures", name, wrong)


def _cosignature_wrongs(row: Row, note: str, witness: Participant) -> Iterator[str]:
    try:
        signed = open_cosignatures(with_cosignatures(note, [row.line]), [witness])
    except CryptoError as error:
        yield f"line: {error}"
        return
    if witness.did not in signed:
        yield "line: not signed by this witness"
    elif signed[witness.did] != row.at:
        yield "at: not when the witness says that it signed"


def check_witnessed(connection: Connection, basis: Basis) -> Iterator[Finding]:
    """Check the checkpoints of others that this node has seen as their witness."""
    owners = {origin_of(did): each for did, each in basis.pins.items()}
    for row in connection.execute(sa.select(t.witnessed)):
        owner = owners.get(row.origin)
        if owner is None:
            basis.unknown.add(row.origin)
            continue
        try:
            told = _opened(row.note, owner)
        except CryptoError as error:
            yield Finding("witnessed", row.origin, f"note: {error}")
            continue
        for column in ("size", "root"):
            if getattr(told, column) != getattr(row, column):
                wrong = f"{column}: not what the note says"
                yield Finding("witnessed", row.origin, wrong)
