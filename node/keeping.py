"""What the command line does with a store itself, also while the node runs.

Checking it (`fieldpact fsck`), and taking receipts out of it into an archive. All of it
only reads; what changes something goes through the running node's management API. The
one exception is the alarm of a check that was told to sound one.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import sqlalchemy as sa

from ledger.participants import Participant, Pins
from ledger.rpc_reader import RpcChainReader
from node import offline
from node.adapters.sql.fsck import Basis, Finding, check
from node.adapters.sql.store import BEGIN_READING, SqlUnitOfWork, engine_for
from node.adapters.sql.writers import translated
from node.adapters.system import SystemClock
from node.config import Settings
from node.errors import BadRequest
from node.ports import Alarm

CORRUPT = "log.corrupt"


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
    with reading(settings) as connection:
        if not ask_chain:
            yield basis, check(connection, basis, progress)
            return
        if settings.chain is None:
            detail = "The settings name no chain to compare with."
            raise BadRequest("chain.missing", detail)
        chain = settings.chain
        reader = RpcChainReader(chain.url, chain.contract, chain_id=chain.chain_id)
        with closing(reader):
            basis.chain = reader
            yield basis, check(connection, basis, progress)


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
