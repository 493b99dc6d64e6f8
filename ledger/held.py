"""Held: was a key its signer's when it signed?

Pins say whose a key is, or was. They do not say when. A key that was stolen and
revoked still fits what the thief signs, so the registry of the consortium is asked
which key held *when the receipt was anchored*: a time that the chain tells, and the
signer cannot choose (`ledger.registry`).

Evidence carries what the registry said when it was made, a `History` of each party.
That is only what the file says. It counts when the chain's own registry is asked:
one must begin with the other, and the chain's decides.

A provider's key that ended between signing and anchoring does not pass, for nobody
can show that it was used in time. A consumer may sign back later, with a key of later.

Spec: `docs/protocols/evidence.md`, section "Keys".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crypto.errors import InvalidProof
from crypto.signing import Verifier
from ledger.errors import ChainUnavailable, Inconsistent
from ledger.registry import History, Registry, fingerprint
from ledger.standing import Walk
from ledger.steps import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A key that signed something of an evidence file.

    Attributes:
        did: Who signed.
        key: With which of its pinned keys.
        late: Whether it may have signed after the anchor.
    """

    did: str
    key: Verifier
    late: bool = False


def keys_held(
    uses: Iterable[Use],
    walk: Walk,
    carried: Mapping[str, History],
    registry: Registry | None,
) -> Outcome:
    """Check that every key held at the time of the anchor.

    Args:
        uses: Which keys signed what the anchor fixes.
        walk: To the anchor.
        carried: Histories by DID, as the file says.
        registry: Reads the consortium's registry; None not to ask it.

    Raises:
        CryptoError: A key did not hold, or the way to the anchor is false.
        Inconsistent: A carried history is not the chain's, or the log contradicts
            itself.
    """
    if walk.place.anchor is None:
        return "pending", ""
    if registry is None:
        return "not_asked", ""
    anchored, detail = walk.on_chain()
    if anchored != "checked":
        return anchored, detail
    try:
        return _held_at(walk.anchored_seconds(), tuple(uses), carried, registry)
    except ChainUnavailable as error:
        return "unreachable", str(error)


def _held_at(
    at: int | None,
    uses: tuple[Use, ...],
    carried: Mapping[str, History],
    registry: Registry,
) -> Outcome:
    if at is None:
        raise ChainUnavailable("the chain does not tell when it was anchored")
    histories = {use.did: registry.history(use.did) for use in uses}
    for did, history in histories.items():
        if did in carried and not _same_registry(carried[did], history):
            return "elsewhere", f"{carried[did].chain_id} {carried[did].contract}"
        check_prefix(carried.get(did), history)
    for use in uses:
        _check(use, histories[use.did], at)
    return "checked", ", ".join(dict.fromkeys(use.key.key_id(use.did) for use in uses))


def check_prefix(carried: History | None, asked: History) -> None:
    """Check that of two histories of one participant one begins with the other.

    Raises:
        Inconsistent: They tell two pasts. Whoever made the file, or the chain that was
            asked, does not tell what the registry holds.
    """
    if carried is None:
        return
    short, long = sorted((carried, asked), key=lambda history: len(history.changes))
    missed = len(long.changes) > len(short.changes) and (
        long.changes[len(short.changes)].at < short.seen
    )
    if long.changes[: len(short.changes)] != short.changes or missed:
        raise Inconsistent(f"the registry tells another past of {asked.did}")


def _same_registry(one: History, other: History) -> bool:
    return (one.chain_id, one.contract) == (other.chain_id, other.contract)


def _check(use: Use, history: History, at: int) -> None:
    moments = [at]
    if use.late:
        moments += [change.at for change in history.changes if change.at > at]
    wanted = fingerprint(use.key.suite, use.key.public)
    held = (history.at(moment).keys.get(use.key.suite) for moment in moments)
    if wanted not in held:
        named = use.key.key_id(use.did)
        raise InvalidProof(f"{named} did not hold when it was anchored")
