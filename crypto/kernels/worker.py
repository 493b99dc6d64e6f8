"""What runs in a worker process: one kernel after another.

A call names a kernel and brings octets. Octets that many calls need, such as a key,
are *shared*: a call may bring their SHA-256 alone, and a worker that does not hold them
says so; the call comes again with the octets, and the worker keeps them for the next.

What a kernel refuses is handed back as a value. So whatever carries the calls
(`node.adapters.compute`) needs to know nothing of errors, and an error that it raises
itself is one of its own.
"""

import importlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from types import FunctionType
from typing import Any, Final, TypeAlias

from crypto import bfv, errors
from crypto.encoding import sha256
from crypto.errors import CryptoError, Invalid

PACKAGE: Final = "crypto.kernels."
MOST: Final = 256 * 1024 * 1024
"""Octets that a worker keeps for calls to come; the oldest go first."""
_FAULTS: Final[dict[str, type[CryptoError]]] = {
    each.__name__: each
    for each in (
        errors.Malformed,
        errors.Invalid,
        errors.InvalidSignature,
        errors.InvalidProof,
        bfv.Exhausted,
    )
}


@dataclass(frozen=True, slots=True)
class Named:
    """Shared octets in a call.

    Attributes:
        digest: Their SHA-256.
        octets: None where the worker is thought to have them. They may be a key, and
            stand in no log of whatever carries the call.
    """

    digest: bytes
    octets: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: exactly one of the three is there.

    Attributes:
        octets: What the kernel returned.
        lacking: Shared octets that were not there; nothing was computed.
        fault: Name and message of the `CryptoError` that the kernel raised.
    """

    octets: bytes | None = field(default=None, repr=False)
    lacking: tuple[bytes, ...] = ()
    fault: tuple[str, str] | None = None


Argument: TypeAlias = bytes | Named


class _Shelf:
    """Shared octets by digest, in order of their last use."""

    def __init__(self) -> None:
        self._held: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def take(self, named: Named) -> bytes | None:
        """Return octets, None if they are not here; keep those that were brought.

        The same object is returned each time, so that what parsers cache by octets
        is found without comparing them.

        Raises:
            ValueError: They are not those that the digest names.
        """
        with self._lock:
            if (found := self._held.get(named.digest)) is not None:
                self._held.move_to_end(named.digest)
                return found
        if named.octets is None:
            return None
        if sha256(named.octets) != named.digest:
            raise ValueError("shared octets under the digest of others")
        with self._lock:
            kept = self._held.setdefault(named.digest, named.octets)
            if kept is named.octets:
                self._size += len(kept)
            while self._size > MOST and len(self._held) > 1:
                self._size -= len(self._held.popitem(last=False)[1])
            return kept


_shelf: Final = _Shelf()


def run(kernel: str, arguments: Sequence[Argument]) -> Outcome:
    """Run a kernel on octets.

    Args:
        kernel: As `name_of` gives it.

    Raises:
        ValueError: Not a kernel, or shared octets that are not what they are called.
    """
    function = _found(kernel)
    given = [
        each if isinstance(each, bytes) else _shelf.take(each) for each in arguments
    ]
    if lacking := tuple(
        each.digest
        for each, octets in zip(arguments, given, strict=True)
        if isinstance(each, Named) and octets is None
    ):
        return Outcome(lacking=lacking)
    try:
        return Outcome(octets=function(*given))
    except CryptoError as error:
        name = type(error).__name__
        return Outcome(fault=(name if name in _FAULTS else "Invalid", str(error)))


def result_of(outcome: Outcome) -> bytes:
    """Return what a kernel returned, or raise what it raised.

    Raises:
        CryptoError: The kernel's.
    """
    if outcome.fault is not None:
        name, message = outcome.fault
        raise _FAULTS.get(name, Invalid)(message)
    if outcome.octets is None:
        raise ValueError("nothing was computed")
    return outcome.octets


def name_of(kernel: Callable[..., Any]) -> str:
    """Return the name under which a worker finds a kernel.

    Raises:
        ValueError: Not a public function of a module of `crypto.kernels`.
    """
    name = f"{kernel.__module__}:{kernel.__qualname__}"
    if _found(name) is not kernel:
        raise ValueError(f"{name} is not what a worker would run")
    return name


def _found(name: str) -> Callable[..., bytes]:
    module, _, function = name.partition(":")
    if not module.startswith(PACKAGE) or function.startswith("_"):
        raise ValueError(f"{name} is no kernel: workers run `crypto.kernels` only")
    found = getattr(importlib.import_module(module), function, None)
    if not isinstance(found, FunctionType) or found.__module__ != module:
        raise ValueError(f"{name} is no kernel: there is no such function")
    return found
