"""What both sides of a heat map do alike: cut tables into rows of slots, and back.

A table has more cells than a ciphertext has slots, or fewer. It is cut into rows in
the order of its cells; the last one is filled up with zeros. What stands in slots
beyond the table is checked to be zero wherever it is read.

Spec: `docs/protocols/fp-map-1.md`, section "Messages".
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from crypto.encoding import b64u, sha256
from crypto.errors import CryptoError, Malformed
from crypto.kernels import bfv
from crypto.kernels.packing import pack, unpack
from crypto.parameters import ParameterSet, parameter_set
from ledger.plans import Plan
from node.domain.noised import Noised, bitmap
from node.ports import Publication
from node.ports.aggregates import Shared
from node.services.aggregates.steps import Refusal, Run

_Row = TypeVar("_Row", bytes, Sequence[int])

MOST_OPENS: Final = 16
"""Different ciphertexts that an owner opens, or computes on, for one plan."""
MOST_TRIES: Final = 4
"""Different results of rows that an owner compares for one plan."""
MOST_COLUMNS: Final = 64
MOST_BLOCKS: Final = 64
"""Ciphertexts in one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """An owner's key for one plan.

    Attributes:
        digest: By which messages name it, 64 hex digits.
    """

    secret: bytes = field(repr=False)
    public: bytes = field(repr=False)
    digest: str

    @classmethod
    async def of(cls, plan: Plan, run: Run, *, make: bool = False) -> "Keys":
        """Return the key of a plan.

        Args:
            make: Make it, if it was not made before.

        Raises:
            Refusal: `round.order`: it was not, and is not to be made.
        """
        name = plan.parameters.encode()

        async def _make() -> bytes:
            if not make:
                raise Refusal("round.order")
            return await run.compute(bfv.key_pair, name)

        secret, public = unpack(await run.once("key", _make, secret=True))
        digest = await run.compute(bfv.digest, name, public)
        return cls(secret=secret, public=public, digest=digest.hex())

    def check(self, arguments: Mapping[str, Any]) -> None:
        """See that a step is about this key. Raises `Refusal`."""
        if arguments != {"key": self.digest}:
            raise Refusal("key.mismatch")


def shared(octets: bytes) -> Shared:
    """Return octets that many calls of a kernel need."""
    return Shared(digest=sha256(octets), octets=octets)


def cut(values: _Row, slots: int) -> list[_Row]:
    """Return rows of at most so many numbers, or pieces of as many octets."""
    return [values[at : at + slots] for at in range(0, len(values), slots)]


def blocks(plan: Plan, cells: int) -> int:
    """Return how many ciphertexts hold so many cells."""
    return -(-cells // parameter_set(plan.parameters).slots)


async def sent_parts(
    payload: bytes, count: int, parameters: ParameterSet
) -> list[bytes]:
    """Return the octets of exactly so many keys or ciphertexts, for an owner.

    Raises:
        Refusal: `ciphertext.malformed`: `parts_of` does not take them.
    """
    try:
        return await asyncio.to_thread(parts_of, payload, count, parameters)
    except CryptoError as error:
        raise malformed(error) from error


def parts_of(payload: bytes, count: int, parameters: ParameterSet) -> list[bytes]:
    """Return the octets of exactly so many keys or ciphertexts.

    Raises:
        Malformed: More or fewer, or more octets than so many have.
    """
    if len(payload) > count * (parameters.octets + 4):
        message = "more octets than so many ciphertexts have"
        raise Malformed(message)
    found = unpack(payload)
    if len(found) != count:
        message = "another number of ciphertexts"
        raise Malformed(message)
    return found


async def ciphertexts(plan: Plan, parts: Sequence[bytes], run: Run) -> Sequence[bytes]:
    """Check ciphertexts that a partner sent, as far as that needs no key.

    Raises:
        Refusal: `ciphertext.malformed`.
    """
    name = plan.parameters.encode()
    try:
        for part in parts:
            await run.compute(bfv.check_ciphertext, name, part)
    except CryptoError as error:
        raise malformed(error) from error
    return parts


def malformed(error: CryptoError) -> Refusal:
    """Return the refusal of ciphertexts. Of what is wrong with them nothing is told."""
    refused = Refusal("ciphertext.malformed")
    refused.__cause__ = error
    return refused


async def turn(run: Run, payload: bytes, most: int) -> int | None:
    """Return which turn is that of this payload, from 0, the same every time.

    Returns:
        None where all turns were taken, by others.
    """
    digest = await asyncio.to_thread(sha256, payload)

    async def _take() -> bytes:
        return digest

    for number in range(most):
        if await run.once(f"turn-{number}", _take, secret=True) == digest:
            return number
    return None


async def owners_turn(run: Run, payload: bytes, most: int) -> int:
    """Return which turn is that of this payload.

    Raises:
        Refusal: `round.replayed`: all turns were taken, by others.
    """
    if (number := await turn(run, payload, most)) is None:
        raise Refusal("round.replayed")
    return number


def described(plan: Plan, publication: Publication, table: Noised) -> dict[str, Any]:
    """Return what a table's reader needs to be told beside its numbers."""
    field = publication.dataset.field(plan.measure.field or "")
    summed = field if plan.measure.what == "sum" else None
    return {
        "spread": table.spread,
        "unit": summed.unit if summed else None,
        "scale": summed.scale if summed else 0,
    }


def told_hidden(table: Noised) -> dict[str, str]:
    """Return the member that tells which cells are suppressed."""
    return {"suppressed": b64u(bitmap(table.suppressed))}


async def packed(parts: Sequence[bytes]) -> bytes:
    """Return parts as the payload that `parts_of` reads."""
    return await asyncio.to_thread(pack, *parts)
