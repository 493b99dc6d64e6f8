"""Files that show something, and which verification each of them needs.

A file says of itself what it is, in `typ`. That is not trusted for more than choosing
what to check it as: each verification reads the whole file again by its own rules.

    fieldpact/evidence/1         one call                        `ledger.verify`
    fieldpact/evidence-bundle/1  many calls of one stream        `ledger.bundle_check`
    fieldpact/equivocation/1     two checkpoints of one log      `ledger.equivocation`
    fieldpact/stream-fork/1      two histories of one stream     `ledger.fork`

Spec: `docs/protocols/evidence.md`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from crypto.encoding import parse_json
from crypto.errors import Malformed
from ledger import bundle, equivocation, fork
from ledger.bundle_check import Told, verify_bundle
from ledger.steps import Step
from ledger.trust import Trust
from ledger.verify import verify_evidence

LARGEST: Final = 256 * 2**20
"""Bytes of a file that is read in one piece; a bundle may have any number of lines."""


class Unreadable(Exception):
    """The file is none that can be checked; the message says why."""


def verify_file(
    file: Path, trust: Trust, *, progress: Told | None = None
) -> tuple[Step, ...]:
    """Check a file as what it says it is.

    Args:
        file: Read once, a bundle line by line.
        trust: The reader's own.
        progress: Told of the entries of a bundle.

    Raises:
        OSError: The file cannot be read.
        Unreadable: Not JSON, or nothing that is known here.
    """
    with file.open("rb") as lines:
        first = lines.readline(LARGEST)
        if _typ(first) == bundle.TYPE:
            return verify_bundle(first, lines, trust, progress=progress)
        data = first + lines.read(LARGEST)
    if len(data) > LARGEST:
        raise Unreadable(f"larger than {LARGEST} bytes")
    typ = _typ(data)
    if typ not in _CHECKS:
        raise Unreadable("not JSON, or of a kind that is not known here")
    return _CHECKS[typ](data, trust)


def _typ(data: bytes) -> str | None:
    """Return what a file says it is, None where it is no JSON object."""
    try:
        value = parse_json(data)
    except Malformed:
        return None
    typ = value.get("typ") if isinstance(value, dict) else None
    return typ if isinstance(typ, str) else None


def _evidence(data: bytes, trust: Trust) -> tuple[Step, ...]:
    return verify_evidence(
        data,
        trust.pins,
        trust.chain,
        registry=trust.registry,
        quorum=trust.quorum,
        trust_embedded=trust.trust_embedded,
        random_bytes=trust.random_bytes,
    )


_CHECKS: Final[dict[str, Callable[[bytes, Trust], tuple[Step, ...]]]] = {
    "fieldpact/evidence/1": _evidence,
    equivocation.TYPE: lambda data, trust: equivocation.verify_equivocation(
        parse_json(data), trust.pins
    ),
    fork.TYPE: lambda data, trust: fork.verify_fork(parse_json(data), trust.pins),
}
