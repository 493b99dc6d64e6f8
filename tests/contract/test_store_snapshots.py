"""Snapshots: seals that nobody sees before they are published, whole, at once."""

import asyncio
import dataclasses
from collections.abc import Collection, Mapping, Sequence

import pytest
import sqlalchemy as sa

from node.adapters.sql.store import SqlStore
from node.errors import Unavailable
from node.ports import Leaf, Record, Seal, SealPlace, UnitOfWork
from tests.contract.samples import (
    declaration,
    declare,
    dump,
    kept,
    publication,
    record,
    seal,
    snapshot,
    token,
)

NAMES = {1: "one", 2: "two", 3: "three"}
RECORDS = (
    record("k1", "one"),
    record("k2", "one"),
    record("k3", "two"),
    record("k4", "three"),
    record("k5", "nobody's"),
)
PLACES = {"one": 1, "two": 2, "three": 3}


@pytest.fixture
async def shared(store: SqlStore) -> SqlStore:
    """Five records, four of them of customers that agreement `a` shares."""

    def fill(work: UnitOfWork) -> None:
        work.datasets.publish(publication(), RECORDS)
        declare(work, "a", NAMES)

    await store.write(fill)
    return store


def seals(records: Sequence[Record]) -> list[Seal]:
    return [seal(each, PLACES[each.customer]) for each in records]


async def keep(
    store: SqlStore, made: Sequence[Seal], since: int = 0, agreement: str = "a"
) -> None:
    await store.write(lambda w: w.snapshots.keep(agreement, since, made))


async def publish(
    store: SqlStore,
    sequence: int = 0,
    agreement: str = "a",
    tiles: Mapping[tuple[int, int], bytes] | None = None,
    keys: Sequence[str] | None = None,
) -> set[int]:
    """Do what a builder does last; return the positions that changed."""

    def act(work: UnitOfWork) -> set[int]:
        new = work.snapshots.pending(agreement, sequence)
        assert work.snapshots.count_pending(agreement, sequence) == len(new)
        looked = None if keys is None else [*keys, *(each.key for each in new)]
        old = work.snapshots.outdated(agreement, "projects", looked)
        work.snapshots.drop(agreement, old)
        work.snapshots.publish(snapshot(sequence, agreement), tiles or {})
        return {each.position for each in (*new, *old)}

    return await store.write(act)


async def visible(
    store: SqlStore, agreement: str = "a", positions: Sequence[int] = range(8)
) -> list[Seal]:
    return await store.read(
        lambda view: view.snapshots.seals(agreement, positions, 100)
    )


async def stale(
    store: SqlStore, agreement: str = "a", after: tuple[int, str] = (-1, "")
) -> list[str]:
    found = await store.read(
        lambda view: view.snapshots.stale(agreement, "projects", after=after, most=100)
    )
    assert all(place == PLACES[each.customer] for each, place in found)
    return [each.key for each, _ in found]


async def change(store: SqlStore, *changed: Record, gone: Sequence[str] = ()) -> None:
    version = max((each.version for each in changed), default=2)
    await store.write(
        lambda w: w.datasets.change("projects", version, changed, list(gone))
    )


async def count(store: SqlStore, agreement: str = "a") -> tuple[int, int]:
    return await store.read(lambda view: view.snapshots.count(agreement, "projects"))


class TestSnapshots:
    async def test_the_newest_snapshot_of_an_agreement_is_current(
        self, store: SqlStore
    ) -> None:
        made = [snapshot(n, name) for name, n in (("a", 0), ("b", 0), ("a", 1))]
        assert await store.read(lambda view: view.snapshots.current("a")) is None
        for each in made:
            await store.write(lambda w, s=each: w.snapshots.publish(s, {}))  # type: ignore[misc]
        found = await store.read(
            lambda view: [view.snapshots.current(name) for name in ("a", "b", "c")]
        )
        assert found == [made[2], made[1], None]
        for each in made:
            name = each.signed.snapshot.snapshot_id
            held = await store.read(lambda view, n=name: view.snapshots.find(n))  # type: ignore[misc]
            assert held == each
        assert await store.read(lambda view: view.snapshots.find("0" * 64)) is None

    async def test_one_number_has_one_snapshot(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        tree = {(0, 0): b"t" * 256}
        await store.write(lambda w: w.snapshots.publish(snapshot(), tree))
        before = dump(engine)
        other = {(0, 0): b"o" * 256, (0, 1): b"o" * 256}
        with pytest.raises(Unavailable):
            await store.write(lambda w: w.snapshots.publish(snapshot(), other))
        assert dump(engine) == before

    async def test_of_publishers_at_once_one_succeeds(self, store: SqlStore) -> None:
        made = [snapshot() for _ in range(8)]
        done = await asyncio.gather(
            *(
                store.write(lambda w, s=each: w.snapshots.publish(s, {}))  # type: ignore[misc]
                for each in made
            ),
            return_exceptions=True,
        )
        (winner,) = (s for s, r in zip(made, done, strict=True) if r is None)
        assert await store.read(lambda view: view.snapshots.current("a")) == winner

    async def test_tiles_are_kept_and_replaced(self, store: SqlStore) -> None:
        first = {(0, n): bytes([n % 256]) * 64 for n in range(1500)} | {
            (1, 0): b"up" * 32
        }
        await store.write(lambda w: w.snapshots.publish(snapshot(0), first))
        await store.write(lambda w: w.snapshots.publish(snapshot(0, "b"), first))
        second = {(0, 7): b"new" * 32, (0, 1500): b"more" * 8}
        await store.write(lambda w: w.snapshots.publish(snapshot(1), second))
        wanted = [*first, *second, (2, 0), (1, 1)]
        for name, tree in (("a", first | second), ("b", first), ("c", {})):
            found = await store.read(
                lambda view, n=name: view.snapshots.tiles(n, wanted)  # type: ignore[misc]
            )
            assert found == tree
        assert await store.read(lambda view: view.snapshots.tiles("a", [])) == {}


class TestSeals:
    async def test_what_is_not_published_is_invisible(self, shared: SqlStore) -> None:
        made = seals(RECORDS[:4])
        await keep(shared, made)
        assert await visible(shared) == []
        assert await publish(shared) == {1, 2, 3}
        assert await visible(shared) == made
        again = dataclasses.replace(RECORDS[2], version=2, digest=b"n" * 32)
        await change(shared, again)
        new = seals([again])
        await keep(shared, new, since=1)
        assert await visible(shared) == made
        assert await publish(shared, 1) == {2}
        assert await visible(shared) == [*made[:2], *new, made[3]]

    async def test_seals_come_by_position_and_key_and_up_to_a_number(
        self, shared: SqlStore
    ) -> None:
        made = seals(RECORDS[:4])
        await keep(shared, made[::-1])
        await publish(shared)
        await keep(shared, [seal(record("k0", "one"), 1)], agreement="b")
        await publish(shared, agreement="b")
        assert await visible(shared, positions=[3, 1]) == [made[0], made[1], made[3]]
        assert await visible(shared, positions=[0, 7]) == []
        assert await visible(shared, positions=[]) == []
        for most in range(1, 5):
            found = await shared.read(
                lambda view, m=most: view.snapshots.seals("a", [1, 2, 3], m)  # type: ignore[misc]
            )
            assert found == made[:most]

    async def test_thousands_of_positions_are_looked_up(self, store: SqlStore) -> None:
        names = {n: f"c{n:04}" for n in range(2500)}
        records = [record(f"k{n:04}", name) for n, name in names.items()]

        def fill(work: UnitOfWork) -> None:
            work.datasets.publish(publication(), records)
            declare(work, "a", names, size=4096)

        await store.write(fill)
        made = [seal(each, n) for n, each in enumerate(records)]
        await keep(store, made)
        assert await publish(store) == set(names)
        found = await store.read(
            lambda view: view.snapshots.seals("a", range(4096), 5000)
        )
        assert found == made
        found = await store.read(
            lambda view: view.snapshots.seals("a", range(4096), 1234)
        )
        assert found == made[:1234]
        gone = [each.key for each in records[100:2300]]
        await change(store, gone=gone)
        assert await publish(store, 1, keys=gone) == set(range(100, 2300))

    async def test_what_has_to_be_sealed_comes_by_version_and_key(
        self, shared: SqlStore
    ) -> None:
        again = dataclasses.replace(RECORDS[0], version=2)
        await change(shared, again)
        assert await stale(shared) == ["k2", "k3", "k4", "k1"]
        assert await stale(shared, after=(1, "k2")) == ["k3", "k4", "k1"]
        assert await stale(shared, after=(1, "k9")) == ["k1"]
        assert await stale(shared, after=(2, "")) == ["k1"]
        assert await stale(shared, after=(2, "k1")) == []
        assert await stale(shared, "b") == []
        found = await shared.read(
            lambda view: view.snapshots.stale("a", "projects", after=(1, "k3"), most=2)
        )
        assert found == [(RECORDS[3], 3), (again, 1)]
        found = await shared.read(
            lambda view: view.snapshots.stale("a", "others", after=(-1, ""), most=2)
        )
        assert found == []

    async def test_what_is_sealed_as_it_is_needs_no_other_seal(
        self, shared: SqlStore
    ) -> None:
        await keep(shared, seals(RECORDS[:2]))
        assert await stale(shared) == ["k3", "k4"]
        assert await count(shared) == (2, 4)
        await keep(shared, seals(RECORDS[2:4]))
        assert await stale(shared) == []
        assert await count(shared) == (4, 4)
        await publish(shared)
        assert await stale(shared) == []
        await change(shared, dataclasses.replace(RECORDS[0], version=2))
        assert await stale(shared) == await stale(shared, after=(2, "")) == ["k1"]
        assert await count(shared) == (3, 4)
        assert await count(shared, "b") == (0, 0)

    async def test_of_one_version_the_first_seal_stays(self, shared: SqlStore) -> None:
        first, second = seals(RECORDS[:2]), seals(RECORDS[:3])
        await keep(shared, first)
        await keep(shared, second)
        await publish(shared)
        assert await visible(shared) == [*first, second[2]]

    async def test_a_record_that_changes_before_it_is_published_is_sealed_again(
        self, shared: SqlStore
    ) -> None:
        await keep(shared, seals(RECORDS[:4]))
        again = dataclasses.replace(RECORDS[1], version=2, digest=b"n" * 32)
        await change(shared, again)
        assert await stale(shared) == ["k2"]
        new = seals([again])
        await keep(shared, new)
        assert await stale(shared) == []
        assert await count(shared) == (4, 4)
        late = seals(RECORDS[1:2])  # by a builder that had read it before
        await keep(shared, late)
        assert await stale(shared) == []
        await publish(shared)
        assert (await visible(shared))[1] == new[0]

    async def test_builders_at_once_keep_one_seal_for_each_record(
        self, shared: SqlStore, engine: sa.Engine
    ) -> None:
        builders = [seals(RECORDS[:4]) for _ in range(8)]
        await asyncio.gather(*(keep(shared, each) for each in builders))
        assert await stale(shared) == []
        await publish(shared)
        found = await visible(shared)
        assert [each.record.key for each in found] == ["k1", "k2", "k3", "k4"]
        assert all(any(each in made for made in builders) for each in found)
        assert len(dump(engine)["seals"]) == 4

    async def test_old_seals_go_and_tell_whose_leaf_changes(
        self, shared: SqlStore, engine: sa.Engine
    ) -> None:
        await keep(shared, seals(RECORDS[:4]))
        await publish(shared)
        new = record("k6", "three", 2)
        moved = dataclasses.replace(RECORDS[1], customer="two", version=2)
        await change(shared, new, moved, gone=["k1"])
        await keep(shared, seals([new, moved]), since=1)
        # k1 is gone from the first customer, k2 has moved from it to the second.
        assert await publish(shared, 1) == {1, 2, 3}
        found = [(each.position, each.record.key) for each in await visible(shared)]
        assert found == [(2, "k2"), (2, "k3"), (3, "k4"), (3, "k6")]
        assert len(dump(engine)["seals"]) == 4
        assert await publish(shared, 2) == set()

    async def test_of_some_records_only_the_old_seals_go(
        self, shared: SqlStore
    ) -> None:
        await keep(shared, seals(RECORDS[:4]))
        await publish(shared)
        await change(shared, gone=["k1", "k3"])
        assert await publish(shared, 1, keys=["k3", "k4", "none"]) == {2}
        assert [each.record.key for each in await visible(shared)] == ["k1", "k2", "k4"]
        moved = dataclasses.replace(RECORDS[3], customer="two", version=3)
        await change(shared, moved)
        await keep(shared, seals([moved]), since=2)
        assert await publish(shared, 2, keys=[]) == {2, 3}
        assert [each.record.key for each in await visible(shared)] == ["k1", "k2", "k4"]
        assert await publish(shared, 3) == {1}

    async def test_a_customer_that_is_shared_no_more_takes_its_seals_along(
        self, shared: SqlStore
    ) -> None:
        await keep(shared, seals(RECORDS[:4]))
        await publish(shared)
        await shared.write(lambda w: w.agreements.match("a", {token(1): None}))
        assert await publish(shared, 1) == {1}
        assert [each.record.key for each in await visible(shared)] == ["k3", "k4"]

    async def test_agreements_do_not_touch_each_others_seals(
        self, shared: SqlStore
    ) -> None:
        await shared.write(lambda w: declare(w, "b", NAMES))
        mine, other = seals(RECORDS[:4]), seals(RECORDS[:4])
        await keep(shared, mine)
        assert await stale(shared, "b") == ["k1", "k2", "k3", "k4"]
        await keep(shared, other, agreement="b")
        for name in ("a", "b"):
            assert await publish(shared, agreement=name) == {1, 2, 3}
        await change(shared, gone=["k1"])
        assert await publish(shared, 1) == {1}
        assert await visible(shared) == mine[1:]
        assert await visible(shared, "b") == other

    async def test_no_value_of_a_seal_is_shown_by_chance(self) -> None:
        (made,) = seals(RECORDS[:1])
        text = repr(made)
        for secret in (made.blinder, made.signature, made.record.link):
            assert repr(secret) not in text


class TestLeaves:
    async def leaves(
        self,
        store: SqlStore,
        positions: Sequence[int] | None = None,
        *,
        agreement: str = "a",
        without: Collection[SealPlace] = (),
    ) -> list[Leaf]:
        return await store.read(
            lambda view: list(view.snapshots.leaves(agreement, positions, without))
        )

    async def test_a_leaf_holds_a_customers_records_in_order(
        self, shared: SqlStore
    ) -> None:
        made = seals(RECORDS[:4])
        await keep(shared, made[::-1])
        leaves = [
            Leaf(
                position=place,
                records=tuple((s.commitment, 1) for s in made if s.position == place),
            )
            for place in (1, 2, 3)
        ]

        assert await self.leaves(shared) == leaves
        assert await self.leaves(shared, [0, 1, 3, 7]) == [leaves[0], leaves[2]]
        assert await self.leaves(shared, []) == []
        assert await self.leaves(shared, agreement="b") == []

    async def test_a_leaf_is_worked_out_before_anything_old_is_dropped(
        self, shared: SqlStore
    ) -> None:
        made = seals(RECORDS[:4])
        await keep(shared, made)
        await publish(shared)
        again = dataclasses.replace(RECORDS[1], version=2)
        await change(shared, again, gone=["k3"])
        (new,) = seals([again])
        await keep(shared, [new], since=1)
        old = await shared.read(
            lambda view: view.snapshots.outdated("a", "projects", None)
        )
        assert sorted(old) == [("k2", 0, 1), ("k3", 0, 2)]
        assert await self.leaves(shared, without=frozenset(old)) == [
            Leaf(position=1, records=((made[0].commitment, 1), (new.commitment, 2))),
            Leaf(position=3, records=((made[3].commitment, 1),)),
        ]
        assert await visible(shared) == made

    async def test_thousands_of_leaves_come_in_order(self, store: SqlStore) -> None:
        made = [seal(record(f"k{n:05}", f"c{n // 2}"), n // 2) for n in range(5000)]
        await keep(store, made)
        for positions in (None, range(0, 2500, 2)):
            found = await self.leaves(store, positions)
            wanted = range(2500) if positions is None else positions
            assert [leaf.position for leaf in found] == list(wanted)
            assert [point for leaf in found for point, _ in leaf.records] == [
                made[2 * n + k].commitment for n in wanted for k in range(2)
            ]

    async def test_after_a_new_declaration_leaves_are_where_their_tokens_are(
        self, shared: SqlStore
    ) -> None:
        made = seals(RECORDS[:4])
        await keep(shared, made)
        await publish(shared)
        new = declaration(token(2), token(3), token(20), token(30))
        known = {token(2): "three", token(20): "one"}
        await shared.write(lambda w: w.agreements.declare("a", new, known))
        found = await self.leaves(shared)
        assert [leaf.position for leaf in found] == [0, 2]
        assert [commitment for leaf in found for commitment, _ in leaf.records] == [
            made[3].commitment,
            made[0].commitment,
            made[1].commitment,
        ]
        again = await shared.read(
            lambda view: view.snapshots.stale("a", "projects", after=(-1, ""), most=9)
        )
        assert again == []
        places = {s.record.customer: s.position for s in await visible(shared)}
        assert places == {"one": 2, "three": 0}


class TestReceived:
    async def test_a_partners_snapshots_are_kept_by_their_numbers(
        self, store: SqlStore
    ) -> None:
        made = {n: snapshot(n).signed for n in (3, 0, 7)}
        for each in made.values():
            await store.write(lambda w, s=each: w.snapshots.receive(s))  # type: ignore[misc]
        other = snapshot(1, "b").signed
        await store.write(lambda w: w.snapshots.receive(other))
        for number in range(9):
            found = await store.read(
                lambda view, n=number: view.snapshots.received("a", n)  # type: ignore[misc]
            )
            assert found == made.get(number)
        assert await store.read(lambda view: view.snapshots.received("b", 1)) == other

    async def test_the_first_that_is_received_under_a_number_stays(
        self, store: SqlStore
    ) -> None:
        first, second = snapshot(2).signed, snapshot(2).signed
        for each, before in ((first, None), (first, first), (second, first)):
            found = await store.write(lambda w, s=each: w.snapshots.receive(s))  # type: ignore[misc]
            assert found == before
        assert await store.read(lambda view: view.snapshots.received("a", 2)) == first

    async def test_of_two_received_at_once_under_a_number_the_second_is_told(
        self, store: SqlStore
    ) -> None:
        made = [snapshot(2).signed for _ in range(8)]
        found = await asyncio.gather(
            *(
                store.write(lambda w, s=each: w.snapshots.receive(s))  # type: ignore[misc]
                for each in made
            )
        )
        assert found.count(None) == 1
        (first,) = {each for each in found if each is not None}
        assert first == made[found.index(None)]

    async def test_the_neighbours_of_a_number_are_the_nearest_received(
        self, store: SqlStore
    ) -> None:
        made = {n: snapshot(n).signed for n in (3, 0, 7)}
        for each in (*made.values(), snapshot(5, "b").signed):
            await store.write(lambda w, s=each: w.snapshots.receive(s))  # type: ignore[misc]
        expected: dict[int, tuple[int | None, int | None]] = {
            0: (None, 3),
            1: (0, 3),
            3: (0, 7),
            5: (3, 7),
            7: (3, None),
            99: (7, None),
        }
        for number, (before, after) in expected.items():
            found = await store.read(
                lambda view, n=number: view.snapshots.around("a", n)  # type: ignore[misc]
            )
            assert found == (
                None if before is None else made[before],
                None if after is None else made[after],
            )
        nothing = await store.read(lambda view: view.snapshots.around("c", 1))
        assert nothing == (None, None)

    async def test_what_is_received_does_not_meet_what_is_our_own(
        self, store: SqlStore
    ) -> None:
        await store.write(lambda w: w.agreements.add(kept()))
        await store.write(lambda w: w.snapshots.receive(snapshot().signed))
        assert await store.read(lambda view: view.snapshots.current("a")) is None
        assert await store.read(lambda view: view.log.waiting(9)) == []
