"""Chains for tests: in memory of this process, as a process, or lying."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import Address

from crypto.keys import Secp256k1Key
from ledger.contracts import anchors
from ledger.evm.chain import EmbeddedChain, Mined, Reverted
from ledger.evm.rpc import answer
from ledger.evm.transactions import CHAIN_ID, Message
from ledger.evm.wire import receipt
from tests.support.servers import _listens, free_port, running

ZERO = bytes(32)
MEMORY = Path(":memory:")
"""What SQLite takes for a file that is none; nothing waits for a disk."""

Arguments = tuple[int, bytes, bytes]
"""Of `anchor`: epoch, commitment, previous."""


def ticking(start: int = 1_800_000_000) -> Callable[[], int]:
    """Return a clock that is a second later at each look."""
    seconds = count(start)
    return lambda: next(seconds)


def secret(number: int) -> bytes:
    """Return the secret key of a member that only tests know."""
    return number.to_bytes(32, "big")


def member_key(number: int) -> Secp256k1Key:
    """Return a member's key handle."""
    return Secp256k1Key.from_bytes(secret(number))


class Member:
    """An account that signs by itself, independently of `ledger.chain`."""

    def __init__(self, number: int, chain_id: int = CHAIN_ID) -> None:
        self._account: LocalAccount = Account.from_key(secret(number))
        self._chain_id = chain_id
        self.address = bytes.fromhex(self._account.address[2:])
        self.nonce = 0

    def sign(self, data: bytes, to: bytes = b"", **changed: object) -> bytes:
        """Return a raw transaction with this member's next nonce."""
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": self.nonce,
            "gas": 500_000,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
            "to": to,
            "value": 0,
            "data": data,
        }
        fields |= changed
        if "nonce" not in changed:
            self.nonce += 1
        return bytes(self._account.sign_transaction(fields).raw_transaction)


def anchor_call(epoch: int, commitment: bytes, previous: bytes) -> bytes:
    """Return the call data of `anchor`."""
    words = (epoch.to_bytes(32, "big"), commitment, previous)
    return anchors().selectors["anchor"] + b"".join(words)


@contextmanager
def opened(
    path: Path = MEMORY, clock: Callable[[], int] | None = None
) -> Iterator[EmbeddedChain]:
    """Open an embedded chain in this process, on no disk unless one is named."""
    with closing(EmbeddedChain(path, clock=clock or ticking())) as chain:
        yield chain


@contextmanager
def serving(say: Callable[[bytes], Any]) -> Iterator[str]:
    """Answer HTTP POSTs with a function; bytes are sent as they are, else as JSON."""
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with one_at_a_time:
                said = say(body)
            sent = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    server.block_on_close = False
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


Tamper = Callable[[str, Any], Any]
"""Takes a method and what the chain answered; returns what is said instead."""


@contextmanager
def node(chain: EmbeddedChain, tamper: Tamper | None = None) -> Iterator[str]:
    """Serve an open chain over HTTP from this process, perhaps not honestly."""

    def say(body: bytes) -> object:
        said = answer(chain, body)
        return tamper(json.loads(body)["method"], said) if tamper else said

    with serving(say) as url:
        yield url


@contextmanager
def process(path: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `python -m ledger.evm` on a free port; give its URL and the process."""
    command = [sys.executable, "-W", "error", "-m", "ledger.evm", "--path", str(path)]
    with subprocess.Popen(
        [*command, "--port", "0", *options], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            word, url, *_ = running.stdout.readline().split()
            assert word == "ready"
            yield url, running
        finally:
            running.terminate()


class Contract:
    """The anchor contract on a chain, called without any client.

    Args:
        chain: Where it is deployed, by member 1.
    """

    def __init__(self, chain: EmbeddedChain) -> None:
        self.chain = chain
        self.deployed = self.mine(Member(1).sign(anchors().bytecode))
        made = receipt(self.deployed, [])["contractAddress"]
        self.address = Address(bytes.fromhex(made[2:]))

    def mine(self, raw: bytes) -> Mined:
        """Send a transaction and return what came of it."""
        mined = self.chain.mined(self.chain.send(raw))
        assert mined is not None
        return mined

    def anchor(self, member: Member, *arguments: *Arguments) -> Mined:
        """Anchor as a member; a refusal is mined, with status 0."""
        return self.mine(member.sign(anchor_call(*arguments), self.address))

    def refusal(self, member: Member, *arguments: *Arguments) -> str:
        """Return the contract's reason for refusing an anchor."""
        call = Message(
            Address(member.address), self.address, anchor_call(*arguments), 200_000
        )
        try:
            self.chain.call(call, self.chain.header())
        except Reverted as refused:
            return str(refused).removeprefix("execution reverted: ")
        return ""

    def view(self, function: str, member: Member, *numbers: int) -> bytes:
        """Call a view function and return its word."""
        words = (member.address, *(n.to_bytes(32, "big") for n in numbers))
        data = anchors().selectors[function] + b"".join(
            w.rjust(32, b"\0") for w in words
        )
        call = Message(Address(bytes(20)), self.address, data, 200_000)
        return self.chain.call(call, self.chain.header())


FREE_GAS = ("--gas-price", "0", "--base-fee", "0")


@contextmanager
def anvil(
    program: str, path: Path, *options: str, port: int = 0, free: bool = True
) -> Iterator[str]:
    """Run a real node; give its URL.

    Args:
        program: Path of anvil.
        path: Folder for its log.
        options: More of its options.
        port: To listen on; 0 for any.
        free: Whether gas is free, as it would be in a consortium.
    """
    port = port or free_port()
    command = [program, "--port", str(port), "--silent", "--hardfork", "london"]
    command += [*(FREE_GAS if free else ()), *options]
    with running(command, ready=_listens(port), log=path / "anvil.log"):
        yield f"http://127.0.0.1:{port}"
