"""A provider that cheats with the code it has, and what its consumer's node says.

In each test the provider's own services are changed: what it commits to, what it
reads, what it proves. Everything else goes its way through both nodes: policies,
receipts, signatures, the consumer's `ask`. Who is caught gets a failed step that
says why, no countersignature, and its values are not passed on.

Some lies no single consumer can see. The last tests play those, and say what shows
them: two partners who compare, or nobody.
"""

import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
import pytest_asyncio
import sqlalchemy as sa

from crypto import merkle
from crypto.anchored import Sealed, seal
from crypto.predicates import Statement
from ledger import tiles
from ledger.conditions import Condition
from ledger.contradiction import Contradiction, contradictions
from ledger.disclosure import CustomerAnswer, ShownRecord, statement_of
from ledger.errors import Inconsistent
from ledger.evidence import Evidence
from ledger.snapshots import compare, customer_leaf, verify_snapshot
from node.adapters.sql import tables as t
from node.domain.decision import Decision
from node.domain.disclosure import Request
from node.ports import Publication, Record, Seal, UnitOfWork
from node.services import disclose, read
from node.services.commit import Commit
from node.services.draft_snapshot import DraftSnapshot
from node.services.read import Draft
from node.services.rows import Row
from tests.support.node import PURPOSE, SHARED, START, World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

TWO, ONE, OTHER = SHARED
"""Customers: of the first there are two records, of each other one."""
HIGH = Condition.of("at_least", ["annual_spend"], ["8100000000.00"])
LOW = Condition.of("at_least", ["annual_spend"], ["7000000000.00"])
"""No spend in the CRM reaches the one; all reach the other."""
UNITS = itertools.count(1000)
"""What has changed has a value that it never had."""
Lie = Callable[[Draft], Draft]
Values = Mapping[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="module")
async def world(one: World) -> World:
    """The world, with an agreement under which nothing was ever asked."""
    one.clock.at = START
    one.agreement = await one.agree()
    return one


async def ask(
    world: World,
    *customers: str,
    fields: Sequence[str] = ("units",),
    where: Sequence[Condition] = (),
) -> dict[str, Any]:
    """Ask as the consumer's people do; return what their node makes of the answer."""
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": sorted(fields),
        "customers": list(customers or (TWO,)),
        "where": [condition.to_json() for condition in where],
    }
    answer: dict[str, Any] = await world.supplier.manage("/management/ask", question)
    return answer


def believed(world: World, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Check that an answer was believed; return what it tells of the customers."""
    assert answer["verified"], answer["checks"]
    assert [each["state"] for each in answer["checks"]] == ["checked"] * 3
    assert countersigned(world, answer)
    told: dict[str, Any] = answer["customers"]
    return told


def caught(
    world: World, answer: Mapping[str, Any], words: str, step: str = "disclosure"
) -> None:
    """Check that an answer was not believed, and that the step says why."""
    assert answer["allowed"]
    assert not answer["verified"]
    assert answer["customers"] == {}
    failed = [each for each in answer["checks"] if each["state"] == "failed"]
    assert [each["name"] for each in failed] == [step]
    assert words in failed[0]["detail"]
    assert not countersigned(world, answer)


def countersigned(world: World, answer: Mapping[str, Any]) -> bool:
    """Tell whether the consumer has signed the receipt back, as it does if verified."""
    c = t.received.c
    mine = sa.select(c.verified, c.countersignature)
    [row] = world.supplier.rows(mine.where(c.receipt_id == answer["receipt"]))
    assert row.verified == (row.countersignature is not None)
    return bool(row.verified)


@contextlib.contextmanager
def changed(owner: Any, **parts: Any) -> Iterator[None]:
    """Change parts of a service while the block runs, though it is frozen."""
    before = {name: getattr(owner, name) for name in parts}
    for name, part in parts.items():
        object.__setattr__(owner, name, part)
    try:
        yield
    finally:
        for name, part in before.items():
            object.__setattr__(owner, name, part)


@contextlib.contextmanager
def answering(world: World, lie: Lie) -> Iterator[None]:
    """Have the provider change what it is about to answer."""
    disclose = world.maker.services.disclose
    honest = disclose.read

    async def answer(*args: Any) -> Draft:
        told = lie(await honest(*args))
        # Who lies puts the lie under the receipt's hash as well.
        return replace(told, response_hash=told.disclosure.response_hash)

    with changed(disclose, read=answer):
        yield


def first(draft: Draft, answer: CustomerAnswer, *behind: Sealed | None) -> Draft:
    """Change what is answered about the first customer."""
    answers = (answer, *draft.disclosure.answers[1:])
    return replace(
        draft,
        disclosure=replace(draft.disclosure, answers=answers),
        records=(behind, *draft.records[1:]),
    )


async def path(world: World, index: int) -> tuple[bytes, ...]:
    """Return the inclusion proof of a leaf of the newest snapshot."""

    def look(view: UnitOfWork) -> tuple[bytes, ...]:
        kept = view.snapshots.current(world.agreement)
        assert kept is not None
        size = kept.signed.snapshot.customers
        needed = tiles.needed(size, [index])
        stored = view.snapshots.tiles(world.agreement, needed)
        return tuple(merkle.inclusion_proof(index, size, tiles.Reader(stored)))

    return await world.maker.services.store.read(look)


def place(world: World, customer: str) -> int:
    """Return where a customer's leaf must be."""
    mine = t.declared.c.agreement == world.agreement
    named = t.declared.c.customer == customer
    [(index,)] = world.maker.rows(sa.select(t.declared.c.position).where(mine, named))
    return int(index)


def free(world: World) -> int:
    """Return a place whose customer the provider does not know."""
    c = t.declared.c
    unknown = sa.select(c.position).where(
        c.agreement == world.agreement, c.customer.is_(None)
    )
    return int(world.maker.rows(unknown)[0].position)


async def publish(world: World, units: int | None = None) -> None:
    """Publish the CRM anew, with other units of the third customer if told."""
    if units is not None:
        world.crm.write(
            "UPDATE projects SET units = ? WHERE customer = ?", units, OTHER
        )
    await world.maker.manage("/management/datasets", world.crm.declaration())


def other(row: Row, **values: Any) -> Row:
    return replace(row, values={**(row.values or {}), **values})


@contextlib.contextmanager
def committing(world: World, agreement: str, **lie: Any) -> Iterator[None]:
    """Have the provider commit to other values under an agreement, and show them."""
    honest_commit, honest_shown = Commit.__call__, read._shown

    def commit(
        self: Commit,
        publication: Publication,
        name: str,
        at: tuple[Record, int],
        values: Values,
    ) -> Seal:
        told = {**values, **lie} if name == agreement else values
        return honest_commit(self, publication, name, at, told)

    def shown(
        request: Request,
        publication: Publication,
        statement: Statement,
        kept: Seal,
        row: Row,
    ) -> tuple[ShownRecord, Sealed | None]:
        told = other(row, **lie) if request.agreement == agreement else row
        return honest_shown(request, publication, statement, kept, told)

    with (
        mock.patch.object(Commit, "__call__", commit),
        mock.patch.object(read, "_shown", shown),
    ):
        yield


async def test_an_honest_provider_is_believed(world: World) -> None:
    told = believed(world, await ask(world, TWO, ONE, "nobody's"))
    assert units(told) == {TWO: [100, 101], ONE: [102], "nobody's": None}


def units(told: Mapping[str, Any]) -> dict[str, list[int] | None]:
    return {
        customer: records and sorted(record["fields"]["units"] for record in records)
        for customer, records in told.items()
    }


def watching(into: list[Draft]) -> Lie:
    """Return what changes nothing, and remembers it."""

    def watch(draft: Draft) -> Draft:
        into.append(draft)
        return draft

    return watch


# --- records that were not committed to


@pytest.mark.parametrize("commitment", ["its own", "that of the record"])
async def test_an_answer_from_a_record_that_was_not_committed_to(
    world: World, commitment: str
) -> None:
    commit = world.maker.services.snapshots.draft.commit

    def shown(
        request: Request,
        publication: Publication,
        statement: Statement,
        kept: Seal,
        row: Row,
    ) -> tuple[ShownRecord, Sealed]:
        lie = other(row, units=999).values or {}
        sealed = seal(
            lie,
            key=commit.key,
            header=commit.header(publication, request.agreement, row.record.version),
            schema=publication.schema,
            link=row.record.link,
            random_bytes=secrets.token_bytes,
        )
        point = sealed if commitment == "its own" else kept
        return ShownRecord(
            version=row.record.version,
            commitment=point.commitment,
            fields={name: lie[name] for name in request.fields},
        ), sealed

    with mock.patch.object(read, "_shown", shown):
        answer = await ask(world)
    if commitment == "its own":
        caught(world, answer, "customer 1: these are not the records in the snapshot")
    else:
        caught(world, answer, "customer 1, record 1: ")
    believed(world, await ask(world))


async def test_another_value_than_the_one_committed_to(world: World) -> None:
    honest = read._shown

    def shown(*args: Any) -> tuple[ShownRecord, Sealed | None]:
        record, sealed = honest(*args)
        return replace(record, fields={"units": 999}), sealed

    with mock.patch.object(read, "_shown", shown):
        caught(world, await ask(world, ONE), "customer 1, record 1: ")


@pytest.mark.parametrize("where", ["at its own place", "at the place of the other"])
async def test_an_answer_from_the_record_of_another_customer(
    world: World, where: str
) -> None:
    def swap(draft: Draft) -> Draft:
        mine, theirs = draft.disclosure.answers
        lie = replace(theirs, customer=mine.customer)
        if where == "at the place of the other":
            lie = replace(lie, index=mine.index, path=mine.path)
        return first(draft, lie, *draft.records[1])

    words = {
        "at its own place": "customer 1: not at the place of this customer",
        "at the place of the other": "customer 1: these are not the records",
    }
    with answering(world, swap):
        caught(world, await ask(world, ONE, OTHER), words[where])


@pytest.mark.parametrize("left", [0, 1])
async def test_one_of_a_customers_records_is_left_out(world: World, left: int) -> None:
    def leave_out(draft: Draft) -> Draft:
        answer = draft.disclosure.answers[0]
        assert answer.records is not None
        lie = replace(answer, records=(answer.records[left],))
        return first(draft, lie, draft.records[0][left])

    with answering(world, leave_out):
        caught(world, await ask(world, TWO), "these are not the records")


async def test_records_in_another_order_are_not_those_of_the_leaf(world: World) -> None:
    def turn(draft: Draft) -> Draft:
        answer = draft.disclosure.answers[0]
        lie = replace(answer, records=(answer.records or ())[::-1])
        return first(draft, lie, *draft.records[0][::-1])

    with answering(world, turn):
        caught(world, await ask(world, TWO), "these are not the records")


# --- two of what there must be one of


async def test_a_second_leaf_of_one_customer(world: World) -> None:
    """One leaf says what is so, the other what the provider would rather say."""
    at, honest = free(world), DraftSnapshot._leaves
    drafts: list[Draft] = []
    with answering(world, watching(drafts)):
        believed(world, await ask(world, ONE))
    (answer,), (sealed,) = drafts[0].disclosure.answers, drafts[0].records
    commit = world.maker.services.snapshots.draft.commit
    publication = await world.maker.services.store.read(
        lambda view: view.datasets.get("projects")
    )
    assert publication is not None
    records = answer.records or ()
    header = commit.header(publication, world.agreement, records[0].version)
    second = customer_leaf(
        answer.customer, [(records[0].commitment, header.to_bytes())]
    )

    def leaves(*args: Any) -> Iterator[tuple[int, bytes]]:
        yield from honest(*args)
        yield at, second

    with mock.patch.object(DraftSnapshot, "_leaves", leaves):
        await publish(world, units=next(UNITS))
    proof = await path(world, at)

    def elsewhere(draft: Draft) -> Draft:
        lie = replace(answer, index=at, path=proof)
        return first(draft, lie, *sealed)

    with answering(world, elsewhere):
        caught(world, await ask(world, ONE), "not at the place of this customer")
    believed(world, await ask(world, ONE))


async def test_a_customers_leaf_at_the_place_of_another(world: World) -> None:
    at, right = free(world), place(world, OTHER)
    honest = DraftSnapshot._leaves

    def leaves(*args: Any) -> Iterator[tuple[int, bytes]]:
        for index, leaf in honest(*args):
            yield (at if index == right else index), leaf

    with mock.patch.object(DraftSnapshot, "_leaves", leaves):
        await publish(world, units=next(UNITS))
    proof = await path(world, at)
    caught(world, await ask(world, OTHER), "these are not the records")

    def elsewhere(draft: Draft) -> Draft:
        (answer,) = draft.disclosure.answers
        return first(draft, replace(answer, index=at, path=proof), *draft.records[0])

    with answering(world, elsewhere):
        caught(world, await ask(world, OTHER), "not at the place of this customer")
    believed(world, await ask(world, ONE))


async def test_two_records_where_there_is_one_are_both_shown_or_not_believed(
    world: World,
) -> None:
    """A provider that wants to choose later commits to both, and has to show both."""
    customer = f"twice-{secrets.token_hex(4)}"
    for number in (1, 2):
        world.crm.write(
            "INSERT INTO projects (project_id, customer, stage, acceptance, units,"
            " delivered, spend, secret)"
            " VALUES (?, ?, 'S', '2027-01-01', ?, 1, '7000000000.00', 5)",
            *(f"{customer}-{number}", customer, number),
        )
    world.clock.advance(days=1)
    try:
        await world.align(world.agreement, [*SHARED, customer])
        await publish(world)
        both = believed(world, await ask(world, customer))
        assert units(both) == {customer: [1, 2]}
        for kept in (0, 1):

            def choose(draft: Draft, kept: int = kept) -> Draft:
                (answer,) = draft.disclosure.answers
                lie = replace(answer, records=((answer.records or ())[kept],))
                return first(draft, lie, draft.records[0][kept])

            with answering(world, choose):
                answer = await ask(world, customer)
            caught(world, answer, "these are not the records")
    finally:
        world.crm.write("DELETE FROM projects WHERE customer = ?", customer)
        await publish(world)


async def test_two_snapshots_with_one_number(world: World) -> None:
    before = await ask(world, ONE)
    believed(world, before)
    # Forget the one that was shown, and sign another one in its place.
    with world.maker.database.begin() as connection:
        mine = t.snapshots.c.agreement == world.agreement
        connection.execute(sa.delete(t.snapshots).where(mine))
    with committing(world, world.agreement, units=999):
        with world.maker.database.begin() as connection:
            mine = t.seals.c.agreement == world.agreement
            connection.execute(sa.delete(t.seals).where(mine))
        await world.maker.services.snapshots.build(world.agreement)
        after = await ask(world, ONE)
    caught(world, after, "two snapshots of one agreement have one number", "snapshot")
    # Both are under the provider's signature: the consumer can show it to anybody.
    signed = [
        told.disclosure.snapshot
        for told in [await evidence(world, each) for each in (before, after)]
        if told.disclosure
    ]
    for each in signed:
        verify_snapshot(each, world.maker.me)
    with pytest.raises(Inconsistent):
        compare(*(each.snapshot for each in signed))


async def evidence(world: World, answer: Mapping[str, Any], *opened: str) -> Evidence:
    """Return what the consumer can show of an answer, with tokens opened."""
    return await world.supplier.services.evidence(answer["receipt"], opened)


async def test_an_older_snapshot_is_known_to_be_old(world: World) -> None:
    """What it shows was so; that it is not so now nobody needs to believe."""
    old: list[Draft] = []
    with answering(world, watching(old)):
        before = await ask(world, OTHER)
    assert before["snapshot"]["state"] != "older"
    now = next(UNITS)
    await publish(world, units=now)
    assert units(believed(world, await ask(world, OTHER))) == {OTHER: [now]}
    with answering(world, lambda _: old[0]):
        answer = await ask(world, OTHER)
    assert believed(world, answer) == believed(world, before)
    assert answer["snapshot"]["state"] == "older"
    assert answer["snapshot"]["sequence"] == before["snapshot"]["sequence"]


# --- another question than the one that was asked


async def test_a_weaker_bound_than_the_one_asked_about(world: World) -> None:
    def weaker(schema: Any, fields: Any, _: Any) -> Statement:
        return statement_of(schema, fields, [LOW])

    with mock.patch.object(read, "statement_of", weaker):
        answer = await ask(world, ONE, where=[HIGH])
    caught(world, answer, "the receipt names another statement")


async def test_a_weaker_bound_under_the_name_of_the_one_asked_about(
    world: World,
) -> None:
    """The receipt names the right statement, and the proof is of another one."""
    weak: list[Statement] = []

    def weaker(schema: Any, fields: Any, _: Any) -> Statement:
        weak.append(statement_of(schema, fields, [LOW]))
        return weak[-1]

    def renamed(draft: Draft) -> Draft:
        asked = statement_of(draft.disclosure.schema, ["units"], [HIGH])
        return replace(draft, statement=asked)

    disclose = world.maker.services.disclose
    honest = disclose.prove

    async def prove(draft: Draft, receipt: Any) -> Any:
        return await honest(replace(draft, statement=weak[-1]), receipt)

    with (
        mock.patch.object(read, "statement_of", weaker),
        answering(world, renamed),
        changed(disclose, prove=prove),
    ):
        answer = await ask(world, ONE, where=[HIGH])
    caught(world, answer, "customer 1, record 1: ")


async def test_a_receipt_that_tells_another_condition(world: World) -> None:
    honest = disclose._members

    def members(case: Any) -> dict[str, Any]:
        return honest(case) | {"where": (LOW,)}

    def weaker(schema: Any, fields: Any, _: Any) -> Statement:
        return statement_of(schema, fields, [LOW])

    with (
        mock.patch.object(read, "statement_of", weaker),
        mock.patch.object(disclose, "_members", members),
    ):
        answer = await ask(world, ONE, where=[HIGH])
    caught(world, answer, "another where", "request")


class Yes:
    """Implements `node.ports.PolicyDecisionPoint`: allows everything."""

    async def ready(self) -> None:
        """It always is."""

    async def decide(self, question: Mapping[str, Any]) -> Decision:
        asked = question["request"]
        hidden = {name for each in asked["predicates"] for name in each["fields"]}
        return Decision(
            allow=True,
            fields=tuple(sorted(asked["fields"])),
            predicate_fields=tuple(sorted(hidden)),
            denials=(),
            denied_fields=(),
            obligations=(),
            revision="0" * 64,
            input_hash="0" * 64,
            engine="yes",
        )


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [("unit", "JPY", "7000000000.00"), ("scale", 3, "7000000000.000")],
)
async def test_a_field_that_means_something_else_than_was_agreed(
    world: World, name: str, value: Any, bound: str
) -> None:
    """Seven thousand million are soon reached in yen."""
    declared = world.crm.declaration()
    declared["fields"]["annual_spend"][name] = value
    condition = Condition.of("at_least", ["annual_spend"], [bound])
    try:
        await world.maker.manage("/management/datasets", declared)
        with changed(world.maker.services.disclose, policy=Yes()):
            answer = await ask(world, ONE, where=[condition])
        caught(world, answer, "annual_spend")
    finally:
        await publish(world)


# --- what one consumer alone does not see


async def test_a_record_that_is_withheld_is_seen_to_be_withheld(world: World) -> None:
    """That the condition does not hold is not shown, and nobody says it was."""
    honest = read._shown

    def shown(*args: Any) -> tuple[ShownRecord, Sealed | None]:
        record, _ = honest(*args)
        return replace(record, fields=None), None

    honestly = believed(world, await ask(world, TWO, where=[LOW]))
    assert [record["proved"] for record in honestly[TWO]] == [True, True]
    with mock.patch.object(read, "_shown", shown):
        answer = await ask(world, TWO, where=[LOW])
    told = believed(world, answer)
    assert told == {TWO: [{"fields": {}, "proved": False}] * 2}
    receipt = (await evidence(world, answer)).signed.receipt
    assert (receipt.records, receipt.withheld) == (0, 2)
    # And a record is not withheld where nothing is asked about it.
    with mock.patch.object(read, "_shown", shown), pytest.raises(AssertionError):
        await ask(world, TWO)


async def partners(world: World) -> tuple[World, World]:
    """Two consumers of one provider, each under an agreement of its own."""
    second = replace(world, supplier=world.charger)
    second.agreement = await second.agree()
    return world, second


async def compared(
    world: World, *answers: tuple[World, Mapping[str, Any]]
) -> list[Contradiction]:
    """Compare two answers as a third party does, who has the files and the registry."""
    one, other = [await evidence(of, answer, TWO) for of, answer in answers]
    known = world.charger.services.identity.participants()
    pins = {each.did: each for each in known}
    found = contradictions(one, other, pins, random_bytes=secrets.token_bytes)
    assert bool(found) == bool(contradictions(other, one, pins))
    return list(found)


async def test_two_partners_are_shown_different_values_of_one_version(
    world: World,
) -> None:
    ours, theirs = await partners(world)
    honest = (ours, await ask(ours)), (theirs, await ask(theirs))
    assert await compared(world, *honest) == []
    third = replace(theirs, agreement=await theirs.agree(align=False))
    with committing(world, third.agreement, units=999):
        await third.align(third.agreement)
        lie = (third, await ask(third))
    # Each of them believes what it is told ...
    assert units(believed(*honest[0])) == {TWO: [100, 101]}
    assert units(believed(*lie)) == {TWO: [999, 999]}
    # ... until they lay it side by side.
    versions = {answer["snapshot"]["version"] for _, answer in (honest[0], lie)}
    assert len(versions) == 1
    (found,) = await compared(world, honest[0], lie)
    assert (found.identifier, found.fields) == (TWO, ("units",))


async def test_another_value_is_claimed_under_an_old_version(world: World) -> None:
    """The second partner comes later, when the dataset has another version."""
    ours, theirs = world, replace(world, supplier=world.charger)
    before = (ours, await ask(ours))
    await publish(world, units=next(UNITS))
    theirs.agreement = await theirs.agree(align=False)
    with committing(world, theirs.agreement, units=999):
        await theirs.align(theirs.agreement)
        lie = (theirs, await ask(theirs))
    believed(*lie)
    earlier, later = (answer["snapshot"]["version"] for _, answer in (before, lie))
    assert earlier < later
    (found,) = await compared(world, before, lie)
    assert (found.identifier, found.fields) == (TWO, ("units",))


async def test_a_value_that_is_said_to_have_changed_contradicts_nothing(
    world: World,
) -> None:
    """Nobody can tell such a lie from a change of the CRM that was taken back."""
    ours, theirs = world, replace(world, supplier=world.charger)
    before = (ours, await ask(ours))
    set_units = "UPDATE projects SET units = units + ? WHERE customer = ?"
    world.crm.write(set_units, 1000, TWO)
    try:
        await publish(world)
        theirs.agreement = await theirs.agree()
        after = (theirs, await ask(theirs))
    finally:
        world.crm.write(set_units, -1000, TWO)
        await publish(world)
    assert units(believed(*after)) == {TWO: [1100, 1101]}
    assert await compared(world, before, after) == []
