"""Agreements, negotiations, and the customers declared under them."""

import asyncio
import dataclasses
import time

import pytest

from node.adapters.sql.store import SqlStore
from node.domain.agreement import Status
from node.domain.negotiation import Negotiation, Role, State
from node.errors import Unavailable
from node.ports import UnitOfWork
from tests.contract.samples import (
    ME,
    YOU,
    agreement,
    declaration,
    declare,
    kept,
    record,
    seal,
    snapshot,
    token,
)
from tests.unit.node.test_negotiation import OFFER


class TestAgreements:
    async def test_an_agreement_is_kept_to_the_byte(self, store: SqlStore) -> None:
        await store.write(lambda w: w.agreements.add(kept()))
        found = await store.read(lambda view: view.agreements.get(agreement().id))
        assert found == kept()
        assert found.agreement.hash == agreement().hash
        assert await store.read(lambda view: view.agreements.get("other")) is None

    async def test_an_agreement_is_never_replaced(self, store: SqlStore) -> None:
        await store.write(lambda w: w.agreements.add(kept()))
        other = dataclasses.replace(kept(), agreement=agreement(calls_per_hour=99))
        with pytest.raises(Unavailable):
            await store.write(lambda w: w.agreements.add(other))
        found = await store.read(lambda view: view.agreements.get(agreement().id))
        assert found == kept()

    async def test_agreements_are_listed_newest_first(self, store: SqlStore) -> None:
        for number in (1, 3, 2):
            await store.write(lambda w, n=number: w.agreements.add(kept(n)))  # type: ignore[misc]
        found = await store.read(lambda view: view.agreements.all())
        assert [each.agreement for each in found] == [agreement(n) for n in (3, 2, 1)]

    async def test_a_status_belongs_to_one_agreement(self, store: SqlStore) -> None:
        for number in (1, 2):
            await store.write(lambda w, n=number: w.agreements.add(kept(n)))  # type: ignore[misc]
        await store.write(
            lambda w: w.agreements.set_status(agreement(1).id, Status.REVOKED)
        )
        states = {
            each.agreement.id: each.status
            for each in await store.read(lambda view: view.agreements.all())
        }
        assert states == {
            agreement(1).id: Status.REVOKED,
            agreement(2).id: Status.ACTIVE,
        }

    async def test_a_declaration_replaces_the_one_before(self, store: SqlStore) -> None:
        await store.write(lambda w: declare(w, "a", {1: "c1", 3: "c3"}))
        other = await store.write(lambda w: declare(w, "b", {1: "c1"}, size=4))
        new = declaration(*map(token, range(2, 6)))
        known = {token(3): "c3", token(5): "c5"}
        await store.write(lambda w: w.agreements.declare("a", new, known))
        tokens = [token(n) for n in range(8)]
        found = await store.read(lambda view: view.agreements.aligned("a", tokens))
        assert found == {token(3): (1, "c3"), token(5): (3, "c5")}
        for agreement_id, wanted in (("a", new), ("b", other), ("x", None)):
            held, digest = await store.read(
                lambda view, a=agreement_id: (  # type: ignore[misc]
                    view.agreements.declaration(a),
                    view.agreements.declaration_hash(a),
                )
            )
            assert held == wanted
            assert digest == (wanted and wanted.hash)
        assert new.size == 4

    async def test_only_customers_that_both_know_are_aligned(
        self, store: SqlStore
    ) -> None:
        await store.write(lambda w: declare(w, "a", {1: "客户"}))
        await store.write(lambda w: declare(w, "b", {2: "c"}))
        asked = [token(n) for n in (1, 2, 7, 99)]
        found = await store.read(lambda view: view.agreements.aligned("a", asked))
        assert found == {token(1): (1, "客户")}
        assert await store.read(lambda view: view.agreements.aligned("a", [])) == {}

    async def test_thousands_of_tokens_are_aligned(self, store: SqlStore) -> None:
        known = {n: f"c{n}" for n in range(2500)}
        await store.write(lambda w: declare(w, "a", known, size=4096))
        tokens = [token(n) for n in range(5000)]
        found = await store.read(lambda view: view.agreements.aligned("a", tokens))
        assert found == {token(n): (n, name) for n, name in known.items()}

    async def test_customers_come_and_go_among_the_declared(
        self, store: SqlStore
    ) -> None:
        await store.write(lambda w: declare(w, "a", {1: "stays", 2: "goes"}))
        await store.write(lambda w: declare(w, "b", {2: "of another"}))
        known = {token(1): "stays", token(3): "comes", token(77): "was not declared"}
        names = await store.read(lambda view: view.agreements.mismatches("a", known))
        assert names == {token(2): None, token(3): "comes"}
        await store.write(lambda w: w.agreements.match("a", names))
        tokens = [token(n) for n in range(8)]
        found = await store.read(lambda view: view.agreements.aligned("a", tokens))
        assert found == {token(1): (1, "stays"), token(3): (3, "comes")}
        found = await store.read(lambda view: view.agreements.aligned("b", tokens))
        assert found == {token(2): (2, "of another")}

    async def test_what_we_declared_is_found_by_its_hash(self, store: SqlStore) -> None:
        made = [declaration(*(token(n * 10 + k) for k in range(4))) for n in range(5)]
        for each in made[:3]:
            await store.write(lambda w, e=each: w.agreements.keep_own("a", e))  # type: ignore[misc]
        await store.write(lambda w: w.agreements.keep_own("b", made[4]))

        async def found(agreement_id: str) -> list[int]:
            held = [
                await store.read(
                    lambda view, h=each.hash: view.agreements.declaration(  # type: ignore[misc]
                        agreement_id, h
                    )
                )
                for each in made
            ]
            assert all(h in {None, m} for h, m in zip(held, made, strict=True))
            return [n for n, each in enumerate(held) if each is not None]

        assert await found("a") == [0, 1, 2]
        await store.write(lambda w: w.agreements.keep_own("a", made[3]))
        assert await found("a") == [1, 2, 3]
        assert await found("b") == [4]

    async def test_what_a_partner_took_stays_until_it_takes_another(
        self, store: SqlStore
    ) -> None:
        made = [declaration(*(token(n * 10 + k) for k in range(4))) for n in range(9)]

        async def held() -> list[int]:
            async def has(digest: str) -> bool:
                return bool(
                    await store.read(
                        lambda view: view.agreements.declaration("a", digest)
                    )
                )

            return [n for n, each in enumerate(made) if await has(each.hash)]

        async def try_(number: int, *, taken: bool = False) -> None:
            each = made[number]
            await store.write(lambda w: w.agreements.keep_own("a", each))
            if taken:
                await store.write(lambda w: w.agreements.own_taken("a", each.hash))

        await try_(0)
        await try_(1, taken=True)
        assert await held() == [1]
        for number in range(2, 7):
            await try_(number)
        assert await held() == [1, 4, 5, 6]
        await try_(7, taken=True)
        assert await held() == [1, 7]
        for gone in (made[5], made[1], made[7]):
            await store.write(lambda w, e=gone: w.agreements.own_taken("a", e.hash))  # type: ignore[misc]
            assert await held() == [1, 7]
        await try_(8, taken=True)
        assert await held() == [7, 8]

    async def test_a_new_declaration_moves_what_is_sealed(
        self, store: SqlStore
    ) -> None:
        """Whose customer is declared still is not sealed again."""
        await store.write(lambda w: declare(w, "a", {1: "one", 2: "two", 3: "three"}))
        await store.write(lambda w: declare(w, "b", {1: "one"}))
        records = [
            record(key, customer)
            for key, customer in (("k1", "one"), ("k2", "two"), ("k3", "three"))
        ]
        seals = [seal(each, place) for place, each in enumerate(records, 1)]
        await store.write(lambda w: w.snapshots.keep("a", 0, seals))
        await store.write(lambda w: w.snapshots.keep("b", 0, seals[:1]))
        for name in ("a", "b"):
            made = snapshot(0, name)
            await store.write(lambda w, s=made: w.snapshots.publish(s, {}))  # type: ignore[misc]
        new = declaration(token(1), token(3), token(50), token(60))
        known = {token(1): "two", token(60): "one", token(50): "four"}
        await store.write(lambda w: w.agreements.declare("a", new, known))

        async def found(name: str) -> list[tuple[int, str, bytes]]:
            held = await store.read(
                lambda view: view.snapshots.seals(name, range(8), 10)
            )
            return [(s.position, s.record.key, s.commitment) for s in held]

        assert await found("a") == [
            (0, "k2", seals[1].commitment),
            (3, "k1", seals[0].commitment),
        ]
        assert await found("b") == [(1, "k1", seals[0].commitment)]

    async def test_a_negotiation_is_kept_and_moved(self, store: SqlStore) -> None:
        begun = Negotiation(
            provider_pid="urn:uuid:p",
            consumer_pid="urn:uuid:c",
            role=Role.CONSUMER,
            partner=ME,
            state=State.OFFERED,
            offer=OFFER,
        )
        moved = dataclasses.replace(begun, state=State.AGREED, agreement=agreement())
        for each in (begun, moved):
            await store.write(lambda w, e=each: w.agreements.keep_negotiation(e))  # type: ignore[misc]
            found = await store.write(
                lambda w: w.agreements.hold_negotiation("urn:uuid:c")
            )
            assert found == each
        assert await store.read(lambda view: view.agreements.negotiations()) == [moved]
        assert (
            await store.write(lambda w: w.agreements.hold_negotiation("urn:uuid:p"))
        ) is None

    async def test_a_held_negotiation_is_moved_by_one_at_a_time(
        self, store: SqlStore
    ) -> None:
        begun = Negotiation(
            provider_pid="urn:uuid:p",
            consumer_pid="urn:uuid:c",
            role=Role.PROVIDER,
            partner=YOU,
            state=State.OFFERED,
            offer=OFFER,
        )
        await store.write(lambda w: w.agreements.keep_negotiation(begun))

        def move(work: UnitOfWork) -> bool:
            found = work.agreements.hold_negotiation("urn:uuid:p")
            assert found is not None
            if found.state is not State.OFFERED:
                return False
            time.sleep(0.02)  # whoever does not wait has looked meanwhile
            work.agreements.keep_negotiation(
                found.advance(State.ACCEPTED, sender=Role.CONSUMER)
            )
            return True

        moved = await asyncio.gather(*(store.write(move) for _ in range(8)))
        assert sum(moved) == 1

    async def test_who_holds_an_agreement_keeps_its_status(
        self, store: SqlStore
    ) -> None:
        await store.write(lambda w: w.agreements.add(kept()))

        def decide(work: UnitOfWork) -> bool:
            found = work.agreements.hold(agreement().id)
            assert found is not None
            return found.status is Status.ACTIVE

        def change(work: UnitOfWork) -> bool:
            if not decide(work):
                return False
            time.sleep(0.05)  # whoever looks meanwhile must wait
            work.agreements.set_status(agreement().id, Status.REVOKED)
            return True

        changed = await asyncio.gather(*(store.write(change) for _ in range(4)))
        assert sum(changed) == 1
        assert not await store.write(decide)
        assert await store.write(lambda w: w.agreements.hold("urn:uuid:none")) is None

    async def test_negotiations_are_listed_newest_first(self, store: SqlStore) -> None:
        pids = [f"urn:uuid:{n}" for n in (5, 1, 3)]
        for pid in pids:
            begun = Negotiation(
                provider_pid=pid,
                consumer_pid="urn:uuid:c",
                role=Role.PROVIDER,
                partner=YOU,
                state=State.OFFERED,
                offer=OFFER,
            )
            await store.write(lambda w, n=begun: w.agreements.keep_negotiation(n))  # type: ignore[misc]
        found = await store.read(lambda view: view.agreements.negotiations())
        assert [each.pid for each in found] == pids[::-1]
