"""Run the embedded chain: `python -m ledger.evm --path DIR --port N`.

One line on standard output says that it is ready and where. Everything else goes
to standard error. SIGTERM and SIGINT end it, SIGKILL too, and nothing is lost.
"""

import argparse
import ipaddress
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import uvicorn

from ledger.evm.chain import EmbeddedChain
from ledger.evm.server import application
from ledger.evm.transactions import CHAIN_ID

LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ledger.evm")
    parser.add_argument("--path", type=Path, required=True, help="folder of the chain")
    parser.add_argument("--port", type=int, required=True, help="0 picks a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="listen where others can reach it: whoever can, can fill the disk",
    )
    arguments = parser.parse_args(given)
    if not arguments.allow_remote and not _is_loopback(arguments.host):
        parser.error(f"{arguments.host} is not loopback; add --allow-remote to mean it")
    return arguments


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main(given: Sequence[str] | None = None) -> None:
    """Open the chain, listen, say so, and serve until told to stop."""
    arguments = _arguments(given)
    arguments.path.mkdir(parents=True, exist_ok=True)
    family = socket.AF_INET6 if ":" in arguments.host else socket.AF_INET
    address = (arguments.host, arguments.port)
    for ending in (signal.SIGTERM, signal.SIGINT):
        # uvicorn answers what it has begun, and then hands the signal on to us.
        signal.signal(ending, lambda *_: sys.exit(0))
    with (
        closing(_open(arguments.path)) as chain,
        socket.create_server(address, family=family) as listening,
    ):
        host, port = listening.getsockname()[:2]
        where = f"[{host}]" if family == socket.AF_INET6 else host
        sys.stdout.write(f"ready http://{where}:{port} chain {CHAIN_ID}\n")
        sys.stdout.flush()
        app = application(chain, hosts=["*"] if arguments.allow_remote else LOOPBACK)
        config = uvicorn.Config(
            app, lifespan="off", log_level="warning", access_log=False
        )
        uvicorn.Server(config).run(sockets=[listening])


def _open(folder: Path) -> EmbeddedChain:
    try:
        return EmbeddedChain(
            folder / "chain.sqlite",
            clock=lambda: int(time.time()),  # noqa: TID251 -- this is where it enters
        )
    except sqlite3.OperationalError as error:
        sys.exit(f"{folder}: {error}; is another process using it?")


if __name__ == "__main__":
    main()
