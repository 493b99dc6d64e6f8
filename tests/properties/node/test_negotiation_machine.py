"""A law of two nodes: whatever is lost or said twice, they agree on agreements.

Hypothesis makes up a history of offers, acceptances, lost messages and lost
replies, replays and restarts, on two real nodes. After every step, each agreement
that one of them holds is one that both have signed, and none stems from an offer
that has another.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from crypto.encoding import unb64u
from crypto.keys import verify_ed25519
from ledger.participants import Participant
from node.domain.negotiation import State
from node.ports import KeptAgreement
from tests.support.node import Loop, Node, World, open_world

PLACES = ["/events", "/agreement/verification"]


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Loop, World]]:
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Loop()) as loop:
        opened = open_world(Path(folder))
        yield loop, loop(opened.__aenter__())
        loop(opened.__aexit__(None, None, None))


class Machine(RuleBasedStateMachine):
    """One history; the nodes are those of the class, its negotiations its own."""

    loop: ClassVar[Loop]
    world: ClassVar[World]
    pids = Bundle("pids")

    @rule(target=pids, rate=st.integers(1, 9))
    def offer(self, rate: int) -> str:
        reply = self.loop(
            self.world.maker.manage(
                "/management/offers", self.world.offer(calls_per_hour=rate)
            )
        )
        pid: str = reply["consumerPid"]
        return pid

    @rule(pid=pids)
    def accept(self, pid: str) -> None:
        assert self._accept(pid) == 200

    @rule(pid=pids, part=st.sampled_from(PLACES))
    def accept_in_vain(self, pid: str, part: str) -> None:
        self.world.wire.cut.add(part)
        assert self._accept(pid) in {200, 503}
        self.world.wire.cut.clear()

    @rule(pid=pids, part=st.sampled_from(PLACES))
    def accept_and_hear_nothing(self, pid: str, part: str) -> None:
        self.world.wire.lose.append(part)
        assert self._accept(pid) in {200, 503}
        self.world.wire.lose.clear()

    @rule(pid=consumes(pids))
    def drop(self, pid: str) -> None:
        """The consumer drops it, where the figure lets a consumer do so."""

        def act(work: Any) -> None:
            found = work.agreements.hold_negotiation(pid)
            if found.state in {State.OFFERED, State.AGREED}:
                ended = found.advance(State.TERMINATED, sender=found.role)
                work.agreements.keep_negotiation(ended)

        self.loop(self.world.supplier.services.store.write(act))

    @rule(minutes=st.integers(1, 90))
    def wait(self, minutes: int) -> None:
        self.world.clock.advance(minutes=minutes)

    @rule()
    def restart(self) -> None:
        self.loop(self.world.restart())

    def _accept(self, pid: str) -> int:
        response = self.loop(
            self.world.supplier.client.post(
                f"/management/negotiations/{pid}/accept",
                headers=self.world.supplier.operator(),
                timeout=120,
            )
        )
        return response.status_code

    @invariant()
    def both_hold_what_both_have_signed(self) -> None:
        theirs, ours = self._held(self.world.maker), self._held(self.world.supplier)
        for name, kept in ours.items():
            assert theirs[name].agreement == kept.agreement
            assert theirs[name].signatures == kept.signatures
        for kept in theirs.values():
            signed_by_both(self.world, kept)
        negotiations = self.loop(
            self.world.maker.services.store.read(
                lambda view: view.agreements.negotiations()
            )
        )
        made = [n.agreement.id for n in negotiations if n.agreement is not None]
        assert len(made) == len(set(made))
        assert set(theirs) <= set(made)

    def _held(self, node: Node) -> dict[str, KeptAgreement]:
        kept = self.loop(node.services.store.read(lambda view: view.agreements.all()))
        return {each.agreement.id: each for each in kept}


def test_two_nodes_never_disagree_about_an_agreement(world: tuple[Loop, World]) -> None:
    Machine.loop, Machine.world = world
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def signed_by_both(world: World, kept: KeptAgreement) -> None:
    parties: dict[str, Participant] = {
        "assigner": world.maker.me,
        "assignee": world.supplier.me,
    }
    assert set(kept.signatures) == set(parties)
    for side, party in parties.items():
        signature = kept.signatures[side]
        assert signature["key_id"] == party.key_id("ed25519")
        verify_ed25519(
            party.keys["ed25519"],
            kept.agreement.signed_bytes,
            unb64u(signature["signature"], 64),
        )
