"""The consortium's registry file: whom this node believes, and under which keys."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crypto.errors import CryptoError
from crypto.signing import Verifier
from ledger.participants import Participant, PastKey, pins_of
from node.adapters.system import SystemClock
from node.domain.agreement import render_instant
from node.errors import BadRequest


def read_json(path: Path) -> Any:
    """Return the JSON of a file. Raises `OSError` or `ValueError`."""
    return json.loads(path.read_bytes())


def read_registry(path: Path) -> list[Participant]:
    """Return the participants of a registry file; none when there is no file."""
    if not path.exists():
        return []
    try:
        return list(pins_of(read_json(path)).values())
    except (OSError, ValueError, CryptoError) as error:
        detail = f"The registry {path} cannot be read: {error}"
        raise BadRequest("registry.unreadable", detail) from error


def write_registry(path: Path, participants: Iterable[Participant]) -> None:
    """Replace a registry file, at once: a reader sees the old or the new one."""
    records = [each.to_json() for each in participants]
    text = json.dumps(records, ensure_ascii=False, indent=2) + "\n"
    draft = path.with_suffix(".new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def repinned(known: Mapping[str, Participant], new: Participant) -> Participant:
    """Return a record to be pinned, in which no key is forgotten that was pinned.

    A company that leaves a key out that it signed with does not unsign anything.
    """
    before = known.get(new.did)
    if before is None:
        return new
    now = render_instant(SystemClock().now())
    ended = [PastKey(key=each, until=now) for each in (before.signing, _token(before))]
    past = {each.key: each for each in (*ended, *before.past_keys, *new.past_keys)}
    current = {new.signing, _token(new)}
    kept = sorted(
        (each for key, each in past.items() if key not in current),
        key=lambda each: each.until,
        reverse=True,
    )
    return replace(new, past_keys=tuple(kept))


def _token(participant: Participant) -> Verifier:
    return participant.token_verifiers[0]
