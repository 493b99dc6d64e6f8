"""Looks for values in bytes: what did a company really tell?

Every value of its CRM is looked for in every byte that it sent: as UTF-8, as JSON
escapes it, and inside whatever decodes from base64.
"""

import base64
import binascii
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

_START = 6
_ENCODED = re.compile(rb"[A-Za-z0-9_-]{16,}")
_OPAQUE = re.compile(rb"(?i)\r\n(content-encoding|transfer-encoding):")


class CannotLook(Exception):
    """What was sent is compressed or in chunks: nobody can say what is in it."""


def told(sent: Iterable[bytes], values: Iterable[str]) -> Counter[str]:
    """Count how often each value was told.

    Args:
        sent: Bytes that left a company, connection by connection.
        values: Every value of its CRM, six bytes or longer.

    Raises:
        CannotLook: Values could hide in how the bytes are written.
        ValueError: A value is too short to be looked for.
    """
    needles = _needles(set(values))
    if any(len(start) < _START for start in needles):
        message = f"a value is shorter than {_START} bytes"
        raise ValueError(message)
    places, found = _places(needles), Counter[str]()
    for said in sent:
        if _OPAQUE.search(said):
            raise CannotLook
        for part in (said, *_decoded(said)):
            found.update(_found(part, places, needles))
    return found


def _needles(values: set[str]) -> dict[bytes, dict[bytes, str]]:
    """Return each way to write each value, by its first bytes."""
    needles: dict[bytes, dict[bytes, str]] = defaultdict(dict)
    for value in values:
        for written in (value.encode(), json.dumps(value)[1:-1].encode()):
            needles[written[:_START]][written] = value
    return needles


def _places(starts: Iterable[bytes]) -> re.Pattern[bytes]:
    """Return what matches, without taking it, wherever one of the starts could stand.

    That is where each of six bytes is the first, second … of some start: seldom in
    ciphertext, which is most of what is sent.
    """
    classes = (
        re.escape(bytes(sorted(set(each)))) for each in zip(*starts, strict=True)
    )
    return re.compile(b"(?=%b)" % b"".join(b"[%b]" % each for each in classes))


def _found(
    said: bytes, places: re.Pattern[bytes], needles: Mapping[bytes, Mapping[bytes, str]]
) -> Iterator[str]:
    for match in places.finditer(said):
        place = match.start()
        for written, value in needles.get(said[place : place + _START], {}).items():
            if said.startswith(written, place):
                yield value


def _decoded(said: bytes) -> Iterator[bytes]:
    for match in _ENCODED.finditer(said):
        try:
            yield base64.urlsafe_b64decode(match[0] + b"==")
        except binascii.Error:
            continue
