"""A bound on how often one address may ask for what costs work and needs no token.

Each address has a bucket that fills at a steady rate. It is a courtesy to those who
wait behind a sender that has gone wrong, and no wall: whoever has many addresses has
many buckets, and behind a proxy all share one.
"""

from dataclasses import dataclass, field
from typing import Final

_ADDRESSES: Final = 1024


@dataclass(slots=True, kw_only=True)
class Rates:
    """Buckets of addresses; the thousand that asked last are remembered.

    Attributes:
        per_second: How fast a bucket fills.
        at_once: What it holds.
    """

    per_second: float
    at_once: int
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, address: str, now_ms: float) -> bool:
        """Take one from an address's bucket; False when it is empty.

        Args:
            now_ms: Of a monotonic clock.
        """
        left, since = self._buckets.pop(address, (float(self.at_once), now_ms))
        filled = left + (now_ms - since) / 1000 * self.per_second
        left = min(float(self.at_once), filled)
        allowed = left >= 1
        self._buckets[address] = (left - 1 if allowed else left, now_ms)
        while len(self._buckets) > _ADDRESSES:
            self._buckets.pop(next(iter(self._buckets)))
        return allowed
