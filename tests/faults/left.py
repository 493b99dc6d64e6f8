"""What a store must hold after a fault, given what its node has told before.

`Left` looks at a store again and again. It remembers what it saw, so that nothing
that was there may be missing or different later, and computes everything that
follows from the receipts once more: streams, tree, checkpoints, uses and probes.
"""

import contextlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from crypto import merkle
from crypto.encoding import sha256, unb64u
from crypto.notes import open_checkpoint
from ledger import log
from ledger.checkpoint import origin_of
from ledger.conditions import parse_condition
from ledger.participants import Participant
from ledger.receipts import Receipt, SignedReceipt, check_successor, verify_receipt
from node.adapters.sql import tables as t
from node.adapters.sql.receipts import signed_receipt
from node.adapters.sql.snapshots import signed_snapshot
from node.adapters.sql.store import engine_for
from node.domain.agreement import instant
from node.domain.predicates import condition_key
from tests.faults.load import CALLS_CAP, PROBES_CAP, Load

_FORGOTTEN_S = 240
"""Nonces of younger receipts are still there; older ones no token can carry."""


@contextlib.contextmanager
def at_rest(url: str) -> Iterator[sa.Engine]:
    """Open a store whose node was killed; of SQLite a copy: recovery is the node's."""
    target = sa.make_url(url)
    with tempfile.TemporaryDirectory() as place:
        if target.get_backend_name() == "sqlite":
            store = Path(str(target.database))
            for file in (store, store.with_name(store.name + "-wal")):
                if file.exists():
                    shutil.copy(file, place)
            url = f"sqlite:///{Path(place) / store.name}"
        engine = engine_for(url)
        try:
            yield engine
        finally:
            engine.dispose()


@dataclass
class Left:
    """What was in the store when it was looked at last.

    Attributes:
        receipts: By id; those that are there stay there, to the byte.
        places: Of receipts in the log, by id.
    """

    me: Participant
    receipts: dict[str, SignedReceipt] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    _bytes: dict[str, bytes] = field(default_factory=dict)
    _heads: dict[str, Receipt] = field(default_factory=dict)
    _leaves: list[bytes] = field(default_factory=list)
    _nodes: dict[tuple[int, int], bytes] = field(default_factory=dict)
    _published: int = 0
    _answered: int = 0
    _signed_back: set[str] = field(default_factory=set)

    def look(self, load: Load, url: str) -> None:
        """Check everything that must be true of the store."""
        with at_rest(url) as engine, engine.connect() as connection:
            self._look_at_receipts(connection)
            self._look_at_streams(connection)
            self._look_at_tree(connection)
            self._look_at_checkpoints(connection)
            self._look_at_answers(load, connection)
            self._look_at_uses(load, connection)
            self._look_at_probes(load, connection)

    def _look_at_receipts(self, connection: sa.Connection) -> None:
        """What was there is there, as it was; what is new is signed and in order."""
        seen, new = {}, []
        for row in connection.execute(sa.select(t.receipts)):
            name = row.receipt_id
            digest = sha256(row.core.encode(), row.signature, row.salt)
            assert self._bytes.setdefault(name, digest) == digest
            if name in self.places:
                assert row.log_index == self.places[name]
            if row.log_index is not None:
                self.places[name] = row.log_index
            seen[name] = row
            if name not in self.receipts:
                new.append(signed_receipt(row))
        assert seen.keys() >= self.receipts.keys()
        new.sort(key=lambda signed: signed.receipt.sequence)
        for signed in new:
            receipt = signed.receipt
            verify_receipt(signed, self.me)
            check_successor(self._heads.get(receipt.stream), receipt)
            self._heads[receipt.stream] = receipt
            self.receipts[receipt.receipt_id] = signed

    def _look_at_streams(self, connection: sa.Connection) -> None:
        """The head of every stream is its newest receipt."""
        c = t.streams.c
        rows = connection.execute(sa.select(c.stream, c.count, c.head))
        kept = {tuple(row) for row in rows}
        heads = {
            (stream, receipt.sequence + 1, receipt.receipt_id)
            for stream, receipt in self._heads.items()
        }
        assert kept == heads

    def _look_at_tree(self, connection: sa.Connection) -> None:
        """Leaves are entries, without a gap, and stored hashes follow from them."""
        entries = sorted(
            (row.log_index, log.leaf(signed(row), row.salt))
            for table, signed in (
                (t.receipts, signed_receipt),
                (t.snapshots, signed_snapshot),
            )
            for row in connection.execute(
                sa.select(table).where(table.c.log_index.is_not(None))
            )
        )
        assert [index for index, _ in entries] == list(range(len(entries)))
        leaves, before = [leaf for _, leaf in entries], len(self._leaves)
        assert leaves[:before] == self._leaves
        grown = log.integrate(before, self._read, leaves[before:])
        self._nodes |= {(level, at): node for level, at, node in grown.nodes}
        self._leaves = leaves
        stored = {
            (row.level, row.position): row.hash
            for row in connection.execute(sa.select(t.log_nodes))
        }
        assert stored == self._nodes

    def _read(self, level: int, index: int) -> bytes:
        return self._nodes[level, index]

    def _look_at_checkpoints(self, connection: sa.Connection) -> None:
        """Each is signed for its size and root; the newest is over all leaves."""
        c, size = t.checkpoints.c, 0
        rows = connection.execute(
            sa.select(t.checkpoints).where(c.size >= self._published).order_by(c.size)
        )
        for row in rows:
            checkpoint = open_checkpoint(
                row.note, origin=origin_of(self.me.did), keys=self.me.verifiers
            )
            size, root = checkpoint.size, checkpoint.root
            assert (size, root) == (row.size, row.root)
            assert merkle.root_at(size, self._read) == root
        assert size == len(self._leaves)
        self._published = size

    def _look_at_answers(self, load: Load, connection: sa.Connection) -> None:
        """What was acknowledged to anybody is there, to the byte."""
        for told in load.answers[self._answered :]:
            signed = told.signed
            receipt = signed.receipt
            assert self.receipts[receipt.receipt_id] == signed
            assert told.status in {200, 401, 403, 503}, told.body
            assert told.is_allowed == (receipt.decision == "allow")
            if receipt.consumer is not None:
                self._signed_back.update(told.call.signs)
        self._answered = len(load.answers)
        c = t.receipts.c
        signed_back = connection.scalars(
            sa.select(c.receipt_id).where(c.countersignature.is_not(None))
        )
        assert set(signed_back) >= self._signed_back

    def _allowed(self) -> list[Receipt]:
        return [
            signed.receipt
            for signed in self.receipts.values()
            if signed.receipt.decision == "allow"
        ]

    def _look_at_uses(self, load: Load, connection: sa.Connection) -> None:
        """Nonces and calls agree with the receipts: none twice, none free."""
        allowed = self._allowed()
        uses = Counter(receipt.nonce for receipt in allowed)
        assert max(uses.values(), default=1) == 1
        kept = set(connection.scalars(sa.select(t.nonces.c.nonce)))
        young = time.time() - _FORGOTTEN_S
        assert kept >= {
            signed.receipt.nonce
            for signed in self.receipts.values()
            if signed.receipt.nonce and instant(signed.receipt.at).timestamp() > young
        }
        calls = Counter(
            (receipt.agreement, int(instant(receipt.at).timestamp()) // 3600)
            for receipt in allowed
        )
        counted = {
            (row.agreement, row.hour): row.calls
            for row in connection.execute(sa.select(t.usage))
            if not row.agreement.endswith("#declared")
        }
        assert counted == calls
        for (agreement, _), count in calls.items():
            assert agreement not in load.capped or count <= CALLS_CAP

    def _look_at_probes(self, load: Load, connection: sa.Connection) -> None:
        """What was answered about hidden fields was counted, once, and below caps."""
        answered = set()
        for receipt in self._allowed():
            assert receipt.nonce is not None
            body = load.made[receipt.nonce].body
            for condition in map(parse_condition, body["where"]):
                key = bytes.fromhex(condition_key(condition))
                for token in map(unb64u, body["customers"]):
                    for name in condition.fields:
                        answered.add((body["agreement"], token, name, key))
        counted = {tuple(row) for row in connection.execute(sa.select(t.probes))}
        assert counted == answered
        most = Counter(each[:3] for each in counted)
        assert max(most.values(), default=0) <= PROBES_CAP
