"""Disclosures a second through the API, beside a plain row read, in one run.

    python -m benchmarks.disclosures

One provider node (one worker process) answers valid calls, each for two fields of
one customer, with receipt and proof; then a plain authenticated FastAPI and
SQLAlchemy service reads the same two columns. The client runs on the other core.
Last, the same calls are made one by one inside one process, to see where the time
of a call goes.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import psutil

from benchmarks.world import World, world
from examples.federation import free_ports
from node import bootstrap
from node.adapters.keyring import load_keys
from node.domain.disclosure import Request

CALLS, WARM_UP = 1000, 50
Call = Callable[[aiohttp.ClientSession], Awaitable[int]]


async def load_test(calls: list[Call], at_once: int) -> tuple[float, float, float]:
    """Make the calls, so many at once.

    Returns:
        Calls a second, and the p50 and p95 of a call, in milliseconds.
    """
    took: list[float] = []
    turns = asyncio.Semaphore(at_once)

    async def one(session: aiohttp.ClientSession, call: Call) -> None:
        async with turns:
            begun = time.perf_counter()
            status = await call(session)
            took.append((time.perf_counter() - begun) * 1000)
            if status != 200:
                message = f"answered {status}"
                raise RuntimeError(message)

    async with aiohttp.ClientSession() as session:
        for call in calls[:WARM_UP]:
            await one(session, call)
        took.clear()
        begun = time.perf_counter()
        await asyncio.gather(*(one(session, call) for call in calls[WARM_UP:]))
        rate = len(took) / (time.perf_counter() - begun)
    cuts = statistics.quantiles(took, n=20)
    return rate, cuts[9], cuts[18]


def node_calls(made: World, count: int) -> list[Call]:
    """Return queries to the provider's node."""

    def call(url: str, body: dict[str, Any], token: str) -> Call:
        async def send(session: aiohttp.ClientSession) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            async with session.post(url, json=body, headers=headers) as answer:
                await answer.read()
                return answer.status

        return send

    return [call(*each) for each in made.calls(count)]


def plain_calls(made: World, url: str, count: int) -> list[Call]:
    """Return reads of the same rows from the plain service."""

    def call(number: int, token: str) -> Call:
        async def send(session: aiohttp.ClientSession) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            address = f"{url}/projects/C{number % 2000}"
            async with session.get(address, headers=headers) as answer:
                await answer.read()
                return answer.status

        return send

    return [call(n, token) for n, (_, _, token) in enumerate(made.calls(count))]


def plain_command(crm: Path, public: bytes, port: int) -> list[str]:
    """Give the plain service, a process of its own."""
    program = (
        "import sys, uvicorn; from benchmarks.plain import plain_app;"
        "uvicorn.run(plain_app(sys.argv[1], bytes.fromhex(sys.argv[2])),"
        "port=int(sys.argv[3]), log_level='error')"
    )
    return [sys.executable, "-c", program, f"sqlite:///{crm}", public.hex(), str(port)]


async def shares(made: World, count: int) -> dict[str, float]:
    """Return milliseconds of one call by step, the calls made one after another."""
    spent: dict[str, float] = defaultdict(float)
    inside: list[float] = []

    def timed(step: str, inner: Any) -> Any:
        async def run(*args: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            inside.append(0.0)
            try:
                return await inner(*args, **named)
            finally:
                took = time.perf_counter() - begun
                spent[step] += took - inside.pop()
                if inside:
                    inside[-1] += took

        return run

    settings = made.provider.desk.settings
    async with bootstrap.running(settings) as services:
        disclose = services.disclose
        steps: dict[str, tuple[Any, str]] = {
            "decide: the policy engine": (disclose.policy, "decide"),
            "read: the CRM, and comparing": (disclose, "read"),
            "prove: one BBS presentation": (disclose, "prove"),
            "look up: two reading transactions": (disclose.store, "read"),
            "receipt: one durable transaction": (disclose.store, "write"),
        }
        for step, (owner, name) in steps.items():
            object.__setattr__(owner, name, timed(step, getattr(owner, name)))
        begun = time.perf_counter()
        for _, body, token in made.calls(count):
            await disclose(Request.from_body("projects", body), token)
        whole = time.perf_counter() - begun
    spent["the rest: making and checking tokens"] = whole - sum(spent.values())
    return {step: value / count * 1000 for step, value in spent.items()}


def lines() -> Iterator[str]:
    """Measure, and return what came out, line by line."""
    with tempfile.TemporaryDirectory() as name, world(Path(name)) as made:
        supervisor = made.federation.supervisor
        yield f"node after publishing 2,000 records: {memory(made):.0f} MiB"
        public = load_keys(made.consumer.desk.settings.keys, {}).ed25519.public_bytes
        port = free_ports(0)[0]
        supervisor.start("plain", plain_command(made.crm, public, port))
        url = f"http://127.0.0.1:{port}"
        made.federation.wait("plain", lambda: answers(f"{url}/openapi.json"))
        rates: dict[str, float] = {}
        for at_once in (1, 16):
            todo = {
                "disclosure with receipt and proof": node_calls(made, CALLS + WARM_UP),
                "plain authenticated row read": plain_calls(made, url, CALLS + WARM_UP),
            }
            for what, calls in todo.items():
                rates[what], p50, p95 = asyncio.run(load_test(calls, at_once))
                yield (
                    f"{what}, {at_once} at once: {rates[what]:.0f}/s, "
                    f"p50 {p50:.1f} ms, p95 {p95:.1f} ms"
                )
        slow, fast = rates.values()
        yield f"ratio, 16 at once: the plain read is {fast / slow:.1f} times as fast"
        supervisor.kill("provider")
        yield "one disclosure, step by step, inside one process:"
        for step, spent in asyncio.run(shares(made, 300)).items():
            yield f"  {step}: {spent:.2f} ms"


def memory(made: World) -> float:
    """Return the memory of the provider's node, in MiB."""
    settings = str(made.provider.settings)
    children = psutil.Process().children(recursive=True)
    node = next(each for each in children if settings in each.cmdline())
    return float(node.memory_info().rss / 2**20)


def answers(url: str) -> bool:
    """Tell whether an address answers."""
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)  # noqa: T201
