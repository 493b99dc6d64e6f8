"""Segments of customers that were declared: made before there is a plan."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from crypto.encoding import sha256, unb64u
from ledger.snapshots import declaration_hash
from node.domain.agreement import Agreement
from node.domain.masks import masks_hash, parse_masks
from node.errors import BadRequest, Conflict
from node.ports import Declaration, Store
from node.services.aggregates.heat_map_select import prepare_segments
from node.services.align import Align
from tests.support.heat_maps import agreement


def token(customer: str) -> bytes:
    return sha256(customer.encode())


DECLARED = sorted(token(f"c{number}") for number in range(64))


class Declared:
    """A store that keeps what we declared, or nothing."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self.tokens = list(tokens)

    async def read(self, question: Any) -> Any:
        found = None
        if self.tokens:
            hashed = declaration_hash(self.tokens)
            found = Declaration(hash=hashed, tokens=b"".join(self.tokens))
        view = SimpleNamespace(declaration=lambda _: found)
        return question(SimpleNamespace(agreements=view))


def tokens(_: Agreement, customers: Sequence[str]) -> dict[bytes, str]:
    return {token(customer): customer for customer in customers}


async def prepared(segments: dict[str, list[str]], declared: Sequence[bytes]) -> Any:
    return await prepare_segments(
        cast("Store", Declared(declared)),
        cast("Align", SimpleNamespace(tokens=tokens)),
        agreement(),
        segments,
    )


async def test_customers_stand_where_they_were_declared() -> None:
    found = await prepared({"new": ["c1", "c7"], "旧": ["c63"]}, DECLARED)
    octets = unb64u(found.inputs["masks"])
    masks = parse_masks(octets, 64, 2)
    assert masks == [
        1 << DECLARED.index(token("c1")) | 1 << DECLARED.index(token("c7")),
        1 << DECLARED.index(token("c63")),
    ]
    assert found.labels == ("new", "旧")
    assert found.hash == masks_hash(octets)
    assert found.inputs["size"] == 64
    assert found.inputs["declaration"] == declaration_hash(DECLARED)


async def test_customers_that_were_not_declared_are_in_no_segment() -> None:
    with pytest.raises(BadRequest, match="was not declared"):
        await prepared({"new": ["c1", "stranger"]}, DECLARED)


async def test_no_customer_is_in_two_segments() -> None:
    with pytest.raises(BadRequest, match="in two segments"):
        await prepared({"new": ["c1"], "old": ["c2", "c1"]}, DECLARED)


async def test_without_a_declaration_there_are_no_segments() -> None:
    with pytest.raises(Conflict, match="Declare customers"):
        await prepared({"new": ["c1"]}, [])
