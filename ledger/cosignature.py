"""Cosignatures: what a witness says of somebody else's checkpoint.

A log signs its own checkpoint, and could sign another one for somebody else. A
*witness* remembers the newest checkpoint that it has seen of a log, cosigns only one
that continues it, and says when:

    cosignature/v1
    time 1679315147
    127.0.0.1:8101/log
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

*At this time this was the largest tree that I had seen of this log, and everything
that I had seen of it before is in it still.* Whoever requires the lines of several
witnesses is told the same history as all of them.

A cosignature is one more line under the note. Its key is named after the witness,
not after the log, and is of a type of its own: a line that signs the note itself
cannot be passed off as one that cosigns it.

Narrower than the specification: the signing key of a participant also signs its own
log; the messages begin differently. Timestamps of 0 are refused. Of the suites,
Ed25519 is the specification's type 0x04; SM2 has a type of ours, of the same form.

Spec: c2sp.org/tlog-cosignature; `docs/protocols/witnesses.md`.
"""

import datetime
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from crypto.encoding import sha256
from crypto.errors import InvalidSignature, Malformed
from crypto.notes import SignatureLine, split_note
from crypto.signing import Signer, Verifier
from ledger.checkpoint import origin_of
from ledger.participants import Participant

_TYPES: Final[Mapping[str, bytes]] = {
    "ed25519": b"\x04",
    "sm2": b"\xfffieldpact/cosignature-sm2/1\x00",
}
"""How the suite of a cosigning key is told: bytes before the public key."""
_STAMP: Final = 8
_LATEST: Final = 2**63 - 1


def witness_name(did: str) -> str:
    """Return the name of a participant's cosigning key: `<host and path>/witness`.

    Raises:
        Malformed: Not a DID of the method `web`.
    """
    return origin_of(did).removesuffix("/log") + "/witness"


def key_hash(did: str, key: Signer | Verifier) -> bytes:
    """Return the 4 bytes that pick a witness's key among those of its name."""
    public = key.public if isinstance(key, Verifier) else key.public_bytes
    name = witness_name(did).encode()
    return sha256(name, b"\n", _TYPES[key.suite], public)[:4]


def cosign(text: str, *, did: str, signer: Signer, at: int) -> SignatureLine:
    """Cosign a checkpoint that continues the newest that this witness has seen.

    Args:
        text: The checkpoint without any signature line.
        did: The witness.
        signer: Its signing key.
        at: The time, seconds since 1970.
    """
    if not 0 < at <= _LATEST:
        raise ValueError("a cosignature has a time")
    return SignatureLine(
        name=witness_name(did),
        key_hash=key_hash(did, signer),
        signature=at.to_bytes(_STAMP) + signer.sign(_message(text, at)),
    )


def open_cosignatures(
    note: str, witnesses: Collection[Participant]
) -> Mapping[str, int]:
    """Return which of the known witnesses have cosigned a note, and when.

    Lines of keys that are not known are passed over. Whether the log itself has
    signed the note is not looked at (`open_checkpoint`).

    Args:
        note: A signed checkpoint.
        witnesses: Participants as *pinned*. A key of their past counts for the time
            in which it was theirs; a later line of it is passed over.

    Returns:
        The newest time of each, seconds since 1970, by DID.

    Raises:
        Malformed: Not a note.
        InvalidSignature: A line of a known key is false.
    """
    found: dict[str, int] = {}
    for did, at, _ in _cosigned(note, witnesses):
        found[did] = max(at, found.get(did, 0))
    return found


def line_of(note: str, witness: Participant) -> tuple[str, int] | None:
    """Return the newest line of a witness under a note, and its time.

    Returns:
        The line with its final newline, and seconds since 1970; None without one.

    Raises:
        Malformed: Not a note.
        InvalidSignature: A line of the witness is false.
    """
    lines = [(at, line.render()) for _, at, line in _cosigned(note, [witness])]
    if not lines:
        return None
    at, line = max(lines)
    return line, at


def with_cosignatures(note: str, lines: Iterable[str]) -> str:
    """Put cosignature lines, each with its final newline, under a note."""
    return note + "".join(lines)


def without_cosignatures(note: str, log: Participant) -> str:
    """Return a note with no other lines than those of the log itself.

    Raises:
        Malformed: Not a note.
        InvalidSignature: No line names the log.
    """
    text, lines = split_note(note)
    own = [line for line in lines if line.name == origin_of(log.did)]
    if not own:
        raise InvalidSignature("no line under the note is the log's own")
    return f"{text}\n" + "".join(line.render() for line in own)


def _cosigned(
    note: str, witnesses: Collection[Participant]
) -> Iterator[tuple[str, int, SignatureLine]]:
    """Yield each line of a known witness, with who and when. Verified."""
    text, lines = split_note(note)
    known = {
        (witness_name(witness.did), key_hash(witness.did, key)): (witness.did, key, end)
        for witness in witnesses
        for key, end in _keys(witness)
    }
    for line in dict.fromkeys(lines):
        if (line.name, line.key_hash) in known:
            did, key, end = known[line.name, line.key_hash]
            at = _opened(line, text, key)
            if at <= end:
                yield did, at, line


def _keys(witness: Participant) -> Iterator[tuple[Verifier, int]]:
    """Yield the keys of a witness, and until when each of them counts."""
    ends = {past.key: past.until for past in witness.past_keys}
    for key in witness.verifiers:
        end = ends.get(key) if key != witness.signing else None
        until = datetime.datetime.fromisoformat(end).timestamp() if end else _LATEST
        yield key, int(until)


def _opened(line: SignatureLine, text: str, key: Verifier) -> int:
    at = int.from_bytes(line.signature[:_STAMP])
    if len(line.signature) <= _STAMP or not 0 < at <= _LATEST:
        raise InvalidSignature("a cosignature without a time")
    try:
        key.verify(_message(text, at), line.signature[_STAMP:])
    except Malformed as error:
        raise InvalidSignature("a cosignature under a key that is none") from error
    return at


def _message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()
