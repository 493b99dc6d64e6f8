"""The composition root: which adapter stands behind which port.

Nothing else chooses adapters. Read in this order:

* `adapters`   what is opened: store, sources, partners, policy engine, chain, threads
* `services`   what is made of it: every service of a node
* `calls`, `sharing`, `logs`   how each of them is made
* `operators`, `readiness`   who commands the node, and whether it can serve

The background work of a node (integrate, publish, anchor) lives and dies with its
services.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI

from ledger.errors import ChainUnavailable
from node.adapters.crm.declaration import load_declaration
from node.adapters.keyring import load_keys
from node.adapters.record import check_pinned, record_of
from node.adapters.sql.lock import alone
from node.api.app import create_app
from node.background import background
from node.bootstrap.adapters import opened, policy_of
from node.bootstrap.operators import operators_of
from node.bootstrap.services import services_of
from node.config import Settings, environment
from node.migrations import upgrade
from node.services import Services
from node.services.check_suites import check_suites
from node.services.compare_keys import CompareKeys

_log = logging.getLogger("fieldpact")


def application(settings: Settings) -> FastAPI:
    """Return the node's HTTP application, ready to be served.

    Raises:
        BadRequest: A token or a dataset's declaration cannot be used.
    """
    for file in settings.datasets:
        load_declaration(file)
    return create_app(lambda: running(settings), operators_of(settings))


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Services]:
    """Open everything a node needs, and its background work; close it in turn.

    Raises:
        BadRequest: A key or token file cannot be used.
        Unavailable: The store, the registry or the policy engine is not there, the
            registry pins other keys for this node, or the engine does not decide
            as pinned: the node refuses to serve.
    """
    keys = load_keys(settings.keys, environment(), suite=settings.suite)
    async with AsyncExitStack() as stack:
        stack.enter_context(alone(settings.database))
        await asyncio.to_thread(upgrade, settings.database)
        policy = await stack.enter_async_context(policy_of(settings))
        await policy.ready()
        services = services_of(opened(settings, keys, policy, stack))
        stack.push_async_callback(services.aggregates.jobs.close)
        me = services.identity.me
        check_pinned(me, record_of(settings, keys), settings)
        await services.store.read(partial(check_suites, me, gm_only=settings.gm_only))
        await _compare_first(services.compare_keys)
        work = asyncio.create_task(
            background(services, settings, policy, load_declaration)
        )
        stack.push_async_callback(_stop, work)
        yield services


async def _compare_first(compare_keys: CompareKeys) -> None:
    """Refuse to start with keys that the consortium's registry does not hold.

    Without the chain it starts, and answers no partner until the chain is asked.
    """
    try:
        await compare_keys()
    except ChainUnavailable as error:
        _log.warning("%s", error)
    else:
        compare_keys.own()


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
