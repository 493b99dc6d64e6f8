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
    # Generators do not depend on how many there are: few sizes, few to remember.
    points = generators(BITS, backend, -(-len(entries) // _STEP) * _STEP)
    numbers = [number % ORDER for number in (blinding, *entries)]
    return Equation([points.header, *points.messages[: len(entries)]], numbers)


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
