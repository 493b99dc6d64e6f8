"""A heat map in mode R, at its asker: add up encrypted rows by segments.

Segments are sets of customers that we declared. They are public to the owner, and fixed
by the plan; what we compute can therefore be checked, and nothing of it may be blinded.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crypto.encoding import b64u, unb64u
from crypto.errors import CryptoError, Malformed
from crypto.kernels import bfv
from crypto.kernels.packing import numbers, pack, parse_numbers
from crypto.parameters import parameter_set
from ledger.plans import Plan, SignedPlan
from node.domain.agreement import Agreement
from node.domain.masks import masks_hash, parse_masks, selection, united, write_masks
from node.domain.noised import shown
from node.errors import BadRequest, Conflict
from node.ports import Declaration, Randomness, Store
from node.services.aggregates.heat_map_told import answered, read_told, result_of
from node.services.aggregates.heat_map_wire import blocks, cut, packed, parts_of, shared
from node.services.aggregates.steps import Answer, CallStep, Run, wrong
from node.services.align import Align


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """The masks of a plan that does not yet exist.

    Attributes:
        hash: For `Plan.segments`.
        labels: For `Plan.segment_labels`.
        inputs: What `HeatMapAsker` needs of it: a JSON object.
    """

    hash: str
    labels: tuple[str, ...]
    inputs: Mapping[str, Any] = field(repr=False)


async def prepare_segments(
    store: Store,
    align: Align,
    agreement: Agreement,
    segments: Mapping[str, Sequence[str]],
) -> Segments:
    """Divide the customers that we declared under an agreement.

    Args:
        segments: Normalised customer keys by label; nobody in two.

    Raises:
        BadRequest: A customer was not declared, or is in two segments.
        Conflict: We have not declared any.
    """
    declared = await store.read(lambda view: view.agreements.declaration(agreement.id))
    if declared is None:
        detail = "Declare customers under this agreement first."
        raise Conflict("customers.undeclared", detail)
    try:
        masks = await asyncio.to_thread(_masks, declared, align, agreement, segments)
    except KeyError:
        detail = "A customer in a segment was not declared under this agreement."
        raise BadRequest("segments.malformed", detail) from None
    except Malformed as error:
        detail = "A customer is in two segments."
        raise BadRequest("segments.malformed", detail) from error
    inputs = {
        "masks": b64u(masks),
        "size": declared.size,
        "declaration": declared.hash,
    }
    return Segments(hash=masks_hash(masks), labels=tuple(segments), inputs=inputs)


def _masks(
    declared: Declaration,
    align: Align,
    agreement: Agreement,
    segments: Mapping[str, Sequence[str]],
) -> bytes:
    """Return the masks. Raises `KeyError` for who was not declared; `Malformed`."""
    tokens = declared.tokens
    places = {tokens[at : at + 32]: at // 32 for at in range(0, len(tokens), 32)}
    positions = [
        [places[token] for token in align.tokens(agreement, customers)]
        for customers in segments.values()
    ]
    return write_masks(declared.size, positions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """Asks in mode R."""

    call: CallStep
    randomness: Randomness

    async def __call__(
        self, signed: SignedPlan, inputs: Mapping[str, Any], run: Run
    ) -> Mapping[str, Any]:
        """Return the noised sums of each segment.

        Args:
            inputs: As `prepare_segments` returns them.
        """
        plan, (party,) = signed.plan, signed.plan.parties
        octets, size, declaration = await asyncio.to_thread(_inputs, plan, inputs)

        async def _ask() -> Answer:
            arguments = {"declaration": declaration, "size": size}
            return await self.call(signed, party, "rows", arguments, octets)

        members, payload = await answered(run, "rows", _ask)
        released = await self._selected(plan, octets, size, payload, run)

        async def _open() -> Answer:
            arguments = {"key": members.get("key")}
            return await self.call(
                signed, party, "open", arguments, await packed(released)
            )

        members, payload = await answered(run, "opened", _open)
        cells = plan.cell_count * len(plan.segment_labels)
        told = read_told(members, cells=cells)
        if len(payload) != 8 * cells:
            raise wrong("has another number of cells")
        labels = list(plan.segment_labels)
        parts = {"field": "segment", "grain": "segment", "values": labels}
        return result_of(
            plan,
            told,
            groups=[parts, *(group.to_json() for group in plan.groups)],
            cells=shown(parse_numbers(payload), told.suppressed),
            spreads=[told.spread],
        )

    async def _selected(
        self, plan: Plan, octets: bytes, size: int, payload: bytes, run: Run
    ) -> list[bytes]:
        """Multiply each row with the union of the masks, and release it."""
        parameters = parameter_set(plan.parameters)
        try:
            public, parts = await asyncio.to_thread(
                self._terms, plan, octets, size, payload
            )
            return await run.map(
                "selected",
                bfv.combine_part,
                parts,
                plan.parameters.encode(),
                shared(public),
                numbers([parameters.most]),
                size=parameters.slots,
            )
        except CryptoError as error:
            raise wrong("holds no rows") from error

    def _terms(
        self, plan: Plan, octets: bytes, size: int, payload: bytes
    ) -> tuple[bytes, list[bytes]]:
        """Return the owner's key, and what each row is multiplied with.

        Raises:
            CryptoError: These are not as many rows as the plan has.
        """
        parameters = parameter_set(plan.parameters)
        count = 1 + blocks(plan, size * plan.cell_count)
        public, *rows = parts_of(payload, count, parameters)
        masks = parse_masks(octets, size, len(plan.segment_labels))
        chosen = selection(united(masks), size) * plan.cell_count
        return public, [
            pack(b"", self.randomness(32), bfv.term(row, numbers(bits), 1))
            for row, bits in zip(rows, cut(chosen, parameters.slots), strict=True)
        ]


def _inputs(plan: Plan, inputs: Mapping[str, Any]) -> tuple[bytes, int, str]:
    try:
        octets = unb64u(inputs["masks"])
        size, declaration = inputs["size"], inputs["declaration"]
        parse_masks(octets, size, len(plan.segment_labels))
    except (CryptoError, KeyError, TypeError) as error:
        detail = "These are no segments of this plan."
        raise BadRequest("plan.inputs", detail) from error
    if masks_hash(octets) != plan.segments:
        raise BadRequest("plan.inputs", "These are not the segments of the plan.")
    return octets, size, declaration
