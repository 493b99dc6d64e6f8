"""Putting a new key in the place of one, so that it can be cut short anywhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto.keyids import Suite
from ledger.consortium import follow, register
from ledger.participants import Participant
from node.adapters.keyring import SECRETS
from node.adapters.rotation import next_key, put_in_place, record_after
from node.adapters.system import SystemClock, system_randomness
from node.config import Settings, environment
from node.errors import BadRequest
from node.offline.contracts import account, registry, sending
from node.offline.founding import own_record
from node.offline.registry_file import read_registry, write_registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What became of a rotation.

    Attributes:
        was: Id of the key before.
        now: Id of the new one.
        account: The account that speaks for the company, or is to.
        kept: Where the key before is now.
        finished: False while a new account waits for votes.
    """

    did: str
    was: str
    now: str
    account: str
    kept: Path
    finished: bool


def rotate_key(settings: Settings, suite: str, *, revoke: bool = False) -> Rotated:
    """Put a new key in the place of one; go on with a rotation that was cut short.

    1. Make the new key beside the old.
    2. Tell the registry contract, where the settings name one.
    3. Pin the record with the new key, and the old one among its past keys.
    4. Let the new key take the place of the old.

    Args:
        suite: Whose key.
        revoke: Whether the old key is revoked before, so that it can never be set
            again.

    Raises:
        BadRequest: There is no such key, or it stands in the environment.
        Refused: The contract refuses.
        ChainUnavailable: It did not answer; call again.
    """
    before = own_record(settings)
    named = next((each for each in before.keys if each == suite), None)
    if named is None:
        detail = f"This node has keys of {', '.join(before.keys)}, none of {suite}."
        raise BadRequest("keys.unknown", detail)
    variable = f"{SECRETS}{suite.upper()}"
    if variable in environment():
        detail = f"{variable} is set: what stands in the environment is changed there."
        raise BadRequest("keys.environment", detail)
    following = next_key(settings.keys, suite, system_randomness)
    after = record_after(before, named, following, SystemClock().now())
    old = before.key_id(named)
    done = Rotated(
        did=before.did,
        was=old,
        now=after.key_id(named),
        account=after.chain_address,
        kept=settings.keys / f"{suite}-{old.rpartition('-')[2]}.old",
        finished=_told(settings, before, after, named, following, revoke=revoke),
    )
    if done.finished:
        known = {each.did: each for each in read_registry(settings.participants)}
        write_registry(settings.participants, {**known, after.did: after}.values())
        put_in_place(settings.keys, suite, done.kept)
    return done


def _told(
    settings: Settings,
    before: Participant,
    after: Participant,
    suite: Suite,
    following: Any,
    *,
    revoke: bool,
) -> bool:
    """Tell the registry contract of a key; False while members have yet to vote."""
    chain = settings.chain
    if chain is None or chain.registry is None:
        return True
    did, was, now = after.did, before.keys[suite], after.keys[suite]
    with registry(settings) as read:
        if suite != "secp256k1":
            with account(settings) as sender:
                follow(
                    sender, read, did=did, suite=suite, was=was, now=now, revoked=revoke
                )
            return True
        if read.history(did).now.account != after.chain_address:
            return False
        # The vote ended every key of the account before.
        with sending(chain.url, following, chain.chain_id) as sender:
            register(sender, read, did=did, keys=after.keys)
        return True
