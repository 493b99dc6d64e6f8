"""Anchors on chains that are processes of their own, and on their worst days."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.chain import RpcAnchors, deploy
from ledger.errors import ChainUnavailable, Inconsistent, Refused
from ledger.finality import parse_finality
from tests.support import chain as chains
from tests.support.anchoring import Site, opened
from tests.support.chain import member_key, serving
from tests.support.servers import free_port

JSON = {"content-type": "application/json"}


@pytest.fixture
def anvil(tmp_path: Path) -> Callable[..., Any]:
    """Run a real node, whose options are given."""
    program = os.environ.get("FIELDPACT_TEST_ANVIL")
    if not program:
        pytest.skip("FIELDPACT_TEST_ANVIL does not name an anvil program")
    return lambda *options, **more: chains.anvil(program, tmp_path, *options, **more)


def rpc(url: str, method: str, *params: object) -> Any:
    """Tell a chain's node what only tests tell it."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    said = httpx.post(url, json=body, timeout=120).json()
    assert "error" not in said, said
    return said["result"]


@asynccontextmanager
async def site_on(
    url: str,
    contract: str,
    folder: Path,
    number: int = 2,
    finality: str = "immediate",
) -> AsyncIterator[Site]:
    """Open a member's site, whose chain is behind a URL."""
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    made = RpcAnchors(
        url,
        key=member_key(number),
        contract=contract,
        finality=parse_finality(finality),
        timeout_s=120,
    )
    with closing(made) as anchors:
        async with opened(folder, anchors=anchors) as site:
            yield site


def contract_on(url: str) -> str:
    return deploy(url, key=member_key(1))


async def done(site: Site, epochs: int) -> None:
    """Go on until the chain holds so many epochs; a block may take a moment."""
    for _ in range(2000):
        await site.anchoring(epoch_s=1e9).keep()
        held = {"mined", "final"}.issuperset(await site.states())
        if held and len(await site.rows()) == epochs:
            break
        await asyncio.sleep(0.05)
    await site.check(epochs)


async def anchor(site: Site) -> None:
    """Anchor one more epoch."""
    epochs = len(await site.rows()) + 1
    await site.anchoring()()
    await done(site, epochs)


# -- every chain -------------------------------------------------------------------


@contextmanager
def embedded(path: Path) -> Iterator[str]:
    with chains.process(path) as (url, _):
        yield url


@pytest.fixture(params=["embedded", "anvil"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A chain in a process of its own."""
    with ExitStack() as stack:
        if request.param == "embedded":
            (path := tmp_path / "chain").mkdir()
            yield stack.enter_context(embedded(path))
        else:
            yield stack.enter_context(request.getfixturevalue("anvil")())


async def test_epochs_are_anchored_one_after_the_other(
    url: str, tmp_path: Path
) -> None:
    async with site_on(url, contract_on(url), tmp_path) as site:
        for size in range(6, 10):
            await anchor(site)
            await site.publish(size)
        assert await site.states() == ["final"] * 4
        assert site.chain.nonce() == 4


async def test_several_members_anchor_at_once(url: str, tmp_path: Path) -> None:
    contract = contract_on(url)

    async def run(number: int) -> None:
        folder = tmp_path / str(number)
        async with site_on(url, contract, folder, number) as site:
            for _ in range(5):
                await anchor(site)
            assert site.chain.nonce() == 5

    await asyncio.gather(*(run(number) for number in range(2, 7)))


async def test_two_nodes_with_one_key_are_seen_and_stopped(
    url: str, tmp_path: Path
) -> None:
    contract = contract_on(url)
    async with (
        site_on(url, contract, tmp_path / "one") as one,
        site_on(url, contract, tmp_path / "two") as two,
    ):
        two.made = 1000  # other salts
        await anchor(one)
        with pytest.raises(Inconsistent):
            await two.anchoring()()
        assert await two.alarms() == ["log.chain_ahead"]
        await two.anchoring()()
        assert await two.rows() == []
        await anchor(one)


@pytest.mark.slow
async def test_replies_that_get_lost_lose_no_anchor(url: str, tmp_path: Path) -> None:
    """Many replies are dropped after the chain did what it was asked."""
    contract, asked, lossy = contract_on(url), {"all": 0, "sent": 0}, True

    def forward(body: bytes) -> object:
        said = httpx.post(url, content=body, headers=JSON, timeout=120).json()
        sends = json.loads(body)["method"] == "eth_sendRawTransaction"
        asked["all"] += 1
        asked["sent"] += sends
        drop = asked["sent"] % 2 if sends else asked["all"] % 7 == 0
        return b"" if lossy and drop else said

    lost = 0
    with serving(forward) as proxy:
        async with site_on(proxy, contract, tmp_path) as site:
            for _ in range(200):
                try:
                    await site.anchoring(epoch_s=300.0).keep()
                except ChainUnavailable:
                    lost += 1
                if len(await site.rows()) == 5:
                    break
                site.clock.advance(seconds=60)
            lossy = False
            await done(site, 5)
            assert site.chain.nonce() == 5
    assert lost > 5


# -- a real node: what only it does ---------------------------------------------------


async def test_what_a_reorganisation_took_is_sent_again(
    anvil: Callable[..., Any], tmp_path: Path
) -> None:
    with anvil() as url:
        contract = contract_on(url)
        async with site_on(url, contract, tmp_path, finality="depth:3") as site:
            for _ in range(3):
                await anchor(site)
            before = await site.rows()
            rpc(url, "anvil_reorg", 2, [])
            assert site.chain.latest_epoch(site.chain.member) == 1
            assert site.chain.look(before[2].transaction) is None
            await done(site, 3)
            after = await site.rows()
            assert [each.raw for each in after] == [each.raw for each in before]
            rpc(url, "anvil_mine", "0x3")
            await site.anchoring().keep()
            assert await site.states() == ["final"] * 3
            assert await site.alarms() == []


async def test_what_was_final_and_vanished_is_alarmed_about_and_sent_again(
    anvil: Callable[..., Any], tmp_path: Path
) -> None:
    with anvil() as url:
        async with site_on(url, contract_on(url), tmp_path) as site:
            for _ in range(3):
                await anchor(site)
            before = [each.commitment for each in await site.rows()]
            rpc(url, "anvil_reorg", 2, [])
            rpc(url, "evm_setAutomine", False)
            await site.anchoring().keep()
            assert await site.alarms() == ["chain.behind"]
            rpc(url, "evm_setAutomine", True)
            rpc(url, "evm_mine")
            await done(site, 3)
            assert [each.commitment for each in await site.rows()] == before


async def test_the_tag_finalized_is_waited_for(
    anvil: Callable[..., Any], tmp_path: Path
) -> None:
    with anvil() as url:
        contract = contract_on(url)
        async with site_on(url, contract, tmp_path, finality="finalized") as site:
            await anchor(site)
            assert await site.states() == ["mined"]
            rpc(url, "anvil_mine", "0x80")
            await site.anchoring().keep()
            assert await site.states() == ["final"]


async def test_an_hour_without_a_chain_and_a_chain_that_was_put_back(
    anvil: Callable[..., Any], tmp_path: Path
) -> None:
    port, state, older = free_port(), tmp_path / "state", tmp_path / "older"
    kept = ("--state", str(state))
    with anvil(*kept, port=port) as url:
        contract = contract_on(url)
    async with site_on(url, contract, tmp_path) as site:
        keeper = site.anchoring(epoch_s=300.0)
        with anvil(*kept, port=port):
            await anchor(site)
            await anchor(site)
        shutil.copyfile(state, older)

        # An hour of epochs without a chain.
        for size in range(6, 18):
            site.clock.advance(seconds=300)
            await site.publish(size)
            with pytest.raises(ChainUnavailable):
                await keeper.keep()
        with anvil(*kept, port=port):
            await keeper.keep()
            await done(site, 3)
            assert (await site.rows())[-1].size == 17
            await anchor(site)
        before = [each.commitment for each in await site.rows()]

        # The chain is put back to where it was before that hour.
        shutil.copyfile(older, state)
        with anvil(*kept, port=port):
            assert site.chain.latest_epoch(site.chain.member) == 2
            await done(site, 4)
        assert [each.commitment for each in await site.rows()] == before


async def test_members_share_blocks_that_take_a_second(
    anvil: Callable[..., Any], tmp_path: Path
) -> None:
    async def run(url: str, contract: str, number: int) -> None:
        folder = tmp_path / str(number)
        async with site_on(url, contract, folder, number) as site:
            keeper = site.anchoring(epoch_s=1.0)
            while await site.states() != ["final"] * 3:
                if len(await site.rows()) < 3:
                    site.clock.advance(seconds=1)
                await keeper.keep()
                await asyncio.sleep(0.2)
            await site.check(3)
            assert site.chain.nonce() == 3

    with anvil("--block-time", "1") as url:
        contract = await asyncio.to_thread(contract_on, url)
        async with asyncio.timeout(120):
            members = (run(url, contract, number) for number in range(2, 6))
            await asyncio.gather(*members)


async def test_a_transaction_that_became_too_cheap_is_outbid(
    anvil: Callable[..., Any], tmp_path: Path
) -> None:
    with anvil("--base-fee", "1000000000", free=False) as url:
        for number in (1, 2):
            address = member_key(number).address
            rpc(url, "anvil_setBalance", address, hex(10**20))
        contract = contract_on(url)
        rpc(url, "evm_setAutomine", False)
        async with site_on(url, contract, tmp_path) as site:
            keeper = site.anchoring(patience_s=60.0)
            await keeper()
            (cheap,) = await site.rows()
            rpc(url, "anvil_setNextBlockBaseFeePerGas", hex(10**10))
            rpc(url, "evm_mine")
            with pytest.raises(Refused, match="base fee"):
                await keeper.keep()
            assert await site.rows() == [cheap]
            site.clock.advance(seconds=60)
            await keeper.keep()
            (dear,) = await site.rows()
            assert (dear.state, dear.nonce) == ("sent", cheap.nonce)
            assert dear.transaction != cheap.transaction
            rpc(url, "evm_mine")
            await done(site, 1)
            assert (await site.rows())[0].transaction == dear.transaction


async def test_a_command_that_uses_the_same_account_delays_an_anchor_at_most(
    anvil: Callable[..., Any], tmp_path: Path
) -> None:
    with anvil() as url:
        contract = contract_on(url)
        rpc(url, "evm_setAutomine", False)
        async with site_on(url, contract, tmp_path) as site:
            await site.anchoring()()
            (before,) = await site.rows()
            rpc(url, "anvil_dropTransaction", before.transaction)
            rpc(url, "evm_setAutomine", True)
            deploy(url, key=member_key(2))  # takes the anchor's number
            await done(site, 1)
            (after,) = await site.rows()
            assert (before.nonce, after.nonce) == (0, 1)
