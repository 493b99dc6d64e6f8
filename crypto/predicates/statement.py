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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from crypto.encoding import sha256, tagged
from crypto.errors import Malformed
from crypto.predicates.kinds import Member, Predicate, Window
from crypto.typed import (
    FIRST_FIELD,
    TYPED,
    Field,
    Schema,
    field_at,
    schema_hash,
    size,
)

MAX_BITS: Final = 256
"""Bits in one presentation: a bound on what a stranger can make us compute."""
MAX_PREDICATES: Final = 64


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
        schema_hash(self.schema)  # it must be one
        fields = range(FIRST_FIELD, FIRST_FIELD + len(self.schema))
        shown = set(self.disclosed)
        if list(self.disclosed) != sorted(shown) or not shown <= set(fields):
            raise Malformed("the fields shown ascend, and are in the schema")
        for index in self.disclosed:
            field_at(self.schema, index)  # it must be told
        if len(set(self.predicates)) != len(self.predicates):
            raise Malformed("a predicate is stated once")
        if len(self.predicates) > MAX_PREDICATES or self.bits > MAX_BITS:
            raise Malformed(f"a presentation proves at most {MAX_BITS} bits")
        for predicate in self.predicates:
            if not set(predicate.indexes) <= set(fields) - shown:
                raise Malformed("a predicate is about fields that stay hidden")
            asked = [field_at(self.schema, index) for index in predicate.indexes]
            if isinstance(predicate, Window):
                _check_window(predicate, asked)

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


def _check_window(window: Window, fields: Sequence[Field]) -> None:
    if len({(field.kind, field.unit, field.scale) for field in fields}) != 1:
        raise Malformed("fields of different types or units do not compare")
    equality = window.lo == window.hi == 0
    if not fields[0].is_number and not equality:
        raise Malformed("only numbers lie between bounds")


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
