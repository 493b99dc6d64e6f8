"""What the node asks of the world. Each docstring states the implementer's duty.

Services see these protocols and nothing else; `node.bootstrap` chooses what
stands behind them.

Transactions are functions of a `UnitOfWork`: committed once, when the function
returns; undone when it raises. They are synchronous and run in threads, so that a
transaction costs the event loop one hop and not one for each statement.
"""

import datetime
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from ledger.participants import Participant
from ledger.ports import Account
from ledger.receipts import Countersignature, Receipt, SignedReceipt
from ledger.records import Schema
from ledger.registry import Registry
from ledger.snapshots import SignedSnapshot
from node.domain.agreement import Agreement, Status
from node.domain.dataset import Dataset
from node.domain.decision import Decision
from node.domain.disclosure import Caller, Request, Situation
from node.domain.negotiation import Negotiation, Role
from node.domain.pinned import Read, Standing
from node.domain.publication import SourceReport

T = TypeVar("T")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCall:
    """A call that this node made, kept before it was sent.

    Attributes:
        token: Signed by us: that we asked. Without a receipt, all there is to show.
        receipt_id: Of the answer; None while, or if, there is none.
    """

    nonce: str
    stream: str
    provider: str
    agreement: str
    request_hash: str
    token: str
    at: datetime.datetime
    receipt_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What this node read from a partner, and how its checks came out.

    Attributes:
        countersignature: Ours, over a receipt that we have checked.
        delivered: Whether the provider is known to have it.
    """

    signed: SignedReceipt
    at: datetime.datetime
    verified: bool
    checks: Sequence[Mapping[str, str]]
    disclosure: Mapping[str, Any] | None
    countersignature: Countersignature | None = None
    delivered: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A receipt in the log's order, and where it stands in the tree.

    Attributes:
        token: The caller's, as it came with the call; None where there was none.
    """

    sequence: int
    signed: SignedReceipt
    salt: bytes
    index: int | None
    countersignature: Countersignature | None
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A receipt or a snapshot that is not in the tree yet.

    Attributes:
        row: By which the store finds it again.
    """

    row: tuple[str, int]
    signed: SignedReceipt | SignedSnapshot
    salt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCheckpoint:
    """A published checkpoint: its signed note, and the size it speaks of."""

    size: int
    root: bytes
    note: str
    at: datetime.datetime


AnchorState: TypeAlias = Literal[
    "queued", "signed", "sent", "mined", "final", "adopted"
]
"""How far an anchor has come (`docs/protocols/anchoring.md`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnchor:
    """One epoch's anchor, and how far it has come.

    Attributes:
        member: The address that anchors.
        size: Of the tree that is anchored; 0 where the chain's word was adopted.
        at: When it was begun.
        nonce: Of the transaction that was signed last.
        raw: That transaction, kept before it is sent.
        transaction: Its hash; once the chain holds the anchor, of the one that did it.
        signed_at: When it was signed, or was seen to be gone.
        block: Number of the block that holds it.
        block_hash: And its hash, `0x` and 64 hex digits.
    """

    chain_id: int
    contract: str
    member: str
    epoch: int
    size: int
    note: str
    salt: bytes
    commitment: bytes
    at: datetime.datetime
    state: AnchorState = "queued"
    nonce: int | None = None
    raw: bytes | None = field(default=None, repr=False)
    transaction: str | None = None
    signed_at: datetime.datetime | None = None
    block: int | None = None
    block_hash: str | None = None

    @property
    def account(self) -> Account:
        """Return whose epochs these are, at which contract of which chain."""
        return Account(self.chain_id, self.contract, self.member)


class Receipts(Protocol):
    """Receipts, their streams, nonces and usage, and the log built over them."""

    def situation(self, request: Request, caller: Caller, hour: int) -> Situation:
        """Return what a decision about this request depends on."""
        ...

    def claim(self, caller: Caller, until: datetime.datetime) -> bool:
        """Use up the caller's nonce; False when it was used before."""
        ...

    def probe(self, request: Request, cap: Mapping[str, int]) -> bool:
        """Count what a call asks about hidden fields; False beyond the caps."""
        ...

    def forget_nonces(self, before: datetime.datetime) -> None:
        """Drop nonces that no acceptable token can carry any more."""
        ...

    def count_call(self, agreement: str, hour: int, cap: int) -> bool:
        """Count one answered call; False when that would exceed the cap."""
        ...

    def head(self, stream: str) -> tuple[int, str]:
        """Return the next sequence number of a stream and its newest receipt id.

        Holds the stream for this transaction, so that no two receipts follow
        the same one.
        """
        ...

    def append(
        self,
        signed: SignedReceipt,
        *,
        salt: bytes,
        token: str | None,
        question: str,
        took_ms: int,
    ) -> int:
        """Append a receipt to its stream and to the log's order.

        Args:
            token: The caller's token, which shows that it asked.
            question: The policy's input, canonical JSON, so that the decision can
                be made again.
        """
        ...

    def question(self, receipt_id: str) -> str | None:
        """Return the policy's input behind a receipt, or None."""
        ...

    def countersign(self, receipt_id: str, countersignature: Countersignature) -> None:
        """Keep the consumer's signature beside a receipt."""
        ...

    def at(self, stream: str, sequence: int) -> str | None:
        """Return the id of the receipt of ours at a place of a stream, or None."""
        ...

    def unacknowledged(self, stream: str, but: Collection[str], most: int) -> int:
        """Count receipts of a stream that its consumer has not signed back.

        Args:
            but: Ids of receipts that are not counted.
            most: Where counting ends.
        """
        ...

    def send(self, call: SentCall) -> None:
        """Keep a call that we are about to make."""
        ...

    def sent(self, nonce: str) -> SentCall | None:
        """Return a call that we made, or None."""
        ...

    def newest(self, stream: str) -> tuple[int, str] | None:
        """Return number and id of the newest verified receipt that we received."""
        ...

    def neighbours(self, receipt: Receipt) -> Sequence[SignedReceipt]:
        """Return what we received verified of a stream at a place and beside it."""
        ...

    def owing(self) -> Sequence[str]:
        """Return the streams of which `owed` has some."""
        ...

    def owed(self, stream: str, before: datetime.datetime) -> Sequence[Received]:
        """Return received receipts that we signed and whose provider may not know.

        Args:
            before: Received no later.

        Returns:
            128 at most, oldest first.
        """
        ...

    def delivered(self, receipts: Collection[str]) -> None:
        """Note that providers have our signatures over these receipts."""
        ...

    def entry(self, receipt_id: str) -> LogEntry | None:
        """Return a receipt's log entry, or None."""
        ...

    def entries(self, receipts: Collection[str]) -> Mapping[str, LogEntry]:
        """Return the log entries of receipts by id, of those that are not erased."""
        ...

    def receive(self, received: Received) -> None:
        """Keep what a partner's node answered us."""
        ...

    def received(self, receipt_id: str) -> Received | None:
        """Return what we received with a receipt, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasable:
    """A receipt as it concerns whoever wants to erase what it says.

    Attributes:
        at: When it was written, or received.
        waiting: Whether it is ours and not in the tree yet.
        erased: When and why it was erased, or None.
    """

    receipt_id: str
    at: datetime.datetime
    waiting: bool
    erased: tuple[datetime.datetime, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All that a receipt of ours says and that opens it: what erasure takes away.

    Attributes:
        token: The caller's token, or None.
        question: The policy's input, canonical JSON.
    """

    signed: SignedReceipt
    salt: bytes
    index: int
    token: str | None
    question: str | None
    countersignature: Countersignature | None
    took_ms: int


class Erasure(Protocol):
    """Takes away what receipts say, and leaves that they were.

    Id, place in stream and log, and time stay, so that streams have no gap and the
    log verifies. This holds for receipts that we wrote, and for those we received.
    """

    def look(self, receipt_id: str) -> Erasable | None:
        """Return what erasure has to know about a receipt, or None."""
        ...

    def due(self, before: datetime.datetime, most: int) -> Sequence[str]:
        """Return ids of receipts that can be erased: integrated, and from before."""
        ...

    def erase(self, receipts: Collection[str], at: datetime.datetime, why: str) -> int:
        """Erase what receipts say; return how many said something."""
        ...

    def forget_calls(self, before: datetime.datetime) -> int:
        """Forget calls of ours from before that time, which were answered or not."""
        ...

    def restore(self, content: Content) -> bool:
        """Put back what was erased; False where it was not.

        Raises:
            Conflict: No such receipt was erased here, or the log holds another leaf
                at its place; nothing was put back.
        """
        ...


class Turns(Protocol):
    """What several processes on one store share out among themselves."""

    def take(
        self, name: str, holder: str, now: datetime.datetime, seconds: int
    ) -> bool:
        """Take, or keep, a turn; False while another process has it.

        Whoever dies loses it when its time is over. That two have one, because their
        clocks differ, costs work and nothing else.

        Args:
            name: What one process does alone.
            holder: Names this process.
            seconds: How long it is the holder's, if it is not taken again.
        """
        ...

    def give_back(self, name: str, holder: str) -> None:
        """End a turn that this process has."""
        ...

    def want(self, agreement: str) -> None:
        """Have the snapshot of an agreement looked at as a whole, by some process."""
        ...

    def wanted(self) -> Mapping[str, int]:
        """Return the agreements that are wanted, and how often since their build."""
        ...

    def built(self, agreement: str, wish: int) -> None:
        """End a wish, unless it was repeated meanwhile."""
        ...


class Log(Protocol):
    """The tree over the receipts, its checkpoints and their anchors."""

    def lead(self) -> bool:
        """Tell whether this transaction may keep the log: grow it, or anchor it.

        Of several processes on one store one at a time may, until its transaction
        ends. The others do nothing and come back; nobody waits.
        """
        ...

    def waiting(self, most: int) -> Sequence[Waiting]:
        """Return entries not yet in the tree, in the log's order."""
        ...

    def size(self) -> int:
        """Return the number of entries in the tree."""
        ...

    def nodes(
        self, wanted: Iterable[tuple[int, int]]
    ) -> Mapping[tuple[int, int], bytes]:
        """Return stored hashes by (level, index)."""
        ...

    def integrate(
        self,
        first: int,
        entries: Sequence[Waiting],
        nodes: Iterable[tuple[int, int, bytes]],
    ) -> None:
        """Give entries their indexes, from `first` on, and store new nodes."""
        ...

    def publish(self, checkpoint: StoredCheckpoint) -> None:
        """Keep a signed checkpoint."""
        ...

    def checkpoint(self, size: int | None = None) -> StoredCheckpoint | None:
        """Return the checkpoint of a size, or the newest."""
        ...

    def keep_anchor(self, anchor: StoredAnchor) -> None:
        """Insert or replace an epoch's anchor."""
        ...

    def anchor(
        self, account: Account | None = None, epoch: int | None = None
    ) -> StoredAnchor | None:
        """Return the newest anchor, whatever its state; or the one of an epoch.

        Args:
            account: Of this one; without it, of the one that was begun with last.
            epoch: Of an account.
        """
        ...

    def anchors(
        self,
        account: Account,
        *,
        states: Collection[AnchorState] = (),
        after: int = 0,
        most: int = 1000,
    ) -> Sequence[StoredAnchor]:
        """Return an account's anchors by epoch, at most so many.

        Args:
            states: In one of these; in any, if none is named.
            after: Only of later epochs.
        """
        ...

    def unanchor(self, account: Account, after: int, at: datetime.datetime) -> None:
        """Have the anchors beyond an epoch sent again: the chain holds them no more."""
        ...

    def anchor_covering(self, index: int) -> StoredAnchor | None:
        """Return the first final anchor whose tree holds this index.

        One of the account that anchors now, where there is one.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that a person must look at, and that does not go away by itself.

    Attributes:
        code: What it is. While one that begins with `log.` is open, nothing is
            disclosed and nothing anchored: the log may have two histories.
        subject: What it is about: a DID, a log's origin, an epoch. May be empty.
        detail: In words.
    """

    code: str
    subject: str
    detail: str
    at: datetime.datetime

    @property
    def stops(self) -> bool:
        """Whether the node discloses nothing while it is open."""
        return self.code.startswith("log.")


class Alarms(Protocol):
    """What a person must look at. Kept until somebody says that it is mended."""

    def sound(self, alarm: Alarm) -> None:
        """Keep an alarm; one that is open already stays as it is."""
        ...

    def open(self) -> Sequence[Alarm]:
        """Return the open alarms, oldest first."""
        ...

    def clear(self, code: str, subject: str, why: str, at: datetime.datetime) -> bool:
        """End an alarm, for a reason that is kept; False where none is open."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """A checkpoint of somebody's log that this node has verified and remembers.

    Attributes:
        origin: Of the log.
        note: Signed by the log, and by us where we cosigned it.
    """

    origin: str
    size: int
    root: bytes
    note: str
    at: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """A witness's signature line under a checkpoint of our own log.

    Attributes:
        size: Of the checkpoint.
        witness: DID of the witness.
        line: Verified, with its final newline.
        at: When the witness says that it signed.
    """

    size: int
    witness: str
    line: str
    at: datetime.datetime


class Witness(Protocol):
    """What this node has seen of others' logs, and what others have seen of ours."""

    def hold(self, origin: str) -> Witnessed | None:
        """Return the newest checkpoint that we cosigned of a log, or None.

        Holds it for this transaction, also where there is none yet, so that nobody
        cosigns another meanwhile.
        """
        ...

    def newest(self, origin: str) -> Witnessed | None:
        """Return the newest checkpoint that we cosigned of a log, or None."""
        ...

    def keep(self, witnessed: Witnessed) -> None:
        """Replace the newest checkpoint that we cosigned of a log."""
        ...

    def met(self, origin: str, size: int) -> Witnessed | None:
        """Return what is remembered of a log at a size, or None."""
        ...

    def meet(self, witnessed: Witnessed) -> None:
        """Remember a checkpoint; of one size the first that was met.

        Of each log the largest ones are remembered, a thousand of them.
        """
        ...

    def keep_cosignature(self, cosigned: Cosigned) -> None:
        """Keep a witness's line under a checkpoint of our own, replacing its last.

        Lines stay with checkpoints that were anchored, and with the newest few.
        """
        ...

    def cosignatures(self, size: int) -> Sequence[Cosigned]:
        """Return the lines under our checkpoint of a size, in order of witnesses."""
        ...

    def reach(self) -> Mapping[str, int]:
        """Return the size of the newest checkpoint that each witness has cosigned."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A proof, for anybody, that a participant broke the rules.

    Attributes:
        id: Hash of what it proves, 64 hex digits; the same from every finder.
        kind: `equivocation` or `fork`.
        participant: DID of the one at fault.
        proof: The file to hand on; its `typ` says what it is.
    """

    id: str
    kind: str
    participant: str
    proof: Mapping[str, Any]
    at: datetime.datetime


class Faults(Protocol):
    """Proofs of others' faults. Kept for good."""

    def keep(self, fault: Fault) -> None:
        """Keep a proof, unless it is there or there are enough.

        A hundred of one participant and kind are enough.
        """
        ...

    def all(self) -> Sequence[Fault]:
        """Return every proof, newest first, a thousand at most."""
        ...

    def get(self, fault_id: str) -> Fault | None:
        """Return a proof, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEntry:
    """A receipt of a stream, as one side's copy has it.

    Attributes:
        signed: None where its content was erased, or cannot be read.
        request: The consumer's token that came with the call, if it is here.
        verified: Whether all checks of the answer held; True for what we signed.
        delivered: Whether its provider is known to have our countersignature.
        erased: When and why, in words; None where it is not erased.
    """

    sequence: int
    receipt_id: str
    signed: SignedReceipt | None
    request: str | None
    countersignature: Countersignature | None
    verified: bool
    delivered: bool
    erased: str | None


class StreamCopy(Protocol):
    """One side's copy of streams: what we signed, or what we received."""

    def numbers(self, stream: str) -> Sequence[int]:
        """Return the numbers of the receipts that are here, ascending, each once."""
        ...

    def twice(self, stream: str) -> Sequence[int]:
        """Return numbers of which more than one receipt is here; 16 at most."""
        ...

    def at(self, stream: str, first: int, most: int = 1) -> Sequence[StreamEntry]:
        """Return the receipts of `most` numbers, from `first` on, in order."""
        ...

    def unsigned(self, stream: str, most: int) -> Sequence[int]:
        """Return numbers of receipts that the consumer has not signed, ascending.

        Without those whose content was erased.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """How the last comparison of a stream with its partner came out.

    Attributes:
        state: `same`, `different` or `unreachable`.
        report: As `node.services.reconcile` gives it, a JSON object.
    """

    stream: str
    at: datetime.datetime
    state: str
    report: Mapping[str, Any]


class Streams(Protocol):
    """Both sides' copies of streams, and how they were last compared."""

    def copy(self, role: Role) -> StreamCopy:
        """Return the copy that we keep in a role."""
        ...

    def unanswered(self, stream: str, before: datetime.datetime) -> int:
        """Count the calls that we made before a time and hold no receipt of."""
        ...

    def keep(self, reconciled: Reconciled) -> None:
        """Replace how a stream was last compared."""
        ...

    def reconciled(self) -> Mapping[str, Reconciled]:
        """Return how each stream was last compared, by stream."""
        ...


class UnitOfWork(Protocol):
    """One transaction. Not to be kept beyond the function it was given to."""

    @property
    def datasets(self) -> Datasets:
        """Return the datasets of this transaction."""
        ...

    @property
    def agreements(self) -> Agreements:
        """Return the agreements of this transaction."""
        ...

    @property
    def snapshots(self) -> Snapshots:
        """Return the commitments of this transaction."""
        ...

    @property
    def receipts(self) -> Receipts:
        """Return the receipts of this transaction."""
        ...

    @property
    def log(self) -> Log:
        """Return the log of this transaction."""
        ...

    @property
    def alarms(self) -> Alarms:
        """Return the alarms of this transaction."""
        ...

    @property
    def erasure(self) -> Erasure:
        """Return what can be erased in this transaction."""
        ...

    @property
    def turns(self) -> Turns:
        """Return what processes share out among themselves."""
        ...

    @property
    def witness(self) -> Witness:
        """Return what was seen of logs, in this transaction."""
        ...

    @property
    def faults(self) -> Faults:
        """Return the proofs of faults of this transaction."""
        ...

    @property
    def streams(self) -> Streams:
        """Return the copies of streams, in this transaction."""
        ...


class Store(Protocol):
    """The node's own database. Transactions are plain functions, run in threads."""

    async def read(self, question: Callable[[UnitOfWork], T]) -> T:
        """Ask something of one consistent state, and change nothing.

        Raises:
            Unavailable: The database did not answer.
        """
        ...

    async def write(self, action: Callable[[UnitOfWork], T]) -> T:
        """Do something whole: committed when it returns, undone when it raises.

        Returns only when a power cut cannot undo it any more.

        Raises:
            Unavailable: The database did not answer. What it was asked to do has
                happened whole or not at all.
        """
        ...

    async def scrub(self) -> None:
        """Have the database overwrite what was erased, as far as it can be told to."""
        ...


class Audit(Protocol):
    """Questions of the dashboard about what is in the store; JSON values."""

    async def summary(
        self, since: datetime.datetime, until: datetime.datetime
    ) -> Mapping[str, Any]:
        """Return the key figures of a window of time."""
        ...

    async def calls(
        self,
        *,
        since: datetime.datetime,
        until: datetime.datetime,
        filters: Mapping[str, str],
        before: int | None,
        after: int | None,
        most: int,
    ) -> Mapping[str, Any]:
        """Return a page of calls, newest first, with facets.

        Args:
            filters: Value by column; `partner` may be `unknown`.
            before: Only calls with a smaller sequence number.
            after: Only calls with a larger one, the nearest.
        """
        ...

    async def agreements(self, at: datetime.datetime) -> Sequence[Mapping[str, Any]]:
        """Return agreements with their use."""
        ...

    async def streams(self) -> Sequence[Mapping[str, Any]]:
        """Return how the stream of each agreement stands."""
        ...

    async def received(self, before: int | None, most: int) -> Mapping[str, Any]:
        """Return a page of what this node read from others."""
        ...
