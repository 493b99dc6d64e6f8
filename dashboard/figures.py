"""How figures of aggregates are written: fixed point, and epsilon out of millionths."""

from decimal import Decimal
from typing import Final

from dashboard.i18n import Speech

MICRO: Final = 1_000_000


def written(speech: Speech, figure: int, scale: int) -> str:
    """Write a figure in smallest units: 125000 at scale 2 is `1,250.00`."""
    sign = "-" if figure < 0 else ""
    whole, rest = divmod(abs(figure), 10**scale)
    point = f".{rest:0{scale}d}" if scale else ""
    return f"{sign}{speech.number(whole)}{point}"


def epsilon(micro: int) -> str:
    """Write micro-epsilon as epsilon, without zeros at the end: 250000 is `0.25`."""
    number = Decimal(micro) / MICRO
    return f"{number.normalize():f}" if number else "0"
