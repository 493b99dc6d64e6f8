"""What a person must look at is kept until somebody says that it is mended."""

import dataclasses
import datetime
from functools import partial

from node.adapters.sql.store import SqlStore
from node.ports import Alarm, UnitOfWork

_AT = datetime.datetime(2026, 11, 22, 18, 20, tzinfo=datetime.UTC)
_FORKED = Alarm(code="log.forked", subject="a/log", detail="two roots", at=_AT)
_PENDING = Alarm(code="chain.behind", subject="", detail="an epoch", at=_AT)


def _sound(alarm: Alarm, work: UnitOfWork) -> None:
    work.alarms.sound(alarm)


async def test_alarms_stay_open_in_their_order_and_sound_once(store: SqlStore) -> None:
    again = dataclasses.replace(_FORKED, detail="other words")
    for alarm in (_FORKED, _PENDING, again):
        await store.write(partial(_sound, alarm))
    assert await store.read(lambda view: view.alarms.open()) == [_FORKED, _PENDING]
    assert [alarm.stops for alarm in (_FORKED, _PENDING)] == [True, False]


async def test_a_cleared_alarm_can_sound_again(store: SqlStore) -> None:
    await store.write(lambda work: work.alarms.sound(_FORKED))
    mended = await store.write(
        lambda work: work.alarms.clear("log.forked", "a/log", "restored", _AT)
    )
    assert mended
    assert not await store.read(lambda view: view.alarms.open())
    assert not await store.write(
        lambda work: work.alarms.clear("log.forked", "a/log", "again", _AT)
    )
    await store.write(lambda work: work.alarms.sound(_FORKED))
    assert await store.read(lambda view: view.alarms.open()) == [_FORKED]
