"""Contracts against what they should be: a machine for each, and its model.

A machine does what members, strangers, operators and relays could do, in any order.
After each step the contract must have answered as the model does, in the same words,
and left the same events; at the end all that it says of its state is compared. Here is
the machine of the anchors, whose model is a list; that of the registry of
participants, whose model is `ledger.memory_registry`, is in `participants_machine`.
"""

from contextlib import ExitStack
from typing import ClassVar, Final

import boa  # type: ignore[import-untyped]
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
)

from ledger.contracts import HERE
from tests.unit.chain.sandbox import (
    NOBODY,
    RELAY,
    ZERO,
    Sandbox,
    event,
    now,
    wait,
    word,
)

ACCOUNTS: Final = [*(bytes([n]) * 20 for n in range(0x0A, 0x0E)), RELAY]
WORDS: Final = [bytes([n]) * 32 for n in range(1, 4)]


class Machine(RuleBasedStateMachine):
    """What both machines share: a sandbox that is gone when the machine ends."""

    source: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._stack.enter_context(boa.env.anchor())
        self.contract = Sandbox(self.source)

    def teardown(self) -> None:
        """Compare all there is, and forget it."""
        try:
            if self.contract.address:
                self.compare()
        finally:
            self._stack.close()

    def compare(self) -> None:
        """Compare all of the contract's state with the model's."""
        raise NotImplementedError

    @rule(seconds=st.sampled_from([0, 1, 600]))
    def time_passes(self, seconds: int) -> None:
        wait(seconds)


MEMBERS: Final = [*ACCOUNTS[:2], RELAY]


class AnchorsMachine(Machine):
    """`Anchors`: a member's row is what it anchored, in order."""

    source = (HERE / "Anchors.vy").read_text("utf-8")

    @initialize()
    def create(self) -> None:
        assert self.contract.create().refusal is None
        self.rows: dict[bytes, list[tuple[bytes, int]]] = {}

    @rule(member=st.sampled_from(MEMBERS), commitment=st.sampled_from(WORDS))
    def anchor_the_next(self, member: bytes, commitment: bytes) -> None:
        row = self.rows.get(member, [])
        before = row[-1][0] if row else ZERO
        self.anchor(member, len(row) + 1, commitment, before)

    @rule(
        member=st.sampled_from(MEMBERS),
        ahead=st.sampled_from([-1, 0, 1, 1, 1, 2]),
        commitment=st.sampled_from([*WORDS, ZERO]),
        previous=st.sampled_from([*WORDS, ZERO, None]),
    )
    def anchor_something(
        self, member: bytes, ahead: int, commitment: bytes, previous: bytes | None
    ) -> None:
        row = self.rows.get(member, [])
        before = row[-1][0] if row else ZERO
        epoch = max(0, len(row) + ahead)
        self.anchor(member, epoch, commitment, before if previous is None else previous)

    def anchor(
        self, member: bytes, epoch: int, commitment: bytes, previous: bytes
    ) -> None:
        row = self.rows.setdefault(member, [])
        expected: str | None = None
        if epoch != len(row) + 1:
            expected = "epoch is not the next one"
        elif commitment == ZERO:
            expected = "commitment is zero"
        elif previous != (row[-1][0] if row else ZERO):
            expected = "previous differs"
        done = self.contract.call(
            member,
            "anchor(uint256,bytes32,bytes32)",
            epoch,
            commitment,
            previous,
        )
        assert done.refusal == expected
        if expected is None:
            row.append((commitment, now()))
            assert done.events == [
                event(
                    "CheckpointAnchored(address,uint256,bytes32)",
                    member,
                    word(epoch),
                    data=commitment,
                )
            ]

    def compare(self) -> None:
        at = "(address,uint256)"
        for member in (*MEMBERS, NOBODY):
            row = self.rows.get(member, [])
            assert self.contract.number("epoch_of(address)", member) == len(row)
            for epoch, held in enumerate([(ZERO, 0), *row, (ZERO, 0)]):
                assert (
                    self.contract.view("commitment_of" + at, member, epoch) == held[0]
                )
                assert (
                    self.contract.number("anchored_at" + at, member, epoch) == held[1]
                )
