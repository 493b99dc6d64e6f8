"""The auditor's questions, in SQL. Read-only.

Counts come from the columns beside the receipts; what a page shows as proved
comes from the receipts themselves.
"""

import asyncio
import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from node.adapters.sql import audit_calls, audit_figures
from node.adapters.sql.audit_streams import streams
from node.domain.agreement import render_instant
from node.errors import Unavailable
from node.ports import Identity

T = TypeVar("T")


class SqlAudit:
    """Implements `node.ports.Audit`."""

    def __init__(
        self,
        engine: Engine,
        identity: Identity,
        purposes: Sequence[Mapping[str, Any]],
    ) -> None:
        self._engine = engine
        self._identity = identity
        self._purposes = purposes

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except (DBAPIError, PoolTimeout) as error:
            detail = "The node's own database did not answer."
            raise Unavailable("store.unavailable", detail) from error

    async def _ask(self, question: Callable[[Connection], T]) -> T:
        """Ask in a thread. Raises `Unavailable` where the database does not answer."""

        def _asked() -> T:
            with self._open() as connection:
                return question(connection)

        return await asyncio.to_thread(_asked)

    async def summary(
        self, since: datetime.datetime, until: datetime.datetime
    ) -> Mapping[str, Any]:
        """Return the key figures of a window of time."""

        def _summary(connection: Connection) -> Mapping[str, Any]:
            kept = audit_figures.agreements(connection, until)
            within = (since, until)
            return audit_figures.summary(connection, within, kept, self._name)

        me = self._identity.me
        return {
            "participant": {"did": me.did, "name": dict(me.name)},
            "window": {"from": render_instant(since), "to": render_instant(until)},
            **await self._ask(_summary),
            "purposes": list(self._purposes),
        }

    async def streams(self) -> Sequence[Mapping[str, Any]]:
        """Return how the stream of each agreement stands."""
        did = self._identity.me.did
        return await self._ask(lambda connection: streams(connection, did))

    def _name(self, did: str) -> Mapping[str, str]:
        known = self._identity.participant(did)
        return dict(known.name) if known else {"en": did, "zh": did}

    async def calls(
        self,
        *,
        since: datetime.datetime,
        until: datetime.datetime,
        filters: Mapping[str, str],
        before: int | None,
        after: int | None,
        most: int,
    ) -> Mapping[str, Any]:
        """Return a page of calls, newest first, with facets."""
        return await self._ask(
            lambda connection: audit_calls.log_page(
                connection,
                (since, until),
                filters,
                before=before,
                after=after,
                most=most,
            )
        )

    async def agreements(self, at: datetime.datetime) -> Sequence[Mapping[str, Any]]:
        """Return agreements with their use."""
        return await self._ask(
            lambda connection: audit_figures.agreements(connection, at)
        )

    async def received(
        self, plan: str | None, before: int | None, most: int
    ) -> Mapping[str, Any]:
        """Return a page of what this node read from others."""
        return await self._ask(
            lambda connection: audit_calls.received_page(connection, plan, before, most)
        )
