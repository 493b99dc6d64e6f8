"""The demo as a person starts it: a process with a terminal to talk to."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import REPOSITORY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc"),
]
LAST = re.compile(
    r"demo: (\d+) calls, (\d+) receipts anchored and verified, "
    r"0 unauthorised values disclosed"
)

PROVED = (
    "proved, not shown",
    "refused: field.mode",
    "refused: predicate.granularity",
    "refused: predicate.exhausted",
    "the same on both sides",
    "witnesses cosigned its first",
    "anchored · since epoch",
)
"""What the story tells of amounts that nobody is shown, and of the books."""
COUNTED = (
    "answered in steps: table open",
    "answered in steps: commit exchange finish",
    "320 of 480 vehicles",
    "refused: plan.narrowing",
    "refused: budget.exhausted",
)
"""What it tells of vehicles that are counted, and not shown."""


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "examples.demo", "--folder", str(folder)]
    return subprocess.Popen(
        [*command, *options],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def read_until(demo: subprocess.Popen[str], words: str) -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if words in line:
            return
    pytest.fail(f"it ended before it said: {words}")


def processes_of(folder: Path) -> list[str]:
    """Return the command lines that name a folder; those of zombies are empty."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words.replace("\0", " "))
    return found


def wait_gone(folder: Path, patience_s: float) -> list[str]:
    until = time.monotonic() + patience_s
    while (left := processes_of(folder)) and time.monotonic() < until:
        time.sleep(0.1)
    return left


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "demo"


def test_the_story_is_told_again_after_a_kill_and_leaves_nothing_behind(
    folder: Path,
) -> None:
    killed = start(folder)
    read_until(killed, "agreed, and signed by both")
    assert len(processes_of(folder)) > 3
    killed.kill()
    killed.communicate()

    # At once, while what it left behind may still be ending.
    again = start(folder, "--once")
    told, _ = again.communicate(timeout=600)

    assert again.returncode == 0, told
    last = LAST.fullmatch(told.splitlines()[-1])
    assert last, told
    assert int(last[1]) == int(last[2]) > 20
    assert "···" in told  # cells of few vehicles
    for words in (*PROVED, *COUNTED):
        assert words in told, told
    assert processes_of(folder) == []


def test_a_killed_demo_takes_its_processes_with_it(folder: Path) -> None:
    demo = start(folder)
    read_until(demo, "records are sound")
    assert processes_of(folder)

    demo.kill()
    demo.communicate()

    assert wait_gone(folder, 120) == []


def test_a_demo_that_is_told_to_end_ends_everything(folder: Path) -> None:
    demo = start(folder)
    read_until(demo, "records are sound")

    second = start(folder, "--once")
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 1
    assert "running already" in said

    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=120)
    assert demo.returncode == 0
    assert processes_of(folder) == []


def test_a_folder_with_other_things_in_it_is_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("do not delete")

    demo = start(folder, "--once")
    said, _ = demo.communicate(timeout=120)

    assert demo.returncode == 1
    assert "name another folder" in said
    assert (folder / "thesis.txt").read_text() == "do not delete"
