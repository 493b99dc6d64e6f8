"""Negotiations between two nodes: lies, lost messages, and two clerks at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from crypto.encoding import b64u, unb64u
from node.domain.agreement import Agreement
from node.domain.negotiation import State
from node.ports import Reply
from tests.support.node import PREDICATES, START, Node, World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="module")
async def world(one: World) -> AsyncIterator[World]:
    yield one
    one.clock.at = START
    one.wire.forge.clear()
    one.wire.lose.clear()
    one.wire.cut.clear()


async def offered(world: World, **terms: Any) -> str:
    reply = await world.maker.manage("/management/offers", world.offer(**terms))
    pid: str = reply["consumerPid"]
    return pid


async def accept(world: World, pid: str, *, expect: int = 200) -> Any:
    path = f"/management/negotiations/{pid}/accept"
    return await world.supplier.manage(path, {}, expect=expect)


async def negotiation(node: Node, pid: str) -> dict[str, Any]:
    items = (await node.manage("/management/negotiations"))["items"]
    return next(
        each for each in items if pid in {each["consumerPid"], each["providerPid"]}
    )


async def agreements(node: Node, agreement: str | None = None) -> list[dict[str, Any]]:
    items = (await node.manage("/audit/agreements"))["items"]
    return [each for each in items if agreement in {None, each["id"]}]


async def message(
    world: World, sender: Node, path: str, body: dict[str, Any]
) -> tuple[int, Any]:
    """Send a message of a negotiation to the provider."""
    token = sender.token(world.maker.did, path, body, agreement=None)
    headers = {"Authorization": f"Bearer {token}"}
    response = await world.maker.client.post(path, json=body, headers=headers)
    return response.status_code, response.json()


async def acceptance(
    world: World, pid: str, sender: Node | None = None, **changes: Any
) -> tuple[int, Any]:
    seen = await negotiation(world.supplier, pid)
    body = {
        "consumerPid": pid,
        "providerPid": seen["providerPid"],
        "eventType": "ACCEPTED",
        **changes,
    }
    path = f"/negotiations/{seen['providerPid']}/events"
    return await message(world, sender or world.supplier, path, body)


async def verification(
    world: World, pid: str, signature: Any, sender: Node | None = None, **changes: Any
) -> tuple[int, Any]:
    seen = await negotiation(world.supplier, pid)
    body = {
        "consumerPid": pid,
        "providerPid": seen["providerPid"],
        "signature": signature,
        **changes,
    }
    path = f"/negotiations/{seen['providerPid']}/agreement/verification"
    return await message(world, sender or world.supplier, path, body)


def signed(node: Node, agreement: dict[str, Any]) -> dict[str, str]:
    return node.services.negotiate._sign(Agreement.from_odrl(agreement))


# --- the usual way ----------------------------------------------------------


async def test_both_sides_end_with_one_agreement_signed_by_both(world: World) -> None:
    pid = await offered(world)
    agreed = await accept(world, pid)
    agreement = agreed["agreement"]["@id"]
    (theirs,), (mine,) = [
        await agreements(node, agreement) for node in (world.maker, world.supplier)
    ]
    assert theirs["hash"] == mine["hash"] == agreed["hash"]
    assert (theirs["role"], mine["role"]) == ("provider", "consumer")
    for node in (world.maker, world.supplier):
        assert (await negotiation(node, pid))["state"] == "FINALIZED"
    kept = await world.maker.services.store.read(
        lambda view: view.agreements.get(agreement)
    )
    assert kept is not None
    assert kept.signatures == agreed["signatures"]


async def test_an_offer_of_what_the_dataset_does_not_share_is_not_made(
    world: World,
) -> None:
    for fields in (
        {"contact_phone": "plain"},
        {"annual_spend": "plain"},
        {"no_such_field": "plain"},
    ):
        offer = world.offer(fields=fields)
        answer = await world.maker.manage("/management/offers", offer, expect=400)
        assert answer["code"] == "terms.fields"


async def test_an_offer_takes_what_a_field_is_from_its_declaration(
    world: World,
) -> None:
    """Type, unit and scale are not the data steward's to choose."""
    pid = await offered(world)
    odrl = (await negotiation(world.supplier, pid))["offer"]
    (said,) = (
        each["rightOperand"]
        for each in odrl["permission"][0]["constraint"]
        if each["leftOperand"] == "fieldpact:predicate"
    )
    assert said == [
        "annual_spend:money:2:at_least,at_most,between:100000.00:8:CNY",
    ]


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        ({"field": "project_stage"}, "does not share project_stage"),
        ({"field": "no_such_field"}, "does not share no_such_field"),
        ({"operators": ["before"]}, "before does not go with money"),
        ({"operators": ["one_of"]}, "goes with no step"),
        ({"step": "0"}, "above zero"),
        ({"step": "month"}, "above zero"),
        ({"step": "0.001"}, "at most 2 decimals"),
    ],
)
async def test_an_offer_of_proofs_that_nobody_could_keep_is_not_made(
    world: World, change: dict[str, Any], mend: str
) -> None:
    offer = world.offer(predicates=[PREDICATES[0] | change])
    answer = await world.maker.manage("/management/offers", offer, expect=400)
    assert answer["code"] == "terms.predicates"
    assert mend in answer["detail"]


async def test_proofs_are_offered_of_fields_of_their_mode_and_once(
    world: World,
) -> None:
    for terms in (
        {"fields": {"project_stage": "plain"}},
        {"predicates": [PREDICATES[0], PREDICATES[0]]},
    ):
        offer = world.offer(**terms)
        answer = await world.maker.manage("/management/offers", offer, expect=400)
        assert answer["code"] == "terms.predicates"


@pytest.mark.parametrize(
    "change",
    [{"probes": 0}, {"probes": 10_001}, {"probes": True}, {"operators": []},
     {"operators": ["about"]}, {"step": ""}, {"type": "money"}],
)  # fmt: skip
async def test_an_offer_of_proofs_out_of_form_is_refused(
    world: World, change: dict[str, Any]
) -> None:
    offer = world.offer(predicates=[PREDICATES[0] | change])
    answer = await world.maker.manage("/management/offers", offer, expect=400)
    assert answer["code"] == "request.malformed"


FIGURES: dict[str, Any] = {
    "fields": {"annual_spend": "aggregate"},
    "predicates": [],
    "aggregates": [
        {"field": "annual_spend", "uses": ["sum", "filter"], "bound": "5000000"}
    ],
    "allowance": {
        "epsilon_micro": 1_000_000,
        "period": "quarter",
        "k_min": 5,
        "plans_per_day": 20,
        "matching": "count",
        "match_size": 1000,
    },
}


async def test_figures_alone_are_agreed_on_and_nothing_is_shown(world: World) -> None:
    agreement = await world.agree(**FIGURES)
    told = []
    for node in (world.maker, world.supplier):
        (item,) = await agreements(node, agreement)
        told.append(
            {name: item[name] for name in ("fields", "aggregates", "allowance")}
        )
    granted = {
        "field": "annual_spend",
        "type": "money",
        "unit": "CNY",
        "scale": 2,
        "uses": ["filter", "sum"],
        "bound": "5000000.00",
        "grains": [],
    }
    wanted = {
        "fields": FIGURES["fields"],
        "aggregates": [granted],
        "allowance": FIGURES["allowance"],
    }
    assert told == [wanted, wanted]
    at_least = {"fields": ["annual_spend"], "is": "at_least", "values": ["0.00"]}
    shown = await world.query(agreement=agreement, fields=["annual_spend"])
    proved = await world.query(agreement=agreement, fields=[], where=[at_least])
    assert (shown.codes, proved.codes) == (["field.mode"], ["predicate.not_granted"])


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        ({"field": "project_stage"}, "does not share project_stage"),
        ({"field": "no_such_field"}, "does not share no_such_field"),
        ({"uses": ["group"]}, "group does not go with money"),
        ({"bound": "0"}, "above zero"),
        ({"bound": "0.001"}, "at most 2 decimals"),
        ({"bound": None}, "at most"),
        ({"grains": ["month"]}, "Periods are for dates"),
    ],
)
async def test_an_offer_of_figures_that_nobody_could_keep_is_not_made(
    world: World, change: dict[str, Any], mend: str
) -> None:
    offer = world.offer(**FIGURES | {"aggregates": [FIGURES["aggregates"][0] | change]})
    answer = await world.maker.manage("/management/offers", offer, expect=400)
    assert answer["code"] == "terms.aggregates"
    assert mend in answer["detail"]


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"allowance": None}, "terms.allowance"),
        ({"aggregates": []}, "terms.allowance"),
        ({"fields": {"project_stage": "plain"}}, "terms.aggregates"),
        ({"aggregates": FIGURES["aggregates"] * 2}, "terms.aggregates"),
    ],
)
async def test_figures_are_offered_with_an_allowance_and_of_fields_of_their_mode(
    world: World, terms: dict[str, Any], code: str
) -> None:
    bare = {"allowance": FIGURES["allowance"] | {"matching": "none", "match_size": 0}}
    offer = world.offer(**FIGURES | bare | terms)
    answer = await world.maker.manage("/management/offers", offer, expect=400)
    assert answer["code"] == code


@pytest.mark.parametrize(
    "change",
    [{"k_min": 4}, {"epsilon_micro": -1}, {"epsilon_micro": 0.5}, {"period": "week"},
     {"matching": "all"}, {"plans_per_day": 0}, {"refund": True}],
)  # fmt: skip
async def test_an_allowance_out_of_form_is_refused(
    world: World, change: dict[str, Any]
) -> None:
    offer = world.offer(**FIGURES | {"allowance": FIGURES["allowance"] | change})
    answer = await world.maker.manage("/management/offers", offer, expect=400)
    assert answer["code"] == "request.malformed"


async def test_an_offer_is_made_to_participants_only(world: World) -> None:
    offer = world.offer(partner="did:web:stranger.test")
    answer = await world.maker.manage("/management/offers", offer, expect=404)
    assert answer["code"] == "participant.unknown"


# --- others and lies, towards the provider ----------------------------------


async def test_nobody_but_the_consumer_can_accept(world: World) -> None:
    pid = await offered(world)
    for sender in (world.charger, world.maker):
        status, answer = await acceptance(world, pid, sender)
        assert (status, answer["code"]) == (404, "negotiation.unknown")
    assert (await negotiation(world.maker, pid))["state"] == "OFFERED"


async def test_a_negotiation_that_is_not_there_looks_like_another_companys(
    world: World,
) -> None:
    pid = await offered(world)
    others = await acceptance(world, pid, world.charger)
    path = "/negotiations/urn:uuid:00000000-0000-4000-8000-000000000000/events"
    body = {"consumerPid": pid, "providerPid": pid, "eventType": "ACCEPTED"}
    gone = await message(world, world.charger, path, body)
    assert others == gone


async def test_a_verification_before_the_agreement_is_refused(world: World) -> None:
    pid = await offered(world)
    right = {"key_id": world.supplier.me.key_id("ed25519"), "signature": "A" * 86}
    status, answer = await verification(world, pid, right)
    assert (status, answer["code"]) == (409, "negotiation.state")


async def test_only_the_consumers_own_signature_over_this_agreement_counts(
    world: World,
) -> None:
    pid, other = await offered(world), await offered(world)
    _, agreed = await acceptance(world, pid)
    _, another = await acceptance(world, other)
    right = signed(world.supplier, agreed["agreement"])
    bent = bytearray(unb64u(right["signature"]))
    bent[40] ^= 1
    forged = [
        right | {"signature": b64u(bytes(bent))},
        right | {"signature": "A" * 86},
        right | {"signature": right["signature"][:-1]},
        right | {"key_id": world.charger.me.key_id("ed25519")},
        right | {"more": "x"},
        {"key_id": right["key_id"]},
        signed(world.charger, agreed["agreement"]),
        signed(world.maker, agreed["agreement"]),
        signed(world.supplier, another["agreement"]),
        signed(world.supplier, agreed["agreement"] | {"timestamp": "2026-11-22T18:20:01Z"}),
    ]  # fmt: skip
    for signature in forged:
        status, answer = await verification(world, pid, signature)
        assert status == 400, answer
    status, answer = await verification(world, pid, right, world.charger)
    assert (status, answer["code"]) == (404, "negotiation.unknown")
    assert (await negotiation(world.maker, pid))["state"] == "AGREED"
    assert await agreements(world.maker, agreed["agreement"]["@id"]) == []
    status, answer = await verification(world, pid, right)
    assert (status, answer["state"]) == (200, "FINALIZED")


async def test_a_message_that_names_another_negotiation_is_refused(
    world: World,
) -> None:
    pid, other = await offered(world), await offered(world)
    for name in ("consumerPid", "providerPid"):
        status, answer = await acceptance(world, pid, None, **{name: other})
        assert (status, answer["code"]) == (400, "message.pids")
    status, agreed = await acceptance(world, pid)
    right = signed(world.supplier, agreed["agreement"])
    status, answer = await verification(world, pid, right, consumerPid=other)
    assert (status, answer["code"]) == (400, "message.pids")


async def test_an_acceptance_said_again_gets_the_same_agreement(world: World) -> None:
    pid = await offered(world)
    _, first = await acceptance(world, pid)
    world.clock.advance(minutes=1)
    assert (await acceptance(world, pid))[1] == first
    right = signed(world.supplier, first["agreement"])
    for _ in range(2):
        assert (await verification(world, pid, right))[0] == 200
        assert (await acceptance(world, pid))[1] == first
    assert len(await agreements(world.maker, first["agreement"]["@id"])) == 1


async def test_acceptances_at_once_draw_up_one_agreement(world: World) -> None:
    pid = await offered(world)
    before = len(await agreements(world.maker))
    answers = await asyncio.gather(*(acceptance(world, pid) for _ in range(8)))
    assert {status for status, _ in answers} == {200}
    drawn_up = {answer["agreement"]["@id"] for _, answer in answers}
    assert len(drawn_up) == 1
    right = signed(world.supplier, answers[0][1]["agreement"])
    done = await asyncio.gather(
        *(verification(world, pid, right) for _ in range(4)),
        *(acceptance(world, pid) for _ in range(4)),
    )
    assert {status for status, _ in done} == {200}
    assert (await negotiation(world.maker, pid))["state"] == "FINALIZED"
    assert len(await agreements(world.maker)) == before + 1


async def test_a_late_acceptance_does_not_undo_what_is_final(world: World) -> None:
    pid = await offered(world)
    agreed = await accept(world, pid)
    status, again = await acceptance(world, pid)
    assert (status, again["agreement"]) == (200, agreed["agreement"])
    assert (await negotiation(world.maker, pid))["state"] == "FINALIZED"


# --- lies, towards the consumer ---------------------------------------------


async def offer_message(world: World, sender: Node, **changes: Any) -> tuple[int, Any]:
    """Send the consumer an offer made by hand."""
    pid = await offered(world)
    offer = (await negotiation(world.supplier, pid))["offer"] | changes
    body = {
        "providerPid": "urn:uuid:00000000-0000-4000-8000-000000000001",
        "offer": offer,
    }
    token = sender.token(
        world.supplier.did, "/negotiations/offers", body, agreement=None
    )
    response = await world.supplier.client.post(
        "/negotiations/offers", json=body, headers={"Authorization": f"Bearer {token}"}
    )
    return response.status_code, response.json()


async def test_nobody_can_offer_in_anothers_name(world: World) -> None:
    status, answer = await offer_message(world, world.charger)
    assert (status, answer["code"]) == (400, "offer.parties")
    status, answer = await offer_message(world, world.maker, assignee=world.charger.did)
    assert (status, answer["code"]) == (400, "offer.parties")
    assert (await offer_message(world, world.maker))[0] == 201


async def test_an_offer_that_says_more_than_is_enforced_is_refused(
    world: World,
) -> None:
    changes: list[dict[str, Any]] = [
        {"obligation": []},
        {"target": "../x"},
        {"profile": "other"},
    ]
    for change in changes:
        status, answer = await offer_message(world, world.maker, **change)
        assert (status, answer["code"]) == (400, "policy.not_understood")


@pytest.mark.parametrize(
    "change",
    [
        {"fields": {"project_stage": "plain", "rating": "plain"}, "predicates": []},
        {"predicates": []},
        {"predicates": [PREDICATES[0] | {"step": None}]},
        {"predicates": [PREDICATES[0] | {"probes": 9}]},
        {"predicates": [PREDICATES[0] | {"operators": ["at_least"]}]},
        {"purposes": ["joint-delivery", "cross-sell"]},
        {"calls_per_hour": 999},
        {"rows_per_call": 101},
        {"valid_to": "2027-06-01T00:00:00Z"},
        {"valid_from": "2026-11-02T00:00:00Z"},
    ],
)
async def test_an_agreement_on_other_terms_than_offered_is_not_signed(
    world: World, change: dict[str, Any]
) -> None:
    pid, other = await offered(world), await offered(world, **change)
    _, another = await acceptance(world, other)
    world.wire.forge["/events"] = Reply(status=200, body=another)
    answer = await accept(world, pid, expect=400)
    assert answer["code"] == "agreement.not_offered"
    assert (await negotiation(world.supplier, pid))["state"] == "ACCEPTED"
    assert await agreements(world.supplier, another["agreement"]["@id"]) == []
    world.wire.forge.clear()
    await accept(world, pid)


async def test_an_agreement_that_the_provider_did_not_sign_is_not_signed(
    world: World,
) -> None:
    pid = await offered(world)
    _, agreed = await acceptance(world, pid)
    for signature in (
        signed(world.charger, agreed["agreement"]),
        signed(world.supplier, agreed["agreement"]),
        agreed["signature"] | {"signature": "A" * 86},
        agreed["signature"] | {"key_id": "x"},
        agreed["signature"] | {"signature": 7},
        None,
        {},
    ):
        world.wire.forge["/events"] = Reply(
            status=200, body=agreed | {"signature": signature}
        )
        answer = await accept(world, pid, expect=400)
        assert answer["code"] in {"agreement.signature", "message.malformed"}
    assert await agreements(world.supplier, agreed["agreement"]["@id"]) == []


@pytest.mark.parametrize(
    "body", [None, [], "x", {}, {"agreement": None}, {"agreement": {"@id": "x"}}]
)
async def test_an_answer_that_is_no_agreement_is_refused(
    world: World, body: object
) -> None:
    pid = await offered(world)
    world.wire.forge["/events"] = Reply(status=200, body=body)
    assert (await accept(world, pid, expect=400))["code"]
    assert (await negotiation(world.supplier, pid))["state"] == "ACCEPTED"


async def test_a_provider_cannot_have_two_agreements_signed_for_one_offer(
    world: World,
) -> None:
    """It says another one when it is asked again, after the first was kept."""
    pid = await offered(world)
    world.wire.cut.add("/agreement/verification")
    await accept(world, pid, expect=503)
    assert (await negotiation(world.supplier, pid))["state"] == "AGREED"
    world.wire.cut.clear()
    seen = (await negotiation(world.supplier, pid))["offer"]
    second = Agreement.from_odrl(
        {
            **seen,
            "@type": "Agreement",
            "@id": "urn:uuid:00000000-0000-4000-8000-000000000002",
            "timestamp": "2026-11-22T18:20:00Z",
        }
    )
    body = {
        "agreement": second.to_odrl(),
        "signature": world.maker.services.negotiate._sign(second),
    }
    world.wire.forge["/events"] = Reply(status=200, body=body)
    assert (await accept(world, pid, expect=400))["code"] == "agreement.not_offered"
    world.wire.forge.clear()
    await accept(world, pid)


async def test_an_agreement_cannot_take_the_id_of_another(world: World) -> None:
    old = (await accept(world, await offered(world)))["agreement"]
    pid = await offered(world, calls_per_hour=77)
    seen = (await negotiation(world.supplier, pid))["offer"]
    second = Agreement.from_odrl(
        {
            **seen,
            "@type": "Agreement",
            "@id": old["@id"],
            "timestamp": "2026-11-22T18:20:00Z",
        }
    )
    body = {
        "agreement": second.to_odrl(),
        "signature": world.maker.services.negotiate._sign(second),
    }
    world.wire.forge["/events"] = Reply(status=200, body=body)
    assert (await accept(world, pid, expect=400))["code"] == "agreement.not_new"
    (kept,) = await agreements(world.supplier, old["@id"])
    assert kept["calls_per_hour"] == 1000


# --- lost messages ----------------------------------------------------------


@pytest.mark.parametrize("part", ["/events", "/agreement/verification"])
@pytest.mark.parametrize("how", ["lose", "cut"])
async def test_an_acceptance_can_be_resumed_after_a_lost_message(
    world: World, part: str, how: str
) -> None:
    """Cut: the request did not arrive. Lost: it did, and the reply did not."""
    pid = await offered(world)
    (world.wire.lose.append if how == "lose" else world.wire.cut.add)(part)
    answer = await accept(world, pid, expect=503)
    assert answer["code"] == "partner.unavailable"
    world.wire.cut.clear()
    world.clock.advance(minutes=5)
    agreed = await accept(world, pid)
    agreement = agreed["agreement"]["@id"]
    for node in (world.maker, world.supplier):
        assert len(await agreements(node, agreement)) == 1
        assert (await negotiation(node, pid))["state"] == "FINALIZED"
    await world.align(agreement)
    world.check(await world.query(agreement=agreement))


async def test_accepting_what_is_accepted_gives_the_same_agreement(
    world: World,
) -> None:
    pid = await offered(world)
    first = await accept(world, pid)
    sent = len(world.wire.exchanges)
    assert await accept(world, pid) == first
    to_maker = [
        each
        for each in world.wire.exchanges[sent:]
        if each.path.startswith("/negotiations/")
    ]
    assert to_maker == []


async def test_two_clerks_who_accept_at_once_get_one_agreement(world: World) -> None:
    pid = await offered(world)
    agreed = await asyncio.gather(*(accept(world, pid) for _ in range(4)))
    assert all(each == agreed[0] for each in agreed)
    for node in (world.maker, world.supplier):
        assert len(await agreements(node, agreed[0]["agreement"]["@id"])) == 1


async def test_the_provider_cannot_accept_its_own_offer(world: World) -> None:
    pid = await offered(world)
    own = (await negotiation(world.maker, pid))["providerPid"]
    path = f"/management/negotiations/{own}/accept"
    answer = await world.maker.manage(path, {}, expect=404)
    assert answer["code"] == "negotiation.unknown"


async def test_a_dropped_negotiation_stays_dropped(world: World) -> None:
    pid = await offered(world)

    def drop(work: Any) -> None:
        found = work.agreements.hold_negotiation(pid)
        ended = found.advance(State.TERMINATED, sender=found.role)
        work.agreements.keep_negotiation(ended)

    await world.supplier.services.store.write(drop)
    assert (await accept(world, pid, expect=409))["code"] == "negotiation.state"
    assert (await negotiation(world.maker, pid))["state"] == "OFFERED"


# --- alignment --------------------------------------------------------------


async def declare(
    world: World, agreement: str, body: Any, sender: Node | None = None
) -> tuple[int, Any]:
    path = f"/agreements/{agreement}/customers"
    token = (sender or world.supplier).token(
        world.maker.did, path, body, agreement=agreement
    )
    response = await world.maker.client.post(
        path, json=body, headers={"Authorization": f"Bearer {token}"}
    )
    return response.status_code, response.json()


def tokens(count: int) -> list[str]:
    return [b64u(number.to_bytes(32)) for number in range(count)]


async def test_customers_are_declared_by_the_consumer_and_once_a_day(
    world: World,
) -> None:
    agreement = await world.agree(align=False)
    body = {"customers": tokens(64)}
    status, answer = await declare(world, agreement, body, world.charger)
    assert (status, answer["code"]) == (404, "agreement.unknown")
    assert await declare(world, agreement, body) == (200, {"declared": 64})
    # The same once more is an answer that was lost; another is a second one.
    assert await declare(world, agreement, body) == (200, {"declared": 64})
    other = {"customers": tokens(65)[1:]}
    status, answer = await declare(world, agreement, other)
    assert (status, answer["code"]) == (409, "customers.declared")
    world.clock.advance(days=1)
    assert (await declare(world, agreement, other))[0] == 200


@pytest.mark.parametrize("count", [1, 63, 65, 100, 127])
async def test_a_declaration_that_shows_its_size_is_refused(
    world: World, count: int
) -> None:
    agreement = await world.agree(align=False)
    status, answer = await declare(world, agreement, {"customers": tokens(count)})
    assert (status, answer["code"]) == (400, "customers.malformed")
    twice = tokens(63) + tokens(1)
    status, answer = await declare(world, agreement, {"customers": twice})
    assert (status, answer["code"]) == (400, "customers.malformed")
    assert (await declare(world, agreement, {"customers": tokens(64)}))[0] == 200


async def test_the_answer_to_a_declaration_does_not_say_what_is_shared(
    world: World,
) -> None:
    sizes = set()
    for names in (["none of", "them"], ["91330100MA-SHARED-1", "them"]):
        agreement = await world.agree(align=False)
        path = f"/management/agreements/{agreement}/customers"
        answer = await world.supplier.manage(path, {"customers": names})
        assert answer == {"declared": 2, "sent": 64}
        sizes.add(len(world.wire.exchanges[-1].body))
    assert len(sizes) == 1


async def test_a_declaration_travels_without_a_raw_identifier(world: World) -> None:
    agreement = await world.agree(align=False)
    asked: list[bytes] = []

    async def note(request: Any) -> None:
        asked.append(request.content)

    client = world.wire.clients[world.maker.url]
    client.event_hooks["request"].append(note)
    try:
        await world.align(agreement)
        await world.supplier.manage(
            "/management/ask",
            {
                "agreement": agreement,
                "purpose": "joint-delivery",
                "fields": ["project_stage"],
                "customers": ["91330100MA-SHARED-1"],
            },
        )
    finally:
        client.event_hooks["request"].clear()
    # The declaration, the question, and where its snapshot stands.
    assert len(asked) == 3
    assert b"SHARED" not in b"".join(asked)
