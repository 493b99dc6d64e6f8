"""A witness decides and keeps at once, on every database: one history per log."""

import asyncio
import datetime
from collections.abc import Sequence
from typing import Any

import pytest

from crypto import merkle
from crypto.notes import Checkpoint, sign_checkpoint
from ledger.checkpoint import open_checkpoint, origin_of
from ledger.cosignature import open_cosignatures
from ledger.participants import Participant
from ledger.witness import Request
from node.adapters.sql.store import SqlStore
from node.services.witness import Answer, Witness
from tests.support.node import FixedClock
from tests.unit.ledger import samples

ORIGIN = origin_of(samples.PROVIDER)
COMMON = [samples.seed(f"common {number}") for number in range(4)]


class Registry:
    """The part of `node.ports.Identity` that a witness asks."""

    me = samples.CONSUMER_RECORD

    def participants(self) -> Sequence[Participant]:
        return list(samples.PINS.values())


@pytest.fixture
def witness(store: SqlStore) -> Witness:
    registry: Any = Registry()
    at = datetime.datetime(2026, 11, 23, 1, 0, tzinfo=datetime.UTC)
    return Witness(
        store=store,
        identity=registry,
        signer=samples.CONSUMER_KEY,
        clock=FixedClock(at),
    )


def request(branch: int, size: int, old: int) -> bytes:
    """A checkpoint of one of several histories, that part after the common leaves."""
    own = [samples.seed(f"branch {branch} {number}") for number in range(60)]
    tree = merkle.stored([*COMMON, *own])
    point = Checkpoint(origin=ORIGIN, size=size, root=merkle.root_at(size, tree))
    proof = merkle.consistency_proof(old, size, tree) if old else []
    note = sign_checkpoint(point, samples.PROVIDER_KEY)
    return Request(old=old, proof=tuple(proof), note=note).render().encode()


async def held(witness: Witness) -> int:
    note = await witness.newest(ORIGIN)
    assert note is not None
    keys = samples.PROVIDER_RECORD.verifiers
    opened = open_checkpoint(note, origin=ORIGIN, keys=keys)
    assert open_cosignatures(note, [samples.CONSUMER_RECORD])
    return opened.size


@pytest.mark.parametrize("old", [0, 4])
async def test_of_several_histories_at_once_exactly_one_is_cosigned(
    witness: Witness, old: int
) -> None:
    """Also where nothing of this log was ever seen: then there is no row to hold."""
    if old:
        assert (await witness(request(0, old, 0))).status == 200
    answers = await asyncio.gather(
        *(witness(request(branch, 10 + branch, old)) for branch in range(8))
    )
    won = [at for at, answer in enumerate(answers) if answer.status == 200]
    assert len(won) == 1
    others = [answer for answer in answers if answer.status != 200]
    size = 10 + won[0]
    assert others == [
        Answer(status=409, text=f"{size}\n", media="text/x.tlog.size")
    ] * len(others)
    assert await held(witness) == size


async def test_a_log_is_never_rolled_back_by_requests_that_overtake_each_other(
    witness: Witness,
) -> None:
    """The race in the specification: N and N+K, both from what is held."""
    size = 4
    assert (await witness(request(0, size, 0))).status == 200
    for _ in range(5):
        nearer, further = size + 1, size + 5
        answers = await asyncio.gather(
            witness(request(0, further, size)), witness(request(0, nearer, size))
        )
        assert sorted(answer.status for answer in answers) == [200, 409]
        size = further if answers[0].status == 200 else nearer
        assert await held(witness) == size


async def test_what_was_cosigned_is_kept_before_it_is_answered(
    witness: Witness, store: SqlStore
) -> None:
    answer = await witness(request(0, 9, 0))
    assert answer.status == 200
    kept = await store.read(lambda view: view.witness.newest(ORIGIN))
    assert kept is not None
    assert kept.note.endswith(answer.text)
    again = await witness(request(0, 9, 9))
    assert again.status == 200
    assert await store.read(lambda view: view.witness.newest(ORIGIN)) == kept
