"""Whether a node can serve."""

import logging

from node.errors import Unavailable
from node.ports import Clock, Identity, PolicyDecisionPoint, Store
from node.services.compare_keys import CompareKeys
from node.services.situate import check_whole

_log = logging.getLogger("fieldpact")
_KEPT_MS = 1000.0


class Readiness:
    """Whether the node can serve. Anybody may ask, so it tells nothing else.

    However often it is asked, the policy engine is asked once a second at most.
    """

    def __init__(
        self,
        store: Store,
        policy: PolicyDecisionPoint,
        identity: Identity,
        clock: Clock,
        compare_keys: CompareKeys,
    ) -> None:
        self._store, self._policy = store, policy
        self._compare_keys = compare_keys
        self._identity, self._clock = identity, clock
        self._asked_ms = float("-inf")
        self._answer: Unavailable | None = None

    async def __call__(self) -> None:
        """Return if everything is there.

        Raises:
            Unavailable: Naming what is not; the node's own log tells more.
        """
        await self._store.read(check_whole)
        _ = self._identity.me
        if self._clock.elapsed_ms() - self._asked_ms > _KEPT_MS:
            self._asked_ms = self._clock.elapsed_ms()
            self._answer = await self._ask()
        if self._answer is not None:
            raise self._answer

    async def _ask(self) -> Unavailable | None:
        try:
            self._compare_keys.own()
        except Unavailable as error:
            _log.warning("%s", error)
            detail = "The consortium's registry is not known to hold our keys."
            return Unavailable(error.code, detail)
        try:
            await self._policy.ready()
        except Unavailable as error:
            _log.warning("%s", error)
            return Unavailable(error.code, "The policy engine is not ready.")
        return None
