"""Many write at once, and the power goes: what was acknowledged is on disk.

A process writes words, hundreds at once, and says which of them it was told to be
there; then it is killed. Words are said in one system call each, so that what was
said is what was acknowledged.
"""

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import REPOSITORY

_WRITER = """
import asyncio, os, sys
import sqlalchemy as sa
from node.adapters.sql.store import engine_for
from node.adapters.sql.writers import GroupedWriters

writers = GroupedWriters(engine_for(sys.argv[1]))

def note(word, number):
    def act(connection):
        connection.execute(sa.text("INSERT INTO words VALUES (:word)"), {"word": word})
        if number % 3 == 1:
            raise ValueError(word)
    return act

async def write(name):
    number = 0
    while True:
        word = f"{name}.{number}"
        number += 1
        try:
            await asyncio.wrap_future(writers.submit(note(word, number)))
        except ValueError:
            word = "not " + word
        os.write(1, f"{word}\\n".encode())

async def main():
    await asyncio.gather(*(write(name) for name in range(100)))

asyncio.run(main())
"""


@pytest.mark.parametrize("after_s", [0.05, 0.2, 0.5])
def test_what_was_acknowledged_to_many_at_once_survives_a_kill(
    tmp_path: Path, after_s: float
) -> None:
    store, said = tmp_path / "words.sqlite", tmp_path / "said"
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("CREATE TABLE words (word PRIMARY KEY)")
    with said.open("wb") as out:
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, f"sqlite:///{store}"],
            cwd=REPOSITORY,
            stdout=out,
        )
        while said.read_bytes().count(b"\n") < 200:
            assert writer.poll() is None
            time.sleep(0.005)
        time.sleep(after_s)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    lines = set(said.read_text().splitlines())
    refused = {line.removeprefix("not ") for line in lines if line.startswith("not ")}
    acknowledged = {line for line in lines if not line.startswith("not ")}
    with closing(sqlite3.connect(store)) as connection:
        kept = {word for (word,) in connection.execute("SELECT word FROM words")}
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert acknowledged
    assert acknowledged <= kept
    assert refused
    assert not refused & kept
    # What is there and was not acknowledged is what the last group held, at most.
    assert len(kept - acknowledged) <= 100
