"""Nothing leaks: canaries in everything that may not leave, and every byte looked at.

Canaries stand in each field that is not granted, in fields of which something may
be proved and nothing shown, in columns that are not declared, in record keys, and
in every record of customers that are not shared. Generated calls, right, malformed
and of other companies, drive the API. Then no canary, plain or encoded or hashed,
may be in a response, a header, a log line, a receipt, a checkpoint, the chain, or
in anything that a partner's node has stored.

Nor may what commitments are made of, in any response; nor, for partners, the name
of a field that they were granted nothing of.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import logging
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto.encoding import b64u
from ledger.conditions import ordered, parse_condition
from ledger.receipts import request_hash
from node.adapters.sql import tables as t
from node.cli.logs import LOGGING
from tests.support.node import (
    GRANTED,
    PURPOSE,
    SHARED,
    Answer,
    World,
    open_world,
    spilled_in,
    uncovered,
)
from tests.support.servers import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Lines(logging.Handler):
    """Keeps every record of every logger, as text with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def octets(self) -> bytes:
        return "\n".join(self.lines).encode("utf-8", "backslashreplace")


@contextlib.contextmanager
def everything_logged() -> Iterator[Lines]:
    """Log as a node does whose operator has asked for all there is."""
    root, lines = logging.getLogger(), Lines()
    before = {"": root.level}
    for name, chosen in LOGGING["loggers"].items():
        before[name] = logging.getLogger(name).level
        logging.getLogger(name).setLevel(chosen["level"])
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # A server that another test has run may have bent these to its own ends.
        each = logging.getLogger(name)
        each.propagate, each.handlers = True, []
        each.setLevel(logging.NOTSET)
    root.setLevel(logging.DEBUG)
    root.addHandler(lines)
    try:
        yield lines
    finally:
        root.removeHandler(lines)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def logged() -> AsyncIterator[Lines]:
    with everything_logged() as lines:
        yield lines


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    logged: Lines, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("world")) as world:
        await spoil(world)
        yield world


SPOILED = (("acceptance", 2), ("spend", 3))
"""Columns, and rows of shared customers in which they are broken."""


async def spoil(world: World) -> None:
    """Break values after publication, so that reading them fails on the way."""
    for column, row in SPOILED:
        bad = f"canary-unfit-{secrets.token_hex(8)}"
        world.crm.canaries = world.crm.canaries | {bad}
        put(world, column, row, bad)


async def mend(world: World) -> None:
    """Publish the values whole: after one look, records that were broken are gone."""
    for column, row in SPOILED:
        put(world, column, row, world.crm.rows[row][column])
    await world.maker.manage("/management/datasets", world.crm.declaration())
    world.wire.exchanges.pop()  # its report names records, for the company


def put(world: World, column: str, row: int, value: Any) -> None:
    world.crm.write(
        f"UPDATE projects SET {column} = ? WHERE project_id = ?",  # noqa: S608
        value,
        world.crm.rows[row]["project_id"],
    )


# --- what is asked ----------------------------------------------------------

SHOWABLE = tuple(name for name, mode in GRANTED.items() if mode == "plain")
FIELDS = (*SHOWABLE, *GRANTED, "rating", "contact_phone", "note", "no_such_field")
DATASETS = ("projects", "projects ", "PROJECTS", "others", "projects'--", "..", "%00")


def condition(field: str, operator: str, *values: Any) -> dict[str, Any]:
    return {"fields": [field], "is": operator, "values": list(values)}


ASKABLE = (
    condition("annual_spend", "at_least", "7000000000.00"),
    condition("annual_spend", "at_most", "7499999999.99"),
    condition("annual_spend", "between", "7000000000.00", "7499999999.99"),
)
REFUSED = (
    condition("annual_spend", "at_least", "7000000000.01"),
    condition("annual_spend", "between", "7000000000.00", "7000000000.99"),
    condition("annual_spend", "one_of", "7000000000.00", "7100000000.00"),
    condition("expected_acceptance_date", "before", "2027-03-01"),
    condition("units", "at_least", 100),
    condition("rating", "one_of", "A", "B"),
    condition("no_such_field", "at_least", 1),
    {"fields": ["annual_spend", "units"], "is": "equal", "values": []},
)
HOSTILE = st.text(
    st.sampled_from("aZ09_-.:%'\"\\{}[]<>;=/ \n\r\x00é中\u202e"), max_size=40
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), HOSTILE),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(HOSTILE, inner, max_size=4)
    ),
    max_leaves=8,
)


RIGHT = {
    "caller": "supplier",
    "token": "right",
    "agreement": "own",
    "purpose": PURPOSE,
    "dataset": "projects",
    "mutation": None,
}


@st.composite
def queries(draw: st.DrawFn) -> dict[str, Any]:
    """Return how to call: who, under what, for which fields of whom."""
    how = {
        "caller": draw(st.sampled_from(["supplier", "charger", "maker"])),
        "token": draw(
            st.sampled_from(["right"] * 5 + ["other request", "stolen", "none", "junk"])
        ),
        "agreement": draw(st.sampled_from(["own"] * 5 + ["revoked", "unknown"])),
        "purpose": draw(st.sampled_from([PURPOSE] * 4 + ["cross-sell"])),
        "dataset": draw(st.sampled_from(["projects"] * 8 + list(DATASETS))),
        "fields": draw(
            st.lists(st.sampled_from(SHOWABLE), unique=True)
            | st.lists(st.sampled_from(FIELDS), unique=True, max_size=5)
        ),
        "where": draw(
            st.just([])
            | st.lists(st.sampled_from(ASKABLE), max_size=3)
            | st.lists(st.sampled_from(ASKABLE + REFUSED), max_size=3)
        ),
        "customers": draw(
            st.lists(
                st.sampled_from(["shared", "spoiled", "unshared", "nobody", "foreign"]),
                min_size=1,
                max_size=4,
            )
        ),
        "mutation": draw(st.none() | st.none() | st.tuples(st.integers(0, 4), JSON)),
    }
    return how | (RIGHT if draw(st.booleans()) else {})


async def call(world: World, how: dict[str, Any]) -> Answer:
    revoked, unknown = "urn:uuid:" + "0" * 36, "urn:uuid:" + "f" * 36
    named = {"own": world.agreement, "revoked": REVOKED.get("id", revoked)}
    agreement = named.get(how["agreement"], unknown)
    nobody = secrets.token_hex(8)
    people = {
        "shared": world.customer(SHARED[0]),
        "spoiled": world.customer(SHARED[1]),
        "unshared": world.customer(world.crm.unshared[0]),
        "nobody": world.customer(nobody),
        "foreign": world.customer(SHARED[0], REVOKED.get("id", unknown)),
    }
    body: dict[str, Any] = {
        "agreement": agreement,
        "purpose": how["purpose"],
        "fields": sorted(how["fields"]),
        "customers": [people[each] for each in dict.fromkeys(how["customers"])],
        "where": _ordered(how["where"]),
        "stream": {"last": None, "countersignatures": []},
    }
    if how["mutation"] is not None:
        index, value = how["mutation"]
        body[sorted(body)[index]] = value
    caller = getattr(world, how["caller"])
    token = {"none": None, "junk": "a.b.c"}.get(how["token"], "")
    if token == "":
        token = caller.services.identity.issue(
            audience=world.charger.did if how["token"] == "stolen" else world.maker.did,
            bound_to=_hash(how, body),
            agreement=agreement,
            nonce=b64u(secrets.token_bytes(32)),
        )
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = await world.maker.client.post(
        f"/views/{how['dataset']}/query",
        content=json.dumps(body).encode(),
        headers={"content-type": "application/json", **headers},
        timeout=120,
    )
    return Answer(
        status=response.status_code,
        body=response.json(),
        octets=response.content,
        asked=body,
        token=token,
    )


def _ordered(where: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each.to_json() for each in ordered(map(parse_condition, where))]


def _hash(how: dict[str, Any], body: dict[str, Any]) -> str:
    if how["token"] == "other request":
        return "00" * 32
    with contextlib.suppress(Exception):  # a mutation that cannot be signed for
        return request_hash(how["dataset"], body)
    return "00" * 32


REVOKED: dict[str, str] = {}


async def revoked(world: World) -> None:
    """Keep an agreement that was good once, with its customers, and is not now."""
    if not REVOKED:
        REVOKED["id"] = await world.agree()
        path = f"/management/agreements/{REVOKED['id']}/status"
        await world.maker.manage(path, {"status": "revoked"})


class Watch:
    """Looks at what has come out since it was last asked."""

    def __init__(self, world: World, logged: Lines) -> None:
        self.world, self.logged = world, logged
        self.seen = (len(world.wire.exchanges), len(logged.lines))

    def spilled(self, *more: bytes) -> list[str]:
        exchanges, lines = self.seen
        self.seen = (len(self.world.wire.exchanges), len(self.logged.lines))
        told = "\n".join(self.logged.lines[lines:]).encode("utf-8", "backslashreplace")
        return self.world.spilled(told, *more, since=exchanges)


# --- the property -----------------------------------------------------------


async def test_a_canary_is_found_wherever_it_could_be(world: World) -> None:
    """The looking itself: what is planted on purpose must be seen."""
    value = world.crm.rows[0]["phone"]
    raw = value.encode()
    for form in (
        raw,
        json.dumps({"phone": value}).encode(),
        b"xx" + base64.b64encode(b"a" + raw + b"tail") + b"yy",
        base64.urlsafe_b64encode(b"ab" + raw).rstrip(b"="),
        raw.hex().encode(),
        hashlib.sha256(raw).digest(),
        hashlib.sha256(raw).hexdigest().encode(),
        base64.urlsafe_b64encode(hashlib.sha256(b'"' + raw + b'"').digest()),
    ):
        assert spilled_in(world.crm.canaries, b"before " + form + b" after") == [value]
    assert spilled_in(world.crm.canaries, b"canary-phone-0000 canary") == []


@given(how=queries())
@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_no_generated_call_brings_a_canary_out(
    world: World, logged: Lines, how: dict[str, Any]
) -> None:
    await revoked(world)
    if "spoiled" in how["customers"]:
        await mend(world)
        await spoil(world)
    watch = Watch(world, logged)
    answer = await call(world, how)
    assert answer.status in {200, 400, 401, 403, 404}, answer.body
    assert watch.spilled(answer.octets) == []
    right = how["token"] == "right" and how["mutation"] is None
    allowed = (
        right
        and (how["caller"], how["agreement"]) == ("supplier", "own")
        and (how["purpose"], how["dataset"]) == (PURPOSE, "projects")
        and set(how["fields"]) <= set(SHOWABLE)
        and all(each in ASKABLE for each in how["where"])
        and (how["fields"] or how["where"])
    )
    if answer.status == 200:
        assert allowed
        assert "shared" in how["customers"]
        world.check(answer)
    elif allowed:
        assert "shared" not in how["customers"]
        assert answer.codes == ["customer.not_shared"]


@st.composite
def other_calls(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    """Return who sends which message to which address."""
    path = draw(
        st.sampled_from(
            [
                "/agreements/{agreement}/customers",
                "/receipts/countersignatures",
                "/negotiations/offers",
                "/negotiations/{pid}/events",
                "/negotiations/{pid}/agreement/verification",
                "/views/projects/query",
                "/management/datasets",
                "/management/ask",
                "/audit/calls",
            ]
        )
    )
    members = ["customers", "countersignatures", "offer", "eventType", "signature", "x"]
    message = {draw(st.sampled_from(members)): draw(JSON)}
    return draw(st.sampled_from(["supplier", "charger"])), path, message


@given(sent=other_calls())
@settings(max_examples=150, deadline=None)
async def test_no_other_call_of_a_partner_brings_a_canary_out(
    world: World, logged: Lines, sent: tuple[str, str, dict[str, Any]]
) -> None:
    caller, path, message = sent
    watch = Watch(world, logged)
    pid = "urn:uuid:" + "1" * 36
    path = path.format(agreement=world.agreement, pid=pid)
    token = "x.y.z"
    with contextlib.suppress(Exception):  # what cannot be signed for
        agreement = world.agreement if "agreements" in path else None
        token = getattr(world, caller).token(
            world.maker.did, path, message, agreement=agreement
        )
    response = await world.maker.client.post(
        path,
        content=json.dumps(message).encode(),
        headers={
            "content-type": "application/json",
            "Authorization": f"Bearer {token}",
        },
    )
    assert response.status_code < 500, response.text
    assert watch.spilled() == []


async def test_no_canary_is_in_what_auditors_and_the_chain_hold(
    world: World, logged: Lines
) -> None:
    await world.query()
    watch = Watch(world, logged)
    keeper = world.maker.services.keep_log
    anchoring = world.maker.services.anchoring
    await keeper.integrate()
    await anchoring()
    ids = [signed.receipt.receipt_id for signed in world.maker.receipts()]
    for path in (
        "/audit/summary",
        "/audit/calls?limit=200",
        "/audit/agreements",
        "/audit/received",
        "/audit/participants",
        "/management/datasets/projects/progress",
        "/management/negotiations",
    ):
        await world.maker.manage(path)
    for receipt_id in ids[:: max(1, len(ids) // 40)]:
        await world.maker.manage(f"/audit/receipts/{receipt_id}")
        await world.maker.manage(f"/audit/receipts/{receipt_id}/question")
        await world.maker.client.get(f"/log/proof/{receipt_id}")
    for [name] in world.maker.rows(sa.select(t.snapshots.c.snapshot_id)):
        reply = await world.maker.client.get(f"/log/snapshots/{name}")
        assert reply.is_success
    await world.maker.client.get("/log/checkpoint")
    await world.maker.client.get("/openapi.json")
    held = repr(world.chain.blocks).encode()
    assert b"commitment" in held
    assert watch.spilled(held) == []


async def test_no_canary_is_in_what_the_partners_nodes_have_stored(
    world: World,
) -> None:
    for customers in (
        [SHARED[0]],
        [SHARED[0], world.crm.unshared[0]],
        [world.crm.unshared[1]],
    ):
        for where in ([], [ASKABLE[0]]):
            await world.supplier.manage(
                "/management/ask",
                {
                    "agreement": world.agreement,
                    "purpose": PURPOSE,
                    "fields": ["project_stage"],
                    "customers": customers,
                    "where": where,
                },
            )
    # The consumer named unshared customers itself; its own operator is told so.
    own = set(world.crm.unshared)
    exchanges = world.wire.exchanges
    asked = [each for each in exchanges if each.path == "/management/ask"]
    assert spilled_in(world.crm.canaries - own, b"".join(e.body for e in asked)) == []
    world.wire.exchanges = [each for each in exchanges if each not in asked]
    for node in (world.supplier, world.charger):
        octets = b"".join(
            file.read_bytes() for file in sorted(node.folder.glob("node.sqlite*"))
        )
        assert len(octets) > 10_000
        assert spilled_in(world.crm.canaries - own, octets) == []
        assert spilled_in(world.crm.names, octets) == []
        assert uncovered(world.maker.secrets(), octets) == set()


async def test_the_providers_own_store_holds_no_value_either(world: World) -> None:
    """Record keys and customers it needs; of values, only what can be proved from."""
    rows = world.crm.rows
    needed = {row["project_id"] for row in rows} | set(world.crm.unshared)
    octets = b"".join(
        file.read_bytes() for file in sorted(world.maker.folder.glob("node.sqlite*"))
    )
    assert spilled_in(world.crm.canaries - needed, octets) == []
    assert spilled_in(needed, octets) != []


async def test_the_name_of_no_other_field_is_told(world: World) -> None:
    """A partner that was granted some fields does not hear what else there is."""
    begin = len(world.wire.exchanges)
    others = {
        "rating", "contact_phone", *world.crm.names,  # declared, and not granted
        "annual_spend", "units", "delivered", "CNY", "pcs",  # granted to others
        "stage", "acceptance", "spend", "secret", "phone", "note",  # columns
    }  # fmt: skip
    agreement = await world.agree(
        fields={"project_stage": "plain", "expected_acceptance_date": "plain"},
        predicates=[],
    )
    for changes in (
        {},
        {"purpose": "cross-sell"},
        {"fields": ["no_such_field"]},
        {"customers": [world.customer("nobody", agreement)]},
    ):
        await world.query(agreement=agreement, **changes)
    [snapshot] = world.maker.rows(
        sa.select(t.snapshots.c.snapshot_id).where(t.snapshots.c.agreement == agreement)
    )
    for path in (f"/log/snapshots/{snapshot.snapshot_id}", "/.well-known/did.json"):
        await world.maker.client.get(path)
    await world.supplier.manage(
        "/management/ask",
        {
            "agreement": agreement,
            "purpose": PURPOSE,
            "fields": ["project_stage"],
            "customers": [SHARED[0]],
        },
    )
    outside = b"\n".join(
        each.octets()
        for each in world.wire.exchanges[begin:]
        if not (each.is_inside and each.url == world.maker.url)
    )
    assert b'"project_stage"' in outside
    assert outside.count(b'"digest"') >= 10
    assert [name for name in others if f'"{name}"'.encode() in outside] == []
    assert spilled_in(world.crm.names, outside) == []


async def test_an_answer_holds_nothing_of_other_customers(world: World) -> None:
    """Nor does it tell which of them are shared, or meet the same conditions."""
    await mend(world)
    mine = world.customer(SHARED[0])
    c = t.seals.c
    others = {
        f"commitment to {row.key}": row.commitment
        for row in world.maker.rows(sa.select(t.seals))
        if (row.agreement, row.customer) != (world.agreement, SHARED[0])
    }
    assert len(others) >= 2
    await spoil(world)
    for where in ([], [ASKABLE[0]], [ASKABLE[1]]):
        answer = await world.query(where=where, customers=[mine])
        world.check(answer)
        assert uncovered(others, answer.octets) == set()
        [each] = answer.body["disclosures"]
        own = world.maker.rows(
            sa.select(c.commitment).where(
                c.agreement == world.agreement, c.customer == SHARED[0]
            )
        )
        assert {record["commitment"] for record in each["records"]} == {
            b64u(row.commitment) for row in own
        }


async def test_what_commitments_are_made_of_would_be_found(world: World) -> None:
    """The looking itself, as for canaries."""
    kept = world.maker.secrets() | world.crm.scalars()
    kinds = {name.partition(" of ")[0]: name for name in kept}
    assert kinds.keys() >= {"link", "digest", "blinder", "signature", "salt", "spend"}
    for name in kinds.values():
        value = kept[name]
        for form in (value, value.hex().encode(), b64u(value).encode()):
            assert uncovered(kept, b'{"x":"' + form + b'"}') == {name}
        joined = b64u(b"proof" + value + b"more").encode()
        assert uncovered(kept, joined) == {name}
    assert uncovered(kept, secrets.token_bytes(5000)) == set()


# --- not shared, and not there ----------------------------------------------


SHOWN: dict[str, Any] = {"fields": ["units"]}
PROVED: dict[str, Any] = {"fields": [], "where": [ASKABLE[0]]}
asked = pytest.mark.parametrize("asked", [SHOWN, PROVED], ids=["shown", "proved"])


async def pair(
    world: World, asked: dict[str, Any], beside: tuple[str, ...]
) -> tuple[Answer, Answer]:
    """Ask about a customer that is not shared, and about one that there is not."""
    answers = []
    for name in (world.crm.unshared[0], f"canary-customer-{secrets.token_hex(8)}"):
        customers = [world.customer(each) for each in (*beside, name)]
        answers.append(await world.query(customers=customers, **asked))
    return answers[0], answers[1]


def unnumbered(answer: Answer) -> int:
    """Return the size of an answer, less the digits of its place in the stream."""
    return len(answer.octets) - len(str(answer.body["receipt"]["sequence"]))


@asked
@pytest.mark.parametrize("beside", [(), SHARED[:1], SHARED])
async def test_what_is_not_shared_answers_as_what_is_not_there(
    world: World, beside: tuple[str, ...], asked: dict[str, Any]
) -> None:
    await pair(world, asked, SHARED)  # what is spoiled is seen once, and gone
    unshared, nobody = await pair(world, asked, beside)
    assert unshared.status == nobody.status
    assert unnumbered(unshared) == unnumbered(nobody)
    assert unshared.body.keys() == nobody.body.keys()
    differing = {
        name
        for name in unshared.body["receipt"]
        if unshared.body["receipt"][name] != nobody.body["receipt"][name]
    }
    ours = {"sequence", "previous", "request_hash", "nonce", "response_hash", "policy"}
    assert differing <= ours
    if beside:
        assert unshared.values[-1] is nobody.values[-1] is None
    else:
        assert unshared.codes == nobody.codes == ["customer.not_shared"]


@contextlib.contextmanager
def statements() -> Iterator[list[tuple[str, int]]]:
    """Note the text and the number of parameters of every SQL statement."""
    noted: list[tuple[str, int]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        noted.append((statement, len(parameters or ())))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield noted
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


@asked
@pytest.mark.parametrize("beside", [(), SHARED[:1], SHARED])
async def test_both_take_the_same_way_through_the_databases(
    world: World, beside: tuple[str, ...], asked: dict[str, Any]
) -> None:
    """The node's own and the CRM: the same statements, in the same order."""
    ways = []
    await pair(world, asked, SHARED)  # the CRM's key type is learnt once
    for name in (world.crm.unshared[0], "nobody", world.crm.unshared[1]):
        tokens = [world.customer(each) for each in (*beside, name)]
        with statements() as noted:
            await world.query(customers=tokens, **asked)
        ways.append(noted)
    assert len(ways[0]) > 5
    assert ways[0] == ways[1] == ways[2]


@pytest.mark.slow
async def test_both_take_the_same_time(world: World) -> None:
    """The quartiles are those of one distribution.

    On a machine with other work they differ by chance now and then, but not each time;
    two ways through the node would take different times in every round.
    """
    quartiles: list[list[float]] = []
    for _ in range(8):
        quartiles = await timed(world)
        ratios = [one / other for one, other in zip(*quartiles, strict=True)]
        if all(0.75 < ratio < 1.33 for ratio in ratios[:2]):
            return
    raise AssertionError(quartiles)


async def timed(world: World) -> list[list[float]]:
    """Measure calls of both kinds, interleaved in changing order."""
    kinds = {"unshared": world.crm.unshared[0], "nobody": "nobody at all"}
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(120):
        for kind in sorted(kinds, reverse=turn % 2 == 0):
            token = world.customer(kinds[kind])
            started = time.perf_counter()
            await world.query(customers=[token])
            took[kind].append(time.perf_counter() - started)
    return [statistics.quantiles(took[kind], n=4) for kind in kinds]


# --- over a real socket -----------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def address(world: World) -> AsyncIterator[tuple[str, int]]:
    """The provider behind uvicorn, as `serve` runs it, with everything logged."""
    port = free_port()
    config = uvicorn.Config(
        world.maker.app,
        host="127.0.0.1",
        port=port,
        lifespan="off",
        log_config=None,
        log_level="trace",
        access_log=True,
        server_header=False,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110  # it offers no event
        await asyncio.sleep(0.01)
    yield "127.0.0.1", port
    server.should_exit = True
    await serving


async def raw(
    address: tuple[str, int], octets: bytes, patience_s: float = 120
) -> bytes:
    """Send bytes; return every byte that comes back until the server hangs up."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(octets)
    received = bytearray()
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(patience_s):
            while more := await reader.read(65536):
                received += more
    writer.close()
    return bytes(received)


def http(world: World, body: dict[str, Any], token: str | None, dataset: str) -> bytes:
    content = json.dumps(body).encode()
    lines = [
        f"POST /views/{dataset}/query HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        "Connection: close",
    ]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


async def test_no_byte_on_a_real_socket_is_a_canary(
    world: World, logged: Lines, address: tuple[str, int]
) -> None:
    received, before = [], len(logged.lines)
    for fields in (["project_stage"], ["rating"], ["contact_phone", "units"]):
        for name in (SHARED[0], SHARED[1], world.crm.unshared[0], "nobody"):
            body = world.body(fields=fields, customers=[world.customer(name)])
            for caller in (world.supplier, world.charger, None):
                token = None
                if caller is not None:
                    token = caller.token(
                        world.maker.did, "projects", body, agreement=world.agreement
                    )
                received.append(
                    await raw(address, http(world, body, token, "projects"))
                )
    right = http(world, world.body(), None, "projects")
    strange = (
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /log/checkpoint HTTP/1.0\r\n\r\n",
        b"POST /views/projects/query HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        right[:-20],
        right.replace(b"HTTP/1.1", b"HTTP/9.9"),
        right.replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nX"),
        right.replace(b"Host", b"Content-Length: 1\r\nHost"),
    )
    received += [await raw(address, octets, 0.3) for octets in strange]
    statuses = {answer.split(b" ", 2)[1] for answer in received if b" " in answer}
    assert {b"200", b"401", b"403"} <= statuses
    assert not any(answer.startswith(b"HTTP/1.1 5") for answer in received)
    told = "\n".join(logged.lines[before:]).encode("utf-8", "backslashreplace")
    assert b"uvicorn" in told
    assert spilled_in(world.crm.canaries, b"\n".join((*received, told))) == []


# --- faults -----------------------------------------------------------------


async def test_no_fault_of_the_node_brings_a_canary_out(
    world: World, logged: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The traceback of a bug is logged; it must not show what was being read."""
    watch = Watch(world, logged)
    disclose = world.maker.services.disclose

    def bug(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(type(disclose.prove), "__call__", bug)
    answer = await world.query(customers=[world.customer(SHARED[0])])
    assert (answer.status, answer.code) == (500, "node.bug")
    assert any("Traceback" in line and "a bug" in line for line in logged.lines)
    assert watch.spilled() == []
    monkeypatch.undo()
    world.check(await world.query(customers=[world.customer(SHARED[0])]))


async def test_no_publication_brings_a_canary_out(world: World, logged: Lines) -> None:
    """Its report is for the company; a partner sees, and a log tells, none of it."""
    before = len(logged.lines)
    response = await world.maker.client.post(
        "/management/datasets",
        json=world.crm.declaration("spoiled"),
        headers=world.maker.operator(),
    )
    world.wire.exchanges.pop()
    assert response.json()["report"]["rejected"] == 2
    told = "\n".join(logged.lines[before:]).encode("utf-8", "backslashreplace")
    assert spilled_in(world.crm.canaries, told) == []
    values = world.crm.canaries - {row["project_id"] for row in world.crm.rows}
    assert spilled_in(values, response.content) == []
