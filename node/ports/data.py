"""Datasets, what is committed to of them, and the agreements they are under."""

import datetime
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ledger.records import Schema
from ledger.snapshots import SignedSnapshot
from node.domain.agreement import Agreement, Status
from node.domain.dataset import Dataset
from node.domain.negotiation import Negotiation, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record as it was published. No value of it is kept.

    Attributes:
        key: The source's identifier of the record.
        customer: Normalised customer key.
        link: Secret of the record, 48 bytes, the same in all its versions.
        digest: Of link and values (`crypto.anchored.record_digest`), 32 bytes.
        version: Version of the dataset in which it came to have these values.
    """

    key: str
    customer: str
    link: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A commitment to one record under one agreement.

    Attributes:
        record: What was committed to.
        position: Of its customer among those declared, from 0.
        blinder: Secret, 48 bytes.
        signature: BBS signature, 80 bytes.
        commitment: C_rec, 48 bytes.
    """

    record: Record
    position: int
    blinder: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    commitment: bytes


class SealPlace(NamedTuple):
    """Where a seal is kept.

    Attributes:
        key: Of the record.
        since: Number of the snapshot from which on it holds.
        position: Of its customer among those declared, from 0.
    """

    key: str
    since: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """The commitments to one customer's records, in order of the records' keys.

    Attributes:
        position: Of the customer's token among those declared, from 0.
        records: Commitment and version of each record.
    """

    position: int
    records: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSnapshot:
    """A snapshot of one agreement that this node signed.

    Attributes:
        salt: Opens the log's commitment to it, 32 bytes.
        index: Of its leaf in the log, None until it is integrated.
    """

    signed: SignedSnapshot
    salt: bytes
    index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """The customers that a consumer declared under an agreement.

    Attributes:
        hash: `ledger.snapshots.declaration_hash`, 64 hex digits.
        tokens: Sorted, 32 bytes each, joined; padding included.
    """

    hash: str
    tokens: bytes

    @property
    def size(self) -> int:
        """How many tokens, a power of two."""
        return len(self.tokens) // 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One published version of a dataset.

    Attributes:
        schema: Orders and types what is committed to, with the salts that blind it.
        key_id: Of the key that commits.
        declaration: The dataset as declared, to JSON and back.
        report: Counts of what was read, published and left out, and why.
    """

    dataset: Dataset
    version: int
    schema: Schema
    key_id: str
    published_at: datetime.datetime
    declaration: Mapping[str, Any]
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAgreement:
    """An agreement with both signatures, and what this node knows beside it."""

    agreement: Agreement
    role: Role
    status: Status
    signatures: Mapping[str, Mapping[str, str]]


class Datasets(Protocol):
    """Published datasets and their records."""

    def publish(self, publication: Publication, records: Iterable[Record]) -> None:
        """Replace the dataset's records and version."""
        ...

    def republish(
        self,
        publication: Publication,
        changed: Sequence[Record],
        gone: Sequence[str],
    ) -> None:
        """Replace the dataset's version, replace some records and drop others."""
        ...

    def change(
        self, dataset: str, version: int, changed: Sequence[Record], gone: Sequence[str]
    ) -> None:
        """Replace some records, drop others, and count the dataset's version on."""
        ...

    def hold(self, dataset: str) -> Publication | None:
        """Return the newest publication, held so that nobody else changes it."""
        ...

    def get(self, dataset: str) -> Publication | None:
        """Return the newest publication, or None."""
        ...

    def all(self) -> Sequence[Publication]:
        """Return every dataset's newest publication."""
        ...

    def records(
        self, dataset: str, keys: Sequence[str] | None = None
    ) -> Sequence[Record]:
        """Return records by their keys, or all of them."""
        ...

    def customers(self, dataset: str) -> Sequence[str]:
        """Return the normalised key of every customer that has a record."""
        ...

    def count_customers(self, dataset: str) -> int:
        """Return how many `customers` returns."""
        ...


class Snapshots(Protocol):
    """Commitments to records, one for each agreement, and the trees over them.

    A seal holds from one snapshot on (`since`). Readers see what holds in the
    published one; what a builder keeps for the next is invisible until `publish`.
    """

    def current(self, agreement: str) -> KeptSnapshot | None:
        """Return the newest snapshot of an agreement, or None."""
        ...

    def find(self, snapshot_id: str) -> KeptSnapshot | None:
        """Return a snapshot that this node signed, or None."""
        ...

    def seals(self, agreement: str, positions: Sequence[int], most: int) -> list[Seal]:
        """Return up to `most` published seals, by position and key."""
        ...

    def stale(
        self, agreement: str, dataset: str, *, after: tuple[int, str], most: int
    ) -> list[tuple[Record, int]]:
        """Return records that have to be sealed, with their positions.

        They are in order of version and key.

        Args:
            after: Version and key; only those that come after.
        """
        ...

    def count(self, agreement: str, dataset: str) -> tuple[int, int]:
        """Return how many records of an agreement are sealed, and how many it has."""
        ...

    def keep(self, agreement: str, since: int, seals: Sequence[Seal]) -> None:
        """Keep seals for the snapshot to come.

        Where there is one already of the same record, in the same version and
        position or in a later version, that one stays.
        """
        ...

    def pending(self, agreement: str, since: int) -> list[SealPlace]:
        """Return where the seals are that were kept for a snapshot."""
        ...

    def count_pending(self, agreement: str, since: int) -> int:
        """Return how many seals were kept for a snapshot."""
        ...

    def outdated(
        self, agreement: str, dataset: str, keys: Sequence[str] | None
    ) -> list[SealPlace]:
        """Return seals that newer ones replace, or whose record is not shared now.

        Args:
            keys: Look at these records only.
        """
        ...

    def leaves(
        self,
        agreement: str,
        positions: Sequence[int] | None,
        without: Collection[SealPlace],
    ) -> Iterator[Leaf]:
        """Return the leaves of customers that have records, in order.

        Args:
            positions: Of these only, in order; None for all.
            without: Seals that are left out.
        """
        ...

    def drop(self, agreement: str, seals: Collection[SealPlace]) -> None:
        """Forget seals."""
        ...

    def tiles(
        self, agreement: str, wanted: Iterable[tuple[int, int]]
    ) -> dict[tuple[int, int], bytes]:
        """Return stored tiles of the tree (`ledger.tiles`)."""
        ...

    def publish(
        self, snapshot: KeptSnapshot, tiles: Mapping[tuple[int, int], bytes]
    ) -> None:
        """Make a snapshot the current one, with what changed in its tree."""
        ...

    def receive(self, signed: SignedSnapshot) -> SignedSnapshot | None:
        """Keep a partner's snapshot; return the one kept before under its number."""
        ...

    def received(self, agreement: str, sequence: int) -> SignedSnapshot | None:
        """Return a partner's snapshot by its number, or None."""
        ...

    def around(
        self, agreement: str, sequence: int
    ) -> tuple[SignedSnapshot | None, SignedSnapshot | None]:
        """Return the partner's snapshots whose numbers are next below and above."""
        ...


class Agreements(Protocol):
    """Agreements, negotiations, and the customers declared under them."""

    def add(self, kept: KeptAgreement) -> None:
        """Keep an agreement for good."""
        ...

    def get(self, agreement: str) -> KeptAgreement | None:
        """Return an agreement, or None."""
        ...

    def hold(self, agreement: str) -> KeptAgreement | None:
        """Return an agreement, or None.

        Holds it for this transaction, so that its status does not change.
        """
        ...

    def all(self) -> Sequence[KeptAgreement]:
        """Return every agreement, newest first."""
        ...

    def set_status(self, agreement: str, status: Status) -> None:
        """Change what holds beside an agreement, from the next call on."""
        ...

    def keep_negotiation(self, negotiation: Negotiation) -> None:
        """Insert or replace a negotiation."""
        ...

    def hold_negotiation(self, pid: str) -> Negotiation | None:
        """Return the negotiation with this id on our side, or None.

        Holds it for this transaction, so that nobody else moves it.
        """
        ...

    def negotiations(self) -> Sequence[Negotiation]:
        """Return every negotiation, newest first."""
        ...

    def declare(
        self, agreement: str, declaration: Declaration, known: Mapping[bytes, str]
    ) -> None:
        """Keep the consumer's tokens, and the customers that some of them name here."""
        ...

    def mismatches(
        self, agreement: str, known: Mapping[bytes, str]
    ) -> Mapping[bytes, str | None]:
        """Return what declared tokens name, where that is not what is kept."""
        ...

    def match(self, agreement: str, names: Mapping[bytes, str | None]) -> None:
        """Keep which customers some declared tokens name now."""
        ...

    def declaration(
        self, agreement: str, digest: str | None = None
    ) -> Declaration | None:
        """Return the newest declaration under an agreement, or the one of a hash."""
        ...

    def declaration_hash(self, agreement: str) -> str | None:
        """Return the hash of the newest declaration under an agreement, or None."""
        ...

    def keep_own(self, agreement: str, declaration: Declaration) -> None:
        """Keep what we are about to declare, beside what we declared before."""
        ...

    def own_taken(self, agreement: str, digest: str) -> None:
        """Keep a declaration of ours for good: the partner has taken it."""
        ...

    def aligned(
        self, agreement: str, tokens: Sequence[bytes]
    ) -> Mapping[bytes, tuple[int, str]]:
        """Return position and customer of the tokens whose customer both sides know."""
        ...
