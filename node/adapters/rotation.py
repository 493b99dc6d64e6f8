"""Puts a new key in the place of an old one, so that no interruption loses either.

    keys/ed25519.key              the key that the node signs with
    keys/ed25519.next             the one that is to follow it, until it does
    keys/ed25519-1f0c….old        one that it followed, kept

The next key is made once and found again, however often a rotation is begun, and takes
its place in one rename: at any time there is a key under its name. Old keys are kept
for whoever has to go back; delete them when nobody does.
"""

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

from crypto.encoding import unb64u
from crypto.errors import Malformed
from crypto.keyids import Suite
from crypto.signing import SIGNING, Verifier
from ledger.participants import Participant, PastKey
from node.adapters.keyring import SUITES, new_secret, read_secret, write_secret
from node.domain.agreement import render_instant
from node.errors import BadRequest
from node.ports import Randomness


def next_key(folder: Path, suite: str, randomness: Randomness) -> Any:
    """Return the key that is to follow, made now unless it was made before.

    Raises:
        BadRequest: There is one, and it cannot be used.
    """
    path = folder / f"{suite}.next"
    if not path.exists():
        write_secret(path, new_secret(suite, randomness))
    try:
        return SUITES[suite](unb64u(read_secret(path).strip()))
    except (OSError, ValueError, Malformed):
        # The cause could hold what was read.
        detail = f"The {suite} key in {path} cannot be used. Move it away."
        raise BadRequest("keys.unusable", detail) from None


def record_after(
    before: Participant, suite: Suite, following: Any, at: datetime.datetime
) -> Participant:
    """Return the record with the next key; a key that signed is kept as a past one.

    Args:
        before: With the key that is followed.
        suite: Of both keys.
        following: The next key.
        at: Now.
    """
    now: bytes = following.public_bytes
    account = following.address.lower() if suite == "secp256k1" else None
    past = tuple(each for each in before.past_keys if each.key.public != now)
    if suite in SIGNING:
        old = Verifier(suite=suite, public=before.keys[suite])
        if old not in [each.key for each in past]:
            past = (PastKey(key=old, until=render_instant(at)), *past)
    return replace(
        before,
        keys={**before.keys, suite: now},
        chain_address=account or before.chain_address,
        past_keys=past,
    )


def put_in_place(folder: Path, suite: str, kept: Path) -> None:
    """Let the next key take the place of the present one.

    Args:
        folder: Of the keys.
        suite: Of both keys.
        kept: Where the present one is from then on.
    """
    present, following = folder / f"{suite}.key", folder / f"{suite}.next"
    if not kept.exists():
        kept.hardlink_to(present)
    following.replace(present)
