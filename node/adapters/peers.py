"""Calls to partners' nodes, over HTTP."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import httpx

from crypto.encoding import parse_json
from crypto.errors import Malformed
from ledger.participants import Participant
from node.errors import BadRequest, Unavailable
from node.ports import BytesReply, Reply, TextReply

_LARGEST_BYTES = 64 * 2**20
_LARGEST_OCTETS = 256 * 2**20
_LARGEST_TEXT = 2**18
_OCTETS = "application/octet-stream"
_PLAIN = "text/plain; charset=utf-8"


def believed(authorities: Path | None) -> ssl.SSLContext | bool:
    """Return what httpx verifies servers by.

    Raises:
        BadRequest: The file holds no certificates.
    """
    if authorities is None:
        return True
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        detail = f"authorities: {authorities} holds no certificates in PEM."
        raise BadRequest("settings.invalid", detail) from error


class HttpPeers:
    """Implements `node.ports.Peers`. Follows no redirects, retries nothing.

    Args:
        authorities: PEM file of the certificate authorities to believe; the
            public ones without it.

    Raises:
        BadRequest: The file holds no certificates.
    """

    def __init__(
        self, authorities: Path | None = None, *, timeout_s: float = 30.0
    ) -> None:
        self._client = httpx.AsyncClient(
            timeout=timeout_s, trust_env=False, verify=believed(authorities)
        )

    async def post(
        self, participant: Participant, path: str, body: Any, *, token: str
    ) -> Reply:
        """Post JSON. A refusal is a reply; silence raises `Unavailable`."""
        headers = {"Authorization": f"Bearer {token}"}
        return await self._send(participant, "POST", path, headers=headers, json=body)

    async def exchange(
        self,
        participant: Participant,
        path: str,
        content: bytes,
        *,
        token: str,
        timeout_s: float,
    ) -> BytesReply:
        """Post octets. A refusal is a reply; silence raises `Unavailable`."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": _OCTETS}
        more = {"headers": headers, "content": content, "timeout": timeout_s}
        try:
            status, octets = await self._streamed(
                participant, "POST", path, _LARGEST_OCTETS, **more
            )
        except httpx.HTTPError as error:
            detail = f"The node of {participant.did} did not answer."
            raise Unavailable("partner.unavailable", detail) from error
        return BytesReply(status=status, content=octets)

    async def get(self, participant: Participant, path: str) -> Reply:
        """Get what everybody may read. Silence raises `Unavailable`."""
        return await self._send(participant, "GET", path)

    async def text(
        self, participant: Participant, path: str, content: str | None = None
    ) -> TextReply:
        """Get a text that everybody may read, or post one. Silence as above."""
        method = "GET" if content is None else "POST"
        headers = {} if content is None else {"Content-Type": _PLAIN}
        url, read = f"{participant.url}{path}", bytearray()
        try:
            async with self._client.stream(
                method, url, headers=headers, content=content
            ) as response:
                async for chunk in response.aiter_bytes():
                    read += chunk
                    if len(read) > _LARGEST_TEXT:
                        detail = f"{participant.did} sent more than is read."
                        raise Unavailable("partner.too_large", detail)
            answered = bytes(read).decode()
        except (httpx.HTTPError, UnicodeDecodeError) as error:
            detail = f"The node of {participant.did} did not answer in text."
            raise Unavailable("partner.unavailable", detail) from error
        media = response.headers.get("content-type", "").partition(";")[0].strip()
        return TextReply(status=response.status_code, media=media, text=answered)

    async def _send(
        self, participant: Participant, method: str, path: str, **more: Any
    ) -> Reply:
        try:
            status, content = await self._streamed(
                participant, method, path, _LARGEST_BYTES, **more
            )
            body = await asyncio.to_thread(parse_json, content)
        except (httpx.HTTPError, Malformed) as error:
            detail = f"The node of {participant.did} did not answer in JSON."
            raise Unavailable("partner.unavailable", detail) from error
        return Reply(status=status, body=body)

    async def _streamed(
        self, participant: Participant, method: str, path: str, most: int, **more: Any
    ) -> tuple[int, bytes]:
        """Return status and body, of which no more than `most` bytes are read."""
        url, content = f"{participant.url}{path}", bytearray()
        async with self._client.stream(method, url, **more) as response:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > most:
                    detail = f"{participant.did} sent more than is read."
                    raise Unavailable("partner.too_large", detail)
        return response.status_code, bytes(content)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
