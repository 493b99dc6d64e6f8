"""Blinded lists of customers, as both sides of an intersection make them.

A side draws its secrets once for a plan: the scalar that blinds, and seeds for
dummies and orders. From these and its customers follows everything else, so that who
goes on after a kill makes the same list. Lists are cut into parts, of a tenth of a
second each, which are blinded and multiplied in worker processes. What else is done
with a whole list (sorting, ordering) is done there, too, and beside that.

What is done with the lists, and who learns what of them:
`docs/protocols/fp-psi-sum-1.md`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from crypto.encoding import sha256, tagged
from crypto.errors import CryptoError
from crypto.kernels import psi as kernels
from crypto.kernels.packing import numbers, pack, parse_numbers, unpack
from crypto.psi import POINT, bucket, commitment
from node.ports import Randomness
from node.services.aggregates.steps import Refusal, Run

PART: Final = 2048
"""Points in a part of a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What one side draws for one list in one session.

    Attributes:
        scalar: Blinds, 32 bytes.
        dummies: Seed of the points that fill the list up.
        order: Seed of the list's own order.
        shuffle: From which the seeds come of the orders of what is multiplied for
            others (`shuffle_of`).
    """

    scalar: bytes = field(repr=False)
    dummies: bytes = field(repr=False)
    order: bytes = field(repr=False)
    shuffle: bytes = field(repr=False)

    @classmethod
    async def drawn(cls, run: Run, randomness: Randomness) -> Self:
        """Draw them, or return those that this run has drawn."""

        async def _draw() -> bytes:
            scalar = await run.compute(kernels.key, randomness(64))
            return pack(scalar, *(randomness(32) for _ in range(3)))

        return cls.parse(await run.once("secrets", _draw, secret=True))

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read what `octets` writes."""
        scalar, dummies, order, shuffle = unpack(octets)
        return cls(scalar=scalar, dummies=dummies, order=order, shuffle=shuffle)

    @property
    def octets(self) -> bytes:
        """All of them, to be kept encrypted."""
        return pack(self.scalar, self.dummies, self.order, self.shuffle)

    def shuffle_of(self, whose: str) -> bytes:
        """Return the seed of the order of one other side's list, 32 bytes."""
        return sha256(tagged("psi-shuffle", self.shuffle), whose.encode())


@dataclass(frozen=True, slots=True)
class Customers:
    """The customers of a list: sorted, each once.

    Attributes:
        parts: As they are blinded: `PART` of them packed in each, fewer in the last.
    """

    parts: Sequence[bytes] = field(repr=False)

    @classmethod
    async def kept(cls, run: Run, read: Callable[[], Awaitable[Iterable[str]]]) -> Self:
        """Keep those that are read, for they may change; return the kept ones.

        Args:
            read: Returns normalised keys, in any order.
        """

        async def _keep() -> bytes:
            packed = await asyncio.to_thread(_packed, await read())
            return await run.compute(kernels.listed, numbers([PART]), packed)

        octets = await run.once("customers", _keep, secret=True)
        return cls(await asyncio.to_thread(unpack, octets))

    @property
    def count(self) -> int:
        """How many they are."""
        if not self.parts:
            return 0
        return (len(self.parts) - 1) * PART + len(unpack(self.parts[-1]))

    def names(self) -> list[str]:
        """Return all of them; of many it takes long."""
        return [each.decode() for part in self.parts for each in unpack(part)]


async def own_list(
    run: Run, secrets: Secrets, session: bytes, customers: Customers
) -> bytes:
    """Return our customers as a list to be sent: blinded, filled up, in random order.

    Args:
        session: The plan's round, 32 bytes.
    """
    count = customers.count
    missing = numbers([bucket(count) - count])
    blinded, rest, order = await asyncio.gather(
        run.map(
            "blind",
            kernels.blind,
            customers.parts,
            secrets.scalar,
            session,
            size=PART,
        ),
        run.compute(kernels.dummies, missing, secrets.dummies),
        own_order(run, secrets, count),
    )
    return await run.compute(kernels.arranged, order, b"".join([*blinded, rest]))


async def own_order(run: Run, secrets: Secrets, count: int) -> bytes:
    """Return, for each place of our list, which customer stands there; drawn once.

    Args:
        count: Customers; or places, which is the same here.

    Returns:
        Numbers; those from `count` on are dummies.
    """
    size = numbers([bucket(count)])

    async def _draw() -> bytes:
        return await run.compute(kernels.order, size, secrets.order)

    return await run.once("own-order", _draw, secret=True)


async def multiplied(
    run: Run,
    stage: str,
    secrets: Secrets,
    points: bytes,
    shuffle: bytes | None = None,
    *,
    matched: bool = False,
) -> bytes:
    """Multiply another side's points with our scalar.

    Args:
        shuffle: Seed of the order in which they come back; None leaves theirs.
        matched: Whether `places` is given them next, which finds those that come
            twice.

    Raises:
        Malformed: Not a list of points, or one of them twice.
    """
    if not matched:
        await run.compute(kernels.check_distinct, points)
    multiplying = run.map(
        stage, kernels.multiply, cut(points), secrets.scalar, size=PART
    )
    if shuffle is None:
        return b"".join(await multiplying)
    count = numbers([len(points) // POINT])
    done, order = await asyncio.gather(
        multiplying, run.compute(kernels.order, count, shuffle)
    )
    return await run.compute(kernels.arranged, order, b"".join(done))


async def places(run: Run, ours: bytes, theirs: bytes) -> list[int]:
    """Return the places in one list of the points that are in another, too.

    Raises:
        Malformed: A list holds a point twice.
    """
    found = await run.compute(kernels.matches, ours, theirs)
    return await asyncio.to_thread(parse_numbers, found)


async def committed(session: bytes, points: bytes) -> str:
    """Return the hash by which a list is fixed (`crypto.psi.commitment`)."""
    return await asyncio.to_thread(commitment, session, points)


def cut(points: bytes) -> list[bytes]:
    """Cut a list of points into parts."""
    step = POINT * PART
    return [points[at : at + step] for at in range(0, len(points), step)]


async def in_order(run: Run, step: str, made: bytes, *, after: str) -> None:
    """Keep that a step was done with certain octets, once another was.

    Args:
        made: What the step was asked with; a hash of it is enough.
        after: The step that has to come before; none if it is empty.

    Raises:
        Refusal: `round.order`: that one was not done; `round.replayed`: this one was,
            with other octets.
    """

    async def _missing() -> bytes:
        raise Refusal("round.order")

    async def _now() -> bytes:
        return made

    if after:
        await run.once(f"did-{after}", _missing)
    if await run.once(f"did-{step}", _now) != made:
        raise Refusal("round.replayed")


def refusal(error: CryptoError, code: str = "points.malformed") -> Refusal:
    """Return the refusal of a step whose octets are wrong."""
    refused = Refusal(code)
    refused.__cause__ = error
    return refused


def _packed(customers: Iterable[str]) -> bytes:
    return pack(*(each.encode() for each in customers))
