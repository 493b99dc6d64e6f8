"""Mask: the asker's arithmetic on ciphertexts that it cannot read.

Of every limb one ciphertext comes out. Its slots are the sums over blocks of what
stands at matched places, plus numbers that are uniform among those that add up to the
asker's noise: so together they are the sum, and each by itself is nothing.

Spec: `docs/protocols/fp-psi-sum-1.md`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from crypto.encoding import sha256
from crypto.errors import CryptoError
from crypto.kernels import bfv
from crypto.kernels.packing import numbers, pack, parse_numbers
from crypto.parameters import ParameterSet
from node.domain.joint import Limbs
from node.ports import Randomness
from node.ports.aggregates import Shared
from node.services.aggregates.blinding import zero_sums
from node.services.aggregates.steps import Run, wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Encrypted:
    """A provider's values, as they came.

    Attributes:
        public: Its key for this plan.
        blocks: Ciphertexts: block after block of its list, of each limb after limb.
        size: Places of its list.
    """

    public: bytes
    blocks: Sequence[bytes]
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """Adds up what stands at some places of a list, and hides all but the sum."""

    parameters: ParameterSet
    limbs: Limbs
    randomness: Randomness

    async def __call__(
        self, given: Encrypted, found: Sequence[int], added: Sequence[int], run: Run
    ) -> bytes:
        """Return the ciphertexts to be sent back, packed; the same ones each time.

        Args:
            found: The places; one at least.
            added: Our noise, for each limb.

        Raises:
            Unavailable: The blocks are not ciphertexts of these parameters, or not as
                many as the list has.
        """
        slots = self.parameters.slots
        blocks = -(-given.size // slots)
        if len(given.blocks) != blocks * self.limbs.count:
            raise wrong("holds another number of ciphertexts")
        masks = await asyncio.to_thread(_masks, found, blocks, slots)

        async def make() -> bytes:
            every = range(self.limbs.count)
            return pack(
                *[await self._limb(given, masks, at, added[at], run) for at in every]
            )

        try:
            return await run.once("masked", make)
        except CryptoError as error:
            raise wrong("holds what are no ciphertexts of the plan") from error

    async def _limb(
        self,
        given: Encrypted,
        masks: Sequence[bytes],
        limb: int,
        added: int,
        run: Run,
    ) -> bytes:
        slots, modulus = self.parameters.slots, self.parameters.plain_modulus
        row = await blinding(self.randomness, added, slots, modulus)
        pairs = zip(given.blocks[limb :: self.limbs.count], masks, strict=True)
        terms = [bfv.term(each, mask, 1) for each, mask in pairs]
        return await run.compute(
            bfv.combine,
            self.parameters.name.encode(),
            Shared(digest=sha256(given.public), octets=given.public),
            numbers([self.limbs.bounds[limb]]),
            row,
            self.randomness(32),
            *terms,
        )


async def blinding(
    randomness: Randomness, wanted: int, slots: int, modulus: int
) -> bytes:
    """Return a row that is uniform among those that add up to a number modulo T.

    Returns:
        Numbers below T, one for each slot.
    """
    row = parse_numbers(await zero_sums(randomness, [0] * slots, modulus))
    return numbers([(row[0] + wanted) % modulus, *row[1:]])


def _masks(found: Sequence[int], blocks: int, slots: int) -> list[bytes]:
    """Return ones at the places: of each block a row, of which some may be zeros.

    Those are multiplied like the others: how many there are is not to be timed.
    """
    rows = [[0] * slots for _ in range(blocks)]
    for place in found:
        rows[place // slots][place % slots] = 1
    return [numbers(row) for row in rows]
