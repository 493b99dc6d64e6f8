"""Joint figures: what comes of a sum over the customers that two companies share.

One party adds up numbers that it cannot read, the other reads the sum and nothing
else. In between the sum stands in a slot of a ciphertext, a number modulo T: one
that grew beyond T/2 would be wrong, silently. So before anything is encrypted it is
worked out how large everything can become (`limbs`). What does not fit is cut into
limbs, digits of a large base, each of which is added up by itself; what does not fit
even so is refused.

From sums people want other figures: means, rates, what customers are worth to
several companies together, how long a delivery takes that several carry out. Those
are arithmetic on results (`Figure`); they cost no privacy and need no cryptography.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from crypto.errors import Malformed

MOST: Final = 2**52
"""No sum is larger: with its noise, it is a number that every reader of JSON takes."""
_LIMBS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Limbs:
    """How a number of at most `bound` in size is cut into digits.

    Attributes:
        bound: Of the numbers.
        count: Limbs of a number.
        width: Bits in each of them.
    """

    bound: int
    count: int
    width: int

    def split(self, number: int) -> tuple[int, ...]:
        """Cut a number: digits with its sign, the lowest first."""
        sign, size = (-1 if number < 0 else 1), abs(number)
        mask = (1 << self.width) - 1
        return tuple(
            sign * ((size >> self.width * place) & mask) for place in range(self.count)
        )

    def join(self, limbs: Sequence[int]) -> int:
        """Put together what `split` cut, or sums of that."""
        return sum(limb << self.width * place for place, limb in enumerate(limbs))

    @property
    def bounds(self) -> tuple[int, ...]:
        """How large each limb is at most, the lowest first."""
        full = (1 << self.width) - 1
        highest = self.bound >> self.width * (self.count - 1)
        return (full,) * (self.count - 1) + (highest,)

    @property
    def sensitivity(self) -> int:
        """By how much one customer changes the sums of all limbs together."""
        return sum(self.bounds)


def limbs(
    *, bound: int, rows: int, most: int, noise: Callable[[int], int] = lambda _: 0
) -> Limbs:
    """Cut numbers into as few limbs as keep every sum in a slot.

    Args:
        bound: None of the numbers is larger in size.
        rows: How many are added up at most.
        most: The largest size of a number that a slot can hold (`ParameterSet.most`).
        noise: How large noise becomes that hides a number of some size.

    Raises:
        Malformed: The sum could become larger than `MOST`, or no number of limbs
            leaves room for the noise.
    """
    if bound < 1 or rows * bound > MOST:
        raise Malformed("a sum that could become too large")
    for count in range(1, _LIMBS + 1):
        width = -(-bound.bit_length() // count)
        found = Limbs(bound=bound, count=count, width=width)
        if rows * max(found.bounds) + noise(found.sensitivity) <= most:
            return found
    raise Malformed("a sum that does not fit, with the noise that hides it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A joint sum, as the asker has it.

    Attributes:
        sum: Over the shared customers, in smallest units, with noise.
        count: Shared customers, exact; at least one.
        asked: Customers that the asker compared.
        spread: The noise is within this, but for a small chance that the plan names.
        scale: Digits after the decimal point in the unit that people read.
    """

    sum: int
    count: int
    asked: int
    spread: int
    scale: int = 0

    @property
    def mean(self) -> Fraction:
        """The sum for each shared customer, in the unit that people read."""
        return Fraction(self.sum, self.count * 10**self.scale)

    @property
    def mean_spread(self) -> Fraction:
        """How far noise may have moved the mean."""
        return Fraction(self.spread, self.count * 10**self.scale)

    @property
    def rate(self) -> Fraction:
        """How many of the asker's customers are shared: the cross-sell rate."""
        return Fraction(self.count, self.asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """What several joint sums come to.

    Attributes:
        value: In the unit that people read.
        spread: Noise moved it by no more, but for the chances of all sums together.
    """

    value: Fraction
    spread: Fraction


def lifetime_value(figures: Sequence[Figure]) -> Combined:
    """Return what the asker's customers are worth to several providers, added up.

    Each figure is a sum over the customers that the asker shares with one provider,
    of what they are worth there. Who is a customer of two counts at both.

    Raises:
        ValueError: No figures, or not of one scale.
    """
    scale = _one_scale(figures)
    return Combined(
        value=Fraction(sum(each.sum for each in figures), scale),
        spread=Fraction(sum(each.spread for each in figures), scale),
    )


def delivery_period(figures: Sequence[Figure]) -> Combined:
    """Return how long something takes that providers do one after the other.

    Each figure is the sum of a number of days over the customers that the asker
    shares with one provider: that provider's stage. What comes of it is the sum of
    the stages' means; of one figure, its mean. The stages may be about different
    customers, so this is no mean over customers that go through all of them.

    Raises:
        ValueError: No figures, or not of one scale.
    """
    _one_scale(figures)
    return Combined(
        value=sum((each.mean for each in figures), Fraction(0)),
        spread=sum((each.mean_spread for each in figures), Fraction(0)),
    )


def written(number: Fraction, digits: int) -> str:
    """Return a number in decimal form, rounded half to even: `-3.50`."""
    units = round(number * 10**digits)
    whole, part = divmod(abs(units), 10**digits)
    sign = "-" if units < 0 else ""
    return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"


def _one_scale(figures: Sequence[Figure]) -> int:
    scales = {each.scale for each in figures}
    if len(scales) != 1:
        raise ValueError("figures that cannot be added up")
    return int(10 ** scales.pop())
