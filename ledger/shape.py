"""Strict readers of JSON values.

Every format of the ledger is read by these: a value is returned exactly as it
came, or refused with the name of the member that is wrong. Nothing is repaired,
trimmed or converted, because what is read here is under somebody's signature.
No message repeats the value.

Spec: `docs/protocols/receipts.md`, section "Values".
"""

import datetime
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar

from crypto.encoding import unb64u
from crypto.errors import Malformed

T = TypeVar("T")
Reader = Callable[[object, str], T]

_TEXT: Final = re.compile(r"[ -~]{1,256}")
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DID: Final = re.compile(r"did:[a-z0-9]{1,16}:[A-Za-z0-9._:%-]{1,200}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")
_ACCOUNT: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_TRANSACTION: Final = re.compile(r"0x[0-9a-f]{64}")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def well_formed(
    value: object,
    readers: Mapping[str, Reader[Any]],
    laws: Callable[[], tuple[tuple[object, str], ...]],
    what: str,
) -> None:
    """Check every attribute of a value, then the laws between them.

    Args:
        readers: How each attribute is read, by its name.
        laws: Whether each law holds, and what it means if it does not. Asked once
            every attribute is known to be of its form.
        what: What the value is, with its article.

    Raises:
        Malformed: An attribute is wrong, or a law is broken.
    """
    for name, read in readers.items():
        read(getattr(value, name), name)
    for holds, law in laws():
        if not holds:
            raise Malformed(f"{what} in which {law}")


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """Return an object, whatever its members."""
    if not isinstance(value, Mapping):
        raise _malformed(what, "must be an object")
    return value


def members(
    value: object,
    required: Collection[str],
    what: str,
    *,
    optional: Collection[str] = (),
) -> Mapping[str, Any]:
    """Return an object that has the required members and no unknown ones."""
    found = mapping(value, what)
    if missing := set(required) - set(found):
        raise _malformed(what, f"lacks {', '.join(sorted(missing))}")
    if set(found) - set(required) - set(optional):
        raise _malformed(what, "has a member that is not defined")
    return found


def constant(value: object, expected: str, what: str) -> None:
    """Check a member that can hold one value only."""
    if value != expected:
        raise _malformed(what, f"must be {expected!r}")


def optional(read: Reader[T]) -> Reader[T | None]:
    """Return a reader that takes null as well."""
    return lambda value, what: None if value is None else read(value, what)


def instance(kind: type[T]) -> Reader[T]:
    """Return a reader of a value that is of a class, and so checked already."""

    def read(value: object, what: str) -> T:
        if not isinstance(value, kind):
            raise _malformed(what, f"must be a {kind.__name__}")
        return value

    return read


def each(read: Reader[T], *, most: int) -> Reader[tuple[T, ...]]:
    """Return a reader of an array of at most `most` values."""

    def array(value: object, what: str) -> tuple[T, ...]:
        if not isinstance(value, list | tuple) or len(value) > most:
            raise _malformed(what, f"must be an array of at most {most}")
        return tuple(read(item, what) for item in value)

    return array


def _matching(pattern: re.Pattern[str], words: str) -> Reader[str]:
    def read(value: object, what: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise _malformed(what, f"must be {words}")
        return value

    return read


text = _matching(_TEXT, "1 to 256 printable ASCII characters")
field_name = _matching(_FIELD, "a lower-case name of at most 64 characters")
did = _matching(_DID, "a DID")
digest = _matching(_DIGEST, "64 lower-case hex digits")
address = _matching(_ADDRESS, "0x and 40 lower-case hex digits")
account = _matching(_ACCOUNT, "0x and 40 hex digits")
transaction = _matching(_TRANSACTION, "0x and 64 lower-case hex digits")


def prose(value: object, what: str) -> str:
    """Read text for people or programs, of any length and script."""
    if not isinstance(value, str) or _SURROGATE.search(value):
        raise _malformed(what, "must be text")
    return value


def scalar(value: object, what: str) -> str | int | bool | None:
    """Read a value that is neither an object nor an array."""
    if value is None or isinstance(value, str | int):
        return value
    raise _malformed(what, "must be text, an integer, true, false or null")


def count(value: object, what: str) -> int:
    """Read an integer from 0 to 2^53-1."""
    if type(value) is not int or not 0 <= value < 2**53:
        raise _malformed(what, "must be an integer from 0 to 2^53-1")
    return value


def instant(value: object, what: str) -> str:
    """Read a time of RFC 3339 in UTC, to the second, with `Z`."""
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            datetime.datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return value
    raise _malformed(what, "must be a time such as 2026-11-22T18:20:00Z")


def names(value: object, what: str) -> tuple[str, ...]:
    """Read an array of at most 256 texts, sorted, each once."""
    found = each(text, most=256)(value, what)
    if list(found) != sorted(set(found)):
        raise _malformed(what, "must be sorted, each once")
    return found


def octets(size: int | None = None) -> Reader[bytes]:
    """Return a reader of base64url without padding, of a known size or any."""

    def read(value: object, what: str) -> bytes:
        try:
            return unb64u(prose(value, what), size)
        except Malformed as error:
            raise _malformed(what, f"is {error}") from None

    return read


def _malformed(what: str, words: str) -> Malformed:
    return Malformed(f"{what} {words}")
