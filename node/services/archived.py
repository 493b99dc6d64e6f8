"""What an archive holds of a receipt, as one line of JSON.

    {"index", "receipt", "provider_signature", "salt", "countersignature", "token",
     "question", "took_ms"}

Everything that erasure takes out of the store, and so everything that opens the
receipt's leaf. `index` is the leaf's place. Form: `docs/protocols/log.md`.
"""

from collections.abc import Mapping
from typing import Any, Final

from crypto.encoding import b64u, unb64u
from crypto.errors import Malformed
from ledger.receipts import Countersignature, parse_signed_receipt
from node.ports import Content

_MEMBERS: Final = {
    *("index", "receipt", "provider_signature", "salt", "countersignature"),
    *("token", "question", "took_ms"),
}


def content_to_json(content: Content) -> dict[str, Any]:
    """Return a line of an archive."""
    held = content.countersignature
    return content.signed.to_json() | {
        "index": content.index,
        "salt": b64u(content.salt),
        "countersignature": held
        and {"key_id": held.key_id, "signature": b64u(held.signature)},
        "token": content.token,
        "question": content.question,
        "took_ms": content.took_ms,
    }


def content_from_json(line: object) -> Content:
    """Read a line of an archive.

    Raises:
        Malformed: It is none.
    """
    if not isinstance(line, Mapping) or set(line) != _MEMBERS:
        raise Malformed("a receipt in an archive has other members")
    return Content(
        signed=parse_signed_receipt(line),
        salt=unb64u(_text(line, "salt"), 32),
        index=_count(line, "index"),
        token=None if line["token"] is None else _text(line, "token"),
        question=None if line["question"] is None else _text(line, "question"),
        countersignature=_countersignature(line["countersignature"]),
        took_ms=_count(line, "took_ms"),
    )


def _countersignature(value: object) -> Countersignature | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or set(value) != {"key_id", "signature"}:
        raise Malformed("a countersignature in an archive has other members")
    return Countersignature(
        key_id=_text(value, "key_id"), signature=unb64u(_text(value, "signature"), 64)
    )


def _text(line: Mapping[str, Any], name: str) -> str:
    if not isinstance(line[name], str):
        raise Malformed(f"{name} of an archived receipt is not text")
    return str(line[name])


def _count(line: Mapping[str, Any], name: str) -> int:
    value = line[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise Malformed(f"{name} of an archived receipt is not a count")
    return value
