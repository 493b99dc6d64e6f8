"""Proofs that an entry is in a log, in the form that other tools read.

Our own evidence (`ledger.evidence`) says all of a call, and is what `fieldpact verify`
reads. A *tlog-proof* says one thing of it, in a form that any tool for transparency
logs can check: that the log holds this entry, and which witnesses saw it there.

    c2sp.org/tlog-proof@v1
    extra AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
    index 73894
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=

    127.0.0.1:8101/log
    109482
    sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

    — 127.0.0.1:8101/log hI2DJw…

The entry that the tree holds is the log's commitment to a receipt (`ledger.log`), 32
bytes. It is the file's `extra`, as it tells nothing: what it commits to is told by
the receipt and its salt, which the file does not hold. So whoever reads the file
alone learns that *something* was logged; together with the evidence, what.

Only logs that are hashed with SHA-256 have such proofs: the format knows no other.

Spec: c2sp.org/tlog-proof; `docs/protocols/witnesses.md`, section "tlog-proof files".
"""

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from crypto import merkle
from crypto.errors import Malformed
from crypto.notes import parse_checkpoint, split_note
from ledger import log
from ledger.checkpoint import open_checkpoint, origin_of
from ledger.cosignature import open_cosignatures
from ledger.evidence import Evidence
from ledger.participants import Participant
from ledger.place import Inclusion

SUFFIX: Final = ".tlog-proof"
_FIRST: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")
_MOST: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """A proof as it stands in a file. Nothing of it is verified.

    Attributes:
        index: Of the entry in the log, from 0.
        proof: Inclusion proof, 32 bytes each, 63 at most.
        checkpoint: The signed note, with its cosignature lines.
        extra: What else the file tells, under nobody's signature; or None.
    """

    index: int
    proof: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def render(self) -> str:
        """Return the file."""
        extra = [] if self.extra is None else [f"extra {_b64(self.extra)}"]
        steps = [_b64(step) for step in self.proof]
        head = [_FIRST, *extra, f"index {self.index}", *steps]
        return "\n".join(head) + f"\n\n{self.checkpoint}"


def parse_tlog_proof(text: str) -> TlogProof:
    """Read a file; the inverse of `TlogProof.render`.

    Raises:
        Malformed: Not of that form, or what follows the empty line is no checkpoint.
    """
    head, blank, checkpoint = text.partition("\n\n")
    first, *lines = head.split("\n")
    if not blank or first != _FIRST:
        raise Malformed("not a tlog-proof of version 1")
    parse_checkpoint(split_note(checkpoint)[0])
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = _unb64(lines.pop(0).removeprefix("extra "))
    index = _INDEX.fullmatch(lines[0]) if lines else None
    if index is None or len(lines) - 1 > _MOST:
        raise Malformed("a tlog-proof without an index, or with a proof too long")
    steps = tuple(_unb64(line) for line in lines[1:])
    if any(len(step) != 32 for step in steps):
        raise Malformed("a tlog-proof with a line that is not a hash")
    return TlogProof(
        index=int(index[1]), proof=steps, checkpoint=checkpoint, extra=extra
    )


def tlog_proof_from(evidence: Evidence) -> TlogProof:
    """Return the proof that evidence holds: that the receipt is in the log.

    Raises:
        Malformed: The receipt is not under a checkpoint yet; the file does not say who
            its provider is; or see `tlog_proof_of`.
    """
    did = evidence.signed.receipt.provider
    providers = [party for party in evidence.participants if party.did == did]
    if evidence.inclusion is None or not providers:
        raise Malformed("evidence of a receipt that is under no checkpoint yet")
    return tlog_proof_of(
        evidence.signed, evidence.salt, evidence.inclusion, providers[0]
    )


def tlog_proof_of(
    signed: log.Entry, salt: bytes, inclusion: Inclusion, provider: Participant
) -> TlogProof:
    """Return the proof that an entry is in its provider's log.

    Args:
        signed: A receipt or a snapshot.
        salt: Opens the log's commitment to it, 32 bytes.
        inclusion: Where the log holds it.
        provider: Whose log it is.

    Raises:
        Malformed: The log is hashed in a way that the format does not know.
    """
    if provider.hashing != "sha-256":
        raise Malformed(f"a tlog-proof of a log that is hashed with {provider.hashing}")
    return TlogProof(
        index=inclusion.index,
        proof=inclusion.proof,
        checkpoint=inclusion.checkpoint,
        extra=log.commitment(signed, salt),
    )


def verify_tlog_proof(
    found: TlogProof,
    entry: bytes,
    provider: Participant,
    witnesses: Collection[Participant] = (),
) -> Mapping[str, int]:
    """Check that an entry is in a provider's log, and who saw it there.

    1. The leaf is that of the entry.
    2. The checkpoint is signed by the provider's log.
    3. Cosignatures of known witnesses are sound.
    4. The proof leads from the leaf to the checkpoint's root.

    Args:
        entry: What the log holds: its commitment, worked out by the reader from the
            receipt and its salt. Never the file's own `extra`.
        provider: As *pinned*.
        witnesses: As *pinned*.

    Returns:
        When each witness cosigned, seconds since 1970, by DID. How many are enough
        is the caller's to say.

    Raises:
        CryptoError: Something of it is false, or does not parse.
    """
    leaf = merkle.leaf_hash(entry)
    checkpoint = open_checkpoint(
        found.checkpoint, origin=origin_of(provider.did), keys=provider.verifiers
    )
    cosigned = open_cosignatures(found.checkpoint, witnesses)
    merkle.verify_inclusion(
        leaf=leaf,
        index=found.index,
        size=checkpoint.size,
        proof=found.proof,
        root=checkpoint.root,
    )
    return cosigned


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unb64(line: str) -> bytes:
    try:
        data = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("a tlog-proof with a line that is not base64") from None
    if _b64(data) != line:
        raise Malformed("base64 that is not in its canonical form")
    return data
