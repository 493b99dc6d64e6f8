"""What a party sends of its row: ciphertexts of masked numbers, and a commitment.

    ciphertexts   Enc((cell + mask) mod T), under the asker's key
    commitment    Com(cells; r), r uniformly random
    blinding      (r + mask) mod the group's order

Masks of all parties add up to zero, of the cells and of the blindings alike. So the
sum of what was encrypted is the sum of the cells, and it opens the sum of the
commitments; of one party alone each number is uniformly random to whoever does not
know all of its masks, and the commitment hides perfectly.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from crypto.bbs.suite import ORDER
from crypto.encoding import sha256
from crypto.kernels import bfv, rows
from crypto.kernels.packing import numbers, pack, parse_numbers, unpack
from ledger.plans import Plan
from ledger.rosters import Roster
from node.ports import Randomness
from node.ports.aggregates import Shared
from node.services.aggregates.federate_rules import Shape
from node.services.aggregates.steps import Run

_WIDE = 64
"""Bytes that are reduced to a blinding: uniform but for 2^-257."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a party sends.

    Attributes:
        commitment: A point, 48 bytes.
        blinding: Masked, 32 bytes, big-endian.
        payload: The ciphertexts, packed.
    """

    commitment: bytes
    blinding: bytes
    payload: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """A party's cells, on their way under masks.

    Attributes:
        me: DID of the party, in the roster.
        cells: Noised; from 0 to `Shape.share`.
    """

    plan: Plan
    roster: Roster
    me: str
    cells: Sequence[int]

    async def contribution(
        self, secret: bytes, public: bytes, random: Randomness, run: Run
    ) -> Contribution:
        """Mask, encrypt and commit: once, and kept before it is returned.

        Args:
            secret: This party's mask key, 32 bytes.
            public: The asker's key, of the digest that the plan names.
        """

        async def _draw() -> bytes:
            return rows.scalar(int.from_bytes(random(_WIDE), "big") % ORDER)

        blinding = await run.once("blinding", _draw, secret=True)

        async def _make() -> bytes:
            commitment, masked = await asyncio.gather(
                run.compute(rows.commit, blinding, numbers(self.cells)),
                self._masked(secret, public, blinding, run),
            )
            return pack(commitment, *masked)

        commitment, hidden, *encrypted = unpack(await run.once("contribution", _make))
        return Contribution(commitment, hidden, pack(*encrypted))

    async def _masked(
        self, secret: bytes, public: bytes, blinding: bytes, run: Run
    ) -> list[bytes]:
        """Return the masked blinding, and the ciphertexts of the masked cells."""
        masks, mask = unpack(await self._masks(secret, run))
        shape = Shape.of(self.plan)
        pieces = await asyncio.to_thread(self._pieces, shape, masks)
        name, most = shape.parameters.name.encode(), numbers([shape.most])
        key = Shared(digest=sha256(public), octets=public)
        encrypted = await asyncio.gather(
            *(run.compute(bfv.encrypt, name, key, most, piece) for piece in pieces)
        )
        total = int.from_bytes(blinding, "big") + int.from_bytes(mask, "big")
        return [rows.scalar(total % ORDER), *encrypted]

    def _pieces(self, shape: Shape, masks: bytes) -> list[bytes]:
        """Add masks to the cells, and cut what comes out into ciphertexts' worth."""
        pairs = zip(self.cells, parse_numbers(masks), strict=True)
        masked = shape.centred(cell + each for cell, each in pairs)
        return [numbers(piece) for piece in shape.pieces(masked)]

    async def _masks(self, secret: bytes, run: Run) -> bytes:
        shape = Shape.of(self.plan)
        others = self.roster.keys(without=self.me).items()
        return await run.compute(
            rows.masks,
            secret,
            self.me.encode(),
            bytes.fromhex(self.plan.round),
            bytes.fromhex(self.roster.roster_hash),
            numbers([shape.cells, shape.parameters.plain_modulus]),
            *(pack(name.encode(), public) for name, public in others),
        )
