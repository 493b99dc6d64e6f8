"""The record by which partners know a node, and what is pinned instead."""

from ledger.participants import Participant
from node.adapters.keyring import Keyring
from node.config import Settings
from node.errors import Unavailable


def record_of(settings: Settings, keys: Keyring) -> Participant:
    """Return the record by which a registry can pin a node with these keys."""
    return Participant(
        did=settings.did,
        name=settings.name.model_dump(),
        url=settings.url.rstrip("/"),
        keys={
            "ed25519": keys.ed25519.public_bytes,
            "x25519": keys.x25519.public_bytes,
            "bls12381g2": keys.bls12381g2.public_bytes,
            "secp256k1": keys.secp256k1.public_bytes,
            **({"sm2": keys.sm2.public_bytes} if keys.sm2 else {}),
        },
        chain_address=keys.secp256k1.address.lower(),
        suite=keys.signing.suite,
    )


def check_pinned(pinned: Participant, own: Participant, settings: Settings) -> None:
    """Check that partners can verify what this node will sign and anchor.

    With another key pinned they would refuse every answer, after it was disclosed.

    Raises:
        Unavailable: Something else is pinned.
    """
    others: list[str] = [
        suite for suite, public in own.keys.items() if pinned.keys.get(suite) != public
    ]
    if pinned.suite != own.suite:
        others.append("signing")
    if pinned.chain_address.lower() != own.chain_address:
        others.append("chain_address")
    if others:
        detail = f"{settings.participants} pins another {', '.join(others)} for this "
        mend = "node. Have it pin the record that `fieldpact partner show` prints."
        raise Unavailable("registry.self", detail + mend)
