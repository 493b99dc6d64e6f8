"""Answers: what is told of each customer, and what of it a receipt covers.

For every customer that was asked for, in the order they were asked: nothing
("not shared"); or all records that the provider has committed to of it, each with
the fields asked for and a presentation, or *withheld*, where a condition of the
request does not hold. With each customer comes its place in the snapshot.

The receipt is written before anything is proved, and a presentation is bound to
the receipt. So the *response hash* in the receipt covers the snapshot, the
commitments and the disclosed values, but not the presentations and the places in
the tree: they follow from both.

Spec: `docs/protocols/snapshots.md`, section "Answers"; `docs/protocols/receipts.md`,
section "Response hash".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from crypto.bbs.suite import POINT_BYTES
from crypto.encoding import b64u, canonical, sha256, tagged
from crypto.errors import Malformed
from crypto.typed import Schema
from ledger import shape
from ledger.conditions import Value
from ledger.records import parse_schema, schema_to_json
from ledger.snapshots import MOST_LEAVES, SignedSnapshot, parse_signed_snapshot

MOST_CUSTOMERS: Final = 10_000
MOST_RECORDS: Final = 100_000
MOST_STEPS: Final = MOST_LEAVES.bit_length() - 1
MEMBERS: Final = frozenset({"snapshot", "snapshot_signature", "schema", "disclosures"})


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
