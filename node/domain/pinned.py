"""Pinned: do the keys that we trust for a participant hold in the registry?

A node trusts the keys that its registry file pins, and no others. The registry contract
says which keys hold now. Both must agree: a key that is pinned and does not hold was
revoked, was replaced, or was never its owner's to the consortium; a key that holds and
is not pinned was set by whoever has the account, and somebody has yet to compare it.

What the chain said counts for a time after it was read, and no longer. Then nothing is
known of the participant, which is neither yes nor no: whoever asks later gets no answer
until the chain does.

Spec: `docs/protocols/registry.md`, section "What a node does with it".
"""

import datetime
from dataclasses import dataclass
from enum import Enum

from ledger.participants import Participant
from ledger.registry import History, Status, fingerprint


class Standing(Enum):
    """Whether the pinned keys of a participant may be trusted now."""

    HELD = "held"
    NOT_HELD = "not held"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What the registry said of a participant, and when it was asked."""

    history: History
    at: datetime.datetime


def standing(
    pinned: Participant,
    read: Read | None,
    *,
    now: datetime.datetime,
    stale_s: float,
) -> Standing:
    """Say whether the pinned keys may be trusted.

    Args:
        pinned: The record of the registry file.
        read: What the registry contract said last; None if it never did.
        now: By the node's clock.
        stale_s: For how long an answer counts, in seconds.
    """
    if read is None:
        return Standing.UNKNOWN
    if contradictions(pinned, read.history):
        return Standing.NOT_HELD
    age = (now - read.at).total_seconds()
    return Standing.HELD if age <= stale_s else Standing.UNKNOWN


def contradictions(pinned: Participant, history: History) -> tuple[str, ...]:
    """Say in words what a record pins and the registry does not hold, if anything."""
    held = history.now
    if held.account is None:
        known = history.status is Status.EXPELLED
        return ("it was expelled" if known else "it is no member",)
    found = []
    if held.account != pinned.chain_address.lower():
        found.append(f"{held.account} speaks for it, not {pinned.chain_address}")
    for suite, public in pinned.keys.items():
        name = held.keys.get(suite)
        if name is None:
            found.append(f"no {suite} key holds")
        elif name != fingerprint(suite, public):
            found.append(f"another {suite} key holds ({name.hex()[:16]})")
    return tuple(found)
