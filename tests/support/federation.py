"""Real nodes as processes, for tests: made, started, pinned; ended with the block.

    with running(tmp_path, "central", "east", environment={...}) as federation:
        central = federation.nodes["central"]
        central.desk.publish(file)

Each stands behind a tap, so a test can look at every byte between them, and
`federation.supervisor.kill` is a power cut.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from examples.federation import Federation, federation
from tests.support.servers import free_port


@contextmanager
def running(
    folder: Path,
    *names: str,
    chain: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Federation]:
    """Run nodes that know each other.

    Args:
        folder: An empty folder.
        names: Of the nodes.
        chain: Whether they anchor on a chain.
        environment: Variables for all of them, for what their datasets name.
    """
    ports = [free_port() for _ in range(2 * len(names) + 1)]
    with federation(folder) as made:
        if chain:
            made.start_chain(ports.pop())
        for name in names:
            made.add(
                name,
                {"en": name, "zh": name},
                address=ports.pop(),
                port=ports.pop(),
                environment=environment or {},
            )
        made.pin()
        made.start(*names)
        made.await_ready(*names)
        yield made
