"""The node's four keys: files that only their owner can read, or the environment.

A key file holds the secret bytes in base64url on one line. It is refused when
anybody but its owner can read it. `FIELDPACT_KEY_<SUITE>` in the environment goes
before the file. No function here shows a secret.
"""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto.bbs import BbsKey
from crypto.encoding import b64u, unb64u
from crypto.errors import Malformed
from crypto.keys import Ed25519Key, Secp256k1Key, X25519Key
from node.errors import BadRequest, Conflict
from node.ports import Randomness

_SUITES: Mapping[str, Callable[[bytes], Any]] = {
    "ed25519": Ed25519Key.from_bytes,
    "x25519": X25519Key.from_bytes,
    "secp256k1": Secp256k1Key.from_bytes,
    "bls12381g2": BbsKey.from_bytes,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """Handles on the node's keys. Each signs or agrees, and does nothing else."""

    ed25519: Ed25519Key
    x25519: X25519Key
    secp256k1: Secp256k1Key
    bls12381g2: BbsKey


def load_keys(folder: Path, environment: Mapping[str, str]) -> Keyring:
    """Load the keys.

    Raises:
        BadRequest: A key is missing, malformed, or readable by others.
    """
    return Keyring(
        **{
            suite: _load(suite, make, folder, environment)
            for suite, make in SUITES.items()
        }
    )


def generate_keys(folder: Path, randomness: Randomness) -> None:
    """Write four new keys, each readable by its owner only.

    Raises:
        Conflict: One of the files is there already; nothing was written.
    """
    paths = {suite: folder / f"{suite}.key" for suite in SUITES}
    if any(path.exists() for path in paths.values()):
        detail = f"{folder} holds keys already; move them away first."
        raise Conflict("keys.exist", detail)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for suite, path in paths.items():
        write_secret(path, new_secret(suite, randomness))


def write_secret(path: Path, secret: bytes) -> None:
    """Write a new file that only its owner can read."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(path, flags, 0o600), "w") as file:
        file.write(b64u(secret) + "\n")


def new_secret(suite: str, randomness: Randomness) -> bytes:
    """Return secret bytes that the suite accepts; nearly all are."""
    while True:
        secret = randomness(32)
        try:
            SUITES[suite](secret)
        except Malformed:
            continue
        return secret


def _load(
    suite: str,
    make: Callable[[bytes], Any],
    folder: Path,
    environment: Mapping[str, str],
) -> Any:
    path = folder / f"{suite}.key"
    given = environment.get(f"FIELDPACT_KEY_{suite.upper()}")
    try:
        return make(unb64u((given or _read_secret(path)).strip()))
    except (OSError, ValueError, Malformed):
        # The cause could hold what was read.
        detail = f"The {suite} key in {path} cannot be used. See `fieldpact keys`."
        raise BadRequest("keys.unusable", detail) from None


def _read_secret(path: Path) -> str:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        detail = f"Others can read {path}: run chmod 600 on it."
        raise BadRequest("keys.exposed", detail)
    return path.read_text(encoding="ascii")
