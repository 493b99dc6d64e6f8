"""The policies evaluated by an OPA server, reached with opa-python-client.

The node uploads its policies, checks that the server holds exactly their bytes,
and adds one generated module, the *stamp*, which returns every decision together
with the revision. A server that was restarted, or that another version of the
node has used since, thus cannot answer from other policies unnoticed; one file
replaced behind the node's back is noticed by the next `ready`. A server that
`ready` found to be wrong is not asked again until it is right.

What the client does that must be known here:

* Undefined comes back as `{}`. A missing `result` is a denial.
* Its default `retries` repeats deterministic errors for a second: 0 here.
* Without `rego_compat=False` it may rewrite a policy before uploading it.
* Paths are put into the URL unquoted, so they are constants.
* It follows redirects to any host, and takes what it finds for an answer.
* It works only inside `async with`, and its errors share no base class.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlsplit

from opa_client.opa_async import AsyncOpaClient

from node.adapters.policy.answer import PolicyFault
from node.adapters.policy.bundle import Bundle
from node.adapters.policy.engine import PolicyEngine
from node.adapters.policy.selftest import selftest
from node.errors import Unavailable

_UPLOAD_TIMEOUT_S = 10.0
_OURS = "fieldpact/"
_STAMP = _OURS + "stamp.rego"
_STAMP_TEXT = """package fieldpact.stamp

answer := {{"revision": "{revision}", "result": data.fieldpact.decision.result}}
"""


class OpaServer(PolicyEngine):
    """An OPA server. Whoever else can write to its API can change decisions.

    Args:
        bundle: The policies that decide.
        url: `http://host:port` or `https://host:port`, without a path.
        token: Bearer token for OPA's API, if it asks for one.
        timeout_s: Longest time one decision may take, in seconds.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        url: str,
        token: str | None = None,
        timeout_s: float = 2.0,
    ) -> None:
        super().__init__(bundle, timeout_s=timeout_s)
        self._client = _client(url, token, timeout_s)
        self._texts = {_OURS + path: text for path, text in bundle.modules.items()}
        self._texts[_STAMP] = _STAMP_TEXT.format(revision=bundle.revision)
        self._version = "unknown"
        self._tested: str | None = None
        self._trusted = True
        self._preparing = asyncio.Lock()

    @property
    def name(self) -> str:
        """Return the engine's name and version, for receipts."""
        return f"opa/{self._version}"

    async def __aenter__(self) -> Self:
        """Open the connection pool; nothing is sent yet."""
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._client.close_connection()

    async def ready(self) -> None:
        """Make the server hold exactly our policies, and decide as pinned.

        Raises:
            Unavailable: It does not answer, does not hold them after an upload,
                or decides a pinned case differently.
        """
        async with self._preparing:
            try:
                await self._prepare()
            except Unavailable:
                self._trusted = False  # it is up, and it is not ours
                raise
            except Exception as error:  # the client's errors share no base class
                detail = f"OPA did not take the policies: {error!r:.200}."
                raise Unavailable("policy.unavailable", detail) from error

    async def _prepare(self) -> None:
        labels = (await self._client.get_config())["result"]["labels"]
        self._version = labels["version"]
        if await self._held() != self._texts:
            self._tested = None
            await self._upload()
            if await self._held() != self._texts:
                detail = "OPA holds other policies in the package fieldpact than ours."
                raise Unavailable("policy.revision", detail)
        self._trusted = True
        if self._tested != labels["id"]:
            await selftest(self)
            self._tested = labels["id"]

    async def _held(self) -> dict[str, str]:
        """Return the server's modules that belong to us or extend our packages."""
        held = {}
        for policy_id in await self._client.get_policies_list():
            module = (await self._client.get_policy(policy_id))["result"]
            package = [part["value"] for part in module["ast"]["package"]["path"]]
            if policy_id.startswith(_OURS) or package[1:2] == ["fieldpact"]:
                held[policy_id] = module["raw"]
        return held

    async def _upload(self) -> None:
        # The stamp goes first and comes last: there is no decision without it,
        # so none is made by a mixture of old and new modules.
        held = [path for path in await self._held() if path.startswith(_OURS)]
        for path in sorted(held, key=lambda path: path != _STAMP):
            await self._client.delete_policy(path)
        for path, text in self._texts.items():
            await self._client.update_policy_from_string(text, path, rego_compat=False)

    async def _ask(self, question: Mapping[str, Any]) -> object:
        if not self._trusted:
            raise PolicyFault("policy.revision")
        try:
            reply = await self._client.query_rule(
                question,
                "fieldpact/stamp",
                "answer",
                query_params={"strict-builtin-errors": "true"},
            )
        except TimeoutError:
            raise
        except Exception as error:  # the client's errors share no base class
            raise PolicyFault(_code(error)) from error
        return self._unstamped(reply)

    def _unstamped(self, reply: object) -> object:
        match reply:
            case {"result": {"revision": revision, "result": result}}:
                if revision != self.bundle.revision:
                    raise PolicyFault("policy.revision")
                return result
            case dict() if "result" not in reply:
                raise PolicyFault("policy.undefined")
            case _:
                raise PolicyFault("policy.malformed")


class _Client(AsyncOpaClient):  # type: ignore[misc]  # the package has no types
    """The client, told to take decisions from the server it was given only."""

    @asynccontextmanager
    async def _request(self, method: str, url: str, **more: Any) -> AsyncIterator[Any]:
        asks = method == "POST"  # OPA itself sends on what manages its policies
        more["allow_redirects"] = not asks
        async with super()._request(method, url, **more) as response:
            if asks and 300 <= response.status < 400:
                raise ConnectionError("the policy server sends us elsewhere")
            yield response


def _client(url: str, token: str | None, timeout_s: float) -> AsyncOpaClient:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or parts.path.strip("/") or parts.query:
        message = f"an OPA server's address is http(s)://host:port, not {url!r}"
        raise ValueError(message)
    host = parts.hostname or "localhost"
    return _Client(
        host=f"[{host}]" if ":" in host else host,
        port=parts.port or 8181,
        ssl=parts.scheme == "https",
        token=token,
        retries=0,
        timeout=max(timeout_s, _UPLOAD_TIMEOUT_S),
    )


def _code(error: Exception) -> str:
    """Name what went wrong: by HTTP status if there was one, else by kind."""
    status = getattr(error, "status", None)
    if status == 500:  # how OPA reports a conflict or a failed builtin
        return "policy.builtin_error"
    if status == 200 or isinstance(error, ValueError):  # an answer, but not JSON
        return "policy.malformed"
    return "policy.unavailable"
