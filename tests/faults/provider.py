"""A provider's node as a process of its own, to be killed and started again."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support import REPOSITORY

START_S = 240
_SERVE = (sys.executable, "-m", "node", "serve", "-s", "node.yaml")


@dataclass
class Provider:
    """A node of a folder.

    Attributes:
        url: Where it answers.
        words: The command, to be run in its folder.
        variables: What its environment holds besides.
    """

    folder: Path
    url: str
    words: Sequence[str] = _SERVE
    variables: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.words,
                cwd=self.folder,
                env={
                    "PYTHONPATH": str(REPOSITORY),
                    "PATH": "/usr/bin:/bin",
                    **self.variables,
                },
                stdout=log,
                stderr=log,
            )

    async def ready(self) -> None:
        until = time.monotonic() + START_S
        async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
            while time.monotonic() < until:
                assert self.process is not None
                assert self.process.poll() is None, self.tail()
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{self.url}/health/live")).is_success:
                        return
                await asyncio.sleep(0.05)
        raise AssertionError(self.tail())

    async def begin(self) -> None:
        self.start()
        await self.ready()

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(120)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGTERM)

    def tail(self) -> str:
        return "\n".join((self.folder / "log").read_text().splitlines()[-20:])
