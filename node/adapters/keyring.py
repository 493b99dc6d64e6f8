"""The node's keys: files that only their owner can read, or the environment.

Four keys every node has. One that signs receipts with SM2 has a fifth.

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
from crypto.keys import Ed25519Key, Secp256k1Key, Suite, X25519Key
from crypto.signing import Signer
from crypto.sm import Sm2Key
from node.errors import BadRequest, Conflict
from node.ports import Randomness

SECRETS = "FIELDPACT_KEY_"
"""With what the names begin of variables that hold keys."""

SUITES: Mapping[str, Callable[[bytes], Any]] = {
    "ed25519": Ed25519Key.from_bytes,
    "x25519": X25519Key.from_bytes,
    "secp256k1": Secp256k1Key.from_bytes,
    "bls12381g2": BbsKey.from_bytes,
    "sm2": Sm2Key.from_bytes,
}
_EVERYBODYS = ("ed25519", "x25519", "secp256k1", "bls12381g2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """Handles on the node's keys. Each signs or agrees, and does nothing else.

    Attributes:
        signing: What signs receipts, snapshots and checkpoints: the key of the suite
            that was chosen. Tokens and agreements are signed with `ed25519`.
    """

    ed25519: Ed25519Key
    x25519: X25519Key
    secp256k1: Secp256k1Key
    bls12381g2: BbsKey
    sm2: Sm2Key | None
    signing: Signer


def load_keys(
    folder: Path, environment: Mapping[str, str], *, suite: Suite = "ed25519"
) -> Keyring:
    """Load the keys.

    Args:
        folder: Of the key files.
        environment: Goes before the files.
        suite: Of the key that signs receipts; one of its own is loaded for SM2 only.

    Raises:
        BadRequest: A key is missing, malformed, or readable by others.
    """
    keys: dict[str, Any] = {"sm2": None}
    for each in _needed(suite):
        keys[each] = _load(each, SUITES[each], folder, environment)
    return Keyring(**keys, signing=keys[suite])


def generate_keys(
    folder: Path, randomness: Randomness, *, suite: Suite = "ed25519"
) -> None:
    """Write new keys, each readable by its owner only.

    Args:
        folder: Is made if it is not there.
        randomness: Fresh bytes.
        suite: Of the key that is to sign receipts.

    Raises:
        Conflict: One of the files is there already; nothing was written.
    """
    paths = {each: folder / f"{each}.key" for each in _needed(suite)}
    if any(path.exists() for path in paths.values()):
        detail = f"{folder} holds keys already; move them away first."
        raise Conflict("keys.exist", detail)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each, path in paths.items():
        write_secret(path, new_secret(each, randomness))


def _needed(suite: Suite) -> tuple[str, ...]:
    return _EVERYBODYS if suite in _EVERYBODYS else (*_EVERYBODYS, suite)


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
    given = environment.get(f"{SECRETS}{suite.upper()}")
    try:
        return make(unb64u((given or read_secret(path)).strip()))
    except (OSError, ValueError, Malformed):
        # The cause could hold what was read.
        detail = f"The {suite} key in {path} cannot be used."
        mend = " See `fieldpact keys --help`."
        raise BadRequest("keys.unusable", detail + mend) from None


def read_secret(path: Path) -> str:
    """Return what a file of a secret holds.

    Raises:
        BadRequest: Others can read it.
        OSError: It cannot be read.
    """
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        detail = f"Others can read {path}: run chmod 600 on it."
        raise BadRequest("keys.exposed", detail)
    return path.read_text(encoding="ascii")
