"""What a node's process writes to its log: one line for each thing, on stderr."""

import logging
from typing import Any


def brief(record: logging.LogRecord) -> bool:
    """Say in one line why a node refuses to start; bugs keep their traceback."""
    last = record.getMessage().rstrip().rpartition("\n")[2]
    if record.name == "uvicorn.error" and last.startswith("node."):
        record.msg, record.args = last.partition(": ")[2], ()
    return True


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"brief": {"()": lambda: brief}},
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["brief"],
        }
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # httpx logs every address it calls, and an address can name an agreement.
    "loggers": {"httpx": {"level": "WARNING"}},
}
