"""The real OPA: found, started on loopback, ended by its process id."""

import contextlib
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import START_S, free_port

BINARY = (
    os.environ.get("FIELDPACT_TEST_OPA")
    or shutil.which("opa")
    or shutil.which("opa", path=str(Path.home() / "go" / "bin"))
)
needs_opa = pytest.mark.skipif(
    BINARY is None, reason="needs an OPA binary: set FIELDPACT_TEST_OPA to its path"
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run OPA's command line to its end."""
    assert BINARY is not None
    return subprocess.run(
        [BINARY, *arguments], capture_output=True, text=True, check=False, timeout=120
    )


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Start an empty OPA server, give its URL, end it."""
    assert BINARY is not None
    address = f"127.0.0.1:{free_port()}"
    options = ["--addr", address, "--log-level", "error", "--disable-telemetry"]
    process = subprocess.Popen(
        [BINARY, "run", "--server", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://{address}/health")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(120)


def _wait_for(url: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - loopback
                return
        except OSError:
            time.sleep(0.05)
    message = f"OPA did not start in {START_S} seconds"
    raise RuntimeError(message)
