"""What a node does that no request waits for.

Each kind of work is repeated with a pause of its own. A fault delays it and loses
nothing: what waits is in the store. Of several processes on one store each repeats
all of it, and the store lets one at a time do what must be done once.
"""

import asyncio
import gc
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from crypto.errors import CryptoError
from ledger.errors import LedgerError
from node.config import Settings
from node.domain.dataset import Dataset
from node.errors import NodeError
from node.ports import PolicyDecisionPoint
from node.services import Services

_log = logging.getLogger("fieldpact")
_POLICY_CHECK_S, _FORGET_S, _PUBLISH_S, _SNAPSHOTS_S = 10.0, 60.0, 10.0, 5.0
_ANCHORING_S, _COMPARE_S, _DELIVER_S, _AGAIN_S = 2.0, 60.0, 3.0, 5.0
_JOBS_S, _READIED_S, _OLD_JOBS_S = 10.0, 30.0, 3600.0
SWITCH_S: Final = 0.001
"""After what time a thread that computes lets others have Python's lock. The event loop
waits for it as long, once for each such thread, where Python's own time is five times
this."""
Action: TypeAlias = Callable[[], Awaitable[object]]


async def background(
    services: Services,
    settings: Settings,
    policy: PolicyDecisionPoint,
    load: Callable[[Path], Dataset],
) -> None:
    """Do all of it, until cancelled.

    Args:
        load: Reads a declaration of the settings.
    """
    # What was loaded by now stays as long as the process. Whoever collects garbage
    # need not look at it again, which would hold up all calls for a sixth of a second.
    gc.freeze()
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        await _all(services, settings, policy, load)
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()


async def _all(
    services: Services,
    settings: Settings,
    policy: PolicyDecisionPoint,
    load: Callable[[Path], Dataset],
) -> None:
    async with asyncio.TaskGroup() as group:
        for file in settings.datasets:
            group.create_task(_publish(services, file, load))
        for action, pause_s in _repeated(services, policy, settings):
            group.create_task(_repeat(action, pause_s))
        if pause_s := settings.publish_every_s:
            await asyncio.sleep(pause_s)
            again = partial(services.publish.again, pause_s)
            group.create_task(_repeat(again, pause_s))


def _repeated(
    services: Services, policy: PolicyDecisionPoint, settings: Settings
) -> Iterator[tuple[Action, float]]:
    """Return what is repeated, and the pause after each time in seconds."""
    yield services.snapshots.keep, _SNAPSHOTS_S
    yield services.keep_log.integrate, settings.integrate_every_s
    yield services.anchoring.keep, _ANCHORING_S
    yield services.cosignatures, settings.witnesses.every_s
    yield services.compare_logs, _COMPARE_S
    yield partial(services.countersign.deliver, waited_s=_DELIVER_S), _DELIVER_S
    yield partial(_forget, services), _FORGET_S
    yield services.aggregates.readied.check, _READIED_S
    yield services.aggregates.jobs.resume, _JOBS_S
    yield services.aggregates.jobs.forget, _OLD_JOBS_S
    yield policy.ready, _POLICY_CHECK_S
    if settings.chain and settings.chain.registry:
        yield _resting(services.compare_keys, settings.chain.registry_every_s)


def _resting(action: Action, rest_s: float) -> tuple[Action, float]:
    """Return an action with its rest after success; after a fault it comes sooner."""
    pause_s = min(rest_s, _AGAIN_S)

    async def done() -> None:
        await action()
        await asyncio.sleep(rest_s - pause_s)

    return done, pause_s


async def _repeat(action: Action, pause_s: float) -> None:
    said = ""
    while True:
        try:
            await action()
            said = ""
        except (NodeError, LedgerError, CryptoError) as error:
            # What lasts is said once: an hour without a chain is one line.
            if str(error) != said:
                _log.warning("%s", error)
            said = str(error)
        except Exception:  # noqa: BLE001  # a bug here must not end the log
            _log.exception("background work failed; it goes on")
        await asyncio.sleep(pause_s)


async def _forget(services: Services) -> None:
    now = services.clock.now()
    await services.store.write(lambda work: work.receipts.forget_nonces(now))


async def _publish(
    services: Services, file: Path, load: Callable[[Path], Dataset]
) -> None:
    """Publish a dataset of the settings, as soon as its source is there.

    Of several processes that start together, one does.
    """
    began = services.clock.now()
    while True:
        try:
            answer = await services.publish.once(load(file), since=began)
        except NodeError as error:
            _log.warning("%s: %s", file, error)
        except Exception:  # noqa: BLE001  # as in `_repeat`
            _log.exception("%s could not be published", file)
        else:
            if answer is not None:
                sound, rows = answer["report"]["publishable"], answer["report"]["rows"]
                _log.info("%s: published %d of %d rows", answer["dataset"], sound, rows)
            return
        await asyncio.sleep(_PUBLISH_S)
