"""Archives of receipts: what is taken out of a store, so that it can be put back.

A file of JSON lines, compressed with gzip:

    {"typ", "provider", "before"}                          what this is
    {"index", "receipt", "provider_signature", …}          a receipt, many times
    {"manifest": {…}, "key_id", "signature"}               signed by the provider

The manifest says how many receipts there are, their first and last place in the log,
and the SHA-256 of all lines before it, so that none can be missing or exchanged. A file
is written beside its name, read back and checked, and only then given the name: under
its name there is a whole archive or none.

Spec: `docs/protocols/log.md`, section "Archives".
"""

import gzip
import hashlib
import os
import zlib
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crypto.encoding import b64u, canonical, parse_json, tagged, unb64u
from crypto.errors import CryptoError, Malformed
from crypto.signing import Signer
from ledger import shape
from ledger.participants import Pins
from ledger.receipts import verify_receipt
from node.errors import BadRequest, Conflict
from node.ports import Content
from node.services.archived import content_from_json, content_to_json

TYPE: Final = "fieldpact/archive/1"
_LONGEST: Final = 2**22
"""Bytes of a line."""
_MANIFEST: Final = frozenset(
    {"typ", "provider", "before", "count", "first", "last", "sha256"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an archive holds.

    Attributes:
        before: Receipts are from before this instant, RFC 3339.
        first: Least place in the log; None when there is no receipt.
        last: Greatest place in the log.
        sha256: Of all lines before the manifest, 64 hex digits.
    """

    provider: str
    before: str
    count: int
    first: int | None
    last: int | None
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return the object that is signed, in canonical form under its tag."""
        return {
            "typ": TYPE,
            "provider": self.provider,
            "before": self.before,
            "count": self.count,
            "first": self.first,
            "last": self.last,
            "sha256": self.sha256,
        }


def write(
    file: Path,
    contents: Iterable[Content],
    *,
    before: str,
    provider: str,
    signer: Signer,
    pins: Pins,
) -> Manifest:
    """Write an archive, and read it back before it gets its name.

    Args:
        contents: Receipts in the log's order.
        before: For the manifest.
        pins: To check it with when it is read back.

    Raises:
        Conflict: There is a file of this name, or one that is half written.
        BadRequest: The file cannot be written.
    """
    draft = file.with_name(file.name + ".part")
    if file.exists():
        raise Conflict("archive.exists", f"{file} is there already.")
    try:
        with draft.open("xb") as raw:
            draft.chmod(0o600)
            with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as out:
                _write(out, contents, before, provider, signer)
            raw.flush()
            os.fsync(raw.fileno())
        manifest = verified(draft, pins)
        draft.rename(file)
        _sync(file.parent)
    except FileExistsError as error:
        detail = f"{draft} is there: what wrote it has not finished. Remove it first."
        raise Conflict("archive.unfinished", detail) from error
    except OSError as error:
        detail = f"{file} cannot be written: {error.strerror}."
        raise BadRequest("archive.unwritable", detail) from error
    return manifest


def _write(
    out: Any, contents: Iterable[Content], before: str, provider: str, signer: Signer
) -> None:
    hashed, count = hashlib.sha256(), 0
    first: int | None = None
    last: int | None = None

    def put(line: Mapping[str, Any]) -> None:
        octets = canonical(dict(line)) + b"\n"
        hashed.update(octets)
        out.write(octets)

    put({"typ": TYPE, "provider": provider, "before": before})
    for content in contents:
        put(content_to_json(content))
        count += 1
        first = content.index if first is None else min(first, content.index)
        last = content.index if last is None else max(last, content.index)
    manifest = Manifest(
        provider=provider,
        before=before,
        count=count,
        first=first,
        last=last,
        sha256=hashed.hexdigest(),
    )
    end = {
        "manifest": manifest.to_json(),
        "key_id": signer.key_id(provider),
        "signature": b64u(signer.sign(_signed(manifest))),
    }
    out.write(canonical(end) + b"\n")


def verified(file: Path, pins: Pins) -> Manifest:
    """Check an archive from its first to its last byte.

    Raises:
        BadRequest: It cannot be read, or something is wrong with it.
    """
    read = contents(file, pins)
    while True:
        try:
            next(read)
        except StopIteration as end:
            manifest: Manifest = end.value
            return manifest


def contents(file: Path, pins: Pins) -> Generator[Content, None, Manifest]:
    """Yield the receipts of an archive; `return` its manifest, once it is checked.

    What is yielded before the end is not known to be whole: call `verified` first.

    Raises:
        BadRequest: As above.
    """
    try:
        with gzip.open(file, "rb") as lines:
            return (yield from _contents(lines, pins))
    except (OSError, EOFError, ValueError, zlib.error, CryptoError) as error:
        detail = f"{file} is no archive, or damaged: {error}."
        raise BadRequest("archive.damaged", detail) from error


def _contents(lines: gzip.GzipFile, pins: Pins) -> Generator[Content, None, Manifest]:
    hashed, places = hashlib.sha256(), list[int]()
    count = 0
    head = shape.members(_line(lines, hashed), {"typ", "provider", "before"}, "archive")
    shape.constant(head["typ"], TYPE, "typ")
    provider = pins.get(str(head["provider"]))
    if provider is None:
        raise Malformed("the archive of a participant that is not pinned")
    while True:
        digest = hashed.hexdigest()
        value = _line(lines, hashed)
        if isinstance(value, Mapping) and "manifest" in value:
            break
        content = content_from_json(value)
        verify_receipt(content.signed, provider)
        count += 1
        index = content.index
        places = [min([*places[:1], index]), max([*places[1:], index])]
        yield content
    manifest = _manifest(value, pins)
    first, last = places or (None, None)
    told = (provider.did, head["before"], count, first, last, digest)
    if lines.read(1) or told != (
        *(manifest.provider, manifest.before, manifest.count),
        *(manifest.first, manifest.last, manifest.sha256),
    ):
        raise Malformed("the manifest is about another archive")
    return manifest


def _line(lines: gzip.GzipFile, hashed: Any) -> Any:
    octets = lines.readline(_LONGEST)
    if not octets.endswith(b"\n"):
        raise Malformed("it ends in the middle of a line, or a line has no end")
    hashed.update(octets)
    return parse_json(octets)


def _manifest(value: Any, pins: Pins) -> Manifest:
    end = shape.members(value, {"manifest", "key_id", "signature"}, "end")
    found = dict(shape.members(end["manifest"], _MANIFEST, "manifest"))
    shape.constant(found.pop("typ"), TYPE, "typ")
    manifest = Manifest(**found)
    provider = pins.get(str(manifest.provider))
    if provider is None:
        raise Malformed("the manifest of a participant that is not pinned")
    signature = unb64u(shape.prose(end["signature"], "signature"), 64)
    key = provider.verifier(shape.text(end["key_id"], "key_id"))
    key.verify(_signed(manifest), signature)
    return manifest


def _signed(manifest: Manifest) -> bytes:
    return tagged("archive", canonical(manifest.to_json()))


def _sync(folder: Path) -> None:
    """Have the folder's new name on disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
