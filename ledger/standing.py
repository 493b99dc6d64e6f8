"""Standing: how far an entry of a log has come, and who saw it there.

A receipt and a snapshot go the same way: into the tree, under a signed checkpoint,
onto the chain. So the same five questions are asked of both, of a receipt as steps
of their own, of a snapshot together (`verify_place`): *when at the latest had the
provider committed to what it now shows?* The answer is the time of an anchor, by
the clock of the chain.

Spec: `docs/protocols/evidence.md`, section "Verification".
"""

import datetime
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from crypto import merkle
from crypto.errors import InvalidProof, InvalidSignature
from crypto.notes import open_checkpoint, parse_checkpoint
from crypto.signing import Verifier
from ledger import log
from ledger.checkpoint import Checkpoint, advance, anchor_commitment, origin_of
from ledger.errors import ChainUnavailable
from ledger.participants import Participant
from ledger.place import Anchor, Place
from ledger.ports import ChainReader
from ledger.steps import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of where an entry stands.

    Attributes:
        outcome: `checked`: anchored, the chain says so. `pending`: not yet
            anchored. Otherwise why nobody looked: `not_asked`, `unreachable`,
            `elsewhere` (another chain or contract), `unknown` (no key pinned).
        epoch: Of the anchor, where there is one.
        at: When it was anchored, RFC 3339 UTC, where the chain told.
    """

    outcome: str
    epoch: int | None = None
    at: str | None = None


def verify_place(
    signed: log.Entry,
    place: Place,
    provider: Participant | None,
    chain: ChainReader | None,
) -> Standing:
    """Check where an entry stands, from its leaf to the chain.

    Args:
        signed: A receipt or a snapshot, whose signature is verified elsewhere.
        place: As received.
        provider: As *pinned*; None if it is not.
        chain: Reads the consortium's anchor contract; None not to ask it.

    Raises:
        CryptoError: Something of it is false, or does not parse.
        Inconsistent: The provider's log contradicts itself.
    """
    walk = Walk(signed=signed, place=place, provider=provider, chain=chain)
    outcomes = [check()[0] for check in walk.checks.values()]
    weak = [outcome for outcome in outcomes if outcome != "checked"]
    epoch = place.anchor.epoch if place.anchor else None
    if weak:
        return Standing(outcome=weak[0], epoch=epoch)
    return Standing(outcome="checked", epoch=epoch, at=walk.anchored_at())


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The way of one entry: what is claimed, and whom we know.

    Each check returns an outcome and a detail, or raises.
    """

    signed: log.Entry
    place: Place
    provider: Participant | None
    chain: ChainReader | None

    def inclusion(self) -> Outcome:
        """Check that its leaf is under the checkpoint's root."""
        if (place := self.place.inclusion) is None:
            return "pending", ""
        if self.provider is None:
            return "unknown", ""
        checkpoint, hashing = _unverified(place.checkpoint), self.provider.hashing
        merkle.verify_inclusion(
            leaf=log.leaf(self.signed, self.place.salt, hashing=hashing),
            index=place.index,
            size=checkpoint.size,
            proof=place.proof,
            root=checkpoint.root,
            hashing=hashing,
        )
        return "checked", f"{place.index} / {checkpoint.size}"

    def checkpoint(self) -> Outcome:
        """Check that the provider's log signed that checkpoint."""
        if (place := self.place.inclusion) is None:
            return "pending", ""
        if self.provider is None:
            return "unknown", ""
        checkpoint = _open(place.checkpoint, self.provider)
        return "checked", f"{checkpoint.origin} {checkpoint.size}"

    def consistency(self) -> Outcome:
        """Check that the anchored checkpoint is signed too, and continues it."""
        place, anchor = self.place.inclusion, self.place.anchor
        if place is None or anchor is None:
            return "pending", ""
        if self.provider is None:
            return "unknown", ""
        covered = _open(place.checkpoint, self.provider)
        anchored = _open(anchor.checkpoint, self.provider)
        hashing = self.provider.hashing
        advance(covered, anchored, anchor.consistency, hashing=hashing)
        return "checked", f"{covered.size} → {anchored.size}"

    def anchor(self) -> Outcome:
        """Check that the commitment opens to the anchored checkpoint."""
        if (anchor := self.place.anchor) is None:
            return "pending", ""
        if self.provider is None:
            return "unknown", ""
        commitment = _commitment(anchor, self.provider)
        if commitment != anchor.commitment:
            raise InvalidProof(f"the checkpoint's commitment is {commitment.hex()}")
        return "checked", commitment.hex()

    def on_chain(self) -> Outcome:
        """Check that the chain holds that commitment, by the provider's account."""
        if (anchor := self.place.anchor) is None:
            return "pending", ""
        if self.provider is None:
            return "unknown", ""
        if self.provider.chain_address.lower() != anchor.member:
            raise InvalidProof("anchored by another account than the provider's")
        if self.chain is None:
            return "not_asked", ""
        try:
            asked = (self.chain.chain_id, self.chain.contract.lower())
            held = self.chain.commitment(anchor.member, anchor.epoch)
        except ChainUnavailable as error:
            return "unreachable", str(error)
        if asked != (anchor.chain_id, anchor.contract):
            return "elsewhere", f"{anchor.chain_id} {anchor.contract}"
        # What the chain holds is compared with the checkpoint, not with the file.
        if held != _commitment(anchor, self.provider):
            raise InvalidProof(f"the chain holds {held.hex() if held else 'nothing'}")
        return "checked", f"{anchor.chain_id} {anchor.contract} {anchor.epoch}"

    @property
    def checks(self) -> dict[str, Callable[[], Outcome]]:
        """All checks by name, in order."""
        return {
            "inclusion": self.inclusion,
            "checkpoint": self.checkpoint,
            "consistency": self.consistency,
            "anchor": self.anchor,
            "chain": self.on_chain,
        }

    def log_key(self) -> Verifier | None:
        """Return which pinned key signed the anchored checkpoint, None if none did."""
        if self.provider is None or (anchor := self.place.anchor) is None:
            return None
        origin = origin_of(self.provider.did)
        for key in self.provider.verifiers:
            with suppress(InvalidSignature):
                open_checkpoint(anchor.checkpoint, origin=origin, keys=[key])
                return key
        return None

    def anchored_at(self) -> str | None:
        """Ask the chain when it was anchored: RFC 3339 UTC, None if it does not say."""
        seconds = self.anchored_seconds()
        return None if seconds is None else _instant(seconds)

    def anchored_seconds(self) -> int | None:
        """Ask the chain when it was anchored: since 1970, None if it does not say.

        Worth no more than `on_chain`: look at that first.
        """
        if self.chain is None or (anchor := self.place.anchor) is None:
            return None
        try:
            return self.chain.anchored_at(anchor.member, anchor.epoch)
        except ChainUnavailable:
            return None


def _instant(seconds: int) -> str | None:
    try:
        found = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return found.strftime("%Y-%m-%dT%H:%M:%SZ")


def _open(note: str, provider: Participant) -> Checkpoint:
    keys = provider.verifiers
    return open_checkpoint(note, origin=origin_of(provider.did), keys=keys)


def _commitment(anchor: Anchor, provider: Participant) -> bytes:
    hashing = provider.hashing
    return anchor_commitment(anchor.checkpoint, anchor.salt, hashing=hashing)


def _unverified(note: str) -> Checkpoint:
    """Read a checkpoint whose signature is another check's business."""
    return parse_checkpoint(note.rpartition("\n\n")[0] + "\n")
