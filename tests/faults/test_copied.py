"""Two nodes with one key: somebody has copied a node's folder and starts it as well.

Real processes, on a real chain. Both write down what they do, each in its own
history, and each of them tries to anchor the next epoch. The contract takes one; the
other finds on the chain what it did not write, and stops disclosing until somebody
has looked. A consumer that comes to the copy names the newest receipt that it holds,
and is refused: the copy does not know it.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.world import agree, fill, names, ready
from examples import processes
from examples.desk import Desk, Refused
from examples.federation import Federation, configure
from tests.support.federation import running
from tests.support.servers import free_port

pytestmark = pytest.mark.slow
WITHIN_S = 240.0
COPY = "copy"
SUMMARY = "/audit/summary?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    with running(tmp_path, "provider", "consumer", chain=True) as made:
        yield made


def agreed(federation: Federation) -> str:
    """Publish and agree; return the agreement's id."""
    provider, consumer = (federation.nodes[key] for key in ("provider", "consumer"))
    provider.desk.publish(fill(federation.folder / "crm.sqlite", 4))
    agreement = agree(provider, consumer)
    consumer.desk.declare(agreement, names(4))
    ready(provider, agreement)
    return agreement


@contextmanager
def copied(federation: Federation) -> Iterator[Desk]:
    """Copy the folder of the provider, whose node was cut off; start both."""
    original = federation.nodes["provider"]
    federation.supervisor.kill("provider")
    folder = federation.folder / COPY
    shutil.copytree(original.folder, folder)
    settings = configure(folder, listen=f"127.0.0.1:{free_port()}")
    federation.start("provider")
    federation.await_ready("provider")
    command = processes.node(settings=folder / "node.yaml")
    federation.supervisor.start(COPY, command, {})
    with closing(Desk(settings)) as desk:
        federation.wait(COPY, lambda: answers(desk))
        yield desk


def answers(desk: Desk) -> bool:
    """Tell whether a node is there; one that has stopped disclosing is not ready."""
    try:
        desk.get("/audit/alarms")
    except Exception:  # noqa: BLE001  # not yet
        return False
    return True


def stopped(desk: Desk) -> list[str]:
    """Return the alarms that have stopped a node's log."""
    codes = (each["code"] for each in desk.get("/audit/alarms")["items"])
    return [code for code in codes if code.startswith("log.")]


def until(holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + WITHIN_S
    while not (found := holds()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.2)
    return found


def test_of_two_nodes_with_one_key_the_chain_stops_one(federation: Federation) -> None:
    agreement = agreed(federation)
    provider, consumer = (federation.nodes[key] for key in ("provider", "consumer"))
    until(lambda: provider.desk.get(SUMMARY)["anchor"])
    assert consumer.desk.ask(agreement, ["C0"], ("project_stage",))["verified"]
    with copied(federation) as copy:
        assert consumer.desk.ask(agreement, ["C1"], ("project_stage",))["verified"]
        found = until(lambda: stopped(provider.desk) + stopped(copy))
        assert set(found) <= {"log.chain_ahead", "log.chain_different", "log.forked"}
        # Whoever was stopped discloses nothing any more.
        lost = [desk for desk in (provider.desk, copy) if stopped(desk)]
        assert not any(desk.is_ready() for desk in lost)
        if provider.desk in lost:
            with pytest.raises(Refused, match=r"log\.stopped"):
                consumer.desk.ask(agreement, ["C2"], ("project_stage",))
