"""Where the snapshot behind a receipt stands: is what was shown fixed, since when?

Every answer is of records that the provider had committed to before, in a snapshot
that the receipt names. The audit API hands out the signed snapshot and its place
in the provider's log as the member `committed`; what a partner's node answered
carries both in its disclosure. Nothing of it is trusted: `ledger.standing` walks
from the snapshot to the chain, as it does for a receipt.

That an agreement has a newer snapshot by now is only what the node states.
"""

from collections.abc import Mapping
from typing import Any, Final

from crypto.errors import InvalidProof
from ledger.evidence import parse_place
from ledger.participants import Participant
from ledger.ports import ChainReader
from ledger.receipts import Receipt
from ledger.snapshots import parse_signed_snapshot, verify_snapshot
from ledger.standing import verify_place
from ledger.steps import Outcome, Step, run

_SIGNED: Final = ("snapshot", "snapshot_signature")


def committed(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what the audit API's evidence tells of the snapshot, unchecked.

    Returns:
        The members `snapshot`, `snapshot_signature`, `snapshot_place`, and maybe
        `newest`: number of the agreement's newest snapshot, as the node states.
    """
    told, shown = answer.get("committed"), answer.get("disclosure")
    if isinstance(told, dict):
        return told
    if not isinstance(shown, dict) or "snapshot_place" not in answer:
        return None
    signed = {name: shown.get(name) for name in _SIGNED}
    return signed | {"snapshot_place": answer["snapshot_place"]}


def numbers(answer: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the snapshot's number and the newest one, if the node states a newer."""
    told = committed(answer) or {}
    snapshot, newest = told.get("snapshot"), told.get("newest")
    own = snapshot.get("sequence") if isinstance(snapshot, dict) else None
    if isinstance(own, int) and isinstance(newest, int) and newest > own:
        return own + 1, newest + 1
    return None


def snapshot_step(
    answer: Mapping[str, Any],
    receipt: Receipt,
    provider: Participant | None,
    chain: ChainReader | None,
) -> Step:
    """Check where the snapshot of an allowed call stands.

    Returns:
        The step `snapshot` of a verification. Its detail is the time of the
        anchor, RFC 3339 UTC, where the chain told.
    """

    def check() -> Outcome:
        told = committed(answer)
        if told is None:
            return "untold", ""
        if provider is None:
            return "unknown", ""
        signed = parse_signed_snapshot(told)
        place = parse_place(told.get("snapshot_place"))
        snapshot = signed.snapshot
        if snapshot.snapshot_id != receipt.snapshot:
            raise InvalidProof("the receipt names another snapshot")
        if (snapshot.agreement, snapshot.dataset) != (
            receipt.agreement,
            receipt.dataset,
        ):
            raise InvalidProof("the snapshot is of another agreement or dataset")
        verify_snapshot(signed, provider)
        standing = verify_place(signed, place, provider, chain)
        return standing.outcome, standing.at or ""

    return run("snapshot", check)
