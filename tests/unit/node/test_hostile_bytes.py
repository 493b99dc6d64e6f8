"""What a stranger can send must not end the process or read as anything else.

py-evm and py_ecc raise the interpreter's recursion limit for the whole process, and
Python's JSON parser relies on that limit: deep nesting would end a node that has a
chain. So these tests run in a process with the limit raised as they do.
"""

import subprocess
import sys

import pytest

from tests.support import REPOSITORY

_RAISED = "import sys; sys.setrecursionlimit(100_000)\n"
_BODY = """
import asyncio, httpx
from node.api.app import create_app

async def main():
    transport = httpx.ASGITransport(app=create_app(None, {}))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        headers = {"content-type": "application/json"}
        for path in ("/views/projects/query", "/agreements/a/customers",
                     "/management/datasets"):
            for opening in (b"[", b'{"a":', b'["[",'):
                for length in (65, 10_000, 200_000):
                    reply = await client.post(
                        path, content=opening * length, headers=headers
                    )
                    code = reply.json()["code"]
                    assert code in {"request.malformed", "body.too_large"}, code
                    assert "large" not in code or length == 200_000
asyncio.run(main())
"""
_TOKEN = """
import base64
from pathlib import Path
from crypto.keys import Ed25519Key
from node.adapters.identity import RegistryIdentity

key = Ed25519Key.from_bytes(bytes(32))
identity = RegistryIdentity(Path("/nowhere"), did="did:web:a", signer=key, clock=None)
nested = base64.urlsafe_b64encode(b"[" * 300_000).decode()
for token in (f"{nested}.e30.AA", f"eyJhbGciOiJFZERTQSJ9.{nested}.AA", nested):
    caller = identity.authenticate(token, bound_to="", agreement=None)
    assert caller.problem == "token.malformed", caller
"""
_REPLY = """
import asyncio, httpx
from node.adapters.peers import HttpPeers
from node.errors import Unavailable
from ledger.participants import Participant

async def main():
    peers = HttpPeers()
    peers._client = httpx.AsyncClient(transport=httpx.MockTransport(
        lambda _: httpx.Response(200, content=b"[" * 200_000)))
    partner = Participant(did="did:web:b", name={}, url="http://b", keys={},
                          chain_address="")
    try:
        await peers.get(partner, "/")
    except Unavailable as error:
        assert error.code == "partner.unavailable"
    else:
        raise AssertionError
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "script", [_BODY, _TOKEN, _REPLY], ids=["body", "token", "reply"]
)
def test_nested_bytes_of_a_stranger_do_not_end_the_process(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RAISED + script],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
