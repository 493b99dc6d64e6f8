"""An OPA server that is right, and every way in which one can be wrong."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from opa_client.opa_async import AsyncOpaClient

from node.adapters.policy.bundle import load_bundle
from node.adapters.policy.opa_server import OpaServer
from node.adapters.policy.selftest import outcome
from node.errors import Unavailable
from tests.policies import opa
from tests.policies.questions import allowed, changed
from tests.support.servers import free_port

BUNDLE = load_bundle(Path(__file__).parents[2] / "policies")
OTHER = dataclasses.replace(BUNDLE, revision="0" * 64)
YES = {
    "allow": True,
    "fields": ["acceptance_date", "project_stage"],
    "predicate_fields": ["annual_spend", "planned_spend"],
    "aggregate_fields": [],
    "denials": [],
    "denied_fields": [],
    "obligations": [],
}
real_opa = [pytest.mark.opa, opa.needs_opa]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes longer than the two seconds that a node gives a server."""
    defaults: Any = OpaServer.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "timeout_s", 120.0)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with opa.server() as address:
        yield address


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncOpaClient]:
    """What somebody else could do to the server, who can reach its API."""
    port = int(url.rsplit(":", 1)[1])
    async with AsyncOpaClient("127.0.0.1", port, retries=0, timeout=120) as client:
        yield client


@contextlib.asynccontextmanager
async def answering(answer: bytes, *, status: str = "200 OK") -> AsyncIterator[str]:
    """A server that answers every request with the same bytes."""

    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(
            b"POST /v1/data/fieldpact/stamp/answer?strict-builtin-errors=true HTTP/1.1"
        )
        kind = "text/html" if answer.startswith(b"<") else "application/json"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n"
            f"Content-Length: {len(answer)}\r\n\r\n".encode()
        )
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def denials(address: str, *, timeout_s: float = 120) -> tuple[str, ...]:
    async with OpaServer(BUNDLE, url=address, timeout_s=timeout_s) as pdp:
        decision = await pdp.decide(allowed())
    assert not decision.allow
    assert decision.fields == ()
    return decision.denials


def stamped(result: object, revision: str = BUNDLE.revision) -> bytes:
    return json.dumps({"result": {"revision": revision, "result": result}}).encode()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"{}", "policy.undefined"),
        (b'{"decision_id": "1"}', "policy.undefined"),
        (b"", "policy.malformed"),
        (b"garbage", "policy.malformed"),
        (b"\xff\xfe", "policy.malformed"),
        (b"<html>Welcome</html>", "policy.malformed"),
        (b"[]", "policy.malformed"),
        (b"null", "policy.malformed"),
        (b'{"result": true}', "policy.malformed"),
        (b'{"result": {"allow": true}}', "policy.malformed"),
        (json.dumps({"result": YES}).encode(), "policy.malformed"),
        (stamped(YES, "0" * 64), "policy.revision"),
        (stamped(True), "policy.malformed"),
        (stamped({}), "policy.malformed"),
        (stamped(YES | {"allow": "true"}), "policy.malformed"),
        (stamped(YES | {"fields": ["contact_phone"]}), "policy.malformed"),
        (stamped(YES | {"predicate_fields": []}), "policy.malformed"),
        (stamped(YES | {"denials": ["rate.exceeded"]}), "policy.malformed"),
    ],
)
async def test_an_answer_that_is_no_decision_is_a_denial(
    answer: bytes, code: str
) -> None:
    async with answering(answer) as address:
        assert await denials(address) == (code,)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("500 Internal Server Error", "policy.builtin_error"),
        ("503 Service Unavailable", "policy.unavailable"),
        ("401 Unauthorized", "policy.unavailable"),
        ("404 Not Found", "policy.unavailable"),
    ],
)
async def test_an_error_status_is_a_denial_even_with_a_decision_below(
    status: str, code: str
) -> None:
    async with answering(stamped(YES), status=status) as address:
        assert await denials(address) == (code,)


async def test_the_same_answer_in_order_is_a_decision() -> None:
    async with (
        answering(stamped(YES)) as address,
        OpaServer(BUNDLE, url=address) as pdp,
    ):
        assert (await pdp.decide(allowed())).allow


async def test_a_server_that_is_down_is_a_denial_at_once() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    started = asyncio.get_running_loop().time()
    assert await denials(address) == ("policy.unavailable",)
    assert asyncio.get_running_loop().time() - started < 30
    async with OpaServer(BUNDLE, url=address) as pdp:
        with pytest.raises(Unavailable, match=r"policy\.unavailable"):
            await pdp.ready()


async def test_a_server_that_stalls_is_a_denial_after_the_time_limit() -> None:
    release = asyncio.Event()

    async def stall(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    async with await asyncio.start_server(stall, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started = asyncio.get_running_loop().time()
        assert await denials(address, timeout_s=0.2) == ("policy.timeout",)
        assert 0.1 < asyncio.get_running_loop().time() - started < 30
        release.set()


async def test_a_server_that_hangs_up_is_a_denial() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await denials(f"http://127.0.0.1:{port}") == ("policy.unavailable",)


async def test_a_server_that_was_not_entered_is_a_denial() -> None:
    pdp = OpaServer(BUNDLE, url="http://127.0.0.1:1")
    assert (await pdp.decide(allowed())).denials == ("policy.unavailable",)


async def test_a_malformed_question_is_not_sent() -> None:
    async with OpaServer(BUNDLE, url="http://127.0.0.1:1") as pdp:
        decision = await pdp.decide(changed(allowed(), {"now": "1"}))
    assert decision.denials == ("request.malformed",)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8181", "ftp://127.0.0.1", "http://127.0.0.1/opa", ""]
)
def test_an_address_with_a_path_or_another_scheme_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="http"):
        OpaServer(BUNDLE, url=address)


class TestRealOpa:
    pytestmark = real_opa

    async def test_a_fresh_server_gets_the_policies_and_decides_as_pinned(
        self, url: str
    ) -> None:
        async with OpaServer(BUNDLE, url=url) as pdp:
            await pdp.ready()
            await pdp.ready()
            for case in BUNDLE.corpus:
                decision = await pdp.decide(case["question"])
                assert outcome(decision) == case["expect"], case["comment"]
            assert pdp.name.startswith("opa/")

    async def test_what_the_server_holds_is_what_we_hold_byte_for_byte(
        self, url: str, client: AsyncOpaClient
    ) -> None:
        async with OpaServer(BUNDLE, url=url) as pdp:
            await pdp.ready()
        for path, text in BUNDLE.modules.items():
            held = await client.get_policy(f"fieldpact/{path}")
            assert held["result"]["raw"] == text

    async def test_a_server_that_forgot_the_policies_denies_until_it_has_them(
        self, url: str, client: AsyncOpaClient
    ) -> None:
        async with OpaServer(BUNDLE, url=url) as pdp:
            await pdp.ready()
            for policy in await client.get_policies_list():
                await client.delete_policy(policy)
            assert (await pdp.decide(allowed())).denials == ("policy.undefined",)
            await pdp.ready()
            assert (await pdp.decide(allowed())).allow

    async def test_a_server_that_serves_another_revision_denies(self, url: str) -> None:
        async with (
            OpaServer(BUNDLE, url=url) as ours,
            OpaServer(OTHER, url=url) as theirs,
        ):
            await ours.ready()
            await theirs.ready()
            assert (await ours.decide(allowed())).denials == ("policy.revision",)

    async def test_a_module_replaced_behind_our_back_is_put_right(
        self, url: str, client: AsyncOpaClient
    ) -> None:
        path = "decision/decision.rego"
        loose = BUNDLE.modules[path].replace("data.fieldpact.shape.valid\n", "true\n")
        async with OpaServer(BUNDLE, url=url) as pdp:
            await pdp.ready()
            await client.update_policy_from_string(
                loose, f"fieldpact/{path}", rego_compat=False
            )
            await pdp.ready()
        held = await client.get_policy(f"fieldpact/{path}")
        assert held["result"]["raw"] == BUNDLE.modules[path]

    async def test_a_foreign_module_in_our_packages_is_refused(
        self, url: str, client: AsyncOpaClient
    ) -> None:
        await client.update_policy_from_string(
            "package fieldpact.decision\n\nallow if true", "foreign", rego_compat=False
        )
        async with OpaServer(BUNDLE, url=url) as pdp:
            with pytest.raises(Unavailable, match=r"policy\.revision"):
                await pdp.ready()
            assert (await pdp.decide(allowed())).denials == ("policy.revision",)
            await client.delete_policy("foreign")
            await pdp.ready()
            assert (await pdp.decide(allowed())).allow

    async def test_policies_that_decide_otherwise_than_pinned_do_not_serve(
        self, url: str
    ) -> None:
        path = "consortium/consortium.rego"
        loose = BUNDLE.modules[path].replace("calls_this_hour <", "calls_this_hour <=")
        assert loose != BUNDLE.modules[path]
        bundle = dataclasses.replace(
            BUNDLE, modules=dict(BUNDLE.modules) | {path: loose}
        )
        async with OpaServer(bundle, url=url) as pdp:
            with pytest.raises(Unavailable, match=r"policy\.selftest.*used up"):
                await pdp.ready()

    async def test_a_conflict_in_the_policies_is_a_denial(
        self, url: str, client: AsyncOpaClient
    ) -> None:
        async with OpaServer(BUNDLE, url=url) as pdp:
            await pdp.ready()
            await client.update_policy_from_string(
                "package fieldpact.decision\n\nresult := 1",
                "foreign",
                rego_compat=False,
            )
            decision = await pdp.decide(allowed())
            await client.delete_policy("foreign")
        assert decision.denials == ("policy.builtin_error",)
