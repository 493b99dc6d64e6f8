"""A dashboard over a simulated node, in threads of this process, and a Chromium.

For end-to-end tests: both servers listen on free loopback ports with a fixed
clock, and what the simulated node does can be changed between two requests.
"""

import datetime
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, sync_playwright
from starlette.applications import Starlette

from dashboard.app import create_app
from dashboard.screenshots import FLAGS
from dashboard.settings import read_settings
from dashboard.system import Clock
from tests.support.audit_api import SimulatedAudit, write_settings
from tests.support.audit_world import World

NOW = datetime.datetime(2026, 11, 22, 10, 20, 4, tzinfo=datetime.UTC)


class FixedClock:
    """Always the same instant."""

    def now(self) -> datetime.datetime:
        return NOW


@dataclass
class Site:
    """Where the dashboard is, and the node behind it."""

    url: str
    audit: SimulatedAudit


def chromium_path() -> Path | None:
    """Return this machine's Chromium, if it has one."""
    path = Path(os.environ.get("FIELDPACT_TEST_CHROMIUM", "/usr/bin/chromium"))
    return path if path.exists() else None


@contextmanager
def serving(app: Starlette, listener: socket.socket) -> Iterator[None]:
    """Serve an application on a bound socket, in a thread, until the block ends."""
    # Left to itself, uvicorn would change the loggers of the whole process.
    config = uvicorn.Config(app, log_config=None, ws="none", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def running_site(*, calls: int = 1200, clock: Clock | None = None) -> Iterator[Site]:
    """Run a simulated node and a dashboard that audits it; at `NOW` unless told."""
    clock = clock or FixedClock()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        node, port = (each.getsockname()[1] for each in sockets)
        audit = SimulatedAudit(World(now=clock.now(), calls=calls))
        stack.enter_context(serving(audit.app(), sockets[0]))
        path = write_settings(
            directory, audit, node=f"http://127.0.0.1:{node}", port=port
        )
        app = create_app(read_settings(path), clock=clock, chain=audit.world.chain)
        stack.enter_context(serving(app, sockets[1]))
        yield Site(url=f"http://127.0.0.1:{port}", audit=audit)


@contextmanager
def running_chromium(path: Path) -> Iterator[Browser]:
    """Run a headless Chromium that reaches nothing but this machine."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
