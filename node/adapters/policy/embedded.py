"""The policies evaluated in this process, by regopy (rego-cpp).

The modules are compiled once and asked about one question at a time, on one
thread of their own: the library does not say that it is thread-safe, and it
lets go of the interpreter lock while it works, so the event loop goes on.

What regopy does that must be known here:

* A question goes in as JSON text. `Input(value)` looks handier, but wraps
  integers at 64 bits, cuts text at a NUL and breaks on a quotation mark.
* An evaluation error comes back as an output that is not `ok`, not as an exception.
* Undefined comes back as an output without expressions.
* `query()` merges all data on every call; `build()` once and
  `query_bundle_entrypoint` do not.
"""

import asyncio
import importlib.metadata
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from node.adapters.policy.answer import PolicyFault
from node.adapters.policy.bundle import Bundle
from node.adapters.policy.engine import PolicyEngine
from node.adapters.policy.library import Interpreter, RegoError
from node.adapters.policy.selftest import selftest
from node.errors import Unavailable

_ENTRYPOINT = "fieldpact/decision/result"
_NAME = f"regopy/{importlib.metadata.version('regopy')}"


class EmbeddedEngine(PolicyEngine):
    """regopy, in process."""

    def __init__(self, bundle: Bundle, *, timeout_s: float = 2.0) -> None:
        super().__init__(bundle, timeout_s=timeout_s)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="policy")
        self._compiled: _Compiled | None = None
        self._tested = False

    @property
    def name(self) -> str:
        """Return the engine's name and version, for receipts."""
        return _NAME

    async def __aenter__(self) -> Self:
        """Compile the policies.

        Raises:
            Unavailable: They do not compile.
        """
        loop = asyncio.get_running_loop()
        try:
            self._compiled = await loop.run_in_executor(
                self._thread, _Compiled, self.bundle.modules
            )
        except RegoError as error:
            detail = f"The policies do not compile: {str(error)[:400]}"
            raise Unavailable("policy.compile", detail) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the thread once it is idle."""
        self._compiled = None
        self._thread.shutdown(wait=False)

    async def ready(self) -> None:
        """Run the pinned corpus, once: what is compiled does not change.

        Raises:
            Unavailable: A pinned case is decided differently.
        """
        if not self._tested:
            await selftest(self)
            self._tested = True

    async def _ask(self, question: Mapping[str, Any]) -> object:
        if self._compiled is None:
            raise PolicyFault("policy.unavailable")
        text = json.dumps(question, separators=(",", ":"))  # blanks take time to read
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._compiled.ask, text)


class _Compiled:
    """The compiled policies. Made and used on one thread."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._interpreter = Interpreter()
        self._interpreter.strict_built_in_errors = True
        for path, text in modules.items():
            self._interpreter.add_module(path, text)
        self._plan = self._interpreter.build(None, [_ENTRYPOINT])

    def ask(self, text: str) -> object:
        try:
            self._interpreter.set_input_term(text)  # raises before an old one is used
            output = self._interpreter.query_bundle_entrypoint(self._plan, _ENTRYPOINT)
        except (RegoError, ValueError):
            raise PolicyFault("policy.builtin_error") from None
        if not output.ok():
            raise PolicyFault("policy.builtin_error")
        if not output.results or not output[0].expressions:
            raise PolicyFault("policy.undefined")
        return output[0].expressions[0]
