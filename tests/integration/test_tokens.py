"""Tokens through the API: what each fault answers, and the receipt that it leaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto.encoding import b64u, canonical
from crypto.keys import Ed25519Key
from ledger.receipts import request_hash
from node.domain.denials import DENIALS
from tests.support.node import START, World, check_log, check_streams, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW = int(START.timestamp())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("world")) as world:
        yield world
        receipts = world.maker.receipts()
        check_streams(receipts, world.maker.me)
        await world.maker.services.keep_log.integrate()
        assert check_log(world.maker.database, world.maker.me) == len(receipts)


def forge(
    world: World, key: Ed25519Key | None = None, **changes: Any
) -> tuple[str, dict[str, Any]]:
    """Return a token with other claims, signed by the consumer, and its query."""
    body = world.body()
    claims: dict[str, Any] = {
        "iss": world.supplier.did,
        "sub": world.supplier.did,
        "aud": world.maker.did,
        "iat": NOW,
        "exp": NOW + 60,
        "jti": b64u(world.supplier.services.ask.randomness(32)),
        "agreement": world.agreement,
        "request": request_hash("projects", body),
        **changes,
    }
    signer = world.supplier.services.countersign.signer
    kid = world.supplier.me.key_id("ed25519")
    head = {"alg": "EdDSA", "typ": "JWT", "kid": kid}
    signed = f"{b64u(canonical(head))}.{b64u(json.dumps(claims).encode())}"
    return f"{signed}.{b64u((key or signer).sign(signed.encode()))}", body


Case = Callable[[World], tuple[str | None, dict[str, Any]]]
STRANGER = Ed25519Key.from_bytes(b"stranger".ljust(32))
KNOWN: dict[str, Case] = {
    "token.audience": lambda w: forge(w, aud=w.charger.did),
    "token.expired": lambda w: forge(w, iat=NOW - 90, exp=NOW - 30),
    "token.request_mismatch": lambda w: forge(w, request="00" * 32),
    "token.agreement_mismatch": lambda w: forge(w, agreement="urn:uuid:other"),
    "token.malformed": lambda w: forge(w, jti=7),
}
UNKNOWN: dict[str, Case] = {
    "token.missing": lambda w: (None, w.body()),
    "token.malformed": lambda w: ("no.to.ken", w.body()),
    "token.signature": lambda w: forge(w, STRANGER),
    "token.issuer_unknown": lambda w: forge(w, iss="did:web:x", sub="did:web:x"),
}


@pytest.mark.parametrize("code", sorted(KNOWN))
async def test_a_participants_token_for_something_else_is_receipted_as_nobodys(
    world: World, code: str
) -> None:
    token, body = KNOWN[code](world)
    answer = await world.query(token=token, **body)
    receipt = world.check_refused(answer, code, status=401, consumer=None)
    assert (receipt.nonce, receipt.agreement_hash) == (None, None)


@pytest.mark.parametrize("code", sorted(UNKNOWN))
async def test_a_token_of_nobody_is_refused_and_receipted_as_nobodys(
    world: World, code: str
) -> None:
    token, body = UNKNOWN[code](world)
    answer = await world.query(token=token, **body)
    receipt = world.check_refused(answer, code, status=401, consumer=None)
    assert (receipt.nonce, receipt.agreement_hash) == (None, None)


async def test_every_token_code_is_met_here() -> None:
    elsewhere = {"token.key_revoked"}  # unit/node/test_registered_keys
    codes = {code for code in DENIALS if code.startswith("token.")} - elsewhere
    assert codes == KNOWN.keys() | UNKNOWN.keys()


async def test_a_wrong_token_hears_nothing_of_the_agreement(world: World) -> None:
    token, body = forge(world, STRANGER)
    body |= {"fields": ["contact_phone"], "purpose": "other"}
    answer = await world.query(token=token, **body)
    world.check_refused(answer, "token.signature", status=401, consumer=None)


async def test_a_token_for_one_question_answers_no_other(world: World) -> None:
    """What a partner's token allows cannot be turned to other fields, bounds or
    customers."""
    token, body = forge(world)
    condition = {"fields": ["annual_spend"], "is": "at_least", "values": ["0.00"]}
    for change in (
        {"fields": ["project_stage"]},
        {"purpose": "service-quality"},
        {"customers": [b64u(bytes(32))]},
        {"customers": [*body["customers"], b64u(bytes(32))]},
        {"where": [condition]},
        {"fields": [], "where": [condition]},
    ):
        answer = await world.query(token=token, **{**body, **change})
        assert answer.codes == ["token.request_mismatch"]


async def test_a_token_for_one_bound_proves_no_other(world: World) -> None:
    asked = {"fields": ["annual_spend"], "is": "at_least", "values": ["7000000000.00"]}
    body = world.body(where=[asked])
    token = world.supplier.token(
        world.maker.did, "projects", body, agreement=world.agreement
    )
    for change in (
        {"values": ["7100000000.00"]},
        {"is": "at_most", "values": ["6999999999.99"]},
        {"fields": ["units"], "values": [7]},
    ):
        where = [asked | change]
        answer = await world.query(token=token, **{**body, "where": where})
        assert answer.codes == ["token.request_mismatch"]
    world.check(await world.query(token=token, **body))


async def test_a_token_used_before_a_restart_is_used_after_it(world: World) -> None:
    nonce = b64u(b"before the restart".ljust(32))
    world.check(await world.query(nonce=nonce))
    await world.restart()
    world.check_refused(await world.query(nonce=nonce), "nonce.replayed", consumer=None)
    await world.maker.services.store.write(
        lambda work: work.receipts.forget_nonces(world.clock.now())
    )
    world.check_refused(await world.query(nonce=nonce), "nonce.replayed", consumer=None)


async def test_a_nonce_is_forgotten_only_when_no_token_can_carry_it(
    world: World,
) -> None:
    """Issued as late, and living as long, as is accepted at all."""
    nonce = b64u(b"late and long".ljust(32))
    token, body = forge(world, jti=nonce, iat=NOW + 30, exp=NOW + 330)
    world.check(await world.query(token=token, **body))
    try:
        for seconds in (0, 200, 329):
            world.clock.at = START
            world.clock.advance(seconds=seconds)
            now = world.clock.now()
            await world.maker.services.store.write(
                lambda work, now=now: work.receipts.forget_nonces(now)  # type: ignore[misc]
            )
            world.check_refused(
                await world.query(token=token, **body), "nonce.replayed", consumer=None
            )
        world.clock.advance(seconds=1)
        late = await world.query(token=token, **body)
        world.check_refused(late, "token.expired", status=401, consumer=None)
    finally:
        world.clock.at = START


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/receipts/countersignatures",
         {"countersignatures": [{"receipt": "0" * 64, "signature": "A" * 86}]}),
        ("/agreements/{agreement}/customers", {"customers": ["A" * 43]}),
        ("/negotiations/offers", {"providerPid": "urn:uuid:x", "offer": {}}),
        ("/negotiations/urn:uuid:x/events", {"eventType": "ACCEPTED"}),
        ("/negotiations/urn:uuid:x/agreement/verification", {"signature": {}}),
    ],
)  # fmt: skip
async def test_every_other_call_of_a_partner_needs_a_token_of_its_own(
    world: World, path: str, body: dict[str, Any]
) -> None:
    path = path.format(agreement=world.agreement)
    agreement = world.agreement if "agreements" in path else None

    def right(**changes: Any) -> str:
        bound_to = request_hash(path, body)
        given = {"agreement": agreement, "request": bound_to, **changes}
        return forge(world, **given)[0]

    async def status(token: str | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await world.maker.client.post(path, json=body, headers=headers)

    for token, code in (
        (None, "token.missing"),
        ("a.b.c", "token.malformed"),
        (forge(world)[0], "token.agreement_mismatch" if not agreement else None),
        (right(request="00" * 32), "token.request_mismatch"),
        (right(aud=world.charger.did), "token.audience"),
        (right(exp=NOW), "token.expired"),
        (right(agreement="urn:uuid:2"), "token.agreement_mismatch"),
    ):
        response = await status(token)
        assert response.status_code == 401, response.text
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.json()["code"] == (code or "token.request_mismatch")
    once = right()
    first, again = await status(once), await status(once)
    assert first.status_code in {400, 404}  # recognised, and nonsense
    assert again.status_code == 401
    assert again.json()["code"] == "nonce.replayed"


@pytest.mark.parametrize("role", ["management", "audit"])
async def test_a_partners_token_is_no_operators_and_the_reverse(
    world: World, role: str
) -> None:
    token, body = forge(world)
    headers = {"Authorization": f"Bearer {token}"}
    for path in ("/audit/summary", "/management/datasets"):
        response = await world.maker.client.get(path, headers=headers)
        assert response.status_code == 401
    operator = world.maker.operator(role)["Authorization"].removeprefix("Bearer ")
    answer = await world.query(token=operator, **body)
    world.check_refused(answer, "token.malformed", status=401, consumer=None)


async def test_an_auditor_can_read_and_change_nothing(world: World) -> None:
    audit = world.maker.operator("audit")
    client = world.maker.client
    assert (await client.get("/audit/summary", headers=audit)).status_code == 200
    for method, path in (
        ("GET", "/management/datasets"),
        ("GET", "/management/negotiations"),
        ("POST", "/management/datasets"),
        ("POST", f"/management/agreements/{world.agreement}/status"),
        ("POST", "/management/ask"),
    ):
        response = await client.request(method, path, headers=audit, json={})
        assert response.status_code == 401, path


@given(header=st.binary(max_size=200))
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_bytes_as_authorization_are_refused_with_a_receipt(
    world: World, header: bytes
) -> None:
    await _refused(world, header)


@given(text=st.text("Bear. \t=abcABC019_-\x7fé", max_size=60))
@settings(max_examples=100, deadline=None)
async def test_any_bytes_as_a_bearer_token_are_refused_with_a_receipt(
    world: World, text: str
) -> None:
    await _refused(world, b"Bearer " + text.encode("latin-1"))


async def _refused(world: World, header: bytes) -> None:
    before = len(world.maker.receipts())
    response = await world.maker.client.post(
        "/views/projects/query",
        json=world.body(),
        headers=[(b"authorization", header)],
    )
    answer = response.json()
    assert response.status_code == 401, response.text
    assert answer["code"] in {"token.missing", "token.malformed"}
    assert answer["receipt"]["consumer"] is None
    assert "disclosures" not in answer
    assert len(world.maker.receipts()) == before + 1


async def test_a_registry_that_cannot_be_read_answers_nobody(world: World) -> None:
    registry = world.folder / "participants.json"
    whole = registry.read_text()
    before = len(world.maker.receipts())
    token, body = forge(world)
    try:
        registry.write_text("[")
        answer = await world.query(token=token, **body)
        assert (answer.status, answer.code) == (503, "registry.unreadable")
        assert answer.body.keys() <= {"type", "title", "status", "code", "detail"}
        assert str(world.folder).encode() not in answer.octets
        ready = await world.maker.client.get("/health/ready")
        assert ready.status_code == 503
    finally:
        registry.write_text(whole)
    assert len(world.maker.receipts()) == before
    world.check(await world.query(token=token, **body))


async def test_the_same_token_at_once_is_answered_once(world: World) -> None:
    token, body = forge(world)
    answers = await asyncio.gather(
        *(world.query(token=token, **body) for _ in range(12))
    )
    assert sorted(answer.status for answer in answers) == [200] + [403] * 11
    refused = [answer for answer in answers if answer.status == 403]
    assert all(answer.codes == ["nonce.replayed"] for answer in refused)
