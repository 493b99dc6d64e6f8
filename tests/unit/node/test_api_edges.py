"""The edges of the API: what is neither a right call nor a refusal by policy."""

import copy
import json
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa

from crypto.encoding import b64u
from ledger.receipts import parse_signed_receipt
from node.ports import Reply
from tests.support.node import SHARED, World, crm, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("world")) as world:
        yield world


async def send(
    world: World,
    method: str,
    path: str,
    content: bytes = b"",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    return await world.maker.client.request(
        method,
        path,
        content=content,
        headers={"content-type": "application/json", **(headers or {})},
    )


def problem(response: httpx.Response, status: int) -> Any:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert found["status"] == status
    assert found["type"] == f"urn:fieldpact:problem:{found['code']}"
    assert found["detail"]
    return found


@pytest.mark.parametrize("window", ["to=1970-01-02T00:00:00Z", "from=1970-01-01T00:00:00Z",
    "from=9999-12-31T23:59:59Z", "from=1970-01-01T00:00:00Z&to=9999-12-31T23:59:59Z"])  # fmt: skip
async def test_any_window_of_time_can_be_asked_for(world: World, window: str) -> None:
    for page in ("summary", "calls"):
        response = await send(
            world, "GET", f"/audit/{page}?{window}", headers=world.maker.operator()
        )
        assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "query",
    ["from=now", "from=0001-01-01T00:00:00Z", "from=2026-13-01T00:00:00Z", "to=2026-11-22", "partner=%00",
     "field=%00x", "limit=0", "limit=201", "before=-1", "after=x",
     f"code={'x' * 257}"],
)  # fmt: skip
async def test_an_audit_question_out_of_form_is_refused(
    world: World, query: str
) -> None:
    response = await send(
        world, "GET", f"/audit/calls?{query}", headers=world.maker.operator()
    )
    problem(response, 400)


async def test_a_method_that_an_address_does_not_take_is_named_with_those_it_does(
    world: World,
) -> None:
    response = await send(world, "GET", "/views/projects/query")
    assert problem(response, 405)["code"] == "method.not_allowed"
    assert response.headers["allow"] == "POST"


async def test_an_address_that_is_none_is_a_problem_document(world: World) -> None:
    for path in ("/", "/views", "/docs", "/redoc", "/audit", "/.git/config", "/%00"):
        assert problem(await send(world, "GET", path), 404)["code"] == "address.unknown"


async def test_a_body_that_is_too_large_is_refused(world: World) -> None:
    response = await send(world, "POST", "/views/projects/query", b"x" * (2**20 + 1))
    assert problem(response, 413)["code"] == "body.too_large"


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\xff\xfe", b"null", b"[]", b"7", b'"x"', b"{", b"{}", b'{"a": NaN}',
     b'{"\\ud800": 1}', b'{"agreement": "\\ud800"}', b"[" * 1000, b'{"a":1}{"b":2}'],
)  # fmt: skip
@pytest.mark.parametrize(
    "path",
    ["/views/projects/query", "/agreements/x/customers", "/negotiations/offers",
     "/receipts/countersignatures", "/negotiations/urn:uuid:x/events"],
)  # fmt: skip
async def test_a_body_that_is_no_message_is_refused(
    world: World, path: str, content: bytes
) -> None:
    problem(await send(world, "POST", path, content), 400)


@pytest.mark.parametrize(
    "content",
    [b'{"providerPid": "x", "offer": {"a": 1.5}}',
     b'{"providerPid": "x", "offer": {"a": 9007199254740992}}',
     b'{"providerPid": "x", "offer": {"a": NaN}}',
     b'{"providerPid": "x", "offer": {"a": "e\\u0301"}}',
     b'{"providerPid": "x", "offer": {"a": "\\ud800"}}',
     b'{"providerPid": "x", "offer": {"\\ud800": 1}}'],
)  # fmt: skip
async def test_what_has_no_canonical_form_cannot_be_signed_for(
    world: World, content: bytes
) -> None:
    response = await send(world, "POST", "/negotiations/offers", content)
    assert problem(response, 400)["code"] == "message.malformed"


async def test_an_address_that_is_no_identifier_is_refused(world: World) -> None:
    for pid in ("%00", "%20", "é", "a" * 129):
        response = await send(world, "POST", f"/negotiations/{pid}/events", b"{}")
        problem(response, 400)


# --- the company's own calls ------------------------------------------------


@pytest.mark.parametrize("customer", ["", "e\u0301", "\ud800", "\u212b"])
async def test_a_customer_that_has_no_token_is_refused(
    world: World, customer: str
) -> None:
    agreement = await world.agree(align=False)
    declare = f"/management/agreements/{agreement}/customers"
    ask = {
        "agreement": agreement,
        "purpose": "joint-delivery",
        "fields": ["project_stage"],
        "customers": [customer],
    }
    for path, body in ((declare, {"customers": [customer]}), ("/management/ask", ask)):
        response = await world.supplier.client.post(
            path,
            content=json.dumps(body).encode(),
            headers={
                "content-type": "application/json",
                **world.supplier.operator(),
            },
        )
        found = problem(response, 400)
        assert found["code"] in {"customers.malformed", "request.malformed"}


async def test_a_customer_spelt_in_decomposed_characters_is_shared_all_the_same(
    world: World, tmp_path: Path
) -> None:
    """macOS and some databases write é as two characters."""
    other = crm(tmp_path / "crm.sqlite")
    other.write(
        "UPDATE projects SET customer = ? WHERE customer = ?", "Cafe\u0301", SHARED[1]
    )
    await world.maker.manage("/management/datasets", other.declaration("cafes"))
    agreement = await world.agree(align=False, dataset="cafes")
    await world.align(agreement, ["Caf\u00e9"])
    answer = await world.query(
        dataset="cafes",
        agreement=agreement,
        customers=[world.customer("Caf\u00e9", agreement)],
    )
    world.check(answer)
    assert len(answer.values[0] or ()) == 1


@pytest.mark.parametrize("unit", ["台", "千瓦时", "m²", "Å", "A\u030a", "°C"])
async def test_a_unit_is_a_symbol_in_any_script(
    world: World, tmp_path: Path, unit: str
) -> None:
    other = crm(tmp_path / "crm.sqlite").declaration("measured")
    body = changed(other, "fields.units.unit", unit)
    await world.maker.manage("/management/datasets", body)
    agreement = await world.agree(dataset="measured")
    answer = await world.query(
        dataset="measured", agreement=agreement, fields=["units"]
    )
    world.check(answer)
    told = [each for each in answer.body["schema"] if "name" in each]
    shown = {each["name"]: each["unit"] for each in told}
    assert shown.keys() == {"units"}
    assert shown["units"] == unicodedata.normalize("NFC", unit)


def changed(declaration: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(declaration)
    *way, last = path.split(".")
    holder = made
    for step in way:
        holder = holder[step]
    holder[last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("title.en", "\ud800"),
        ("\ud800", 1),
        ("fields.units.unit", "\ud800"),
        ("fields.units.unit", "台" * 33),
        ("fields.units.unit", "p c s"),
        ("fields.project_stage.values", ["\ud800"]),
        ("fields.project_stage.column", "\x00"),
        ("fields.contact_phone.modes", ["plain", "never"]),
        ("fields.annual_spend.modes", ["plain"]),
        ("source.url", "sqlite:///relative.db"),
        ("source.url", "postgresql://user:hidden@host/db"),
        ("source.table", "projects; DROP TABLE projects"),
        ("source.timeout_s", 0),
        ("dataset", "../x"),
        ("customer.rule", "e164:XX"),
    ],
)
async def test_a_declaration_with_a_mistake_is_refused_with_its_mend(
    world: World, path: str, value: Any
) -> None:
    body = changed(world.crm.declaration(), path, value)
    response = await world.maker.client.post(
        "/management/datasets",
        content=json.dumps(body).encode(),
        headers={"content-type": "application/json", **world.maker.operator()},
    )
    if path == "source.table":
        assert response.status_code in {400, 503}
        return
    found = problem(response, 400)
    assert found["code"] == "declaration.invalid"
    assert "hidden" not in response.text


async def test_a_database_that_fails_is_said_to_fail(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise sa.exc.OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(world.maker.database, "connect", gone)
    operator = world.maker.operator()
    for path in ("/audit/summary", "/audit/calls", "/audit/agreements",
                 "/audit/received", "/management/datasets", "/log/checkpoint",
                 "/health/ready", "/audit/receipts/" + "0" * 64):  # fmt: skip
        response = await send(world, "GET", path, headers=operator)
        assert problem(response, 503)["code"] == "store.unavailable", path
    answer = await world.query(customers=[b64u(bytes(32))])
    assert (answer.status, answer.code) == (503, "store.unavailable")
    assert "receipt" not in answer.body


# --- the log, and what partners may ask of it -------------------------------


async def test_the_log_is_shown_to_whoever_can_name_a_receipt(world: World) -> None:
    receipt = world.check(await world.query())
    await world.maker.services.keep_log.integrate()
    shown = (await send(world, "GET", f"/log/proof/{receipt.receipt_id}")).json()
    assert set(shown) == {"salt", "index", "inclusion", "checkpoint", "anchor"}
    note = (await send(world, "GET", "/log/checkpoint")).text
    assert note == shown["checkpoint"]
    problem(await send(world, "GET", "/log/proof/" + "0" * 64), 404)
    problem(await send(world, "GET", "/log/proof/" + "0" * 63), 400)
    problem(await send(world, "GET", "/log/proof/" + "G" * 64), 400)


async def test_a_node_gives_no_proof_of_anothers_log(world: World) -> None:
    """Else anybody could make it call its partners, and see whom it asks."""
    asked = await ask(world)
    before = len(world.wire.exchanges)
    response = await world.supplier.client.get(f"/log/proof/{asked['receipt']}")
    problem(response, 404)
    assert len(world.wire.exchanges) == before + 1


async def ask(world: World, **changes: Any) -> Any:
    return await world.supplier.manage(
        "/management/ask",
        {
            "agreement": world.agreement,
            "purpose": "joint-delivery",
            "fields": ["project_stage"],
            "customers": [SHARED[1]],
            **changes,
        },
    )


async def test_a_provider_adds_its_proofs_to_our_evidence_and_nothing_else(
    world: World,
) -> None:
    asked = await ask(world)
    other = await ask(world)
    await world.maker.services.keep_log.integrate()
    mine = f"/audit/receipts/{asked['receipt']}"
    honest = await world.supplier.manage(mine)
    assert honest["index"] is not None
    evil = await world.supplier.manage(f"/audit/receipts/{other['receipt']}")
    world.wire.forge["/log/proof"] = Reply(status=200, body=evil)
    try:
        forged = await world.supplier.manage(mine)
    finally:
        world.wire.forge.clear()
    for name in ("receipt", "provider_signature", "participants", "disclosure",
                 "countersignature"):  # fmt: skip
        assert forged[name] == honest[name], name
    assert parse_signed_receipt(forged).receipt.receipt_id == asked["receipt"]


@pytest.mark.parametrize(
    "body", [None, [], "x", 7, {}, {"salt": 1}, {"index": -1}, {"anchor": {}}]
)
async def test_a_provider_that_answers_nonsense_leaves_its_proofs_pending(
    world: World, body: Any
) -> None:
    asked = await ask(world)
    world.wire.forge["/log/proof"] = Reply(status=200, body=body)
    try:
        shown = await world.supplier.manage(f"/audit/receipts/{asked['receipt']}")
    finally:
        world.wire.forge.clear()
    assert shown["index"] is None
    assert parse_signed_receipt(shown).receipt.receipt_id == asked["receipt"]


# --- lies of a provider towards its consumer --------------------------------


async def lied(world: World, lie: Any) -> Any:
    """Let the consumer ask, and bend the provider's true answer on its way."""
    wire = world.wire
    true = wire._send

    async def bent(method: str, participant: Any, path: str, **more: Any) -> Reply:
        reply = await true(method, participant, path, **more)
        if "/query" not in path:
            return reply
        body = copy.deepcopy(reply.body)
        return Reply(status=reply.status, body=lie(body) or body)

    wire._send = bent  # type: ignore[method-assign]
    try:
        return await world.supplier.client.post(
            "/management/ask",
            json={
                "agreement": world.agreement,
                "purpose": "joint-delivery",
                "fields": ["project_stage", "units"],
                "customers": [SHARED[0], SHARED[1]],
            },
            headers=world.supplier.operator(),
        )
    finally:
        del wire._send


def first(body: Any) -> Any:
    return body["disclosures"][0]["records"][0]


LIES: dict[str, Any] = {
    "another value": lambda b: first(b)["fields"].update(project_stage="Won"),
    "another number": lambda b: first(b)["fields"].update(units=1),
    "a value less": lambda b: first(b)["fields"].pop("units"),
    "a value more": lambda b: first(b)["fields"].update(annual_spend="1.00"),
    "records swapped": lambda b: b["disclosures"][0]["records"].reverse(),
    "a record less": lambda b: b["disclosures"][0]["records"].pop(),
    "a record twice": lambda b: b["disclosures"][0]["records"].append(first(b)),
    "customers swapped": lambda b: b["disclosures"].reverse(),
    "proofs swapped": lambda b: first(b).update(
        presentation=b["disclosures"][1]["records"][0]["presentation"]
    ),
    "a proof bent": lambda b: first(b).update(
        presentation="A" + first(b)["presentation"][1:]
    ),
    "a proof cut": lambda b: first(b).update(
        presentation=first(b)["presentation"][:-4]
    ),
    "a customer denied": lambda b: b["disclosures"].__setitem__(
        0, {"customer": b["disclosures"][0]["customer"], "status": "not_shared"}
    ),
    "another unit": lambda b: b["schema"][2].update(unit="kg"),
    "another time": lambda b: b["receipt"].update(at="2026-11-22T18:20:01Z"),
    "another purpose": lambda b: b["receipt"].update(purpose="cross-sell"),
    "another signature": lambda b: b.update(provider_signature="A" * 86),
}


@pytest.mark.parametrize("lie", sorted(LIES))
async def test_a_lie_of_the_provider_is_seen_kept_and_not_countersigned(
    world: World, lie: str
) -> None:
    response = await lied(world, LIES[lie])
    answer = response.json()
    if response.status_code != 200:
        assert answer["code"] == "partner.no_receipt"
        return
    assert answer["verified"] is False
    assert answer["customers"] == {}
    states = {step["state"] for step in answer["checks"]}
    assert "failed" in states
    kept = (await world.supplier.manage("/audit/received?limit=1"))["items"][0]
    assert kept["verified"] is False
    entry = await world.maker.services.store.read(
        lambda view: view.receipts.entry(answer["receipt"])
    )
    assert entry is None or entry.countersignature is None


async def test_an_old_answer_to_the_same_question_is_not_believed(
    world: World,
) -> None:
    old: list[Any] = []
    await lied(world, lambda body: old.append(copy.deepcopy(body)))
    response = await lied(world, lambda body: old[0])
    answer = response.json()
    assert (answer["verified"], answer["customers"]) == (False, {})


async def test_a_reason_that_is_not_in_the_receipt_is_not_shown(
    world: World,
) -> None:
    def refuse(body: Any) -> None:
        body["denials"] = [{"code": "invoice.unpaid", "message": "Pay at evil.test"}]

    response = await world.supplier.client.get("/health/live")
    assert response.json() == {"live": True}
    wire, true = world.wire, world.wire._send

    async def bent(method: str, participant: Any, path: str, **more: Any) -> Reply:
        reply = await true(method, participant, path, **more)
        if "/query" in path:
            refuse(reply.body)
        return reply

    wire._send = bent  # type: ignore[method-assign]
    try:
        answer = await ask(world, fields=["rating"])
    finally:
        del wire._send
    assert answer["verified"]
    assert [each["code"] for each in answer["denials"]] == ["field.not_granted"]
    assert all(each["message"] and each["mend"] for each in answer["denials"])
    assert "evil" not in json.dumps(answer)


@pytest.mark.parametrize(
    "body", [None, [], "x", {}, {"code": "x" * 1000}, {"receipt": {}}, {"code": ["x"]}]
)
async def test_an_answer_without_a_receipt_is_no_answer(
    world: World, body: Any
) -> None:
    world.wire.forge["/query"] = Reply(status=200, body=body)
    try:
        response = await world.supplier.client.post(
            "/management/ask",
            json={
                "agreement": world.agreement,
                "purpose": "joint-delivery",
                "fields": ["project_stage"],
                "customers": [SHARED[1]],
            },
            headers=world.supplier.operator(),
        )
    finally:
        world.wire.forge.clear()
    assert problem(response, 503)["code"] == "partner.no_receipt"
