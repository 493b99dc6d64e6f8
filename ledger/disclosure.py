"""A disclosure: what an allowed call was answered with, and its check.

For every customer that was asked for, in the order they were asked: nothing
("not shared"); or all records that the provider has committed to of it, each with
the fields asked for and a presentation, or *withheld*, where a condition of the
request does not hold. With each customer comes its place in the snapshot, to which
all its records lead: none can be left out, and none put in.

The receipt is written before anything is proved, and a presentation is bound to
the receipt. So the *response hash* in the receipt covers the snapshot, the
commitments and the disclosed values, but not the presentations and the places in
the tree: they follow from both.

Spec: `docs/protocols/receipts.md`, section "Response hash";
`docs/protocols/snapshots.md`, section "Checking an answer".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from crypto import merkle
from crypto.bbs import RandomBytes
from crypto.bbs.suite import POINT_BYTES
from crypto.encoding import b64u, canonical, sha256, tagged
from crypto.errors import CryptoError, InvalidBatch, InvalidProof, Malformed
from crypto.predicates import Claim, Statement, verify, verify_batch
from crypto.typed import Schema, places, schema_hash, size
from ledger import shape
from ledger.conditions import Condition, Value
from ledger.participants import Participant
from ledger.presentation import presentation_header
from ledger.receipts import Receipt
from ledger.records import parse_schema, schema_to_json
from ledger.snapshots import (
    MOST_LEAVES,
    SignedSnapshot,
    customer_leaf,
    parse_signed_snapshot,
    record_header,
    verify_snapshot,
)

MOST_CUSTOMERS: Final = 10_000
MOST_RECORDS: Final = 100_000
MOST_STEPS: Final = MOST_LEAVES.bit_length() - 1
MEMBERS: Final = frozenset({"snapshot", "snapshot_signature", "schema", "disclosures"})

Rank: TypeAlias = Callable[[bytes], int | None]
"""Says the place of a declared customer token among all, from 0; None if it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRecord:
    """What is shown of one record.

    Attributes:
        version: Of the dataset, when the record was committed to.
        commitment: To the record, 48 bytes.
        fields: Value by name; empty where only conditions were asked about. None
            when the record is withheld: a condition does not hold of it.
        presentation: Proof that they stand in the record behind the commitment,
            and that the conditions hold of it; empty until the receipt that it
            is bound to exists.
        moves: First moves of the proof, which make many quick to check; or empty.
    """

    version: int
    commitment: bytes
    fields: Mapping[str, Value] | None
    presentation: bytes = b""
    moves: bytes = field(default=b"", repr=False)

    def covered(self) -> dict[str, Any]:
        """Return the JSON object without what follows from the receipt."""
        told = {"version": self.version, "commitment": b64u(self.commitment)}
        return told if self.fields is None else {**told, "fields": dict(self.fields)}

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        proofs = {"presentation": self.presentation, "moves": self.moves}
        given = {name: b64u(octets) for name, octets in proofs.items() if octets}
        return self.covered() | given


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerAnswer:
    """The answer for one customer.

    Attributes:
        customer: The token by which it was asked for, 32 bytes.
        records: All that are committed to of it, one or more, in the order of
            its leaf; None when nothing of it is shared.
        index: Of its leaf in the snapshot.
        path: Inclusion proof of the leaf, 32 bytes each.
    """

    customer: bytes
    records: tuple[ShownRecord, ...] | None
    index: int = 0
    path: tuple[bytes, ...] = ()

    def covered(self) -> dict[str, Any]:
        """Return the JSON object without what follows from the snapshot."""
        named = {"customer": b64u(self.customer)}
        if self.records is None:
            return {**named, "status": "not_shared"}
        records = [record.covered() for record in self.records]
        return {**named, "status": "disclosed", "records": records}

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        if self.records is None:
            return self.covered()
        return {
            "customer": b64u(self.customer),
            "status": "disclosed",
            "index": self.index,
            "path": [b64u(step) for step in self.path],
            "records": [record.to_json() for record in self.records],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """What an allowed call was answered with.

    Attributes:
        snapshot: What the provider has committed to, under its signature.
        schema: Of the records; its hash is in the snapshot. Tells the fields of
            this call, the conditions' among them.
    """

    snapshot: SignedSnapshot
    schema: Schema
    answers: tuple[CustomerAnswer, ...]

    @property
    def records(self) -> int:
        """Return the number of records of which something was shown or proved."""
        return sum(record.fields is not None for _, _, record in self.each())

    @property
    def withheld(self) -> int:
        """Return the number of records of which nothing was proved."""
        return sum(record.fields is None for _, _, record in self.each())

    def each(self) -> Iterator[tuple[CustomerAnswer, int, ShownRecord]]:
        """Walk over all records, with their customer and position."""
        for answer in self.answers:
            for position, record in enumerate(answer.records or ()):
                yield answer, position, record

    @property
    def response_hash(self) -> str:
        """Return the hash that the receipt holds, 64 hex digits."""
        covered = {
            "snapshot": self.snapshot.snapshot.snapshot_id,
            "disclosures": [answer.covered() for answer in self.answers],
        }
        return sha256(tagged("response", canonical(covered))).hex()

    def to_json(self) -> dict[str, Any]:
        """Return the four members that carry it in a message."""
        return {
            **self.snapshot.to_json(),
            "schema": schema_to_json(self.schema),
            "disclosures": [answer.to_json() for answer in self.answers],
        }


def parse_disclosure(value: object) -> Disclosure:
    """Read a disclosure from an object of exactly its four members.

    Raises:
        Malformed: A member is missing, unknown or wrong.
    """
    found = shape.members(value, MEMBERS, "disclosure")
    answers = shape.each(_parse_answer, most=MOST_CUSTOMERS)
    return Disclosure(
        snapshot=parse_signed_snapshot(found),
        schema=parse_schema(found["schema"]),
        answers=answers(found["disclosures"], "disclosures"),
    )


def _parse_answer(value: object, what: str) -> CustomerAnswer:
    found = shape.mapping(value, what)
    if found.get("status") == "not_shared":
        shape.members(found, {"customer", "status"}, what)
        customer = shape.octets(32)(found["customer"], "customer")
        return CustomerAnswer(customer=customer, records=None)
    wanted = {"customer", "status", "index", "path", "records"}
    shape.members(found, wanted, what)
    shape.constant(found["status"], "disclosed", "status")
    records = shape.each(_parse_record, most=MOST_RECORDS)(found["records"], "records")
    if not records:
        raise Malformed("records must not be empty")
    return CustomerAnswer(
        customer=shape.octets(32)(found["customer"], "customer"),
        records=records,
        index=shape.count(found["index"], "index"),
        path=shape.each(shape.octets(32), most=MOST_STEPS)(found["path"], "path"),
    )


def _parse_record(value: object, what: str) -> ShownRecord:
    optional = {"fields", "presentation", "moves"}
    found = shape.members(value, {"version", "commitment"}, what, optional=optional)
    fields = None
    if "fields" in found:
        shown = shape.mapping(found["fields"], "fields")
        fields = {name: shape.scalar(each, "value") for name, each in shown.items()}
    proofs = {
        name: shape.octets()(found[name], name)
        for name in ("presentation", "moves")
        if name in found
    }
    if not all(proofs.values()) or (proofs and fields is None):
        raise Malformed("a proof that is empty, or of nothing")
    return ShownRecord(
        version=shape.count(found["version"], "version"),
        commitment=shape.octets(POINT_BYTES)(found["commitment"], "commitment"),
        fields=fields,
        **proofs,
    )


def statement_of(
    schema: Schema, fields: Sequence[str], where: Iterable[Condition]
) -> Statement:
    """Return what is to be shown and proved of each record of an answer.

    Each side builds it from the request; its `digest` is in the receipt. Whether
    other fields of the schema are told makes no difference to it.

    Args:
        schema: Telling at least the fields that are named.
        fields: Names of the fields to show, each once.
        where: What is to be proved of other fields, in the order of the request.

    Raises:
        Malformed: A field is unknown, is both shown and proved something of, a
            condition does not fit its type, two conditions say the same, or
            they are too much for one presentation.
    """
    return Statement(
        schema=schema,
        disclosed=tuple(places(schema, fields)),
        predicates=tuple(condition.predicate(schema) for condition in where),
        anchored=True,
    )


def verify_disclosure(
    disclosure: Disclosure,
    receipt: Receipt,
    provider: Participant,
    *,
    rank: Rank | None,
    random_bytes: RandomBytes | None,
    declaration: str | None = None,
) -> None:
    """Check that this is what the receipt speaks of, and what was committed to.

    1. The response hash of the receipt is that of the disclosure.
    2. The snapshot is the one that the receipt names, signed by the provider, of
       this agreement and dataset, with records under its pinned key; of the
       declaration, if the caller knows it.
    3. The schema is the snapshot's, and the statement, built from what the
       receipt says was asked for, has the digest that the receipt names.
    4. As many customers and records, shown and withheld, as the receipt says; no
       customer twice.
    5. Every record that is not withheld shows exactly the fields of the receipt;
       none is younger than the snapshot.
    6. All records of a customer together are its leaf, included in the snapshot,
       at the place where the caller knows it must be.
    7. Every presentation holds, for this receipt, customer and position.

    Args:
        disclosure: As parsed.
        receipt: Its receipt, whose signature is verified elsewhere.
        provider: The provider as *pinned*.
        rank: Where the leaf of a token must be: the consumer's own knowledge.
            None for a third party that does not know what was declared; it
            checks inclusion at the place that is said.
        random_bytes: The verifier's own; for checking all presentations
            together. None checks them one by one.
        declaration: `snapshots.declaration_hash` of what the consumer declared.

    Raises:
        Malformed: Something is out of form.
        InvalidSignature: The snapshot is not the provider's.
        InvalidProof: One of the seven does not hold.
    """
    if disclosure.response_hash != receipt.response_hash:
        raise InvalidProof("the receipt is for another response")
    _check_snapshot(disclosure, receipt, provider, declaration)
    statement = statement_of(disclosure.schema, receipt.fields, receipt.where)
    if statement.digest.hex() != receipt.statement:
        raise InvalidProof("the receipt names another statement")
    _check_counts(disclosure, receipt)
    for place, answer in enumerate(disclosure.answers, 1):
        try:
            _check_place(answer, disclosure.snapshot, rank)
        except InvalidProof as error:
            raise InvalidProof(f"customer {place}: {error}") from None
    _check_presentations(disclosure, receipt, statement, provider, random_bytes)


def _check_snapshot(
    disclosure: Disclosure,
    receipt: Receipt,
    provider: Participant,
    declaration: str | None,
) -> None:
    snapshot, schema = disclosure.snapshot.snapshot, disclosure.schema
    verify_snapshot(disclosure.snapshot, provider.keys["ed25519"])
    if provider.did != receipt.provider or snapshot.snapshot_id != receipt.snapshot:
        raise InvalidProof("the receipt names another snapshot or provider")
    said = (snapshot.provider, snapshot.agreement, snapshot.dataset)
    if said != (receipt.provider, receipt.agreement, receipt.dataset):
        raise InvalidProof("the snapshot is of another agreement or dataset")
    if snapshot.bbs_key_id != provider.key_id("bls12381g2"):
        raise InvalidProof("the records are signed with a key that is not pinned")
    if (schema_hash(schema).hex(), size(schema)) != (
        snapshot.schema_hash,
        snapshot.messages,
    ):
        raise InvalidProof("the snapshot is of records of another schema")
    if declaration not in (None, snapshot.declaration):
        raise InvalidProof("the snapshot is of other customers than were declared")


def _check_counts(disclosure: Disclosure, receipt: Receipt) -> None:
    customers = {answer.customer for answer in disclosure.answers}
    counts = (len(customers), len(disclosure.answers))
    if counts != (receipt.customers, receipt.customers):
        raise InvalidProof("not as many customers as the receipt says")
    counts = (disclosure.records, disclosure.withheld)
    if counts != (receipt.records, receipt.withheld):
        raise InvalidProof("not as many records as the receipt says")
    for _, _, record in disclosure.each():
        if record.fields is not None and set(record.fields) != set(receipt.fields):
            raise InvalidProof("a record shows other fields than the receipt")


def _check_place(
    answer: CustomerAnswer, signed: SignedSnapshot, rank: Rank | None
) -> None:
    if answer.records is None:
        return
    snapshot = signed.snapshot
    if rank is not None and rank(answer.customer) != answer.index:
        raise InvalidProof("not at the place of this customer in the snapshot")
    if any(record.version > snapshot.version for record in answer.records):
        raise InvalidProof("a record that is younger than the snapshot")
    records = [
        (record.commitment, record_header(snapshot, record.version).to_bytes())
        for record in answer.records
    ]
    try:
        merkle.verify_inclusion(
            leaf=customer_leaf(answer.customer, records),
            index=answer.index,
            size=snapshot.customers,
            proof=answer.path,
            root=bytes.fromhex(snapshot.root),
        )
    except InvalidProof:
        raise InvalidProof("these are not the records in the snapshot") from None


def _check_presentations(
    disclosure: Disclosure,
    receipt: Receipt,
    statement: Statement,
    provider: Participant,
    random_bytes: RandomBytes | None,
) -> None:
    number = {answer.customer: at for at, answer in enumerate(disclosure.answers, 1)}
    shown = [
        (answer, position, record)
        for answer, position, record in disclosure.each()
        if record.fields is not None
    ]
    claims = [
        Claim(
            proof=record.presentation,
            shown=record.fields or {},
            statement=statement,
            public=provider.keys["bls12381g2"],
            header=record_header(disclosure.snapshot.snapshot, record.version),
            ph=presentation_header(
                receipt, customer=answer.customer, position=position
            ),
            commitment=record.commitment,
            moves=record.moves,
        )
        for answer, position, record in shown
    ]
    try:
        _verify_all(claims, random_bytes)
    except InvalidBatch as error:
        place, fault = next(iter(error.faults.items()))
        answer, position, _ = shown[place]
        where = f"customer {number[answer.customer]}, record {position + 1}"
        raise InvalidProof(f"{where}: {fault}") from None


def _verify_all(claims: Sequence[Claim], random_bytes: RandomBytes | None) -> None:
    if random_bytes is not None:
        verify_batch(claims, random_bytes=random_bytes)
        return
    for place, claim in enumerate(claims):
        try:
            verify(claim)
        except CryptoError as error:
            raise InvalidBatch({place: error}) from None
