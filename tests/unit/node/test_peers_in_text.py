"""What partners' nodes say in text: read as it comes, and not beyond its bound."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from node.adapters.peers import HttpPeers
from node.errors import Unavailable
from node.ports import TextReply
from tests.unit.ledger import samples

PARTNER = samples.PROVIDER_RECORD
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
async def peers() -> AsyncIterator[HttpPeers]:
    peers = HttpPeers()
    yield peers
    await peers.close()


async def answering(peers: HttpPeers, answer: Answer) -> HttpPeers:
    await peers._client.aclose()
    peers._client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return peers


async def test_text_is_posted_and_read_with_its_status_and_kind(
    peers: HttpPeers,
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.method == "POST"
        assert str(request.url) == "http://127.0.0.1/witness/add-checkpoint"
        assert request.headers["content-type"] == "text/plain; charset=utf-8"
        assert "authorization" not in request.headers
        assert request.content.decode() == "old 0\n\n一\n"
        headers = {"content-type": "text/x.tlog.size; charset=utf-8"}
        return httpx.Response(409, text="12\n", headers=headers)

    await answering(peers, answer)
    reply = await peers.text(PARTNER, "/witness/add-checkpoint", "old 0\n\n一\n")
    assert reply == TextReply(status=409, media="text/x.tlog.size", text="12\n")


async def test_without_a_content_it_is_asked_for(peers: HttpPeers) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        return httpx.Response(200, content="— 一\n".encode())

    await answering(peers, answer)
    reply = await peers.text(PARTNER, "/log/checkpoint")
    assert reply == TextReply(status=200, media="", text="— 一\n")


def _silent(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens", request=request)


@pytest.mark.parametrize(
    "answer",
    [
        _silent,
        lambda _: httpx.Response(200, content=b"x" * (2**18 + 1)),
        lambda _: httpx.Response(200, content=b"\xff\xfe"),
    ],
    ids=["silence", "more than is read", "not UTF-8"],
)
async def test_what_cannot_be_read_is_no_answer(
    peers: HttpPeers, answer: Answer
) -> None:
    await answering(peers, answer)
    with pytest.raises(Unavailable):
        await peers.text(PARTNER, "/log/checkpoint")
