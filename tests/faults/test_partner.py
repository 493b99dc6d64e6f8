"""A partner that takes answers and never signs for them.

It is served until so many receipts of an agreement are unsigned, and then refused,
with a receipt and the reason. Others are served on; so is it, once it has signed.
"""

from pathlib import Path
from typing import Any

import pytest

from crypto.encoding import b64u
from tests.faults.load import Load, Told, provider

pytestmark = pytest.mark.slow
MOST = 5
_SETTINGS = f"""\
integrate_every_s: 0.05
company: {{max_unacknowledged: {MOST}}}
"""


async def test_a_partner_that_never_signs_is_refused_and_alone_in_that(
    tmp_path: Path,
) -> None:
    async with provider(tmp_path, settings=_SETTINGS) as load:
        agreement, other = load.world.agreement, load.capped[0]
        for _ in range(MOST):
            assert (await silent(load, agreement)).is_allowed
        for _ in range(3):
            refused = await silent(load, agreement)
            assert refused.status == 403
            assert codes(refused) == ["receipts.unacknowledged"]
            assert refused.signed.receipt.records == 0
        assert (await silent(load, other)).is_allowed
        # It is not too late: by the next call, or without one.
        call = load.call(agreement)  # signs all that were noted back
        async with load.client() as client:
            told = await load.ask(client, call)
        assert told is not None
        assert told.is_allowed, told.body
        await sign_back(load, told)
        assert (await silent(load, agreement)).is_allowed
        assert load.spilled() == []


async def silent(load: Load, agreement: str) -> Told:
    """Ask without signing anything back; the answer is noted, for later."""
    owed = load._owed.setdefault(agreement, [])
    unsigned, owed[:] = owed[:], []
    call = load.call(agreement)
    owed[:] = unsigned
    assert call.signs == ()
    async with load.client() as client:
        told = await load.ask(client, call)
    assert told is not None
    return told


async def sign_back(load: Load, told: Told) -> None:
    supplier, path = load.world.supplier, "/receipts/countersignatures"
    signature = supplier.services.countersign.sign(told.signed).signature
    receipt = told.signed.receipt.receipt_id
    body = {"countersignatures": [{"receipt": receipt, "signature": b64u(signature)}]}
    token = supplier.token(load.world.maker.did, path, body, agreement=None)
    async with load.client() as client:
        reply = await client.post(
            f"{load.provider.url}{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        )
    assert reply.json() == {"accepted": 1}


def codes(told: Told) -> list[Any]:
    return [each["code"] for each in told.body["denials"]]
