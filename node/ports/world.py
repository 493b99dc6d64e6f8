"""What a node asks of the world beside its store: time, policies, CRMs, partners."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ledger.participants import Participant
from ledger.registry import Registry
from node.domain.dataset import Dataset
from node.domain.decision import Decision
from node.domain.disclosure import Caller
from node.domain.pinned import Read, Standing
from node.domain.publication import SourceReport


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime.datetime:
        """Return the current instant, in UTC, to the second."""
        ...

    def elapsed_ms(self) -> float:
        """Return milliseconds of a monotonic clock, for durations only."""
        ...


class Randomness(Protocol):
    """The only source of randomness."""

    def __call__(self, size: int, /) -> bytes:
        """Return `size` bytes from a cryptographic generator."""
        ...


class PolicyDecisionPoint(Protocol):
    """Answers whether a call is allowed."""

    async def ready(self) -> None:
        """Check that the engine decides as pinned.

        Raises:
            Unavailable: It does not answer, or answers the corpus differently.
        """
        ...

    async def decide(self, question: Mapping[str, Any]) -> Decision:
        """Decide. A fault of the engine is a denial with a code of its own."""
        ...


class RecordSource(Protocol):
    """A dataset's records in the company's own CRM. Read-only, in threads."""

    def check(self) -> SourceReport:
        """Return what the source is and which columns it has."""
        ...

    def scan(
        self, columns: Sequence[str], batch: int = 1000
    ) -> Iterator[list[Mapping[str, Any]]]:
        """Return every row, in batches, with the named columns only."""
        ...

    def read(
        self, records: Sequence[str], columns: Sequence[str]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Return the named columns of the named records, as stored.

        Raises:
            Unavailable: The source does not answer, or not in time.
        """
        ...

    def close(self) -> None:
        """Give back every connection."""
        ...


class Sources(Protocol):
    """Opens the source of a dataset."""

    def __call__(self, dataset: Dataset) -> RecordSource:
        """Return the open source; the same one for the same dataset."""
        ...


class Identity(Protocol):
    """Who is who: the consortium's pins, and tokens signed with pinned keys."""

    @property
    def me(self) -> Participant:
        """Return this node's own record."""
        ...

    def participant(self, did: str) -> Participant | None:
        """Return the pinned record of a participant, or None."""
        ...

    def participants(self) -> Sequence[Participant]:
        """Return every pinned record, this node's too, in order of name."""
        ...

    def authenticate(
        self, token: str | None, *, bound_to: str, agreement: str | None
    ) -> Caller:
        """Check a self-issued token. A fault of the token is `Caller.problem`.

        Args:
            token: What came after `Bearer `, or None.
            bound_to: Hash of the request that the token must name, in hex.
            agreement: Agreement that the token must name, if any.

        Raises:
            Unavailable: The registry cannot be read, so nobody is known.
        """
        ...

    def issue(
        self, *, audience: str, bound_to: str, agreement: str | None, nonce: str
    ) -> str:
        """Return a token for one call to one participant.

        Raises:
            Unavailable: The consortium's registry does not hold its keys.
        """
        ...


class KeyRegistry(Registry, Protocol):
    """The consortium's registry contract. `history` blocks and keeps what it reads."""

    def last(self, did: str) -> Read | None:
        """Return what was last read of a participant, without asking."""
        ...

    def standing(self, pinned: Participant) -> Standing:
        """Say whether pinned keys hold by what was last read, without asking."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a partner's node answered: the HTTP status and the JSON body."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReply:
    """What a partner's node answered in text: status, media type, and the text."""

    status: int
    media: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesReply:
    """What a partner's node answered: the HTTP status and the octets."""

    status: int
    content: bytes


class Peers(Protocol):
    """Calls partners' nodes."""

    async def post(
        self, participant: Participant, path: str, body: Any, *, token: str
    ) -> Reply:
        """Post JSON. A refusal is a reply; silence raises `Unavailable`."""
        ...

    async def get(self, participant: Participant, path: str) -> Reply:
        """Get what everybody may read. Silence raises `Unavailable`."""
        ...

    async def text(
        self, participant: Participant, path: str, content: str | None = None
    ) -> TextReply:
        """Get a text that everybody may read, or post one. Silence as above."""
        ...

    async def exchange(
        self,
        participant: Participant,
        path: str,
        content: bytes,
        *,
        token: str,
        timeout_s: float,
    ) -> BytesReply:
        """Post octets. A refusal is a reply; silence raises `Unavailable`.

        Args:
            timeout_s: How long it may stay silent.
        """
        ...
