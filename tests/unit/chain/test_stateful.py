"""The contracts against their models, and some planted faults against the tests.

`python -m tests.unit.chain.mutants` plants all there are, and takes its time.
"""

import re

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support import REPOSITORY
from tests.unit.chain.machines import AnchorsMachine
from tests.unit.chain.mutants import MACHINES, Mutant, caught, compiles, mutants
from tests.unit.chain.participants_machine import ParticipantsMachine

MODEST = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
FAULTS = [
    ("Anchors", 'assert commitment != empty(bytes32), "commitment is zero"', "pass"),
    ("Anchors", "self.anchored_at[msg.sender][epoch] = block.timestamp", "block.number"),
    ("Anchors", "last: uint256 = self.epoch_of[msg.sender]", "tx.origin"),
    ("Participants", 'assert self.account_of[did] == sender, "sender is no member"', "pass"),
    ("Participants", "if votes >= self._needed():", "votes > self"),
    ("Participants", "self.round += 1", "pass"),
    ("Participants", "self.revoked[did][fingerprint] = True", "pass"),
    ("Participants", "self._record(did, suite, empty(bytes32))", "pass"),
    ("Participants", "did: bytes32 = self._member(msg.sender)", "tx.origin"),
]  # fmt: skip
"""The contract, a line of it, and what tells the fault that is planted there."""


def test_the_anchors_are_what_members_anchored_in_order() -> None:
    run_state_machine_as_test(AnchorsMachine, settings=MODEST)


def test_the_registry_is_what_the_model_of_it_is() -> None:
    run_state_machine_as_test(ParticipantsMachine, settings=MODEST)


def planted(contract: str, line: str, sign: str) -> Mutant:
    for mutant in mutants(contract):
        if mutant.before == line and sign in mutant.after:
            return mutant
    raise AssertionError(f"no such fault is planted: {line}")


@pytest.mark.parametrize(("contract", "line", "sign"), FAULTS)
def test_a_planted_fault_is_caught(contract: str, line: str, sign: str) -> None:
    mutant = planted(contract, line, sign)
    assert compiles(mutant)
    assert caught(mutant, examples=40, seeds=1)


def test_the_page_tells_how_many_faults_are_planted() -> None:
    page = (REPOSITORY / "docs/protocols/registry.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE))
    assert told == {contract: str(len(mutants(contract))) for contract in MACHINES}
