"""The command line of every process of a running Fieldpact.

One list, used three times: the demo starts these processes on loopback, CI
starts them the same way, and a test holds docker-compose.yml to them. So no
command stands in a container that has not run as a plain process.

A function gives the words of one command. What differs between two companies
is an argument: the settings file, the port, the data directory.
"""

import sys
from pathlib import Path


def chain(*, path: Path, port: int, host: str = "127.0.0.1") -> list[str]:
    """Give the embedded chain: py-evm in the folder `path`, JSON-RPC on `port`.

    It listens on loopback. Another `host` has to be meant: whoever can reach the
    chain can fill its disk.
    """
    command = [sys.executable, "-m", "ledger.evm"]
    command += ["--path", str(path), "--port", str(port)]
    if host != "127.0.0.1":
        command += ["--host", host, "--allow-remote"]
    return command


def contract(*, chain: str, settings: Path) -> list[str]:
    """Give the command that creates the anchor contract, unless it is there; it ends.

    Args:
        chain: Address of the chain's JSON-RPC.
        settings: Of the node whose account creates it.
    """
    words = ["deploy-contract", chain, "--settings", str(settings)]
    return [sys.executable, "-m", "node", *words]


def registry(*, founders: Path, settings: Path) -> list[str]:
    """Give the command that creates the registry of participants; as `contract`.

    Args:
        founders: File with the first members' records.
        settings: Of the node whose account creates it.
    """
    words = ["consortium", "create", "--founder", str(founders)]
    return [sys.executable, "-m", "node", *words, "--settings", str(settings)]


def register(*, settings: Path) -> list[str]:
    """Give the command that registers a node's keys, unless they are; it ends."""
    words = ["consortium", "keys", "--settings", str(settings)]
    return [sys.executable, "-m", "node", *words]


def node(*, settings: Path) -> list[str]:
    """Give one company's node: its API and its background worker."""
    return [sys.executable, "-m", "node", "serve", "--settings", str(settings)]


def dashboard(*, settings: Path) -> list[str]:
    """Give one company's dashboard, a process of its own."""
    return [sys.executable, "-m", "dashboard", "--settings", str(settings)]


def opa(*, port: int, binary: str = "opa", host: str = "127.0.0.1") -> list[str]:
    """Give the policy server, which a node may use instead of its own engine."""
    return [
        binary,
        "run",
        "--server",
        f"--addr={host}:{port}",
        "--disable-telemetry",
    ]
