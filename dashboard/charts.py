"""The geometry of the small charts, drawn by the server as SVG.

A chart here is numbers in, path data out; colour and pattern belong to the style
sheet, words to the template, and each chart has a table twin beside it. Nothing
of it runs in the browser.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HEAT_STEPS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A grid line: where it lies, and what it stands for."""

    at: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedBars:
    """Bars of two parts, the second on top of the first, as two SVG paths.

    Attributes:
        width: Width of the drawing in user units; y grows downwards.
        lower: Path of the first parts.
        upper: Path of the second parts.
        ticks: Grid lines from zero up.
        centres: The x of each bar's middle.
    """

    width: float
    height: float
    lower: str
    upper: str
    ticks: tuple[Tick, ...]
    centres: tuple[float, ...]


def stacked_bars(
    pairs: Sequence[tuple[int, int]], *, width: float, height: float
) -> StackedBars:
    """Lay out bars for `pairs` of (first, second) over the whole width.

    A part that is not zero is at least one unit high: "a few" must not look
    like "none".
    """
    ticks = nice_ticks(max((sum(pair) for pair in pairs), default=0))
    unit = height / ticks[-1]
    step = width / max(1, len(pairs))
    bar = step * 0.72 if step > 4 else step * 0.9
    lower, upper = [], []
    for place, (first, second) in enumerate(pairs):
        x = step * place + (step - bar) / 2
        low, high = _visible(first * unit), _visible(second * unit)
        lower.append(_bar(x, height, bar, low))
        upper.append(_bar(x, height - low, bar, high))
    return StackedBars(
        width=width,
        height=height,
        lower="".join(lower),
        upper="".join(upper),
        ticks=tuple(Tick(at=height - tick * unit, value=tick) for tick in ticks),
        centres=tuple(step * (place + 0.5) for place in range(len(pairs))),
    )


def nice_ticks(highest: int) -> tuple[int, ...]:
    """Return three to five round numbers from zero to at least `highest`."""
    rough = max(1, highest) / 4
    magnitude = 10 ** math.floor(math.log10(rough)) if rough > 1 else 1
    factor = next(each for each in (1, 2, 2.5, 5, 10) if each * magnitude >= rough)
    step = max(1, math.ceil(factor * magnitude))
    return tuple(range(0, step * math.ceil(max(1, highest) / step) + 1, step))


def heat_step(value: int, highest: int) -> int:
    """Return the step 1 to 7 of a count, by its square root; 0 for none."""
    if value <= 0 or highest <= 0:
        return 0
    share = math.sqrt(value / highest)
    return 1 + min(HEAT_STEPS - 1, int(share * HEAT_STEPS))


def _visible(length: float) -> float:
    return max(1.0, length) if length else 0.0


def _bar(x: float, bottom: float, width: float, height: float) -> str:
    if not height:
        return ""
    return f"M{x:.1f} {bottom:.1f}v{-height:.1f}h{width:.1f}v{height:.1f}z"
