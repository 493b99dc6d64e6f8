"""What is declared of a dataset holds from then on, for calls under way too."""

from pathlib import Path
from typing import Any
from unittest import mock

from node.adapters.policy.embedded import EmbeddedEngine
from tests.support.node import open_world
from tests.unit.node.sealing import publish


async def test_a_field_withdrawn_while_a_call_is_decided_is_not_shown(
    tmp_path: Path,
) -> None:
    usual, decided = EmbeddedEngine.decide, 0

    async with open_world(tmp_path) as world:
        fields = world.crm.declaration()["fields"]
        fields["project_stage"] |= {"modes": ["predicate"]}

        async def decide(self: EmbeddedEngine, question: Any) -> Any:
            nonlocal decided
            decided += 1
            decision = await usual(self, question)
            if decided == 1:
                await publish(world, fields=fields, settle=False)
            return decision

        with mock.patch.object(EmbeddedEngine, "decide", decide):
            answer = await world.query(fields=["project_stage"])
        world.check_refused(answer, "field.mode")
        assert decided == 2
