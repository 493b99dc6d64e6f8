"""Calls at once, and the world that changes while a call is on its way."""

import asyncio
import contextlib
import dataclasses
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any
from unittest import mock

import pytest
import pytest_asyncio
import sqlalchemy as sa

from crypto.encoding import b64u
from node.adapters.sql import tables as t
from node.adapters.sql.receipts import SqlReceipts
from node.domain.agreement import Status
from node.services.read import Draft, Read
from tests.support.node import (
    PURPOSE,
    SHARED,
    START,
    Answer,
    World,
    check_log,
    check_streams,
    open_world,
    postgres_database,
)
from tests.support.snapshots import check_current, check_snapshots

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["sqlite", "postgres"]
)
async def one(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    with contextlib.ExitStack() as stack:
        url = None
        if request.param == "postgres":
            url = stack.enter_context(postgres_database())
        folder = tmp_path_factory.mktemp("world")
        async with open_world(folder, database=url) as world:
            yield world
            await check_all(world)


async def check_all(world: World) -> None:
    """Check that what is left is whole: streams, snapshots and the log over both."""
    services, database = world.maker.services, world.maker.database
    receipts = world.maker.receipts()
    check_streams(receipts, world.maker.me)
    for _ in range(2):  # what the first takes in from the CRM, the second has in all
        await services.snapshots.want_all()
        await world.maker.settle()
    for agreement in check_snapshots(database, world.maker.me):
        standing = await services.store.read(
            lambda view, name=agreement: view.agreements.get(name)  # type: ignore[misc]
        )
        if standing is not None and standing.status is Status.ACTIVE:
            check_current(database, world.maker.me, agreement)
    await services.keep_log.integrate()
    assert check_log(database, world.maker.me) == len(receipts)


@pytest_asyncio.fixture(loop_scope="module")
async def world(one: World) -> AsyncIterator[World]:
    """The world with an agreement that nobody has used."""
    one.clock.at = START
    one.agreement = await one.agree()
    yield one
    one.clock.at = START


async def status(world: World, to: str) -> None:
    path = f"/management/agreements/{world.agreement}/status"
    await world.maker.manage(path, {"status": to})


@contextlib.contextmanager
def interrupted(world: World, act: Any, *, read: bool) -> Iterator[None]:
    """Do something once in a call, after it was decided and before it is kept.

    Args:
        read: Whether after the records were read, or before.
    """
    disclose = world.maker.services.disclose
    usual = disclose.read
    left = [act]

    class Interrupted(Read):
        async def __call__(self, *arguments: Any, **more: Any) -> Draft:
            if left and not read:
                await left.pop()()
            draft = await Read.__call__(self, *arguments, **more)
            if left:
                await left.pop()()
            return draft

    parts = {each.name: getattr(usual, each.name) for each in dataclasses.fields(Read)}
    object.__setattr__(disclose, "read", Interrupted(**parts))
    try:
        yield
    finally:
        object.__setattr__(disclose, "read", usual)


def after_reading(world: World, act: Any) -> contextlib.AbstractContextManager[None]:
    return interrupted(world, act, read=True)


async def test_of_thirty_calls_at_once_under_a_cap_of_ten_ten_are_answered(
    world: World,
) -> None:
    world.agreement = await world.agree(calls_per_hour=10)
    answers = await asyncio.gather(*(world.query() for _ in range(30)))
    assert Counter(answer.status for answer in answers) == {200: 10, 403: 20}
    for answer in answers:
        if answer.status == 403:
            assert answer.codes == ["rate.exceeded"]
        else:
            world.check(answer)
    numbers = sorted(answer.receipt.sequence for answer in answers)
    assert numbers == list(range(30))
    world.check_refused(await world.query(), "rate.exceeded")


async def test_one_nonce_at_once_is_answered_once(world: World) -> None:
    nonce = b64u(b"at once".ljust(32))
    answers = await asyncio.gather(*(world.query(nonce=nonce) for _ in range(20)))
    assert Counter(answer.status for answer in answers) == {200: 1, 403: 19}
    assert {code for answer in answers for code in answer.codes} == {"nonce.replayed"}


async def test_one_nonce_at_once_for_different_questions_is_answered_once(
    world: World,
) -> None:
    nonce = b64u(b"different".ljust(32))
    fields = [["project_stage"], ["units"], ["delivered"], ["rating"]] * 3
    answers = await asyncio.gather(
        *(world.query(nonce=nonce, fields=each) for each in fields)
    )
    counted = Counter(code for answer in answers for code in answer.codes or ["allow"])
    assert counted["nonce.replayed"] == 11


@pytest.mark.parametrize("to", ["suspended", "revoked"])
async def test_a_withdrawal_between_decision_and_receipt_refuses_the_call(
    world: World, to: str
) -> None:
    async def withdraw() -> None:
        await status(world, to)

    with after_reading(world, withdraw):
        world.check_refused(await world.query(), f"agreement.{to}")
    usage = (await world.maker.manage("/audit/agreements"))["items"]
    assert [each["calls"] for each in usage if each["id"] == world.agreement] == [0]


async def test_a_withdrawal_waits_for_an_answer_that_is_being_kept(
    world: World,
) -> None:
    """Once it is acknowledged, no answer is kept any more that was not before."""
    keeping, go_on = threading.Event(), threading.Event()
    head = SqlReceipts.head

    def slow(self: SqlReceipts, stream: str) -> tuple[int, str]:
        keeping.set()
        assert go_on.wait(120)
        return head(self, stream)

    with mock.patch.object(SqlReceipts, "head", slow):
        call = asyncio.create_task(world.query())
        assert await asyncio.to_thread(keeping.wait, 120)
        withdrawal = asyncio.create_task(status(world, "revoked"))
        await asyncio.sleep(0.3)
        before = withdrawal.done()
        go_on.set()
        world.check(await call)
        await withdrawal
    assert not before
    world.check_refused(await world.query(), "agreement.revoked")


async def test_a_resumption_between_decision_and_receipt_is_decided_again(
    world: World,
) -> None:
    async def there_and_back() -> None:
        await status(world, "suspended")
        await status(world, "active")

    with after_reading(world, there_and_back):
        world.check(await world.query())


async def test_the_last_call_of_an_hour_is_not_given_twice(world: World) -> None:
    world.agreement = await world.agree(calls_per_hour=1)

    async def another() -> None:
        world.check(await world.query())

    with after_reading(world, another):
        world.check_refused(await world.query(), "rate.exceeded")


async def test_a_nonce_used_between_decision_and_receipt_refuses_the_call(
    world: World,
) -> None:
    nonce = b64u(b"overtaken".ljust(32))

    async def overtake() -> None:
        world.check(await world.query(nonce=nonce))

    with after_reading(world, overtake):
        world.check_refused(
            await world.query(nonce=nonce), "nonce.replayed", consumer=None
        )


@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
@pytest.mark.parametrize("turned", [True, False], ids=["turned", "shorter"])
async def test_a_publication_during_a_call_does_not_mix_two_versions(
    world: World, read: bool, turned: bool
) -> None:
    """The new version commits to fewer fields, maybe in another order."""
    body = world.crm.declaration()
    fields = dict(body["fields"])
    fields["rating"] = fields["rating"] | {"modes": ["never"]}
    if turned:
        fields = dict(reversed(fields.items()))

    async def publish() -> None:
        await world.maker.manage("/management/datasets", body | {"fields": fields})

    with interrupted(world, publish, read=read):
        world.check(await world.query())
    answer = await world.query(customers=[world.customer(name) for name in SHARED])
    world.check(answer)
    await world.maker.manage("/management/datasets", body)


async def test_a_publication_that_withholds_a_field_holds_from_the_next_call(
    world: World,
) -> None:
    body = world.crm.declaration()
    stage = body["fields"]["project_stage"] | {"modes": ["never"]}
    fields = body["fields"] | {"project_stage": stage}
    await world.maker.manage("/management/datasets", body | {"fields": fields})
    world.check_refused(await world.query(), "field.mode")
    await world.maker.manage("/management/datasets", body)
    world.check(await world.query())


async def test_publications_and_calls_at_once_give_sound_answers(world: World) -> None:
    body = world.crm.declaration()
    other = body | {"fields": dict(reversed(body["fields"].items()))}

    async def publish() -> None:
        for each in (other, body) * 3:
            await world.maker.manage("/management/datasets", each)

    async def call() -> list[Any]:
        return [await world.query() for _ in range(6)]

    _, *rounds = await asyncio.gather(publish(), *(call() for _ in range(4)))
    for answer in (answer for each in rounds for answer in each):
        check_or_later(world, answer)
    world.check(await world.query())


def check_or_later(world: World, answer: Answer) -> bool:
    """Check an answer, or that the caller was told to come again, and nothing else."""
    if answer.status == 200:
        world.check(answer)
        return True
    assert answer.status == 503, answer.body
    if answer.code != "store.contended":  # that is told without a receipt
        world.check_refused(answer, "snapshot.pending", status=503)
    assert "disclosures" not in answer.body
    return False


async def test_a_record_that_changes_during_calls_is_shown_as_committed_to(
    world: World,
) -> None:
    token = world.customer(SHARED[1])
    stages = [f"Stage {number}" for number in range(12)]

    async def change() -> None:
        for stage in stages:
            await asyncio.to_thread(
                world.crm.write,
                "UPDATE projects SET stage = ? WHERE customer = ?",
                stage,
                SHARED[1],
            )
            await asyncio.sleep(0.01)

    async def call() -> list[Any]:
        return [await world.query(customers=[token]) for _ in range(6)]

    _, *rounds = await asyncio.gather(change(), *(call() for _ in range(3)))
    for answer in (answer for each in rounds for answer in each):
        if check_or_later(world, answer):
            assert answer.shown["project_stage"] in {*stages, "Stage 2"}
    last = await world.query(customers=[token])
    world.check(last)
    assert last.shown["project_stage"] == stages[-1]


async def test_the_log_grows_while_calls_are_answered(world: World) -> None:
    stop = asyncio.Event()
    keeper = world.maker.services.keep_log
    anchoring = world.maker.services.anchoring

    async def keep() -> None:
        while not stop.is_set():
            await keeper.integrate()
            await anchoring()
            await asyncio.sleep(0.005)

    keeping = asyncio.create_task(keep())
    answers = await asyncio.gather(*(world.query() for _ in range(25)))
    stop.set()
    await keeping
    for answer in answers:
        world.check(answer)
    await keeper.integrate()
    held = await anchoring()
    assert held is not None
    assert world.chain.commitment(world.chain.member, held.epoch) == held.commitment
    receipt = answers[-1].receipt.receipt_id
    evidence = await world.maker.manage(f"/audit/receipts/{receipt}")
    assert evidence["anchor"]["epoch"] <= held.epoch


async def test_a_keeper_that_loses_the_chain_goes_on_where_it_was(
    world: World,
) -> None:
    keeper = world.maker.services.keep_log
    anchoring = world.maker.services.anchoring
    world.check(await world.query())
    await keeper.integrate()
    world.chain.answers = False
    for _ in range(2):
        with pytest.raises(Exception, match="does not answer"):
            await anchoring()
    world.check(await world.query())
    await keeper.integrate()
    world.chain.answers = True
    first = await anchoring()
    second = await anchoring()
    assert first is not None
    assert second is not None
    assert second.epoch == first.epoch + 1
    size = await world.maker.services.store.read(lambda view: view.log.size())
    assert (first.size, second.size) == (size, size)  # nothing was queued meanwhile


async def test_two_declarations_at_once_count_as_one(world: World) -> None:
    agreement = await world.agree(align=False)
    path = f"/agreements/{agreement}/customers"

    async def declare(first: int) -> int:
        names = range(first, first + 64)
        body = {"customers": [b64u(number.to_bytes(32)) for number in names]}
        token = world.supplier.token(world.maker.did, path, body, agreement=agreement)
        headers = {"Authorization": f"Bearer {token}"}
        reply = await world.maker.client.post(path, json=body, headers=headers)
        return reply.status_code

    statuses = await asyncio.gather(*(declare(first) for first in range(5)))
    assert sorted(statuses) == [200, 409, 409, 409, 409]


async def test_one_declaration_that_is_sent_often_is_taken_once(world: World) -> None:
    align = world.supplier.services.align
    agreement = await world.agree(align=False)
    await align.declare(agreement, SHARED)

    await asyncio.gather(*(align.declare(agreement, SHARED) for _ in range(3)))

    c = t.declarations.c
    for node in (world.maker, world.supplier):
        assert len(node.rows(sa.select(c.hash).where(c.agreement == agreement))) == 1


async def test_an_hour_that_ends_during_a_call_counts_it_where_it_was_decided(
    world: World,
) -> None:
    world.agreement = await world.agree(calls_per_hour=1)
    world.clock.at = START.replace(minute=59, second=59)
    decided = world.clock.now()

    async def pass_the_hour() -> None:
        world.clock.advance(seconds=1)

    with after_reading(world, pass_the_hour):
        answer = await world.query()
    assert answer.receipt.at == decided.strftime("%Y-%m-%dT%H:%M:%SZ")
    world.check(await world.query())
    world.check_refused(await world.query(), "rate.exceeded")


# --- probes ------------------------------------------------------------------

MARKS = [f"{7_000_000_000 + 100_000_000 * number}.00" for number in range(9)]


def at_least(bound: str) -> list[dict[str, Any]]:
    return [{"fields": ["annual_spend"], "is": "at_least", "values": [bound]}]


async def probing(world: World, probes: int) -> None:
    """Agree that so many different conditions may be asked about a customer."""
    grant = {"field": "annual_spend", "operators": ["at_least"], "step": "100000000"}
    world.agreement = await world.agree(predicates=[{**grant, "probes": probes}])


async def test_of_nine_conditions_at_once_under_a_cap_of_four_four_are_answered(
    world: World,
) -> None:
    await probing(world, 4)
    answers = await asyncio.gather(
        *(world.query(fields=[], where=at_least(bound)) for bound in MARKS)
    )
    assert Counter(answer.status for answer in answers) == {200: 4, 403: 5}
    for answer in answers:
        if answer.status == 403:
            world.check_refused(answer, "predicate.exhausted")
        else:
            world.check(answer)
    allowed = [answer.asked["where"] for answer in answers if answer.status == 200]
    again = await asyncio.gather(
        *(world.query(fields=[], where=where) for where in allowed * 2)
    )
    assert {answer.status for answer in again} == {200}  # what was asked is not counted


async def test_the_last_probe_is_not_given_twice(world: World) -> None:
    await probing(world, 1)

    async def another() -> None:
        world.check(await world.query(fields=[], where=at_least(MARKS[0])))

    with after_reading(world, another):
        answer = await world.query(fields=[], where=at_least(MARKS[1]))
    world.check_refused(answer, "predicate.exhausted")


async def test_the_last_probe_is_not_given_twice_in_two_hours(world: World) -> None:
    """Calls of one hour wait for each other at its count; those of two do not."""
    await probing(world, 1)
    world.clock.at = START.replace(minute=59, second=59)
    keeping, go_on = threading.Event(), threading.Event()
    probe = SqlReceipts.probe

    def slow(self: SqlReceipts, *arguments: Any) -> bool:
        counted = probe(self, *arguments)
        if not keeping.is_set():
            keeping.set()
            assert go_on.wait(120)
        return counted

    with mock.patch.object(SqlReceipts, "probe", slow):
        early = asyncio.create_task(world.query(fields=[], where=at_least(MARKS[0])))
        assert await asyncio.to_thread(keeping.wait, 120)
        world.clock.advance(seconds=1)
        late = asyncio.create_task(world.query(fields=[], where=at_least(MARKS[1])))
        await asyncio.sleep(0.3)
        assert not late.done()
        go_on.set()
        answers = [await early, await late]
    assert [answer.status for answer in answers] == [200, 403]
    world.check_refused(answers[1], "predicate.exhausted")


# --- snapshots ---------------------------------------------------------------


async def test_builders_and_calls_at_once_leave_one_chain_of_snapshots(
    world: World,
) -> None:
    """Several look at one agreement while its records change under them."""
    builders = world.maker.services.snapshots

    async def change() -> None:
        for number in range(8):
            await asyncio.to_thread(
                world.crm.write,
                "UPDATE projects SET units = ? WHERE customer = ?",
                200 + number,
                SHARED[number % 3],
            )
            await world.maker.services.publish.again()

    async def build() -> None:
        for _ in range(6):
            await builders.build(world.agreement)

    async def call() -> list[Any]:
        tokens = [world.customer(name) for name in SHARED]
        return [await world.query(customers=tokens) for _ in range(5)]

    _, _, _, *rounds = await asyncio.gather(
        change(), build(), build(), *(call() for _ in range(3))
    )
    for answer in (answer for each in rounds for answer in each):
        check_or_later(world, answer)
    await world.maker.settle()
    assert check_current(world.maker.database, world.maker.me, world.agreement) == 4
    tokens = [world.customer(name) for name in SHARED]
    world.check(await world.query(customers=tokens))


async def test_a_declaration_during_calls_moves_customers_and_mixes_nothing(
    world: World,
) -> None:
    """Every customer has another place; an answer is of the one tree or the other."""
    world.clock.advance(days=1)
    tokens = [world.customer(name) for name in (*SHARED, "new")]

    async def declare() -> None:
        await world.align(world.agreement, [*SHARED, "new"])

    async def call() -> list[Any]:
        return [await world.query(customers=tokens) for _ in range(6)]

    _, *rounds = await asyncio.gather(declare(), *(call() for _ in range(3)))
    for answer in (answer for each in rounds for answer in each):
        check_or_later(world, answer)
    last = await world.query(customers=tokens)
    world.check(last)
    assert [each is None for each in last.values] == [False, False, False, True]
    assert check_current(world.maker.database, world.maker.me, world.agreement) == 4


async def test_a_declaration_between_reading_and_receipt_answers_from_the_old_tree(
    world: World,
) -> None:
    world.clock.advance(days=1)

    async def declare() -> None:
        await world.align(world.agreement, SHARED[:2])

    with after_reading(world, declare):
        early = await world.query()
    world.check(early)
    check_current(world.maker.database, world.maker.me, world.agreement)
    late = await world.query()
    world.check(late)
    before, after = (answer.body["snapshot"] for answer in (early, late))
    assert before["declaration"] != after["declaration"]
    assert after["sequence"] == before["sequence"] + 1
    gone = await world.query(customers=[world.customer(SHARED[2])])
    world.check_refused(gone, "customer.not_shared")


async def test_a_consumer_that_declares_while_it_asks_can_check_the_answer(
    world: World,
) -> None:
    world.clock.advance(days=1)

    async def declare() -> None:
        await world.align(world.agreement, [*SHARED, "new"])

    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": ["project_stage"],
        "customers": list(SHARED),
    }
    with after_reading(world, declare):
        early = await world.supplier.manage("/management/ask", question)
    late = await world.supplier.manage("/management/ask", question)
    assert [answer["verified"] for answer in (early, late)] == [True, True]
    assert early["customers"] == late["customers"]
    numbers = [answer["snapshot"]["sequence"] for answer in (early, late)]
    assert numbers[1] == numbers[0] + 1


async def test_a_record_that_changes_after_it_was_read_is_shown_as_it_was(
    world: World,
) -> None:
    async def change() -> None:
        await asyncio.to_thread(
            world.crm.write,
            "UPDATE projects SET stage = 'Later' WHERE customer = ?",
            SHARED[2],
        )

    token = world.customer(SHARED[2])
    with after_reading(world, change):
        early = await world.query(customers=[token])
    late = await world.query(customers=[token])
    stages = []
    for answer in (early, late):
        world.check(answer)
        stages.append(answer.shown["project_stage"])
    assert stages[0] != stages[1] == "Later"
    versions = [answer.body["snapshot"]["version"] for answer in (early, late)]
    assert versions[1] == versions[0] + 1
    world.crm.write(
        "UPDATE projects SET stage = 'Stage 3' WHERE customer = ?", SHARED[2]
    )
