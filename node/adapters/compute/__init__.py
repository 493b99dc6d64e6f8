"""Where heavy arithmetic is done: worker processes here, or a cluster.

* `calls`      what both have in common: how a call is sent, and tried again
* `processes`  worker processes of this node
* `dask`       workers of a Dask cluster, on other machines

Workers load `crypto.kernels` and what it needs: no database, no web framework.
"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from node.errors import Unavailable

if TYPE_CHECKING:
    from node.adapters.compute.dask import Cluster
    from node.adapters.compute.processes import Processes
    from node.config import Settings
    from node.ports.aggregates import Compute

_log: Final = logging.getLogger("fieldpact")


class Readied:
    """Whether workers compute as they did when this was written.

    Until `check` has seen that, and where it saw otherwise, aggregates are refused;
    everything else of the node works.
    """

    def __init__(self, compute: "Compute") -> None:
        self._compute = compute
        self._why: str | None = "The known answers have not been asked for yet."

    async def check(self) -> None:
        """Ask a worker for the known answers. What is wrong is kept, not raised."""
        # Loads what workers load: some tenths of a second, for whoever computes.
        from crypto.errors import CryptoError  # noqa: PLC0415
        from crypto.kernels import selftest  # noqa: PLC0415

        try:
            await self._compute(selftest.check)
        except CryptoError as error:
            self._why = f"Workers do not compute as they should: {error}."
        except Unavailable as error:
            self._why = error.detail
        else:
            self._why = None
        if self._why:
            _log.error("aggregates are refused: %s", self._why)

    def __call__(self) -> None:
        """Return if aggregates can be computed.

        Raises:
            Unavailable: They cannot (`aggregate.unavailable`); the detail says why.
        """
        if self._why is not None:
            raise Unavailable("aggregate.unavailable", self._why)


@asynccontextmanager
async def compute_of(settings: "Settings") -> AsyncIterator["Compute"]:
    """Open what the settings name, and close it in the end.

    Nothing is started or connected to before the first call.
    """
    compute = _of(settings)
    try:
        yield compute
    finally:
        await compute.close()


def _of(settings: "Settings") -> "Processes | Cluster":
    # Either brings in what the other does without, and workers need neither.
    if settings.compute != "processes":
        from node.adapters.compute.dask import Cluster  # noqa: PLC0415

        return Cluster(settings.compute)
    from node.adapters.compute.processes import Processes  # noqa: PLC0415

    there = len(os.sched_getaffinity(0))
    return Processes(settings.compute_workers or there)
