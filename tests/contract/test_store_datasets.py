"""Published datasets: their versions, and the records of the newest one."""

import asyncio
import dataclasses
import time

from crypto import typed
from node.adapters.sql.store import SqlStore
from node.ports import Record, UnitOfWork
from tests.contract.samples import SCHEMA, publication, record


async def held(store: SqlStore, dataset: str = "projects") -> dict[str, Record]:
    found = await store.read(lambda view: view.datasets.records(dataset))
    assert len({each.key for each in found}) == len(found)
    return {each.key: each for each in found}


async def test_a_publication_replaces_the_one_before(store: SqlStore) -> None:
    for version, keys in ((1, "abc"), (2, "bcd")):
        records = [record(key, f"c-{key}", version) for key in keys]
        await store.write(
            lambda w, v=version, r=records: w.datasets.publish(publication(v), r)  # type: ignore[misc]
        )
        assert await held(store) == {each.key: each for each in records}
    await store.write(
        lambda w: w.datasets.publish(publication(1, "others"), [record("z", "z")])
    )
    found = await store.read(lambda view: view.datasets.get("projects"))
    assert found == publication(2)
    customers = await store.read(lambda view: view.datasets.customers("projects"))
    assert sorted(customers) == ["c-b", "c-c", "c-d"]
    assert await store.read(lambda view: view.datasets.count_customers("projects")) == 3
    assert await store.read(lambda view: view.datasets.count_customers("none")) == 0
    everything = await store.read(lambda view: view.datasets.all())
    assert [each.dataset.id for each in everything] == ["others", "projects"]
    assert await store.read(lambda view: view.datasets.get("none")) is None
    assert await held(store, "others") == {"z": record("z", "z")}


async def test_a_publication_is_kept_to_the_byte_with_its_schema(
    store: SqlStore,
) -> None:
    fields = (
        *SCHEMA,
        typed.Field(
            name="spend", kind=typed.Kind.MONEY, unit="元", scale=2, salt=b"t" * 32
        ),
    )
    made = dataclasses.replace(publication(), schema=fields)
    await store.write(lambda w: w.datasets.publish(made, []))
    found = await store.read(lambda view: view.datasets.get("projects"))
    assert found == made
    assert typed.schema_hash(found.schema) == typed.schema_hash(fields)
    again = dataclasses.replace(publication(), key_id="did:web:me.test#other")
    await store.write(lambda w: w.datasets.publish(again, []))
    assert await store.read(lambda view: view.datasets.get("projects")) == again


async def test_a_record_is_found_by_its_key(store: SqlStore) -> None:
    records = [record(f"{n:05}", f"c{n % 7}") for n in range(2500)]
    await store.write(lambda w: w.datasets.publish(publication(), records))
    await store.write(
        lambda w: w.datasets.publish(publication(1, "others"), [record("x", "z")])
    )
    assert await held(store) == {each.key: each for each in records}
    for keys in (["00003", "none", "x"], [each.key for each in records[:2200]], []):
        found = await store.read(
            lambda view, k=keys: view.datasets.records("projects", k)  # type: ignore[misc]
        )
        wanted = {each.key: each for each in records if each.key in set(keys)}
        assert {each.key: each for each in found} == wanted
        assert len(found) == len(wanted)


async def test_a_change_replaces_some_drops_others_and_counts_on(
    store: SqlStore,
) -> None:
    records = [record(key, "c") for key in "abcd"]
    await store.write(lambda w: w.datasets.publish(publication(3), records))
    others = publication(1, "others")
    await store.write(lambda w: w.datasets.publish(others, [record("a", "z")]))
    changed = [record("b", "c", 4, b"n"), record("c", "moved", 4)]
    await store.write(
        lambda w: w.datasets.change("projects", 4, changed, ["a", "none"])
    )
    assert await held(store) == {"b": changed[0], "c": changed[1], "d": records[3]}
    found = await store.read(lambda view: view.datasets.get("projects"))
    assert found == dataclasses.replace(publication(3), version=4)
    assert await held(store, "others") == {"a": record("a", "z")}
    assert await store.read(lambda view: view.datasets.get("others")) == others


async def test_thousands_of_records_change_at_once(store: SqlStore) -> None:
    records = [record(f"{n:05}", "c") for n in range(2500)]
    await store.write(lambda w: w.datasets.publish(publication(), records))
    changed = [record(each.key, "c", 2, b"n") for each in records[:1200]]
    gone = [each.key for each in records[1200:2450]]
    await store.write(lambda w: w.datasets.change("projects", 2, changed, gone))
    wanted = [*changed, *records[2450:]]
    assert await held(store) == {each.key: each for each in wanted}


async def test_who_holds_a_dataset_is_its_only_writer(store: SqlStore) -> None:
    assert await store.write(lambda w: w.datasets.hold("projects")) is None
    await store.write(lambda w: w.datasets.publish(publication(), []))

    def count(work: UnitOfWork) -> None:
        found = work.datasets.hold("projects")
        assert found is not None
        time.sleep(0.01)  # whoever does not wait has looked meanwhile
        work.datasets.change("projects", found.version + 1, [], [])

    def again(work: UnitOfWork) -> None:
        found = work.datasets.hold("projects")
        assert found is not None
        time.sleep(0.01)
        work.datasets.publish(publication(found.version + 1), [])

    await asyncio.gather(*(store.write(act) for act in [count, again] * 4))
    found = await store.read(lambda view: view.datasets.get("projects"))
    assert found == publication(9)


async def test_a_publication_may_replace_only_what_is_new(store: SqlStore) -> None:
    records = [record(key, "c") for key in "abcd"]
    await store.write(lambda w: w.datasets.publish(publication(3), records))
    other = dataclasses.replace(publication(4), report={"rows": 3}, key_id="other")
    changed = [record("b", "c", 4, b"n"), record("e", "new", 4)]
    await store.write(lambda w: w.datasets.republish(other, changed, ["a", "none"]))
    assert await store.read(lambda view: view.datasets.get("projects")) == other
    wanted = [changed[0], records[2], records[3], changed[1]]
    assert await held(store) == {each.key: each for each in wanted}
