"""Commitments to vectors of bits, and the points they are made with.

``Com(x; r) = h*r + G_1*x_1 + ... + G_N*x_N`` hides x perfectly and binds to it as
long as nobody knows how one of the points is a multiple of the others. They are
hashed to the curve under a tag of their own: no generator of BBS is among them.

Source: draft-irtf-cfrg-bbs-signatures, section 4.1.1 (create_generators).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from crypto.bbs.backends import G1, Backend
from crypto.bbs.generators import generators
from crypto.bbs.moves import Equation
from crypto.bbs.suite import ORDER
from crypto.predicates.statement import Statement
from crypto.typed import TYPED

BITS: Final = replace(TYPED, interface=TYPED.interface + b"BITV_")
_STEP: Final = 64


def commitment(backend: Backend, entries: Sequence[int], blinding: int) -> Equation:
    """Return the sum that Com(entries; blinding) is. Numbers are reduced modulo r."""
    numbers = [number % ORDER for number in (blinding, *entries)]
    return Equation(_points(backend, len(entries)), numbers)


def commit(backend: Backend, bits: Sequence[int], blinding: int) -> G1:
    """Return Com(bits; blinding) in a time that does not depend on the bits.

    A multi-exponentiation takes a time that depends on its factors. So G_i or
    2*G_i is added for each bit, and all G_i are taken off again.
    """
    h, *points = _points(backend, len(bits))
    chosen = every = h
    for point, bit in zip(points, bits, strict=True):
        chosen = backend.add(chosen, (point, backend.add(point, point))[bit])
        every = backend.add(every, point)
    return backend.msm([h, chosen, every], [blinding, 1, ORDER - 1])


def _points(backend: Backend, count: int) -> list[G1]:
    # Generators do not depend on how many there are: few sizes, few to remember.
    points = generators(BITS, backend, -(-count // _STEP) * _STEP)
    return [points.header, *points.messages[:count]]


def minus(equation: Equation, factor: int, point: G1) -> Equation:
    """Take ``factor * point`` from a sum."""
    points, scalars = equation
    return Equation([*points, point], [*scalars, -factor % ORDER])


def split(statement: Statement, entries: Sequence[int]) -> list[Sequence[int]]:
    """Deal the free entries out to the predicates they belong to."""
    dealt, at = [], 0
    for predicate in statement.predicates:
        dealt.append(entries[at : at + predicate.free])
        at += predicate.free
    return dealt


def free(statement: Statement) -> int:
    """How many entries of a vector of this statement do not follow from the rest."""
    return sum(predicate.free for predicate in statement.predicates)
