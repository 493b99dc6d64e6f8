"""Clocks that are set back: what is refused, what goes on, and what stays true.

The order of receipts is their number and the hash of the one before; `at` is what
the provider's clock said. A clock that is set back makes `at` smaller than in the
receipt before, and breaks nothing that is proved.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from crypto.encoding import b64u
from ledger.receipts import SignedReceipt, parse_signed_receipt
from tests.support.node import (
    PURPOSE,
    SHARED,
    START,
    FixedClock,
    World,
    check_log,
    check_streams,
    open_world,
    start,
)
from tests.support.snapshots import check_current


@pytest.fixture
async def world(tmp_path: object) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:  # type: ignore[arg-type]
        yield world
        receipts = world.maker.receipts()
        check_streams(receipts, world.maker.me)
        await world.maker.services.keep_log.integrate()
        assert check_log(world.maker.database, world.maker.me) == len(receipts)


@contextlib.asynccontextmanager
async def provider_at(world: World, **ago: float) -> AsyncIterator[FixedClock]:
    """Start the provider again with a clock of its own, which was set back."""
    clock = FixedClock(START)
    clock.advance(**{unit: -count for unit, count in ago.items()})
    await world.maker.stop()
    world.maker = await start(
        world.maker.folder, clock=clock, wire=world.wire, anchors=world.chain
    )
    yield clock
    await world.restart()


def newest(world: World) -> SignedReceipt:
    return world.maker.receipts()[-1]


async def test_a_provider_with_a_clock_set_back_believes_no_right_token(
    world: World,
) -> None:
    async with provider_at(world, hours=1) as clock:
        answer = await world.query()
        assert (answer.status, answer.codes) == (401, ["token.expired"])
        assert "disclosures" not in answer.body
        receipt = parse_signed_receipt(answer.body).receipt
        assert receipt == newest(world).receipt
        assert receipt.at == clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    world.check(await world.query())


async def test_a_minute_more_or_less_is_nobodys_fault(world: World) -> None:
    async with provider_at(world, seconds=30):
        answer = await world.query()
        assert answer.status == 200


async def test_when_all_clocks_are_set_back_calls_go_on_and_order_stays(
    world: World,
) -> None:
    world.check(await world.query())
    before = newest(world).receipt
    world.clock.advance(hours=-1)
    world.check(await world.query())
    after = newest(world).receipt
    assert (after.sequence, after.previous) == (before.sequence + 1, before.receipt_id)
    assert after.at < before.at  # the clock's word, and nothing else


async def test_a_snapshot_of_an_earlier_time_is_newer_by_its_number(
    world: World,
) -> None:
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": ["units"],
        "customers": [SHARED[0]],
    }
    early = await world.supplier.manage("/management/ask", question)
    world.clock.advance(hours=-1)
    await asyncio.to_thread(
        world.crm.write,
        "UPDATE projects SET units = units + 1 WHERE customer = ?",
        SHARED[0],
    )
    late = await world.supplier.manage("/management/ask", question)
    assert early["verified"]
    assert late["verified"]
    first, second = early["snapshot"], late["snapshot"]
    assert second["sequence"] == first["sequence"] + 1
    assert second["signed_at"] < first["signed_at"]
    assert check_current(world.maker.database, world.maker.me, world.agreement) == 4


async def test_receipts_of_an_earlier_time_are_signed_back_all_the_same(
    world: World,
) -> None:
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": ["units"],
        "customers": [SHARED[0]],
    }
    await world.supplier.manage("/management/ask", question)
    world.clock.advance(hours=-1)
    for _ in range(2):
        await world.supplier.manage("/management/ask", question)
    world.clock.advance(hours=1)
    await world.supplier.services.countersign.deliver()
    rows = await world.maker.manage("/audit/calls")
    assert [row["countersigned"] for row in rows["items"]] == [True] * 3


async def test_an_hour_that_comes_again_has_no_calls_left(world: World) -> None:
    world.agreement = await world.agree(calls_per_hour=1)
    for _ in range(2):
        world.check(await world.query())
        world.clock.advance(hours=1)
    world.clock.advance(hours=-2)
    world.check_refused(await world.query(), "rate.exceeded")


async def test_a_nonce_stays_used_when_the_clock_is_set_back(world: World) -> None:
    nonce = b64u(b"again".ljust(32))
    world.check(await world.query(nonce=nonce))
    for minutes in (1, 60):
        world.clock.advance(minutes=-minutes)
        await world.maker.services.store.write(
            lambda work: work.receipts.forget_nonces(world.clock.now())
        )
        world.check_refused(
            await world.query(nonce=nonce), "nonce.replayed", consumer=None
        )


async def test_a_forgotten_nonce_is_fresh_when_its_time_comes_again(
    world: World,
) -> None:
    """What no clock may do: `docs/limitations.md` says so."""
    answer = await world.query()
    world.check(answer)
    world.clock.advance(hours=1)
    await world.maker.services.store.write(
        lambda work: work.receipts.forget_nonces(world.clock.now())
    )
    again = await world.query(token=answer.token, **answer.asked)
    assert again.codes == ["token.expired"]
    world.clock.advance(hours=-1)
    again = await world.query(token=answer.token, **answer.asked)
    world.check(again)  # with a receipt of its own, and counted


async def test_an_agreement_does_not_begin_early_or_end_late_unseen(
    world: World,
) -> None:
    world.clock.advance(days=-60)
    world.check_refused(await world.query(), "agreement.not_yet_valid")
