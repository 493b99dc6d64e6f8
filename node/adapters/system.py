"""The clock and the random generator of the operating system."""

import datetime
import secrets
import time


class SystemClock:
    """Implements `node.ports.Clock`."""

    def now(self) -> datetime.datetime:
        """Return the current instant, in UTC, to the second."""
        return datetime.datetime.now(datetime.UTC).replace(microsecond=0)

    def elapsed_ms(self) -> float:
        """Return milliseconds of a monotonic clock."""
        return time.monotonic() * 1000


def system_randomness(size: int, /) -> bytes:
    """Return `size` bytes from the operating system's generator."""
    return secrets.token_bytes(size)
