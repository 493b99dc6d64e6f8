"""The two kinds of predicates: a window of a number, and a set of values.

Both say the same to the protocol: *the weighted sum of some bits is a value that
the hidden messages give*. A window has the weights that write exactly the
numbers from 0 to hi - lo; a set has its values as weights, and one bit in all.
Entries of a vector that follow from the others by that equation (`complete`) are
neither drawn nor sent.

Spec: `docs/protocols/fp-lbv-1.md`, Statement and Algorithm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from crypto.bbs.suite import ORDER
from crypto.errors import Malformed
from crypto.predicates.weights import digits, weights
from crypto.typed import TOP

MAX_SET: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A number, a difference or a sum lies between two bounds, both included.

    Attributes:
        first: Message index of the field a.
        second: Of the field b, larger than `first`; None for a alone.
        sign: 1 for a + b, -1 for a - b; 1 if there is no b.
        lo: Least value, in numbers as they are signed (with their offset).
        hi: Largest value. `lo` for "equal", which only a difference may be: a
            value that is known is disclosed instead.
    """

    first: int
    second: int | None = None
    sign: int = 1
    lo: int
    hi: int

    def __post_init__(self) -> None:
        least, most = {
            (True, 1): (0, TOP),
            (False, 1): (0, 2 * TOP),
            (False, -1): (-TOP, TOP),
        }.get((self.second is None, self.sign), (1, 0))
        if not least <= self.lo <= self.hi <= most:
            raise Malformed("a window that is empty, or beyond what numbers reach")
        if self.lo == self.hi and self.sign == 1:
            raise Malformed("a value that is known is disclosed, not proved")
        if self.second is not None and self.second <= self.first:
            raise Malformed("the fields of a window ascend")

    @property
    def indexes(self) -> tuple[int, ...]:
        """The messages it is about."""
        return (self.first,) if self.second is None else (self.first, self.second)

    @property
    def weights(self) -> tuple[int, ...]:
        """Weights of its bits; none if it is an equality."""
        return weights(self.hi - self.lo)

    @property
    def free(self) -> int:
        """How many of its responses are sent; the rest follows from them."""
        return max(0, len(self.weights) - 1)

    def bits(self, messages: Mapping[int, int]) -> list[int]:
        """Write the witness in bits, none for an equality. `ValueError` if false."""
        return digits(self.reach(messages, 1), self.hi - self.lo)

    def reach(self, values: Mapping[int, int], scale: int) -> int:
        """Return a (or a - b, or a + b) less `scale` times the lower bound."""
        other = 0 if self.second is None else self.sign * values[self.second]
        return values[self.first] + other - scale * self.lo

    def complete(
        self, free: Sequence[int], values: Mapping[int, int], scale: int
    ) -> list[int]:
        """Add the one entry by which the weighted sum is `reach`, modulo r."""
        if not self.weights:
            return []
        pairs = zip(self.weights[:-1], free, strict=True)
        last = self.reach(values, scale) - sum(weight * x for weight, x in pairs)
        return [*free, last % ORDER]

    def to_bytes(self) -> bytes:
        """Return its octets: 37 bytes."""
        shape = 0 if self.second is None else 1 if self.sign == -1 else 2
        return b"\x01" + b"".join(
            [
                _octets(shape, 1),
                _octets(self.first, 2),
                _octets(self.second or 0, 2),
                *(
                    bound.to_bytes(16, "big", signed=True)
                    for bound in (self.lo, self.hi)
                ),
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A field is one of a set of values, without saying which.

    Attributes:
        first: Message index of the field.
        among: 2 to 64 scalars, ascending.
    """

    first: int
    among: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.among) <= MAX_SET:
            raise Malformed(f"a set has 2 to {MAX_SET} values; one is disclosed")
        ascending = list(self.among) == sorted(set(self.among))
        if not ascending or not 0 <= self.among[0] <= self.among[-1] < ORDER:
            raise Malformed("the values of a set are scalars, and ascend")

    @property
    def indexes(self) -> tuple[int, ...]:
        """The message it is about."""
        return (self.first,)

    @property
    def weights(self) -> tuple[int, ...]:
        """One bit for each value."""
        return self.among

    @property
    def free(self) -> int:
        """How many of its responses are sent; the last two follow from them."""
        return len(self.among) - 2

    def bits(self, messages: Mapping[int, int]) -> list[int]:
        """Mark the value. `ValueError` if the statement is false."""
        bits = [int(value == messages[self.first]) for value in self.among]
        if not any(bits):
            raise ValueError("not in the set")
        return bits

    def complete(
        self, free: Sequence[int], values: Mapping[int, int], scale: int
    ) -> list[int]:
        """Add the two entries by which the sum is `scale`, the weighted one the value.

        The two equations have one solution, as the values of a set differ.
        """
        *rest, p, q = self.among
        plain = scale - sum(free)
        pairs = zip(rest, free, strict=True)
        weighted = values[self.first] - sum(value * x for value, x in pairs)
        last = (weighted - p * plain) * pow(q - p, -1, ORDER)
        return [*free, (plain - last) % ORDER, last % ORDER]

    def to_bytes(self) -> bytes:
        """Return its octets: 5 bytes, and 32 for each value."""
        head = b"\x02" + _octets(self.first, 2) + _octets(len(self.among), 2)
        return head + b"".join(_octets(value, 32) for value in self.among)


Predicate: TypeAlias = Window | Member


def _octets(number: int, length: int) -> bytes:
    return number.to_bytes(length, "big")
