"""Anchors on their way to the chain: in order, once, whatever happens meanwhile."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import ChainUnavailable, Inconsistent, Refused
from ledger.memory_chain import MemoryChain
from ledger.ports import Signed
from node.errors import Conflict, Unavailable
from node.ports import Alarm
from tests.support.anchoring import MEMBER, CrashError, Fuse, Site, open_site, opened

THEIRS = b"t" * 32


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(tmp_path) as site:
        yield site


# -- the way ----------------------------------------------------------------------


async def test_an_anchor_goes_from_queued_to_final(site: Site) -> None:
    anchor = await site.anchoring()()
    assert anchor is not None
    assert (anchor.epoch, anchor.size, anchor.state) == (1, 5, "final")
    assert anchor.raw is not None
    await site.check(1)


async def test_without_a_chain_or_a_checkpoint_there_is_nothing_to_do(
    site: Site, tmp_path: Path
) -> None:
    assert await site.anchoring(anchors=None)() is None
    (tmp_path / "empty").mkdir()
    empty = open_site(tmp_path / "empty")
    assert await empty.anchoring()() is None
    await asyncio.to_thread(empty.store.close)


async def test_what_is_signed_is_kept_before_it_is_sent(site: Site) -> None:
    kept: list[bool] = []

    class Watching(MemoryChain):
        def send(self, signed: Signed) -> None:
            found = asyncio.run_coroutine_threadsafe(site.rows(), loop).result(120)
            kept.append(found[-1].raw == signed.raw and found[-1].state == "signed")
            super().send(signed)

    loop = asyncio.get_running_loop()
    site.chain = Watching(member=MEMBER)
    await site.anchoring()()
    assert kept == [True]


async def test_each_state_is_kept_on_the_way(tmp_path: Path) -> None:
    async with opened(tmp_path, finality="depth:2", mines=False) as site:
        keeper = site.anchoring()
        await keeper()
        assert await site.states() == ["sent"]
        site.chain.mine()
        await keeper.keep()
        assert await site.states() == ["mined"]
        site.chain.mine()
        await keeper.keep()
        assert await site.states() == ["mined"]
        site.chain.mine()
        await keeper.keep()
        assert await site.states() == ["final"]
        await site.check(1)


async def test_idle_epochs_are_anchored_too_when_they_are_due(site: Site) -> None:
    keeper = site.anchoring(epoch_s=300.0)
    for passed, epochs in ((0, 1), (299, 1), (1, 2), (900, 3), (299, 3)):
        site.clock.advance(seconds=passed)
        await keeper.keep()
        assert len(await site.rows()) == epochs
    rows = await site.rows()
    assert len({each.commitment for each in rows}) == 3
    assert {each.size for each in rows} == {5}
    await site.check(3)


async def test_a_clock_that_is_set_back_delays_no_epoch(site: Site) -> None:
    keeper = site.anchoring(epoch_s=300.0)
    await keeper.keep()
    site.clock.advance(days=-3)
    await keeper.keep()
    await keeper.keep()
    await site.check(2)


async def test_an_epoch_waits_for_finality_no_longer_than_for_a_block(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, finality="finalized") as site:
        keeper = site.anchoring()
        for _ in range(5):
            await keeper()
        assert await site.states() == ["mined"] * 5
        site.chain.tagged = 3
        await keeper.keep()
        assert await site.states() == [*["final"] * 3, "mined", "mined"]
        await site.check(5)


# -- faults -----------------------------------------------------------------------


async def test_a_lost_reply_is_no_lost_anchor(site: Site) -> None:
    site.chain.loses = True
    keeper = site.anchoring()
    for _ in range(3):
        with pytest.raises(ChainUnavailable, match="got lost"):
            await keeper()
        assert (await site.states())[-1] == "signed"
        await keeper.keep()
    await site.check(3)
    assert site.chain.nonce() == 3


async def test_a_transaction_that_the_chains_node_forgot_is_sent_again(
    site: Site,
) -> None:
    site.chain.mines = False
    await site.anchoring()()
    (before,) = await site.rows()
    site.chain.drop()
    await site.anchoring().keep()
    assert await site.rows() == [before]
    site.chain.mine()
    await site.anchoring().keep()
    await site.check(1)
    assert (await site.rows())[0].raw == before.raw


async def test_an_hour_without_a_chain_delays_anchors_and_loses_none(
    site: Site,
) -> None:
    keeper = site.anchoring(epoch_s=300.0)
    await keeper.keep()
    site.chain.answers = False
    for size in range(6, 18):
        site.clock.advance(seconds=300)
        await site.publish(size)
        with pytest.raises(ChainUnavailable):
            await keeper.keep()
    assert len(await site.rows()) == 1
    site.chain.answers = True
    await keeper.keep()
    await site.check(2)
    assert (await site.rows())[-1].size == 17


@pytest.mark.parametrize("keep", [True, False])
async def test_an_anchor_that_a_reorganisation_took_is_sent_again(
    tmp_path: Path, keep: bool
) -> None:
    async with opened(tmp_path, finality="depth:3") as site:
        keeper = site.anchoring()
        for _ in range(3):
            await keeper()
        before = await site.rows()
        site.chain.reorganise(2, keep=keep)
        assert site.chain.latest_epoch(MEMBER) == 1
        await keeper.keep()
        await site.check(3)
        after = await site.rows()
        assert [each.raw for each in after] == [each.raw for each in before]
        assert [each.block for each in after] != [each.block for each in before]
        site.chain.mine(3)
        await keeper.keep()
        assert await site.states() == ["final"] * 3


async def test_a_block_that_was_replaced_is_looked_for_again(tmp_path: Path) -> None:
    async with opened(tmp_path, finality="depth:2") as site:
        keeper = site.anchoring()
        await keeper()
        (before,) = await site.rows()
        site.chain.reorganise(1)
        site.chain.mine()  # what waits comes in again, before anybody looks
        await keeper.keep()
        (after,) = await site.rows()
        assert (after.state, after.raw) == ("mined", before.raw)
        assert after.block_hash != before.block_hash
        await site.check(1)


async def test_a_number_that_another_transaction_took_is_counted_on(
    site: Site,
) -> None:
    site.chain.mines = False
    keeper = site.anchoring()
    await keeper()
    (before,) = await site.rows()
    site.chain.drop()
    other = site.chain.sign(epoch=9, commitment=THEIRS, previous=THEIRS, nonce=0)
    site.chain.send(other)
    site.chain.mine()
    site.chain.mines = True
    await keeper.keep()
    (after,) = await site.rows()
    assert (before.nonce, after.nonce) == (0, 1)
    await site.check(1)


async def test_whatever_was_signed_and_sent_in_any_order_anchors_once(
    tmp_path: Path,
) -> None:
    signed: list[Signed] = []

    class Keeping(MemoryChain):
        def sign(self, **given: Any) -> Signed:
            made = super().sign(**given)
            signed.append(made)
            return made

    async with opened(tmp_path) as site:
        site.chain = Keeping(member=MEMBER)
        keeper = site.anchoring()
        await keeper()
        site.chain.mines = False
        await keeper()
        site.chain.drop()
        other = site.chain.sign(epoch=7, commitment=THEIRS, previous=THEIRS, nonce=1)
        site.chain.send(other)
        site.chain.mine()
        site.chain.mines = True
        await keeper.keep()
        await keeper()
        await site.check(3)
        assert len(signed) == 5
        commitments = [each.commitment for each in await site.rows()]
    for order in itertools.permutations(signed):
        chain = MemoryChain(member=MEMBER)
        for each in (*order, *order, *order):
            try:
                chain.send(each)
            except Refused:
                continue
        found = [chain.commitment(MEMBER, epoch + 1) for epoch in range(4)]
        assert found[0] == commitments[0]
        held = [each for each in found if each is not None]
        assert held == commitments[: len(held)]


async def test_a_transaction_that_offers_too_little_is_outbid(site: Site) -> None:
    site.chain.mines = False
    keeper = site.anchoring(patience_s=60.0)
    await keeper()
    (cheap,) = await site.rows()
    site.chain.fee, site.chain.mines = 7, True
    site.clock.advance(seconds=59)
    await keeper.keep()
    assert await site.rows() == [cheap]
    site.clock.advance(seconds=1)
    await keeper.keep()
    (dear,) = await site.rows()
    assert (dear.nonce, dear.state) == (cheap.nonce, "final")
    assert dear.transaction != cheap.transaction
    await site.check(1)


async def test_whichever_of_two_bids_came_in_is_found(site: Site) -> None:
    site.chain.mines = False
    keeper = site.anchoring()
    await keeper()
    (cheap,) = await site.rows()
    site.chain.fee = 7
    site.clock.advance(seconds=60)
    await keeper.keep()
    (dear,) = await site.rows()
    assert dear.transaction != cheap.transaction
    site.chain.drop()
    site.chain.fee = 0
    assert cheap.raw is not None
    assert cheap.transaction is not None
    site.chain.send(Signed(raw=cheap.raw, transaction=cheap.transaction, nonce=0))
    site.chain.mine()
    site.chain.mines = True
    await keeper.keep()
    (found,) = await site.rows()
    assert (found.transaction, found.state) == (cheap.transaction, "final")
    await keeper()
    await site.check(2)


async def test_what_the_contract_refused_is_tried_again_after_a_while(
    site: Site,
) -> None:
    class Spoiling(MemoryChain):
        spoilt = False

        def sign(self, **given: Any) -> Signed:
            if not self.spoilt:
                given["previous"] = THEIRS
                self.spoilt = True
            return super().sign(**given)

    site.chain = Spoiling(member=MEMBER)
    keeper = site.anchoring(patience_s=60.0)
    with pytest.raises(Refused, match="the contract refused epoch 1"):
        await keeper()
    for _ in range(3):
        await keeper.keep()
        assert await site.states() == ["queued"]
    assert site.chain.nonce() == 1
    site.clock.advance(seconds=60)
    await keeper.keep()
    await site.check(1)


async def test_a_chain_that_cannot_say_where_an_anchor_is_delays_it(
    site: Site,
) -> None:
    class Forgetful(MemoryChain):
        forgets = True

        def look(self, transaction: str) -> Any:
            return None if self.forgets else super().look(transaction)

        def find(self, epoch: int) -> Any:
            return None if self.forgets else super().find(epoch)

    chain = Forgetful(member=MEMBER)
    site.chain = chain
    with pytest.raises(ChainUnavailable, match="does not tell where epoch 1 is"):
        await site.anchoring()()
    chain.forgets = False
    await site.anchoring().keep()
    await site.check(1)


async def test_two_processes_on_one_store_anchor_once(site: Site) -> None:
    keepers = [site.anchoring(), site.anchoring()]
    for _ in range(6):
        await asyncio.gather(
            *(each() for each in keepers),
            *(each.keep() for each in keepers),
            return_exceptions=True,
        )
    await keepers[0].keep()
    await site.check(len(await site.rows()))
    transactions = [each.transaction for each in await site.rows()]
    assert len(set(transactions)) == len(transactions) == site.chain.nonce()


# -- the process ends at any instruction --------------------------------------------


async def _two(site: Site, once: Callable[[], Awaitable[None]]) -> None:
    await once()
    await site.publish(6)
    site.clock.advance(seconds=300)
    await once()


async def _lost_blocks(site: Site, once: Callable[[], Awaitable[None]]) -> None:
    await _two(site, once)
    site.chain.reorganise(2, keep=False)
    await once()


async def _lost_chain(site: Site, once: Callable[[], Awaitable[None]]) -> None:
    await _two(site, once)
    site.chain.blocks.forget(len(site.chain.blocks.made))
    await once()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("story", "finality"), [(_lost_blocks, "depth:9"), (_lost_chain, "immediate")]
)
async def test_a_process_that_ends_anywhere_goes_on_where_it_was(
    tmp_path: Path, story: Any, finality: str
) -> None:
    """Before each question to the chain, and before each transaction of the store."""
    for at in itertools.count(1):
        (folder := tmp_path / str(at)).mkdir()
        async with opened(folder, finality=finality) as site:
            site.fuse = Fuse(at=at)
            ends = 0

            async def once(site: Site = site) -> None:
                nonlocal ends
                for _ in range(2):
                    try:
                        await site.anchoring(epoch_s=300.0).keep()
                    except CrashError:
                        ends += 1

            await story(site, once)
            await site.check(2)
            assert site.chain.nonce() == 2
            if not ends:
                assert at > 60
                return


# -- the chain says something else ---------------------------------------------------


async def test_a_chain_that_was_reset_is_given_the_same_anchors_again(
    site: Site,
) -> None:
    keeper = site.anchoring()
    for _ in range(4):
        await keeper()
    before = [each.commitment for each in await site.rows()]
    site.chain.blocks.forget(4)
    site.chain.mines = False
    await keeper.keep()
    assert await site.alarms() == ["chain.behind"]
    assert await site.states() == ["sent", *["signed"] * 3]
    covering = await site.store.read(lambda view: view.log.anchor_covering(0))
    assert covering is None
    site.chain.mine()
    site.chain.mines = True
    await keeper.keep()
    assert [each.commitment for each in await site.rows()] == before
    await site.check(4)


async def test_a_chain_that_was_put_back_is_given_what_it_lacks(site: Site) -> None:
    keeper = site.anchoring()
    for _ in range(4):
        await keeper()
    before = await site.rows()
    site.chain.blocks.forget(2)
    await keeper.keep()
    after = await site.rows()
    assert [each.raw for each in after] == [each.raw for each in before]
    assert after[:2] == before[:2]
    await site.check(4)


async def _anchor_elsewhere(site: Site) -> None:
    """Anchor once with the same key, from another store."""
    epoch = site.chain.latest_epoch(MEMBER) + 1
    site.chain.anchor(epoch=epoch, commitment=THEIRS)


async def test_a_chain_that_is_ahead_stops_the_log(site: Site) -> None:
    keeper = site.anchoring()
    await keeper()
    await _anchor_elsewhere(site)
    with pytest.raises(Inconsistent, match=r"is at epoch 2 .* knows of 1"):
        await keeper.keep()
    assert await site.alarms() == ["log.chain_ahead"]
    for _ in range(3):
        site.clock.advance(hours=1)
        await keeper()
    assert len(await site.rows()) == 1
    assert site.chain.nonce() == 2


async def test_a_node_that_lost_its_store_does_not_begin_again(site: Site) -> None:
    await _anchor_elsewhere(site)
    with pytest.raises(Inconsistent, match="knows of 0"):
        await site.anchoring()()
    assert await site.rows() == []


async def test_another_commitment_for_an_epoch_of_ours_stops_the_log(
    site: Site,
) -> None:
    site.chain.mines = False
    keeper = site.anchoring()
    await keeper()
    site.chain.drop()
    site.chain.mines = True
    await _anchor_elsewhere(site)
    with pytest.raises(Inconsistent, match="another commitment for epoch 1"):
        await keeper.keep()
    assert await site.alarms() == ["log.chain_different"]
    await keeper.keep()
    assert site.chain.nonce() == 1


async def test_an_alarm_that_is_cleared_without_reason_comes_back(site: Site) -> None:
    keeper = site.anchoring()
    await _anchor_elsewhere(site)
    for _ in range(2):
        with pytest.raises(Inconsistent):
            await keeper.keep()
        await site.store.write(
            lambda work: work.alarms.clear(
                "log.chain_ahead", MEMBER, "looked away", site.clock.now()
            )
        )


async def test_nothing_is_anchored_while_the_log_is_stopped(site: Site) -> None:
    alarm = Alarm(code="log.forked", subject="", detail="", at=site.clock.now())
    await site.store.write(lambda work: work.alarms.sound(alarm))
    assert await site.anchoring()() is None
    assert site.chain.nonce() == 0


async def test_the_chains_word_can_be_adopted_after_a_restore(site: Site) -> None:
    keeper = site.anchoring()
    await keeper()
    for _ in range(2):
        await _anchor_elsewhere(site)
    with pytest.raises(Inconsistent):
        await keeper()
    assert await site.adopt()("restored from Monday's backup") == (3, 2)
    assert await site.alarms() == []
    assert await site.states() == ["final", "adopted", "adopted"]
    await keeper()
    rows = await site.rows()
    assert (rows[-1].epoch, rows[-1].state) == (4, "final")
    covering = await site.store.read(lambda view: view.log.anchor_covering(4))
    assert covering == rows[0]


async def test_an_epoch_that_differs_can_be_adopted_too(site: Site) -> None:
    site.chain.mines = False
    keeper = site.anchoring()
    await keeper()
    site.chain.drop()
    site.chain.mines = True
    await _anchor_elsewhere(site)
    with pytest.raises(Inconsistent):
        await keeper.keep()
    assert await site.adopt()("we know") == (1, 1)
    await keeper()
    assert await site.states() == ["adopted", "final"]


async def test_what_was_adopted_is_anchored_again_on_a_chain_that_lost_it(
    site: Site,
) -> None:
    await _anchor_elsewhere(site)
    with pytest.raises(Inconsistent):
        await site.anchoring()()
    await site.adopt()("restored")
    await site.anchoring()()
    site.chain.blocks.forget(2)
    await site.anchoring().keep()
    await site.check(2)
    assert site.chain.commitment(MEMBER, 1) == THEIRS


async def test_nothing_is_adopted_without_an_alarm(site: Site) -> None:
    await _anchor_elsewhere(site)
    with pytest.raises(Conflict, match="No alarm says"):
        await site.adopt()("just so")
    with pytest.raises(Conflict, match="no chain"):
        await replace(site.adopt(), anchors=None)("just so")
    assert await site.rows() == []


async def test_nothing_is_adopted_from_a_chain_that_does_not_answer(
    site: Site,
) -> None:
    await _anchor_elsewhere(site)
    with pytest.raises(Inconsistent):
        await site.anchoring()()
    site.chain.answers = False
    with pytest.raises(Unavailable, match="does not answer"):
        await site.adopt()("restored")
    assert await site.alarms() == ["log.chain_ahead"]


async def test_a_new_account_begins_at_epoch_1_and_covers_everything(
    site: Site,
) -> None:
    for _ in range(3):
        await site.anchoring()()
    old = await site.rows()
    site.chain = site.chain.as_member("0x" + "bb" * 20)
    anchor = await site.anchoring()()
    assert anchor is not None
    assert (anchor.epoch, anchor.member) == (1, "0x" + "bb" * 20)
    covering = await site.store.read(lambda view: view.log.anchor_covering(0))
    assert covering == anchor
    site.chain = site.chain.as_member(MEMBER)
    assert await site.rows() == old


async def test_what_is_due_is_told_by_the_clock_and_not_by_the_process(
    site: Site,
) -> None:
    for _ in range(3):
        await site.anchoring(epoch_s=300.0).keep()
    await site.check(1)
    assert (await site.rows())[0].at == site.clock.now()
