"""A negotiation: the states through which an offer becomes an agreement.

The table is transcribed from the figure of the specification. A state moves
only through `advance`, which names who sent the message.

Spec: Dataspace Protocol 2025-1, contract negotiation.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from node.domain.agreement import Agreement, Offer
from node.errors import Conflict


class Role(StrEnum):
    """Which side of an agreement a participant stands on."""

    PROVIDER = "provider"
    CONSUMER = "consumer"


class State(StrEnum):
    """The states of a contract negotiation."""

    REQUESTED = "REQUESTED"
    OFFERED = "OFFERED"
    ACCEPTED = "ACCEPTED"
    AGREED = "AGREED"
    VERIFIED = "VERIFIED"
    FINALIZED = "FINALIZED"
    TERMINATED = "TERMINATED"


_C, _P = Role.CONSUMER, Role.PROVIDER
TRANSITIONS: dict[tuple[State, State], frozenset[Role]] = {
    (State.REQUESTED, State.OFFERED): frozenset({_P}),
    (State.REQUESTED, State.AGREED): frozenset({_P}),
    (State.REQUESTED, State.TERMINATED): frozenset({_C, _P}),
    (State.OFFERED, State.REQUESTED): frozenset({_C}),
    (State.OFFERED, State.ACCEPTED): frozenset({_C}),
    (State.OFFERED, State.TERMINATED): frozenset({_C, _P}),
    (State.ACCEPTED, State.AGREED): frozenset({_P}),
    (State.ACCEPTED, State.TERMINATED): frozenset({_P}),
    (State.AGREED, State.VERIFIED): frozenset({_C}),
    (State.AGREED, State.TERMINATED): frozenset({_C}),
    (State.VERIFIED, State.FINALIZED): frozenset({_P}),
    (State.VERIFIED, State.TERMINATED): frozenset({_P}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiation:
    """One negotiation, as one side sees it.

    Attributes:
        provider_pid: The provider's id of it, `urn:uuid:…`.
        consumer_pid: The consumer's id of it, `urn:uuid:…`.
        role: The side that keeps this value.
        partner: DID of the other side.
        offer: The offer on the table, as sent.
        agreement: The agreement, from the moment the provider has drawn it up.
    """

    provider_pid: str
    consumer_pid: str
    role: Role
    partner: str
    state: State
    offer: Offer
    agreement: Agreement | None = None

    @property
    def pid(self) -> str:
        """Return the id on the side that keeps this value."""
        provides = self.role is Role.PROVIDER
        return self.provider_pid if provides else self.consumer_pid

    def advance(
        self, to: State, *, sender: Role, agreement: Agreement | None = None
    ) -> "Negotiation":
        """Return the negotiation after a message of `sender`.

        Raises:
            Conflict: The figure has no such arrow for that side.
        """
        if sender not in TRANSITIONS.get((self.state, to), frozenset()):
            detail = f"A {sender} cannot move a negotiation {self.state} → {to}."
            raise Conflict("negotiation.state", detail)
        return replace(self, state=to, agreement=agreement or self.agreement)
