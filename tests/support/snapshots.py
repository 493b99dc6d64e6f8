"""What a provider has committed to, computed again from its store and its CRM.

A snapshot is one hash. Here everything that it stands for is computed once more,
from the leaves up: which customer has which leaf, over which commitments; and what
is behind a commitment, from the values in the CRM and the secrets that were kept.
"""

import secrets
from collections.abc import Sequence
from itertools import groupby

import sqlalchemy as sa

from crypto import merkle, predicates, typed
from ledger import tiles
from ledger.disclosure import statement_of
from ledger.participants import Participant
from ledger.snapshots import (
    Snapshot,
    check_successor,
    customer_leaf,
    declaration_hash,
    record_header,
    verify_snapshot,
)
from node.adapters.crm.opening import CrmSources
from node.adapters.sql import tables as t
from node.adapters.sql.snapshots import signed_snapshot
from node.adapters.sql.store import SqlUnitOfWork
from node.ports import Publication, Seal
from node.services.commit import reopen
from node.services.rows import read_rows

_PROVED = 64
"""Records of a snapshot that are proved from; all are compared."""


def check_snapshots(engine: sa.Engine, provider: Participant) -> dict[str, Snapshot]:
    """Recompute the newest tree of every agreement; return the snapshots over them.

    Their statements must be signed and chained, every tile follow from the leaves,
    and every leaf from what is sealed of its customer.
    """
    newest: dict[str, Snapshot] = {}
    c = t.snapshots.c
    in_order = sa.select(t.snapshots).order_by(c.agreement, c.sequence)
    with engine.connect() as connection:
        for signed in map(signed_snapshot, connection.execute(in_order)):
            verify_snapshot(signed, provider)
            snapshot = signed.snapshot
            check_successor(newest.get(snapshot.agreement), snapshot)
            newest[snapshot.agreement] = snapshot
        for snapshot in newest.values():
            _check_tree(connection, snapshot)
    return newest


def _check_tree(connection: sa.Connection, snapshot: Snapshot) -> None:
    c = t.tiles.c
    rows = connection.execute(
        sa.select(t.tiles).where(c.agreement == snapshot.agreement)
    )
    stored = {(row.level, row.position): row.hashes for row in rows}
    lowest = sorted(place for place in stored if place[0] == 0)
    joined = b"".join(stored[place] for place in lowest)
    leaves = [joined[at : at + 32] for at in range(0, len(joined), 32)]
    assert len(leaves) == len(set(leaves)) == snapshot.customers
    assert merkle.root(leaves).hex() == snapshot.root
    again = tiles.change(len(leaves), dict(enumerate(leaves)), {})
    assert again == (stored, bytes.fromhex(snapshot.root))
    _check_leaves(connection, snapshot, leaves)


def _check_leaves(
    connection: sa.Connection, snapshot: Snapshot, leaves: Sequence[bytes]
) -> None:
    view = SqlUnitOfWork(connection)
    declared = view.agreements.declaration(snapshot.agreement)
    assert declared is not None
    tokens = _split(declared.tokens)
    assert declaration_hash(tokens) == declared.hash
    if declared.hash != snapshot.declaration:
        return  # declared anew; nothing is answered from this one any more
    for position, seals in _by_customer(view, snapshot):
        records = [
            (seal.commitment, record_header(snapshot, seal.record.version).to_bytes())
            for seal in seals
        ]
        assert leaves[position] == customer_leaf(tokens[position], records)
        assert max(seal.record.version for seal in seals) <= snapshot.version


def _by_customer(
    view: SqlUnitOfWork, snapshot: Snapshot
) -> list[tuple[int, list[Seal]]]:
    found = view.snapshots.seals(
        snapshot.agreement, range(snapshot.customers), most=10**9
    )
    keys = [seal.record.key for seal in found]
    assert len(set(keys)) == len(keys)
    grouped = groupby(found, key=lambda seal: seal.position)
    return [(position, list(seals)) for position, seals in grouped]


def check_current(engine: sa.Engine, provider: Participant, agreement: str) -> int:
    """Check that a snapshot holds what the CRM does; return how many records.

    All records of customers that are shared are there, in their newest version, and
    of no other customer; what they are made of proves what the CRM holds.
    """
    snapshot = check_snapshots(engine, provider)[agreement]
    with engine.connect() as connection:
        view = SqlUnitOfWork(connection)
        publication = view.datasets.get(snapshot.dataset)
        assert publication is not None
        assert snapshot.declaration == view.agreements.declaration_hash(agreement)
        assert snapshot.schema_hash == typed.schema_hash(publication.schema).hex()
        declared = connection.execute(
            sa.select(t.declared.c.customer, t.declared.c.position).where(
                t.declared.c.agreement == agreement,
                t.declared.c.customer.is_not(None),
            )
        )
        places = {row.customer: row.position for row in declared}
        seals = [seal for _, each in _by_customer(view, snapshot) for seal in each]
        assert {seal.record.key: (seal.record, seal.position) for seal in seals} == {
            record.key: (record, places[record.customer])
            for record in view.datasets.records(snapshot.dataset)
            if record.customer in places
        }
    _check_seals(publication, snapshot, seals, provider)
    return len(seals)


def _check_seals(
    publication: Publication,
    snapshot: Snapshot,
    seals: Sequence[Seal],
    provider: Participant,
) -> None:
    """Prove every field of records, as what the CRM holds, from what was kept."""
    sources = CrmSources({})
    try:
        rows = read_rows(sources, publication, [seal.record for seal in seals])
    finally:
        sources.close()
    assert all(row.unchanged for row in rows)
    names = sorted(field.name for field in publication.dataset.committed)
    statement = statement_of(publication.schema, names, ())
    public = provider.keys["bls12381g2"]
    claims = []
    every = max(1, len(seals) // _PROVED)
    for seal, row in list(zip(seals, rows, strict=True))[::every]:
        values = row.values or {}
        header = record_header(snapshot, seal.record.version)
        made = predicates.prove(
            reopen(publication.schema, seal, values),
            statement,
            public=public,
            header=header,
            ph=b"",
            random_bytes=secrets.token_bytes,
        )
        claims.append(
            predicates.Claim(
                proof=made.proof,
                shown=values,
                statement=statement,
                public=public,
                header=header,
                ph=b"",
                commitment=seal.commitment,
                moves=made.moves,
            )
        )
    predicates.verify_batch(claims, random_bytes=secrets.token_bytes)


def _split(tokens: bytes) -> list[bytes]:
    return [tokens[at : at + 32] for at in range(0, len(tokens), 32)]
