"""Who may tell a node what to do: the holders of its operators' tokens."""

import hashlib
import stat
from pathlib import Path
from typing import Final

from node.config import Settings
from node.errors import BadRequest

_SHORTEST: Final = 32


def operators_of(settings: Settings) -> dict[str, str]:
    """Return the SHA-256 of each operator's token in hex, to its role.

    Raises:
        BadRequest: A token's file cannot be used.
    """
    operators: dict[str, str] = {}
    for each in settings.operators:
        digest = hashlib.sha256(_token(each.token).encode()).hexdigest()
        if digest in operators:
            detail = f"{each.token} holds the token of another operator."
            raise BadRequest("token.shared", detail)
        operators[digest] = each.role
    return operators


def _token(file: Path) -> str:
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            detail = f"Others can read {file}: run chmod 600 on it."
            raise BadRequest("token.exposed", detail)
        token = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        detail = f"The operator token {file} cannot be read."
        raise BadRequest("token.unreadable", detail) from error
    if len(token) < _SHORTEST:
        detail = f"Write at least {_SHORTEST} random characters to {file}."
        raise BadRequest("token.short", detail)
    return token
