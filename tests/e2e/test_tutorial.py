"""The commands of the tutorials are run as they stand, and print what these say.

Shell blocks (```sh) run in order in one bash, in an empty folder. A text block
(```text) after one must be found in what that one printed: line after line, `…`
standing for anything. Ports are exchanged for free ones.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import REPOSITORY
from tests.support.servers import free_port

TUTORIALS = ("tutorial.md", "tutorial-aggregates.md")
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = re.compile(r"(?<!\d)8[12][14]\d(?!\d)")
LONGEST_S = 1200


@dataclass
class Step:
    script: str
    expected: str = ""


def steps(document: str) -> Iterator[Step]:
    """Give each shell block with the text block that follows it."""
    blocks = [(kind, text) for kind, text in BLOCK.findall(document)]
    for at, (kind, text) in enumerate(blocks):
        if kind == "sh":
            after = blocks[at + 1] if at + 1 < len(blocks) else ("", "")
            yield Step(text, after[1] if after[0] == "text" else "")


def with_free_ports(document: str) -> str:
    wanted = sorted(set(PORT.findall(document)))
    exchanged = {port: str(free_port()) for port in wanted}
    assert len(set(exchanged.values())) == len(wanted)
    return PORT.sub(lambda found: exchanged[found[0]], document)


def missing(expected: str, printed: str) -> list[str]:
    """Return the expected lines that are not there in order, breaks apart."""
    rest, absent = _spaced(printed), []
    for line in filter(None, map(_spaced, expected.splitlines())):
        found = re.search(re.escape(line).replace("…", ".*?"), rest)
        if found:
            rest = rest[found.end() :]
        else:
            absent.append(line)
    return absent


def _spaced(text: str) -> str:
    """Return text without its line breaks and alignment: paths differ in length."""
    return " ".join(text.split())


def run(script: str, folder: Path) -> str:
    """Run a bash script and end whatever it started; return all it printed."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "COLUMNS": "100",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
    }
    bash = subprocess.Popen(
        ["bash", "-eu", "-o", "pipefail"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd=folder, env=environment, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        printed, _ = bash.communicate(script, timeout=LONGEST_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(bash.pid, signal.SIGKILL)  # its own session: what it started
    return printed


@pytest.mark.slow
@pytest.mark.timeout(LONGEST_S + 30)
@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_does_what_it_says(name: str, tmp_path: Path) -> None:
    document = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
    told = list(steps(with_free_ports(document)))
    script = "".join(
        f"{step.script}\necho '=== end of {at}'\n" for at, step in enumerate(told)
    )

    printed = run(script, tmp_path)

    assert len(told) > 10
    for at, step in enumerate(told):
        output, end, printed = printed.partition(f"=== end of {at}\n")
        assert end, f"this ended the script:\n{step.script}\nit printed:\n{output}"
        assert missing(step.expected, output) == [], output


def test_a_line_that_is_not_printed_is_noticed() -> None:
    assert missing("one …\nthree", "one 1\ntwo\nthree\n") == []
    assert missing("three\none …", "one 1\ntwo\nthree\n") == ["one …"]
