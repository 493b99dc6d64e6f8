"""Anchors in the store: one row for each epoch of an account, from queued to final."""

import asyncio
import dataclasses
import secrets
from datetime import timedelta
from typing import Any

import pytest

from ledger.errors import Inconsistent
from ledger.memory_chain import MemoryChain
from ledger.ports import Account
from node.adapters.sql.store import SqlStore, engine_for
from node.ports import AnchorState, StoredAnchor, StoredCheckpoint, UnitOfWork
from node.services.anchor import Anchoring
from tests.contract.samples import NOW
from tests.support.node import FixedClock

ACCOUNT = Account(1337, "0x" + "cc" * 20, "0x" + "aa" * 20)
OTHERS = (
    ACCOUNT._replace(chain_id=1),
    ACCOUNT._replace(contract="0x" + "dd" * 20),
    ACCOUNT._replace(member="0x" + "bb" * 20),
)


def anchor(epoch: int, size: int = 4, account: Account = ACCOUNT) -> StoredAnchor:
    return StoredAnchor(
        **account._asdict(),
        epoch=epoch,
        size=size,
        note=f"note 注 {size}",
        salt=b"s" * 32,
        commitment=bytes([epoch]) * 32,
        at=NOW,
    )


def sent(epoch: int, state: AnchorState = "sent", **changes: Any) -> StoredAnchor:
    values: dict[str, Any] = {
        "state": state,
        "nonce": epoch - 1,
        "raw": b"raw",
        "transaction": f"0x{epoch:064x}",
        "signed_at": NOW + timedelta(seconds=1),
    }
    return dataclasses.replace(anchor(epoch), **values | changes)


def final(epoch: int, size: int = 4, account: Account = ACCOUNT) -> StoredAnchor:
    return dataclasses.replace(
        anchor(epoch, size, account),
        state="final",
        transaction=f"0x{epoch:064x}",
        block=epoch,
        block_hash=f"0x{epoch:064x}",
    )


async def keep(store: SqlStore, *anchors: StoredAnchor) -> None:
    for each in anchors:
        await store.write(lambda work, it=each: work.log.keep_anchor(it))  # type: ignore[misc]


async def every(store: SqlStore, account: Account = ACCOUNT) -> list[StoredAnchor]:
    found = await store.read(lambda view: view.log.anchors(account))
    return list(found)


class TestAnchors:
    async def test_an_anchor_is_kept_as_it_is_in_every_state(
        self, store: SqlStore
    ) -> None:
        assert await store.read(lambda view: view.log.anchor()) is None
        for each in (anchor(1), sent(1, "signed"), sent(1), final(1)):
            await keep(store, each)
            assert await store.read(lambda view: view.log.anchor()) == each
            assert await every(store) == [each]

    async def test_the_newest_is_of_the_account_that_was_begun_with_last(
        self, store: SqlStore
    ) -> None:
        await keep(store, *(anchor(epoch) for epoch in (1, 2, 3)))
        found: StoredAnchor | None = None
        assert await store.read(lambda view: view.log.anchor()) == anchor(3)
        for other in OTHERS:
            await keep(store, anchor(1, account=other))
            found = await store.read(lambda view: view.log.anchor())
            assert found == anchor(1, account=other)
        await keep(store, sent(2))  # what is replaced does not become the newest
        assert await store.read(lambda view: view.log.anchor()) == found
        assert await store.read(lambda view: view.log.anchor(ACCOUNT)) == anchor(3)
        assert await store.read(lambda view: view.log.anchor(ACCOUNT, 2)) == sent(2)
        assert await store.read(lambda view: view.log.anchor(ACCOUNT, 4)) is None

    async def test_accounts_have_epochs_of_their_own(self, store: SqlStore) -> None:
        await keep(store, anchor(1), anchor(2))
        for other in OTHERS:
            assert await every(store, other) == []
            await keep(store, anchor(1, 9, account=other))
        assert await every(store) == [anchor(1), anchor(2)]
        for other in OTHERS:
            assert await every(store, other) == [anchor(1, 9, account=other)]

    async def test_anchors_are_found_by_state_and_epoch_in_order(
        self, store: SqlStore
    ) -> None:
        rows = [final(1), final(2), sent(3, "mined"), sent(4), anchor(5)]
        await keep(store, *reversed(rows))

        def ask(view: UnitOfWork, *states: AnchorState, **more: int) -> list[int]:
            found = view.log.anchors(ACCOUNT, states=states, **more)
            return [each.epoch for each in found]

        assert await store.read(ask) == [1, 2, 3, 4, 5]
        assert await store.read(lambda view: ask(view, most=2)) == [1, 2]
        assert await store.read(lambda view: ask(view, after=3)) == [4, 5]
        assert await store.read(lambda view: ask(view, "final")) == [1, 2]
        open_ = await store.read(lambda view: ask(view, "sent", "queued", after=4))
        assert open_ == [5]

    async def test_what_the_chain_lost_is_to_be_sent_again(
        self, store: SqlStore
    ) -> None:
        ours = dataclasses.replace(sent(4, "mined"), block=7, block_hash="0x07")
        adopted = dataclasses.replace(anchor(5), state="adopted")
        other = final(9, account=OTHERS[0])
        await keep(store, final(1), final(2), final(3), ours, adopted, anchor(6), other)
        later = NOW + timedelta(hours=1)
        await store.write(lambda work: work.log.unanchor(ACCOUNT, 2, later))
        assert await every(store) == [
            final(1),
            final(2),
            anchor(3),  # no bytes to send: it is signed anew
            sent(4, "signed", signed_at=later),
            anchor(5),
            anchor(6),
        ]
        assert await every(store, OTHERS[0]) == [other]

    async def test_an_entry_is_covered_by_the_first_final_anchor_that_holds_it(
        self, store: SqlStore
    ) -> None:
        await keep(store, final(1, 4), final(2, 4), final(3, 9))
        mined = dataclasses.replace(final(4, 20), state="mined")
        await keep(store, mined, anchor(5, 20))
        expected: dict[int, int | None] = {0: 1, 3: 1, 4: 3, 8: 3, 9: None}
        for index, wanted in expected.items():
            found = await store.read(
                lambda view, i=index: view.log.anchor_covering(i)  # type: ignore[misc]
            )
            assert (found and found.epoch) == wanted

    async def test_what_was_adopted_covers_nothing(self, store: SqlStore) -> None:
        await keep(store, dataclasses.replace(anchor(1, 0), state="adopted"))
        assert await store.read(lambda view: view.log.anchor_covering(0)) is None

    @pytest.mark.parametrize("other", OTHERS)
    async def test_an_anchor_of_the_account_of_today_goes_first(
        self, store: SqlStore, other: Account
    ) -> None:
        def covering(view: UnitOfWork) -> StoredAnchor | None:
            return view.log.anchor_covering(0)

        await keep(store, final(1, 4))
        await keep(store, anchor(1, 9, account=other))
        assert await store.read(covering) == final(1, 4)  # there is no other yet
        await keep(store, final(1, 9, account=other))
        assert await store.read(covering) == final(1, 9, account=other)


async def test_several_processes_on_one_store_anchor_once(
    store: SqlStore, url: str
) -> None:
    chain = MemoryChain(member=ACCOUNT.member)
    stores = [store, SqlStore(engine_for(url)), SqlStore(engine_for(url))]
    note = StoredCheckpoint(size=5, root=bytes(32), note="note", at=NOW)
    await store.write(lambda work: work.log.publish(note))
    keepers = [
        Anchoring(
            store=each,
            anchors=chain,
            hashing="sha-256",
            clock=FixedClock(NOW),
            randomness=secrets.token_bytes,
        )
        for each in stores
    ]
    try:
        for _ in range(10):
            said = await asyncio.gather(
                *(each() for each in keepers), return_exceptions=True
            )
            unexpected = [each for each in said if isinstance(each, Inconsistent)]
            assert unexpected == []
        await keepers[0].keep()
    finally:
        for each in stores[1:]:
            await asyncio.to_thread(each.close)
    rows = await every(store)
    assert len(rows) >= 10
    assert {each.state for each in rows} == {"final"}
    for row in rows:
        assert chain.commitment(ACCOUNT.member, row.epoch) == row.commitment
    assert chain.latest_epoch(ACCOUNT.member) == len(rows) == chain.nonce()
    assert await store.read(lambda view: view.alarms.open()) == []
