"""From a declared source to an open one.

This is the moment when the secret is fetched: a declaration names an environment
variable, and its value, a URL with a password in it, goes into the driver and
nowhere else.
"""

import threading
from collections.abc import Mapping
from pathlib import Path

from node.adapters.crm.files import FileSource
from node.adapters.crm.sql import SqlSource
from node.domain.dataset import Dataset, Source
from node.domain.declaration import FILES
from node.errors import Unavailable


def open_source(source: Source, environ: Mapping[str, str]) -> SqlSource | FileSource:
    """Open a source; a database is connected to on first use.

    Args:
        source: As declared.
        environ: Environment variables, from the node's settings.

    Raises:
        Unavailable: `source.unavailable`: a variable that is not set, or a place
            that is neither a URL nor a file we read.
    """
    place = source.url
    if source.env is not None:
        place = environ.get(source.env)
        if not place:
            detail = f"The environment variable {source.env} is not set."
            raise Unavailable("source.unavailable", detail)
    if not place:
        raise Unavailable("source.unavailable", "The source names no place.")
    if "://" not in place and Path(place).suffix.lower() in FILES:
        return FileSource(source, Path(place))
    if not source.relation:
        detail = "A database needs `source.table` or `source.query`."
        raise Unavailable("source.unavailable", detail)
    return SqlSource(source, place)


class CrmSources:
    """Implements `node.ports.Sources`: opens each source once and keeps it.

    Args:
        environ: Environment variables, from the node's settings.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._open: dict[Source, SqlSource | FileSource] = {}
        self._lock = threading.Lock()

    def __call__(self, dataset: Dataset) -> SqlSource | FileSource:
        """Return the open source of a dataset.

        Raises:
            Unavailable: As for `open_source`.
        """
        with self._lock:
            if dataset.source not in self._open:
                opened = open_source(dataset.source, self._environ)
                self._open[dataset.source] = opened
            return self._open[dataset.source]

    def close(self) -> None:
        """Close every open source."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()
