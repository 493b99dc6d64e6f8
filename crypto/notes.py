"""Signed notes, and the checkpoints that are written as notes.

A *note* is a few lines of text followed by signature lines. A *checkpoint* is
a note whose text is three lines: which log (its origin), how many entries, and
the root hash over them. It fits in a mail and is read without any program:

    127.0.0.1:8101/log
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — 127.0.0.1:8101/log Az3grlgtzPICa5OS8npVmf1Myq/5…

A signature line names its key by name and by a 4-byte hash. The hash only picks
a key among those the reader already trusts; it is too short to trust by itself.
Lines of unknown keys are passed over, so that witnesses may add theirs.

Narrower than the specification: Ed25519 signatures (type 0x01), and SM2 ones of a
type of our own (0xff and a name, as the specification has it), at most
100 signature lines, no extension lines in checkpoints, and an origin that can
serve as a key name.

Spec: c2sp.org/signed-note, c2sp.org/tlog-checkpoint.
"""

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from crypto.encoding import sha256
from crypto.errors import InvalidSignature, Malformed
from crypto.keyids import Suite
from crypto.signing import Signer, Verifier, check_public

_TYPES: Final[Mapping[Suite, bytes]] = {
    "ed25519": b"\x01",
    "sm2": b"\xfffieldpact/note-sm2/1\x00",
}
"""How a note tells the suite of a key: bytes before the public key."""
_DASH: Final = "\u2014 "
_MAX_SIGNATURES: Final = 100
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_NAME: Final = re.compile(r"[^\s+]+")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A key that somebody trusts to sign notes under a name.

    Raises `Malformed` for a name with spaces or plus signs, or a bad key.
    """

    name: str
    public: bytes
    suite: Suite = "ed25519"

    def __post_init__(self) -> None:
        _check_name(self.name)
        check_public(self.suite, self.public)

    @property
    def verifier(self) -> Verifier:
        """What signatures are checked with."""
        return Verifier(suite=self.suite, public=self.public)

    @property
    def key_hash(self) -> bytes:
        """The 4 bytes that pick this key among those of the same name."""
        return sha256(self.name.encode(), b"\n", self._material)[:4]

    def render(self) -> str:
        """Write the key as a *vkey*: ``name+hash+base64``."""
        return f"{self.name}+{self.key_hash.hex()}+{_b64(self._material)}"

    @property
    def _material(self) -> bytes:
        return _TYPES[self.suite] + self.public


def parse_verifier_key(text: str) -> VerifierKey:
    """Read a vkey. Raises `Malformed`."""
    name, _, encoded = text.partition("+")
    material = _unb64(encoded.partition("+")[2])
    known = [suite for suite, kind in _TYPES.items() if material.startswith(kind)]
    if not known:
        raise Malformed("a verifier key of a type that is not known here")
    public = material.removeprefix(_TYPES[known[0]])
    key = VerifierKey(name=name, public=public, suite=known[0])
    if key.render() != text:
        raise Malformed("a verifier key whose hash is not its own")
    return key


def sign_note(text: str, *, name: str, key: Signer) -> str:
    """Write a note with one signature.

    Args:
        text: The lines to sign, each ending in a newline.
        name: The key's name, best the place where the text belongs.
        key: Signs the text, newline included.

    Raises:
        Malformed: The text holds control characters or does not end in a newline.
    """
    _check_text(text)
    signer = VerifierKey(name=name, public=key.public_bytes, suite=key.suite)
    line = SignatureLine(
        name=name, key_hash=signer.key_hash, signature=key.sign(text.encode())
    )
    return f"{text}\n{line.render()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureLine:
    """A line under a note, as somebody wrote it. Nothing about it is checked.

    Attributes:
        name: Of the key, as it says.
        key_hash: 4 bytes that pick a key of that name.
        signature: What follows them; its form is that of the key's type.
    """

    name: str
    key_hash: bytes
    signature: bytes

    def render(self) -> str:
        """Write the line, with its final newline."""
        return f"{_DASH}{self.name} {_b64(self.key_hash + self.signature)}\n"


def split_note(note: str) -> tuple[str, tuple[SignatureLine, ...]]:
    """Return the text of a note, unchecked, and the lines under it.

    Raises:
        Malformed: Not a note.
    """
    text, separator, lines = note.rpartition("\n\n")
    text += "\n"
    if not separator or not lines.endswith("\n"):
        raise Malformed("a note is text, an empty line and signature lines")
    _check_text(text)
    signatures = tuple(_parse_line(line) for line in lines[:-1].split("\n"))
    if len(signatures) > _MAX_SIGNATURES:
        raise Malformed("a note with too many signatures")
    return text, signatures


def open_note(note: str, keys: Collection[VerifierKey]) -> str:
    """Return the text of a note that a trusted key has signed.

    Args:
        note: Text, empty line, signature lines.
        keys: The keys the reader trusts, *pinned* beforehand.

    Raises:
        Malformed: Not a note.
        InvalidSignature: No trusted key signed, or the signature under the name
            of one is false, whatever the other signatures are.
    """
    # 1. The last empty line separates text and signatures.
    text, lines = split_note(note)
    # 2. Unknown keys are passed over; a known one must have signed this text.
    trusted = {(key.name, key.key_hash): key.verifier for key in keys}
    known = [line for line in lines if (line.name, line.key_hash) in trusted]
    for line in dict.fromkeys(known):  # one line a hundred times is verified once
        trusted[line.name, line.key_hash].verify(text.encode(), line.signature)
    # 3. One signature is enough, none is not.
    if not known:
        raise InvalidSignature("no trusted key has signed the note")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a log commits to. Raises `Malformed` when it cannot be written so.

    Attributes:
        origin: Names the log; also the name of its key.
        size: Number of leaves, below 2^63.
        root: Root hash over them (`crypto.merkle`), 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        _check_name(self.origin)
        if not 0 <= self.size < 2**63 or len(self.root) != 32:
            raise Malformed("a checkpoint with an impossible size or root hash")

    def render(self) -> str:
        """Write the three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint; the inverse of `Checkpoint.render`.

    Parsing trusts nobody: use `open_checkpoint` for a note from elsewhere.

    Raises:
        Malformed: Not exactly three lines in the one form they can have.
    """
    match text.split("\n"):
        case [origin, size, root, ""] if _SIZE.fullmatch(size):
            return Checkpoint(origin=origin, size=int(size), root=_unb64(root))
        case _:
            raise Malformed("a checkpoint is three lines: origin, size, root hash")


def sign_checkpoint(checkpoint: Checkpoint, key: Signer) -> str:
    """Write a checkpoint as a note signed by the log itself."""
    return sign_note(checkpoint.render(), name=checkpoint.origin, key=key)


def open_checkpoint(
    note: str, *, origin: str, keys: Collection[Verifier]
) -> Checkpoint:
    """Return the checkpoint of one log, once its signature is checked.

    Args:
        note: The signed note.
        origin: The log the reader expects.
        keys: That log's *pinned* keys; one of them must have signed.

    Raises:
        Malformed: Not a note, or not a checkpoint.
        InvalidSignature: Not signed by this log, or about another one.
    """
    trusted = [
        VerifierKey(name=origin, public=key.public, suite=key.suite) for key in keys
    ]
    text = open_note(note, trusted)
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != origin:
        raise InvalidSignature("signed by this log, but as another log's checkpoint")
    return checkpoint


def _parse_line(line: str) -> SignatureLine:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise Malformed("not a signature line")
    _check_name(name)
    data = _unb64(encoded)
    if len(data) < 5:
        raise Malformed("a signature line without a signature")
    return SignatureLine(name=name, key_hash=data[:4], signature=data[4:])


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or _CONTROL.search(name):
        raise Malformed("a key name that is empty or has spaces or plus signs")


def _check_text(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise Malformed("note text with control characters or no final newline")


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unb64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("not base64") from None
    if _b64(data) != text:
        raise Malformed("not base64 in its canonical form")
    return data
