"""One canonical form for everything that is signed or hashed.

Two parties agree on a signature only if they agree on every byte below it.
Values are therefore written as JCS (RFC 8785), the canonical form of JSON,
narrowed to what survives every JSON library: no floating point numbers, no
integers beyond 2^53-1, text in Unicode normalisation form C.

Text that is not in form C is *refused*, never repaired: a verifier that
repaired it would accept a signature over one text while holding another.
Normalise where text enters the system.

What is signed or hashed also says what it is: `tagged` prefixes the thing's
name, so that a receipt can never be passed off as an agreement.

Sources: RFC 8785 (JCS), RFC 4648 section 5 (base64url), Unicode UAX #15.
"""

import base64
import binascii
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Final, NoReturn

import rfc8785

from crypto.errors import Malformed

_MAX_DEPTH: Final = 64
_THING: Final = re.compile(r"[a-z]+(-[a-z]+)*")
_B64U: Final = re.compile(r"[A-Za-z0-9_-]*")
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def sha256(*parts: bytes) -> bytes:
    """Hash the concatenation of `parts` with SHA-256."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def tagged(thing: str, data: bytes) -> bytes:
    """Prefix `data` with what it is: ``fieldpact/<thing>/1``, NUL, data.

    Args:
        thing: Name of a format, lower-case words joined by hyphens.
        data: The canonical bytes of one value of that format.
    """
    if not _THING.fullmatch(thing):
        message = f"{thing!r} is not the name of a thing"
        raise ValueError(message)
    return f"fieldpact/{thing}/1\x00".encode() + data


def b64u(data: bytes) -> str:
    """Write bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64u(text: str, size: int | None = None) -> bytes:
    """Read base64url without padding; the inverse of `b64u` and of nothing else.

    Args:
        text: Exactly what `b64u` would write: no padding, no white space, and
            unused bits of the last character zero.
        size: The number of bytes there must be, if it is known.

    Raises:
        Malformed: `text` is anything else.
    """
    if not _B64U.fullmatch(text):
        raise Malformed("not base64url without padding")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise Malformed("not base64url: impossible length") from error
    if b64u(data) != text:
        raise Malformed("not base64url: stray bits after the last byte")
    if size is not None and len(data) != size:
        message = f"expected {size} bytes, got {len(data)}"
        raise Malformed(message)
    return data


def canonical(value: object) -> bytes:
    """Write a JSON value in its one canonical form (RFC 8785, narrowed).

    Args:
        value: None, bool, int, str, and lists, tuples and dicts of them.

    Raises:
        Malformed: A float, an integer beyond ±(2^53-1), text that is not in
            form C or not Unicode, a key that is not text, another type, or
            more than 64 levels.
    """
    _check(value, _MAX_DEPTH)
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except ValueError as error:
        raise Malformed("the value has no canonical form") from error


def parse_json(data: bytes) -> object:
    """Read JSON that has a canonical form, however it is spaced and ordered.

    Raises:
        Malformed: Not UTF-8, not JSON, a name twice in one object, a float,
            or anything else that `canonical` refuses.
    """
    check_depth(data)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except (ValueError, RecursionError):
        raise Malformed("not JSON in UTF-8") from None  # the cause holds the text
    _check(value, _MAX_DEPTH)
    return value


def parse_canonical(data: bytes) -> object:
    """Read JSON that is already in canonical form, byte for byte.

    Raises:
        Malformed: `canonical` of the value is not exactly `data`.
    """
    value = parse_json(data)
    if canonical(value) != data:
        raise Malformed("JSON, but not in canonical form")
    return value


def check_depth(data: bytes) -> None:
    """Refuse deep nesting before a JSON parser sees it.

    The parser recurses on the machine's stack and relies on the interpreter's
    recursion limit, which libraries (py_ecc, py-evm) raise for the whole process:
    a hundred kilobytes of opening brackets would then end it.

    Raises:
        Malformed: More than 64 levels.
    """
    if data.count(b"[") + data.count(b"{") <= _MAX_DEPTH:
        return
    rest = _STRING.sub(b"", data).translate(_BRACKETS, _NO_BRACKETS)
    depth = 0
    while b"[]" in rest and depth <= _MAX_DEPTH:  # take off the innermost level
        rest, depth = rest.replace(b"[]", b""), depth + 1
    if depth + rest.count(b"[") > _MAX_DEPTH:
        raise Malformed("nested too deeply")


def _check(value: object, depth: int) -> None:
    match value:
        case None | bool():
            pass
        case int():
            if abs(value) >= 2**53:
                raise Malformed("an integer beyond 2^53-1")
        case str():
            _check_text(value)
        case list() | tuple():
            if depth == 0:
                raise Malformed("nested too deeply")
            for item in value:
                _check(item, depth - 1)
        case dict():
            _check_names(value)
            _check(list(value.values()), depth)
        case _:
            message = f"a {type(value).__name__} has no canonical form"
            raise Malformed(message)


def _check_names(names: Iterable[object]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise Malformed("a name that is not text")
        _check_text(name)


def _check_text(text: str) -> None:
    if text.isascii():
        return
    if not unicodedata.is_normalized("NFC", text):
        raise Malformed("text that is not in Unicode normalisation form C")
    if _SURROGATE.search(text):
        raise Malformed("text with a lone surrogate")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("a name occurs twice in one object")
    return found


def _no_float(_: str) -> NoReturn:
    raise Malformed("a number that is not an integer")
