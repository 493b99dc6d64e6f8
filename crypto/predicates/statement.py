"""Statements: what a verifier wants proved about fields it does not see.

    Window   lo <= a <= hi, lo <= a - b <= hi or lo <= a + b <= hi, exactly
    Member   a is one of a public set

Everything else is one of these: "at least", "at most", "before" and "after" are
windows with one end at the end of the numbers; "a <= b" is a window of a
difference; "equal" is a window of one.

A statement belongs to the verifier. It builds it from its own request, and never
reads it from what a prover sent: whoever chooses the bounds can prove anything.
Its octets (`Statement.to_bytes`) are hashed into the challenge, and are unique:
two statements that differ have different octets, and one has only one spelling.

Spec: `docs/protocols/fp-lbv-1.md`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from crypto.bbs.suite import ORDER
from crypto.encoding import sha256, tagged
from crypto.errors import Malformed
from crypto.predicates.weights import digits, weights
from crypto.typed import (
    FIRST_FIELD,
    TOP,
    TYPED,
    Schema,
    schema_hash,
    size,
)

MAX_BITS: Final = 256
"""Bits in one presentation: a bound on what a stranger can make us compute."""
MAX_SET: Final = 64
MAX_PREDICATES: Final = 64


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
        """Write the witness in bits. `ValueError` if the statement is false."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one presentation shows, and what it proves of what it does not show.

    Attributes:
        schema: Of the record.
        disclosed: Message indexes of the fields shown, ascending.
        predicates: About hidden fields, in the verifier's order.
        anchored: Whether the commitment of the record is shown too.
    """

    schema: Schema
    disclosed: tuple[int, ...] = ()
    predicates: tuple[Predicate, ...] = ()
    anchored: bool = False

    def __post_init__(self) -> None:
        fields = range(FIRST_FIELD, FIRST_FIELD + len(self.schema))
        shown = set(self.disclosed)
        if list(self.disclosed) != sorted(shown) or not shown <= set(fields):
            raise Malformed("the fields shown ascend, and are in the schema")
        if len(set(self.predicates)) != len(self.predicates):
            raise Malformed("a predicate is stated once")
        if len(self.predicates) > MAX_PREDICATES or self.bits > MAX_BITS:
            raise Malformed(f"a presentation proves at most {MAX_BITS} bits")
        for predicate in self.predicates:
            if not set(predicate.indexes) <= set(fields) - shown:
                raise Malformed("a predicate is about fields that stay hidden")
            if isinstance(predicate, Window):
                self._check_window(predicate)

    def _check_window(self, window: Window) -> None:
        fields = [self.schema[index - FIRST_FIELD] for index in window.indexes]
        if len({(field.kind, field.unit, field.scale) for field in fields}) != 1:
            raise Malformed("fields of different types or units do not compare")
        equality = window.lo == window.hi == 0
        if not fields[0].is_number and not equality:
            raise Malformed("only numbers lie between bounds")

    @property
    def bits(self) -> int:
        """How many bits are committed to."""
        return sum(len(predicate.weights) for predicate in self.predicates)

    @property
    def shown(self) -> tuple[int, ...]:
        """Indexes of all messages disclosed, the padding included."""
        last = range(FIRST_FIELD + len(self.schema), size(self.schema))
        return (*self.disclosed, *last)

    @property
    def ties(self) -> Iterator[Window]:
        """The equalities: they tie two responses together."""
        return (
            predicate
            for predicate in self.predicates
            if isinstance(predicate, Window) and not predicate.weights
        )

    def to_bytes(self) -> bytes:
        """Return the octets that are hashed into the challenge."""
        listed = [_octets(index, 2) for index in self.disclosed]
        stated = [predicate.to_bytes() for predicate in self.predicates]
        return tagged(
            "typed-statement",
            b"".join(
                [
                    _octets(len(TYPED.api_id), 2) + TYPED.api_id,
                    schema_hash(self.schema),
                    _octets(size(self.schema), 2),
                    _octets(int(self.anchored), 1),
                    _octets(len(listed), 2) + b"".join(listed),
                    _octets(len(stated), 2) + b"".join(stated),
                ]
            ),
        )

    @property
    def digest(self) -> bytes:
        """SHA-256 of the octets: how receipts name a statement."""
        return sha256(self.to_bytes())


def parse_statement(data: bytes, schema: Schema) -> Statement:
    """Read the octets of a statement about records of `schema`, and nothing else.

    Raises:
        Malformed: Not a statement, or about another schema, or spelt otherwise.
    """
    read = _Reader(data)
    head = Statement(schema=schema).to_bytes()[:-5]
    read.take(len(head))
    anchored = read.number(1) == 1
    disclosed = tuple(read.number(2) for _ in range(read.number(2)))
    predicates = tuple(_parse_predicate(read) for _ in range(read.number(2)))
    statement = Statement(
        schema=schema, disclosed=disclosed, predicates=predicates, anchored=anchored
    )
    if statement.to_bytes() != data:
        raise Malformed("a statement about another schema, or not in its one form")
    return statement


def _parse_predicate(read: "_Reader") -> Predicate:
    match read.number(1):
        case 1:
            shape, first, second = read.number(1), read.number(2), read.number(2)
            lo, hi = (
                int.from_bytes(read.take(16), "big", signed=True) for _ in range(2)
            )
            return Window(
                first=first,
                second=second if shape else None,
                sign=-1 if shape == 1 else 1,
                lo=lo,
                hi=hi,
            )
        case 2:
            first = read.number(2)
            among = tuple(read.number(32) for _ in range(read.number(2)))
            return Member(first=first, among=among)
        case _:
            raise Malformed("a predicate of a kind that is not defined")


class _Reader:
    """Takes octets from the front, and never more than there are."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise Malformed("a statement that ends too early")
        self._at += count
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")


def _octets(number: int, length: int) -> bytes:
    return number.to_bytes(length, "big")
