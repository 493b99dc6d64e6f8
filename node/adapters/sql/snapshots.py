"""Commitments to records and the snapshots over them, in SQL.

A seal has a row for each snapshot from which on it holds (`since`). Until that
snapshot is published the row is invisible, so a builder can write a hundred
thousand of them in as many transactions as it likes, and be killed in between.

SQLite keeps no figures about tables here and takes any index for a good one. So
the statements leave it no choice: `tests/integration/test_snapshots.py` counts the
steps that each takes.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from ledger.snapshots import SignedSnapshot, parse_snapshot
from node.adapters.sql import tables as t
from node.ports import KeptSnapshot, Leaf, Record, Seal, SealPlace

_BATCH: Final = 1000
T = TypeVar("T")
_s, _d, _r = t.seals.c, t.declared.c, t.records.c


class SqlSnapshots:
    """Implements `node.ports.Snapshots`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        dialect = connection.dialect.name
        self._upsert = sqlite.insert if dialect == "sqlite" else postgresql.insert

    def current(self, agreement: str) -> KeptSnapshot | None:
        """Return the newest snapshot of an agreement, or None."""
        c = t.snapshots.c
        statement = (
            sa.select(t.snapshots)
            .where(c.agreement == agreement)
            .order_by(c.sequence.desc())
            .limit(1)
        )
        return self._snapshot(statement)

    def find(self, snapshot_id: str) -> KeptSnapshot | None:
        """Return a snapshot that this node signed, or None."""
        c = t.snapshots.c
        return self._snapshot(
            sa.select(t.snapshots).where(c.snapshot_id == snapshot_id)
        )

    def _snapshot(self, statement: sa.Select[Any]) -> KeptSnapshot | None:
        row = self._connection.execute(statement).one_or_none()
        if row is None:
            return None
        return KeptSnapshot(
            signed=signed_snapshot(row), salt=row.salt, index=row.log_index
        )

    def seals(self, agreement: str, positions: Sequence[int], most: int) -> list[Seal]:
        """Return up to `most` published seals, by position and key."""
        found: list[Seal] = []
        for start in range(0, len(positions), _BATCH):
            rows = self._connection.execute(
                sa.select(t.seals)
                .where(
                    _s.agreement == agreement,
                    _s.position.in_(positions[start : start + _BATCH]),
                    # An index by `since` would find all that were ever published.
                    _s.since + 0 <= _published(agreement),
                )
                .order_by(_s.position, _s.key)
                .limit(most - len(found))
            )
            found += [_seal(row) for row in rows]
        return found

    def stale(
        self, agreement: str, dataset: str, *, after: tuple[int, str], most: int
    ) -> list[tuple[Record, int]]:
        """Return records that have to be sealed, with their positions."""
        place = sa.tuple_(_r.version, _r.key)
        rows = self._connection.execute(
            sa.select(t.records, _d.position)
            .select_from(_shared(agreement).outerjoin(t.seals, _sealed(agreement)))
            .where(_r.dataset == dataset, place > after, _s.key.is_(None))
            .order_by(_r.version, _r.key)
            .limit(most)
        )
        return [(record(row), row.position) for row in rows]

    def count(self, agreement: str, dataset: str) -> tuple[int, int]:
        """Return how many records of an agreement are sealed, and how many it has."""
        done, total = self._connection.execute(
            sa.select(sa.func.count(_s.key), sa.func.count())
            .select_from(_shared(agreement).outerjoin(t.seals, _sealed(agreement)))
            .where(_r.dataset == dataset)
        ).one()
        return done, total

    def keep(self, agreement: str, since: int, seals: Sequence[Seal]) -> None:
        """Keep seals for the snapshot to come, in place of those of older versions."""
        rows = [
            {
                "agreement": agreement,
                "since": since,
                "key": seal.record.key,
                "position": seal.position,
                "customer": seal.record.customer,
                "version": seal.record.version,
                "link": seal.record.link,
                "digest": seal.record.digest,
                "blinder": seal.blinder,
                "signature": seal.signature,
                "commitment": seal.commitment,
            }
            for seal in seals
        ]
        if rows:
            put = self._upsert(t.seals)
            new, primary = put.excluded, {"agreement", "key", "since"}
            changed = put.on_conflict_do_update(
                index_elements=sorted(primary),
                set_={name: new[name] for name in rows[0] if name not in primary},
                where=sa.or_(
                    new.version > _s.version,
                    sa.and_(new.version == _s.version, new.position != _s.position),
                ),
            )
            self._connection.execute(changed, rows)

    def pending(self, agreement: str, since: int) -> list[SealPlace]:
        """Return where the seals are that were kept for a snapshot."""
        rows = self._connection.execute(
            sa.select(_s.key, _s.since, _s.position).where(
                _s.agreement == agreement, _s.since == since
            )
        )
        return [SealPlace(*row) for row in rows]

    def count_pending(self, agreement: str, since: int) -> int:
        """Return how many seals were kept for a snapshot."""
        mine = sa.select(sa.func.count()).select_from(t.seals)
        mine = mine.where(_s.agreement == agreement, _s.since == since)
        return self._connection.execute(mine).scalar_one()

    def outdated(
        self, agreement: str, dataset: str, keys: Sequence[str] | None
    ) -> list[SealPlace]:
        """Return seals that newer ones replace, or whose record is not shared now."""
        wanted = (
            sa.select(sa.literal(1))
            .select_from(_shared(agreement))
            .where(
                _r.dataset == dataset,
                _r.key == _s.key,
                _r.version == _s.version,
                _d.position == _s.position,
            )
        )
        old = sa.select(_s.key, _s.since, _s.position).where(
            _s.agreement == agreement, ~wanted.exists()
        )
        found: list[SealPlace] = []
        for part in _parts(keys):
            some = old if part is None else old.where(_s.key.in_(part))
            found += [SealPlace(*row) for row in self._connection.execute(some)]
        return found

    def leaves(
        self,
        agreement: str,
        positions: Sequence[int] | None,
        without: Collection[SealPlace],
    ) -> Iterator[Leaf]:
        """Return the leaves of customers that have records, in order."""
        all_of_it = (
            sa.select(_s.key, _s.since, _s.position, _s.commitment, _s.version)
            .where(_s.agreement == agreement)
            .order_by(_s.position, _s.key)
        )
        for part in _parts(positions):
            some = all_of_it if part is None else all_of_it.where(_s.position.in_(part))
            rows = (
                row
                for row in self._connection.execute(some)
                if SealPlace(*row[:3]) not in without
            )
            for position, of_one in groupby(rows, key=lambda row: row.position):
                records = tuple((row.commitment, row.version) for row in of_one)
                yield Leaf(position=position, records=records)

    def drop(self, agreement: str, seals: Collection[SealPlace]) -> None:
        """Forget seals."""
        rows = [{"a": agreement, "k": seal.key, "n": seal.since} for seal in seals]
        if rows:
            named = (
                _s.agreement == sa.bindparam("a"),
                _s.key == sa.bindparam("k"),
                _s.since == sa.bindparam("n"),
            )
            self._connection.execute(sa.delete(t.seals).where(*named), rows)

    def tiles(
        self, agreement: str, wanted: Iterable[tuple[int, int]]
    ) -> dict[tuple[int, int], bytes]:
        """Return stored tiles of the tree."""
        c = t.tiles.c
        by_level: dict[int, list[int]] = {}
        for level, position in wanted:
            by_level.setdefault(level, []).append(position)
        found: dict[tuple[int, int], bytes] = {}
        for level, positions in by_level.items():
            for start in range(0, len(positions), _BATCH):
                rows = self._connection.execute(
                    sa.select(c.position, c.hashes).where(
                        c.agreement == agreement,
                        c.level == level,
                        c.position.in_(positions[start : start + _BATCH]),
                    )
                )
                found.update(((level, row.position), row.hashes) for row in rows)
        return found

    def publish(
        self, snapshot: KeptSnapshot, tiles: Mapping[tuple[int, int], bytes]
    ) -> None:
        """Make a snapshot the current one, with what changed in its tree."""
        core = snapshot.signed.snapshot
        self._connection.execute(
            sa.insert(t.snapshots).values(
                agreement=core.agreement,
                sequence=core.sequence,
                snapshot_id=core.snapshot_id,
                core=core.canonical().decode(),
                signature=snapshot.signed.signature,
                salt=snapshot.salt,
                log_index=snapshot.index,
            )
        )
        rows = [
            {
                "agreement": core.agreement,
                "level": level,
                "position": position,
                "hashes": hashes,
            }
            for (level, position), hashes in tiles.items()
        ]
        if rows:
            put = self._upsert(t.tiles)
            self._connection.execute(
                put.on_conflict_do_update(
                    index_elements=["agreement", "level", "position"],
                    set_={"hashes": put.excluded.hashes},
                ),
                rows,
            )

    def receive(self, signed: SignedSnapshot) -> SignedSnapshot | None:
        """Keep a partner's snapshot; return the one kept before under its number."""
        core = signed.snapshot
        kept = self._connection.execute(
            self._upsert(t.received_snapshots)
            .values(
                agreement=core.agreement,
                sequence=core.sequence,
                core=core.canonical().decode(),
                signature=signed.signature,
            )
            .on_conflict_do_nothing()
            .returning(t.received_snapshots.c.sequence)
        ).one_or_none()
        return None if kept else self.received(core.agreement, core.sequence)

    def received(self, agreement: str, sequence: int) -> SignedSnapshot | None:
        """Return a partner's snapshot by its number, or None."""
        number = t.received_snapshots.c.sequence
        return self._received(agreement, number == sequence, number)

    def around(
        self, agreement: str, sequence: int
    ) -> tuple[SignedSnapshot | None, SignedSnapshot | None]:
        """Return the partner's snapshots whose numbers are next below and above."""
        number = t.received_snapshots.c.sequence
        return (
            self._received(agreement, number < sequence, number.desc()),
            self._received(agreement, number > sequence, number),
        )

    def _received(
        self,
        agreement: str,
        which: sa.ColumnElement[bool],
        first: sa.ColumnElement[int],
    ) -> SignedSnapshot | None:
        mine = t.received_snapshots.c.agreement == agreement
        row = self._connection.execute(
            sa.select(t.received_snapshots).where(mine, which).order_by(first).limit(1)
        ).one_or_none()
        return None if row is None else signed_snapshot(row)


def _published(agreement: str) -> sa.ScalarSelect[int]:
    """Return the number of the published snapshot, as part of a statement."""
    c = t.snapshots.c
    newest = sa.select(sa.func.max(c.sequence)).where(c.agreement == agreement)
    return newest.scalar_subquery()


def _shared(agreement: str) -> sa.Join:
    """Return the records of customers that an agreement shares."""
    return t.records.join(
        t.declared,
        sa.and_(_d.agreement == agreement, _d.customer == _r.customer),
    )


def _sealed(agreement: str) -> sa.ColumnElement[bool]:
    """Say that a record is sealed as it is now, published or not."""
    return sa.and_(
        _s.agreement == agreement,
        _s.key == _r.key,
        _s.version == _r.version,
        _s.position == _d.position,
    )


def _parts(values: Sequence[T] | None) -> Iterable[Sequence[T] | None]:
    """Return portions of values for a statement each; None, for all, is one."""
    if values is None:
        return [None]
    starts = range(0, len(values), _BATCH)
    return (values[start : start + _BATCH] for start in starts)


def record(row: sa.Row[Any]) -> Record:
    """Return the record that a row of `records` or `seals` holds."""
    return Record(
        key=row.key,
        customer=row.customer,
        link=row.link,
        digest=row.digest,
        version=row.version,
    )


def _seal(row: sa.Row[Any]) -> Seal:
    return Seal(
        record=record(row),
        position=row.position,
        blinder=row.blinder,
        signature=row.signature,
        commitment=row.commitment,
    )


def signed_snapshot(row: sa.Row[Any]) -> SignedSnapshot:
    """Return the snapshot that a row holds, signed."""
    return SignedSnapshot(
        snapshot=parse_snapshot(json.loads(row.core)), signature=row.signature
    )
