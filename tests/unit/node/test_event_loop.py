"""What is done for each of ten thousand customers holds up nobody else.

Neither the event loop, on which everybody is served, nor the one thread that writes
to the store waits for it.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from ledger.answers import Disclosure
from node.api import views
from node.domain import disclosure
from node.services import align, ask
from tests.support.node import PURPOSE, SHARED, open_world
from tests.unit.node.sealing import insert, publish


class Watched:
    """Remembers on which threads functions ran."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.threads: dict[str, set[str]] = {}

    def watch(self, owner: Any, name: str) -> None:
        work = getattr(owner, name)
        if isinstance(work, property):
            assert work.fget is not None
            self._patch.setattr(owner, name, property(self._noting(name, work.fget)))
        else:
            self._patch.setattr(owner, name, self._noting(name, work))

    def _noting(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*args: Any, **named: Any) -> Any:
            thread = threading.current_thread().name.rpartition("_")[0]
            self.threads.setdefault(name, set()).add(thread)
            return work(*args, **named)

        return noting


async def test_what_is_done_for_each_customer_is_done_in_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    monkeypatch.setattr(views, "_FEW", 0)
    for owner, name in (
        (align, "_tokens"),
        (align, "customer_token"),
        (ask, "parse_response"),
        (disclosure, "request_hash"),
        (Disclosure, "response_hash"),
        (Disclosure, "to_json"),
    ):
        watched.watch(owner, name)
    async with open_world(tmp_path) as world:
        asked = {
            "agreement": world.agreement,
            "purpose": PURPOSE,
            "customers": list(SHARED),
            "where": [
                {"fields": ["annual_spend"], "is": "at_least", "values": ["100000.00"]}
            ],
        }
        answer = await world.supplier.manage("/management/ask", asked)
        assert answer["verified"]
    assert watched.threads.keys() >= {"_tokens", "customer_token", "to_json"}
    loop = threading.current_thread().name.rpartition("_")[0]
    for name, threads in watched.threads.items():
        assert loop not in threads, name
    assert "write" not in watched.threads["response_hash"]
    assert "write" not in watched.threads["request_hash"]


async def test_a_call_about_many_records_leaves_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Future[Any]] = []
    waiting: list[int] = []

    async with open_world(tmp_path) as world:
        insert(world, *(f"more-{n:04}" for n in range(30)), like=3)
        await publish(world)
        threads = world.maker.services.disclose.prove.threads
        usual = threads.submit

        def submit(*arguments: Any) -> Future[Any]:
            waiting.append(sum(not each.done() for each in made))
            made.append(usual(*arguments))
            return made[-1]

        monkeypatch.setattr(threads, "submit", submit)
        tokens = [world.customer(name) for name in SHARED]
        world.check(await world.query(customers=tokens))
    assert len(made) > 30
    assert 0 < max(waiting) < 4
