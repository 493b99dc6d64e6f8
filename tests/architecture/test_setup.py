"""What set-up does on a machine that lacks something."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support import REPOSITORY

SCRIPT = REPOSITORY / ".ci" / "libatomic.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("libatomic", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Give a copy of the policy engine's library, with what lies beside it."""
    spec = importlib.util.find_spec("regopy")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    beside = folder.parent / "regopy.libs"
    if beside.is_dir():
        shutil.copytree(beside, tmp_path / "regopy.libs")
    (tmp_path / "regopy").mkdir()
    return Path(shutil.copy2(next(folder.glob("*.so")), tmp_path / "regopy"))


def test_the_policy_engine_loads_without_libatomic(
    script: ModuleType, library: Path
) -> None:
    before = library.read_bytes()
    if script.ABSENT not in script.Elf(bytearray(before)).needed():
        pytest.skip("this machine has no libatomic: set-up has mended it already")

    assert script.mend(library) is True

    after = library.read_bytes()
    assert script.ABSENT not in script.Elf(bytearray(after)).needed()
    assert sum(a != b for a, b in zip(before, after, strict=True)) <= 8
    assert script.loads(str(library))
    assert script.mend(library) is False


def test_a_library_that_would_not_load_is_left_as_it_was(
    script: ModuleType, library: Path
) -> None:
    shutil.rmtree(library.parents[1] / "regopy.libs", ignore_errors=True)
    before = library.read_bytes()
    if script.ABSENT not in script.Elf(bytearray(before)).needed():
        pytest.skip("this machine has no libatomic: set-up has mended it already")

    with pytest.raises(OSError, match="does not load"):
        script.mend(library)

    assert library.read_bytes() == before
    assert list(library.parent.iterdir()) == [library]


def test_nothing_is_changed_where_libatomic_is(script: ModuleType) -> None:
    if not script.loads(script.ABSENT):
        pytest.skip("this machine has no libatomic")
    told = subprocess.run(
        [sys.executable, SCRIPT], capture_output=True, text=True, check=True
    )

    assert told.stdout == ""


def test_an_interpreter_that_is_too_old_is_named(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    told = subprocess.run(
        ["sh", REPOSITORY / ".ci" / "python.sh", str(old), str(tmp_path / "venv")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert told.returncode == 1
    assert "Python 3.11" in told.stderr
    assert not (tmp_path / "venv").exists()


def test_a_worker_process_that_reads_the_command_again_does_not_run_it(
    tmp_path: Path,
) -> None:
    place = tmp_path / "with a blank" / "bin"
    place.mkdir(parents=True)
    (place / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (place / "python").chmod(0o755)
    script = str(REPOSITORY / ".ci" / "launcher.sh")
    subprocess.run(["sh", script, str(place.parent)], check=True)
    spawned = (
        "import runpy, sys; sys.argv = ['fieldpact', 'no-such-command']; "
        f"runpy.run_path({str(place / 'fieldpact')!r}, run_name='__mp_main__')"
    )
    read = subprocess.run([sys.executable, "-c", spawned], check=False)
    ran = subprocess.run([str(place / "fieldpact"), "no-such-command"], check=False)

    assert read.returncode == 0
    assert ran.returncode == 2
