"""A policy engine that is down, slow or talks nonsense: refused, with a receipt.

The engine is the OPA adapter, and behind it a server that answers what a test
wants. The call is right in every way; whatever is not a decision refuses it.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Self

import pytest
import pytest_asyncio

from node.adapters.policy.bundle import load_bundle
from node.adapters.policy.opa_server import OpaServer
from node.config import POLICIES
from node.domain.decision import Decision
from node.domain.denials import DENIALS
from tests.support.node import (
    PREDICATES,
    SharedPolicy,
    World,
    check_streams,
    open_world,
)
from tests.support.servers import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
BUNDLE = load_bundle(POLICIES)
YES = {
    "allow": True,
    "fields": ["expected_acceptance_date", "project_stage"],
    "predicate_fields": [],
    "aggregate_fields": [],
    "denials": [],
    "denied_fields": [],
    "obligations": ["receipt.countersign"],
}
PROVED: dict[str, Any] = {
    "fields": [],
    "where": [
        {"fields": ["annual_spend"], "is": "at_least", "values": ["7000000000.00"]}
    ],
}
"""A call that is right, and shows nothing."""
YES_PROVED = YES | {"fields": [], "predicate_fields": ["annual_spend"]}
NO: dict[str, Any] = {
    "allow": False,
    "fields": [],
    "predicate_fields": [],
    "aggregate_fields": [],
    "denials": ["rate.exceeded"],
    "denied_fields": [],
    "obligations": [],
}


class Switch:
    """The engine of a node, which a test can put another behind.

    Attributes:
        engine: Who decides; the embedded engine unless a test says otherwise.
    """

    engine: Any

    async def __aenter__(self) -> Self:
        self.usual = await SharedPolicy().__aenter__()
        self.engine = self.usual
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing was opened here."""

    async def ready(self) -> None:
        await self.usual.ready()

    async def decide(self, question: Mapping[str, Any]) -> Decision:
        decision: Decision = await self.engine.decide(question)
        return decision


SWITCH = Switch()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("world")
    async with open_world(folder, policy=SWITCH) as world:
        yield world
        check_streams(world.maker.receipts(), world.maker.me)


@contextlib.asynccontextmanager
async def opa(url: str, timeout_s: float = 120) -> AsyncIterator[None]:
    """Let an OPA server at this address decide."""
    async with OpaServer(BUNDLE, url=url, timeout_s=timeout_s) as engine:
        SWITCH.engine = engine
        try:
            yield
        finally:
            SWITCH.engine = SWITCH.usual


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@contextlib.asynccontextmanager
async def server(handle: Handler) -> AsyncIterator[str]:
    async with await asyncio.start_server(handle, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def answering(
    answer: bytes, status: str = "200 OK", kind: str = "application/json"
) -> AsyncIterator[None]:
    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n"
            f"Content-Length: {len(answer)}\r\n\r\n"
        )
        writer.write(head.encode() + answer)
        await writer.drain()
        writer.close()

    async with server(handle) as url, opa(url):
        yield


def stamped(result: object, revision: str = BUNDLE.revision) -> bytes:
    return json.dumps({"result": {"revision": revision, "result": result}}).encode()


STATUS = {"policy.unavailable": 503, "policy.timeout": 503}


async def refused(world: World, *codes: str) -> None:
    answer = await world.query()
    receipt = world.check_refused(answer, *codes, status=STATUS.get(codes[0], 403))
    assert receipt.policy.engine.startswith("opa/")
    assert receipt.policy.revision == BUNDLE.revision
    assert receipt.policy.input_hash != "0" * 64


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"{}", "policy.undefined"),
        (b'{"decision_id": "1"}', "policy.undefined"),
        (b"", "policy.malformed"),
        (b"nonsense", "policy.malformed"),
        (b"\xff\xfe\x00", "policy.malformed"),
        (b"<html>It works!</html>", "policy.malformed"),
        (b"[]", "policy.malformed"),
        (b"true", "policy.malformed"),
        (b'{"result": true}', "policy.malformed"),
        (b'{"result": {"allow": true}}', "policy.malformed"),
        (json.dumps({"result": YES}).encode(), "policy.malformed"),
        (stamped(YES, "0" * 64), "policy.revision"),
        (stamped(YES, ""), "policy.revision"),
        (stamped(None), "policy.malformed"),
        (stamped(True), "policy.malformed"),
        (stamped({}), "policy.malformed"),
        (stamped(YES | {"allow": 1}), "policy.malformed"),
        (stamped(YES | {"allow": "true"}), "policy.malformed"),
        (stamped(YES | {"more": 1}), "policy.malformed"),
        (stamped(YES | {"fields": []}), "policy.malformed"),
        (stamped(YES | {"fields": ["project_stage"]}), "policy.malformed"),
        (stamped(YES | {"fields": [*YES["fields"], "rating"]}), "policy.malformed"),  # type: ignore[misc]
        (stamped(YES | {"fields": "project_stage"}), "policy.malformed"),
        (stamped(YES | {"predicate_fields": ["rating"]}), "policy.malformed"),
        (stamped(YES | {"denials": ["rate.exceeded"]}), "policy.malformed"),
        (stamped(YES | {"denied_fields": ["rating"]}), "policy.malformed"),
        (stamped(NO | {"denials": []}), "policy.malformed"),
        (stamped(NO | {"denials": ["no.such_code"]}), "policy.malformed"),
        (stamped(NO | {"fields": ["project_stage"]}), "policy.malformed"),
        (stamped(NO | {"obligations": ["x"]}), "policy.malformed"),
    ],
)
async def test_an_answer_that_is_no_decision_refuses_the_call(
    world: World, answer: bytes, code: str
) -> None:
    async with answering(answer):
        await refused(world, code)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("500 Internal Server Error", "policy.builtin_error"),
        ("503 Service Unavailable", "policy.unavailable"),
        ("502 Bad Gateway", "policy.unavailable"),
        ("401 Unauthorized", "policy.unavailable"),
        ("404 Not Found", "policy.unavailable"),
        ("302 Found", "policy.unavailable"),
    ],
)
async def test_an_error_refuses_the_call_even_with_a_yes_below_it(
    world: World, status: str, code: str
) -> None:
    async with answering(stamped(YES), status):
        await refused(world, code)


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
async def test_an_engine_that_sends_us_elsewhere_is_not_followed(
    world: World, status: str
) -> None:
    followed = []

    async def yes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        followed.append(await reader.readuntil(b"\r\n\r\n"))
        body = stamped(YES)
        writer.write(_BEGUN + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with server(yes) as elsewhere:

        async def away(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 {status} Away\r\nLocation: {elsewhere}/x\r\n"
            writer.write(f"{head}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
            writer.close()

        async with server(away) as url, opa(url):
            await refused(world, "policy.unavailable")
    assert followed == []


@pytest.mark.parametrize(
    "result",
    [
        YES,
        YES_PROVED | {"predicate_fields": []},
        YES_PROVED | {"predicate_fields": ["rating"]},
        YES_PROVED | {"predicate_fields": ["annual_spend", "rating"]},
        YES_PROVED | {"predicate_fields": "annual_spend"},
        YES_PROVED | {"fields": ["annual_spend"]},
        YES_PROVED | {"fields": ["annual_spend"], "predicate_fields": []},
        YES_PROVED | {"denied_fields": ["annual_spend"]},
        {name: YES_PROVED[name] for name in YES_PROVED if name != "predicate_fields"},
    ],
)
async def test_a_yes_to_something_else_than_was_asked_proves_nothing(
    world: World, result: dict[str, Any]
) -> None:
    async with answering(stamped(result)):
        world.check_refused(await world.query(**PROVED), "policy.malformed")


async def test_a_yes_to_a_condition_proves_it_and_shows_nothing(world: World) -> None:
    async with answering(stamped(YES_PROVED)):
        answer = await world.query(**PROVED)
    world.check(answer)
    assert answer.values == [[{}, {}]]


async def test_an_engine_cannot_allow_more_probes_than_were_agreed(
    world: World,
) -> None:
    """What is counted is counted where the receipt is written."""
    [grant] = PREDICATES
    agreement = await world.agree(predicates=[{**grant, "probes": 1}])
    spent = [{**PROVED["where"][0], "values": ["7100000000.00"]}]
    async with answering(stamped(YES_PROVED)):
        world.check(await world.query(agreement=agreement, **PROVED))
        answer = await world.query(agreement=agreement, fields=[], where=spent)
    assert "disclosures" not in answer.body
    assert (answer.status, answer.code) == (503, "store.contended")


async def test_a_yes_as_pinned_answers_the_call(world: World) -> None:
    async with answering(stamped(YES)):
        world.check(await world.query())


async def test_an_engine_cannot_allow_what_is_not_shared(world: World) -> None:
    """It decides about fields; which customers there are is not its to say."""
    async with answering(stamped(YES)):
        for name in (world.crm.unshared[0], "nobody"):
            answer = await world.query(customers=[world.customer(name)])
            world.check_refused(answer, "customer.not_shared")


async def test_a_no_that_the_engine_gives_is_passed_on(world: World) -> None:
    async with answering(stamped(NO)):
        await refused(world, "rate.exceeded")


async def test_an_engine_that_is_down_refuses_the_call_at_once(world: World) -> None:
    started = asyncio.get_running_loop().time()
    async with opa(f"http://127.0.0.1:{free_port()}"):
        await refused(world, "policy.unavailable")
    assert asyncio.get_running_loop().time() - started < 30


async def test_an_engine_that_hangs_up_refuses_the_call(world: World) -> None:
    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with server(handle) as url, opa(url):
        await refused(world, "policy.unavailable")


async def test_an_engine_that_hangs_up_half_way_refuses_the_call(world: World) -> None:
    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        whole = stamped(YES)
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
        writer.write(f"{head}{len(whole)}\r\n\r\n".encode() + whole[:-10])
        await writer.drain()
        writer.close()

    async with server(handle) as url, opa(url):
        answer = await world.query()
        assert answer.codes[0] in {"policy.unavailable", "policy.malformed"}
        world.check_refused(answer, *answer.codes, status=answer.status)


_BEGUN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "first",
    [b"", _BEGUN, _BEGUN + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"],
    ids=["silence", "a status and silence", "a brace and silence"],
)
async def test_an_engine_that_is_slow_refuses_the_call_in_time(
    world: World, first: bytes
) -> None:
    release = asyncio.Event()

    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await writer.drain()
        await release.wait()
        writer.close()

    started = asyncio.get_running_loop().time()
    async with server(handle) as url, opa(url, timeout_s=0.2):
        await refused(world, "policy.timeout")
        assert asyncio.get_running_loop().time() - started < 30
        release.set()


async def test_a_slow_engine_holds_up_nobody_else(world: World) -> None:
    release, asked = asyncio.Event(), asyncio.Semaphore(0)

    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.release()
        await release.wait()
        writer.close()

    async with server(handle) as url, opa(url, timeout_s=120):
        slow = [asyncio.create_task(world.query()) for _ in range(5)]
        for _ in slow:
            await asked.acquire()
        SWITCH.engine = SWITCH.usual
        world.check(await world.query())
        assert not any(task.done() for task in slow)
        release.set()
        for answer in await asyncio.gather(*slow):
            assert answer.codes == ["policy.unavailable"]


async def test_an_engine_with_other_policies_than_ours_is_not_asked_again(
    world: World,
) -> None:
    engine = OpaServer(BUNDLE, url=f"http://127.0.0.1:{free_port()}")
    async with engine:
        engine._trusted = False  # what `ready` does when it finds other policies
        SWITCH.engine = engine
        try:
            await refused(world, "policy.revision")
        finally:
            SWITCH.engine = SWITCH.usual


async def test_an_engine_with_a_bug_of_its_own_discloses_nothing(world: World) -> None:
    class Broken:
        async def decide(self, _: object) -> Decision:
            raise RuntimeError

    before = len(world.maker.receipts())
    SWITCH.engine = Broken()
    try:
        answer = await world.query()
    finally:
        SWITCH.engine = SWITCH.usual
    assert (answer.status, answer.code) == (500, "node.bug")
    assert answer.body.keys() == {"type", "title", "status", "code", "detail"}
    assert len(world.maker.receipts()) == before


async def test_every_policy_code_is_met_here() -> None:
    assert {code for code in DENIALS if code.startswith("policy.")} == {
        "policy.unavailable",
        "policy.timeout",
        "policy.undefined",
        "policy.malformed",
        "policy.builtin_error",
        "policy.revision",
    }
