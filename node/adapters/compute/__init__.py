"""Where heavy arithmetic is done: worker processes here, or a cluster.

* `calls`      what both have in common: how a call is sent, and tried again
* `processes`  worker processes of this node
* `dask`       workers of a Dask cluster, on other machines

Workers load `crypto.kernels` and what it needs: no database, no web framework.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.adapters.compute.dask import Cluster
    from node.adapters.compute.processes import Processes
    from node.config import Settings
    from node.ports.aggregates import Compute


@asynccontextmanager
async def compute_of(settings: "Settings") -> AsyncIterator["Compute"]:
    """Give what the settings name, and close it in the end."""
    compute = compute_for(settings)
    try:
        yield compute
    finally:
        await compute.close()


def compute_for(settings: "Settings") -> "Processes | Cluster":
    """Return what the settings name, which whoever takes it closes.

    Nothing is started or connected to before the first call.
    """
    # Either brings in what the other does without, and workers need neither.
    if settings.compute != "processes":
        from node.adapters.compute.dask import Cluster  # noqa: PLC0415

        return Cluster(settings.compute)
    from node.adapters.compute.processes import Processes  # noqa: PLC0415

    there = len(os.sched_getaffinity(0))
    return Processes(settings.compute_workers or there)
