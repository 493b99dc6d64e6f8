"""What the command line does with a store itself, also while the node runs.

Checking it (`fieldpact fsck`), and taking receipts out of it into an archive. All of it
only reads; what changes something goes through the running node's management API. The
one exception is the alarm of a check that was told to sound one.
"""

import datetime
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ledger import log
from ledger.participants import Participant, Pins
from ledger.rpc_reader import RpcChainReader
from node import offline
from node.adapters import archive
from node.adapters.keyring import load_keys
from node.adapters.sql import tables as t
from node.adapters.sql.fsck import Basis, Finding, check
from node.adapters.sql.fsck.findings import pages
from node.adapters.sql.log import SqlLog
from node.adapters.sql.receipts import log_entry
from node.adapters.sql.store import BEGIN_READING, SqlUnitOfWork, engine_for
from node.adapters.sql.writers import translated
from node.adapters.system import SystemClock
from node.config import Settings, environment
from node.domain.agreement import render_instant
from node.errors import BadRequest
from node.ports import Alarm, Content
from node.services.archived import content_to_json

CORRUPT = "log.corrupt"
_BATCH = 50


@contextmanager
def reading(settings: Settings) -> Iterator[sa.Connection]:
    """Open a node's store in one state, to read. Whoever writes is not held up.

    Raises:
        Unavailable: The database did not answer.
    """
    engine = engine_for(settings.database)
    try:
        with translated(), engine.connect() as connection:
            connection.exec_driver_sql(BEGIN_READING[engine.dialect.name])
            yield connection
    finally:
        engine.dispose()


def pinned(settings: Settings) -> tuple[Participant, Pins]:
    """Return this node's own record, and everybody's, as the registry pins them.

    Raises:
        BadRequest: The registry cannot be read, or does not hold this node.
    """
    pins = {each.did: each for each in offline.read_registry(settings.participants)}
    if settings.did not in pins:
        detail = f"{settings.participants} does not hold {settings.did}."
        raise BadRequest("registry.self", detail)
    return pins[settings.did], pins


@contextmanager
def checking(
    settings: Settings, *, ask_chain: bool, progress: Callable[[int, int], None]
) -> Iterator[tuple[Basis, Iterator[Finding]]]:
    """Check a node's store; each finding is yielded as it is found.

    Args:
        ask_chain: Compare each anchor with the chain of the settings.
        progress: Told how many entries of how many have been looked at.

    Raises:
        BadRequest: There is no chain to ask, or no registry.
        Unavailable: The database did not answer.
        ChainUnavailable: Likewise the chain.
    """
    me, pins = pinned(settings)
    basis = Basis(me=me, pins=pins)
    with ExitStack() as stack:
        if ask_chain:
            basis.chain = stack.enter_context(closing(_chain(settings)))
            basis.latest = basis.chain.latest_epoch(me.chain_address)
        connection = stack.enter_context(reading(settings))
        yield basis, check(connection, basis, progress)


def _chain(settings: Settings) -> RpcChainReader:
    if settings.chain is None:
        detail = "The settings name no chain to compare with."
        raise BadRequest("chain.missing", detail)
    chain = settings.chain
    return RpcChainReader(chain.url, chain.contract, chain_id=chain.chain_id)


def sound(settings: Settings, detail: str) -> None:
    """Open the alarm `log.corrupt`: the node discloses and anchors nothing more.

    Raises:
        Unavailable: The database did not answer.
    """
    engine = engine_for(settings.database)
    alarm = Alarm(code=CORRUPT, subject="", detail=detail, at=SystemClock().now())
    try:
        with translated(), engine.connect() as connection:
            SqlUnitOfWork(connection).alarms.sound(alarm)
            connection.commit()
    finally:
        engine.dispose()


def write_archive(
    settings: Settings, file: Path, before: datetime.datetime
) -> archive.Manifest:
    """Write the receipts of this node from before an instant, with what opens them.

    Those that are erased, and those that are not in the log's tree yet, stay out.

    Raises:
        BadRequest: The file cannot be written, or a key cannot be used.
        Conflict: There is a file of this name.
        Unavailable: The database did not answer.
    """
    me, pins = pinned(settings)
    keys = load_keys(settings.keys, environment(), suite=settings.suite)
    with reading(settings) as connection:
        return archive.write(
            file,
            _archivable(connection, before),
            before=render_instant(before),
            provider=me.did,
            signer=keys.signing,
            pins=pins,
        )


def _archivable(
    connection: sa.Connection, before: datetime.datetime
) -> Iterator[Content]:
    c = t.receipts.c
    some = sa.and_(
        c.log_index.is_not(None),
        c.erased_at.is_(None),
        c.at < int(before.timestamp()),
    )
    for rows in pages(connection, t.receipts, c.log_index, where=some):
        for row in rows:
            entry = log_entry(row)
            yield Content(
                signed=entry.signed,
                salt=entry.salt,
                index=row.log_index,
                token=row.token,
                question=row.question,
                countersignature=entry.countersignature,
                took_ms=row.took_ms,
            )


def verify_archive(settings: Settings, file: Path) -> archive.Manifest:
    """Check an archive, and each of its receipts against its leaf in our log.

    Raises:
        BadRequest: Something is wrong with it.
        Unavailable: The database did not answer.
    """
    me, pins = pinned(settings)
    with reading(settings) as connection:
        nodes = SqlLog(connection)
        manifest = archive.verified(file, pins)
        if manifest.provider != me.did:
            detail = f"{file} is the archive of {manifest.provider}."
            raise BadRequest("archive.other", detail)
        for some in _some(archive.contents(file, pins)):
            held = nodes.nodes((0, each.index) for each in some)
            for each in some:
                leaf = log.leaf(each.signed, each.salt, hashing=me.hashing)
                if held.get((0, each.index)) != leaf:
                    name = each.signed.receipt.receipt_id
                    detail = f"{name} of {file} is not at {each.index} in the log."
                    raise BadRequest("archive.other", detail)
    return manifest


def archived(settings: Settings, file: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the lines of an archive that was verified, a request's worth at a time."""
    _, pins = pinned(settings)
    for some in _some(archive.contents(file, pins)):
        yield [content_to_json(each) for each in some]


def _some(contents: Iterator[Content]) -> Iterator[list[Content]]:
    while found := list(islice(contents, _BATCH)):
        yield found
