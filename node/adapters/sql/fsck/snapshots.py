"""Snapshots: their chain, their signatures, and the trees under them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy import Connection

from crypto import merkle
from crypto.encoding import parse_json
from crypto.errors import CryptoError
from ledger.snapshots import (
    FIRST,
    SignedSnapshot,
    Snapshot,
    customer_leaf,
    declaration_hash,
    parse_snapshot,
    record_header,
    verify_snapshot,
)
from ledger.tiles import HEIGHT, WIDTH
from node.adapters.sql import tables as t
from node.adapters.sql.agreements import SqlAgreements
from node.adapters.sql.fsck.findings import Basis, Finding, Row, pages
from node.adapters.sql.snapshots import SqlSnapshots


def parsed(row: Row) -> SignedSnapshot:
    """Return the snapshot of a row.

    Raises:
        CryptoError: It is none, or not in its one form.
        ValueError: It is not even JSON.
    """
    snapshot = parse_snapshot(parse_json(row.core.encode()))
    if snapshot.canonical().decode() != row.core:
        message = "not in canonical form"
        raise ValueError(message)
    return SignedSnapshot(snapshot=snapshot, signature=row.signature)


@dataclass(slots=True)
class Chains:
    """The newest snapshot of each agreement, as far as the log was walked."""

    newest: dict[str, Snapshot] = field(default_factory=dict)

    def follow(self, row: Row, basis: Basis) -> Iterator[str]:
        """Check a row of `snapshots`, and that it follows the one before."""
        try:
            signed = parsed(row)
        except (CryptoError, ValueError, AttributeError) as error:
            yield f"core: {error}"
            return
        snapshot = signed.snapshot
        for column in ("agreement", "sequence", "snapshot_id"):
            if getattr(row, column) != getattr(snapshot, column):
                yield f"{column}: not what the snapshot says"
        if len(row.salt) != 32:
            yield "salt: not 32 bytes"
        try:
            verify_snapshot(signed, basis.me)
        except CryptoError as error:
            yield f"signature: {error}"
        before = self.newest.get(snapshot.agreement)
        number, named = (
            (before.sequence + 1, before.snapshot_id) if before else (0, FIRST)
        )
        if snapshot.sequence != number:
            yield f"sequence: {snapshot.sequence} comes where {number} belongs"
        elif snapshot.previous != named:
            yield "core: names another snapshot as the one before"
        self.newest[snapshot.agreement] = snapshot


def check_trees(connection: Connection, chains: Chains) -> Iterator[Finding]:
    """Check the trees that the newest snapshots are the roots of, and their leaves."""
    known = sa.select(t.agreements.c.id)
    lost = sa.select(t.seals.c.agreement).where(t.seals.c.agreement.not_in(known))
    for name in connection.scalars(lost.distinct()):
        yield Finding("seals", name, "agreement: there is no such agreement")
    for snapshot in chains.newest.values():
        yield from _check_tiles(connection, snapshot)
        yield from _check_leaves(connection, snapshot)


def _tile(connection: Connection, agreement: str, level: int, row: int) -> bytes:
    c = t.tiles.c
    mine = (c.agreement == agreement, c.level == level, c.position == row)
    return connection.scalar(sa.select(c.hashes).where(*mine)) or b""


def _check_tiles(connection: Connection, snapshot: Snapshot) -> Iterator[Finding]:
    c = t.tiles.c
    rows = snapshot.customers
    level = 0
    while True:
        width, count = min(rows, WIDTH), -(-rows // WIDTH)
        above: bytes = b""
        for number in range(count):
            name = f"{snapshot.agreement} {level}/{number}"
            hashes = _tile(connection, snapshot.agreement, level, number)
            if len(hashes) != 32 * width:
                wrong = f"hashes: not {width} of them"
                yield Finding("tiles", name, wrong)
                continue
            found = merkle.root(
                [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
            )
            if count == 1:
                wanted = bytes.fromhex(snapshot.root)
            else:
                if number % WIDTH == 0:
                    place = number >> HEIGHT
                    above = _tile(connection, snapshot.agreement, level + 1, place)
                wanted = above[32 * (number % WIDTH) :][:32]
            if found != wanted:
                yield Finding("tiles", name, "hashes: not those under the root")
        beyond = sa.select(c.position).where(
            c.agreement == snapshot.agreement, c.level == level, c.position >= count
        )
        for place in connection.scalars(beyond):
            name = f"{snapshot.agreement} {level}/{place}"
            yield Finding("tiles", name, "no such tile is in a tree of this size")
        if count == 1:
            return
        rows, level = count, level + 1


def _check_leaves(connection: Connection, snapshot: Snapshot) -> Iterator[Finding]:
    """Check that the seals of each customer give the leaf that was signed."""
    agreement, published = snapshot.agreement, SqlSnapshots(connection)
    declaration = SqlAgreements(connection).declaration(agreement, snapshot.declaration)
    if declaration is None:
        wrong = "missing, though a snapshot is over it"
        yield Finding("declarations", agreement, wrong)
        return
    s = t.seals.c
    early = sa.and_(s.agreement == agreement, s.since > snapshot.sequence + 1)
    for rows in pages(connection, t.seals, s.agreement, s.key, s.since, where=early):
        for row in rows:
            wrong = "since: for a snapshot that is not the next"
            yield Finding("seals", f"{agreement} position {row.position}", wrong)
    waiting = frozenset(published.pending(agreement, snapshot.sequence + 1))
    number, hashes = -1, b""
    for leaf in published.leaves(agreement, None, waiting):
        if leaf.position >> HEIGHT != number:
            number = leaf.position >> HEIGHT
            hashes = _tile(connection, agreement, 0, number)
        token = declaration.tokens[32 * leaf.position :][:32]
        records = [
            (commitment, record_header(snapshot, version).to_bytes())
            for commitment, version in leaf.records
        ]
        held = hashes[32 * (leaf.position % WIDTH) :][:32]
        try:
            same = customer_leaf(token, records) == held
        except CryptoError:
            same = False
        if not same:
            name = f"{agreement} position {leaf.position}"
            wrong = "commitment, version or key: not what the snapshot's leaf is over"
            yield Finding("seals", name, wrong)


def check_declarations(connection: Connection) -> Iterator[Finding]:
    """Check that what consumers declared, and we did, is what it was hashed as."""
    c = t.declarations.c
    for rows in pages(connection, t.declarations, c.agreement, c.number, most=1):
        for row in rows:
            tokens = [row.tokens[at : at + 32] for at in range(0, len(row.tokens), 32)]
            try:
                same = declaration_hash(tokens) == row.hash
            except (CryptoError, ValueError):
                same = False
            if not same:
                name = f"{row.agreement} {row.number}"
                yield Finding("declarations", name, "tokens: not those of the hash")


def check_received(connection: Connection, basis: Basis) -> Iterator[Finding]:
    """Check the snapshots of partners that this node has received."""
    c = t.received_snapshots.c
    for rows in pages(connection, t.received_snapshots, c.agreement, c.sequence):
        for row in rows:
            for wrong in _received_wrongs(row, basis):
                name = f"{row.agreement} {row.sequence}"
                yield Finding("received_snapshots", name, wrong)


def _received_wrongs(row: Row, basis: Basis) -> Iterator[str]:
    try:
        signed = parsed(row)
    except (CryptoError, ValueError, AttributeError) as error:
        yield f"core: {error}"
        return
    for column in ("agreement", "sequence"):
        if getattr(row, column) != getattr(signed.snapshot, column):
            yield f"{column}: not what the snapshot says"
    provider = basis.participant(signed.snapshot.provider)
    if provider is None:
        return
    try:
        verify_snapshot(signed, provider)
    except CryptoError as error:
        yield f"signature: {error}"
