"""A disclosure: what an allowed call was answered with, and its check.

For every customer that was asked for, in the order they were asked: nothing
("not shared"), or the fields of each of its records, each with a presentation
that the fields stand in a record the provider signed.

The receipt is written before anything is proved, and a presentation is bound to
the receipt. So the *response hash* in the receipt covers the header and the
disclosed values but not the presentations: they follow from both.

Spec: `docs/protocols/receipts.md`, section "Response hash".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from crypto.encoding import b64u, canonical, sha256, tagged
from crypto.errors import InvalidProof
from ledger import shape
from ledger.participants import Participant
from ledger.presentation import verify_record
from ledger.receipts import Receipt
from ledger.records import (
    Schema,
    Value,
    parse_header,
    parse_schema,
    schema_hash,
    schema_to_json,
)

MOST_CUSTOMERS: Final = 10_000
MOST_RECORDS: Final = 100_000
MEMBERS: Final = frozenset({"header", "schema", "disclosures"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRecord:
    """The disclosed fields of one record.

    Attributes:
        fields: Value by name.
        presentation: Proof that they stand in a signed record; empty until the
            receipt that it is bound to exists.
    """

    fields: Mapping[str, Value]
    presentation: bytes = b""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"fields": dict(self.fields), "presentation": b64u(self.presentation)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerAnswer:
    """The answer for one customer.

    Attributes:
        customer: The token by which it was asked for, 32 bytes.
        records: Its records, maybe none; None when it is not shared.
    """

    customer: bytes
    records: tuple[ShownRecord, ...] | None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        named = {"customer": b64u(self.customer)}
        if self.records is None:
            return {**named, "status": "not_shared"}
        records = [record.to_json() for record in self.records]
        return {**named, "status": "disclosed", "records": records}


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """What an allowed call was answered with.

    Attributes:
        header: BBS header of the provider's records (`records.RecordHeader`).
        schema: Orders and types the fields; its hash is in the header.
    """

    header: bytes
    schema: Schema
    answers: tuple[CustomerAnswer, ...]

    @property
    def records(self) -> int:
        """Return the number of records disclosed."""
        return sum(len(answer.records or ()) for answer in self.answers)

    @property
    def response_hash(self) -> str:
        """Return the hash that the receipt holds, 64 hex digits."""
        answers = [answer.to_json() for answer in self.answers]
        for answer in answers:
            for record in answer.get("records", ()):
                del record["presentation"]
        hashed = canonical({"header": b64u(self.header), "disclosures": answers})
        return sha256(tagged("response", hashed)).hex()

    def to_json(self) -> dict[str, Any]:
        """Return the three members that carry it in a message."""
        return {
            "header": b64u(self.header),
            "schema": schema_to_json(self.schema),
            "disclosures": [answer.to_json() for answer in self.answers],
        }


def parse_disclosure(value: object) -> Disclosure:
    """Read a disclosure from an object of exactly its three members.

    Raises:
        Malformed: A member is missing, unknown or wrong.
    """
    found = shape.members(value, MEMBERS, "disclosure")
    answers = shape.each(_parse_answer, most=MOST_CUSTOMERS)
    return Disclosure(
        header=shape.octets()(found["header"], "header"),
        schema=parse_schema(found["schema"]),
        answers=answers(found["disclosures"], "disclosures"),
    )


def _parse_answer(value: object, what: str) -> CustomerAnswer:
    found = shape.members(value, {"customer", "status"}, what, optional={"records"})
    records = None
    if "records" in found:
        read = shape.each(_parse_record, most=MOST_RECORDS)
        records = read(found["records"], "records")
    status = "not_shared" if records is None else "disclosed"
    shape.constant(found["status"], status, "status")
    customer = shape.octets(32)(found["customer"], "customer")
    return CustomerAnswer(customer=customer, records=records)


def _parse_record(value: object, what: str) -> ShownRecord:
    found = shape.members(value, {"fields", "presentation"}, what)
    fields = shape.mapping(found["fields"], "fields")
    return ShownRecord(
        fields={name: shape.scalar(value, "value") for name, value in fields.items()},
        presentation=shape.octets()(found["presentation"], "presentation"),
    )


def verify_disclosure(
    disclosure: Disclosure, receipt: Receipt, provider: Participant
) -> None:
    """Check that this is what the receipt speaks of, and that the provider signed it.

    1. The response hash of the receipt is that of the disclosure.
    2. The header is the provider's: issuer, pinned key, dataset, and the schema.
    3. As many customers and records as the receipt says, no customer twice.
    4. Every record shows exactly the fields of the receipt, no more, no less.
    5. Every presentation verifies for this receipt, customer and position.

    Args:
        disclosure: As parsed.
        receipt: Its receipt, whose signature is verified elsewhere.
        provider: The provider as *pinned*.

    Raises:
        Malformed: The header or a value is out of form.
        InvalidProof: One of the five does not hold.
    """
    if disclosure.response_hash != receipt.response_hash:
        raise InvalidProof("the receipt is for another response")
    header = parse_header(disclosure.header)
    said = (header.issuer, header.key_id, header.dataset, header.schema_hash)
    key_id = provider.key_id("bls12381g2")
    wanted = (receipt.provider, key_id, receipt.dataset, schema_hash(disclosure.schema))
    if said != wanted or provider.did != receipt.provider:
        raise InvalidProof("the header is not that of this provider, key and schema")
    customers = {answer.customer for answer in disclosure.answers}
    counts = (len(customers), len(disclosure.answers), disclosure.records)
    if counts != (receipt.customers, receipt.customers, receipt.records):
        raise InvalidProof("not as many customers or records as the receipt says")
    for answer in disclosure.answers:
        for position, record in enumerate(answer.records or ()):
            if set(record.fields) != set(receipt.fields):
                raise InvalidProof("a record shows other fields than the receipt")
            verify_record(
                record.presentation,
                record.fields,
                public=provider.keys["bls12381g2"],
                header=header,
                schema=disclosure.schema,
                receipt=receipt,
                customer=answer.customer,
                position=position,
            )
