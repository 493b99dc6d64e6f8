"""A disclosure: what an allowed call was answered with, and its check.

Each customer's answer leads to the one leaf of that customer in a snapshot that the
provider signed before: none of its records can be left out, and none put in. What
is shown and proved of them is held against what the receipt says was asked for.

Spec: `docs/protocols/snapshots.md`, section "Checking an answer".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from crypto import merkle
from crypto.bbs import RandomBytes
from crypto.errors import CryptoError, InvalidBatch, InvalidProof
from crypto.predicates import Claim, Statement, verify, verify_batch
from crypto.typed import Field, Schema, places, schema_hash, size
from ledger.answers import (
    MEMBERS,
    MOST_CUSTOMERS,
    CustomerAnswer,
    Disclosure,
    ShownRecord,
    parse_disclosure,
)
from ledger.conditions import Condition
from ledger.participants import Participant
from ledger.presentation import presentation_header
from ledger.receipts import Receipt
from ledger.snapshots import (
    SignedSnapshot,
    customer_leaf,
    record_header,
    verify_snapshot,
)

__all__ = [
    "MEMBERS",
    "MOST_CUSTOMERS",
    "CustomerAnswer",
    "Disclosure",
    "Rank",
    "ShownRecord",
    "parse_disclosure",
    "statement_of",
    "verify_disclosure",
]

Rank: TypeAlias = Callable[[bytes], int | None]
"""Says the place of a declared customer token among all, from 0; None if it is not."""


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
    agreed: Mapping[str, Field] | None = None,
) -> None:
    """Check that this is what the receipt speaks of, and what was committed to.

    1. The response hash of the receipt is that of the disclosure.
    2. The snapshot is the one that the receipt names, signed by the provider, of
       this agreement and dataset, with records under its pinned key; of the
       declaration, if the caller knows it.
    3. The schema is the snapshot's; fields have the type, unit and scale that
       the caller knows them by; and the statement, built from what the receipt
       says was asked for, has the digest that the receipt names.
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
        agreed: Fields as they were agreed on, by name; salts do not matter. A
            bound of "500000.00" says nothing until it is known of what.

    Raises:
        Malformed: Something is out of form.
        InvalidSignature: The snapshot is not the provider's.
        InvalidProof: One of the seven does not hold.
    """
    if disclosure.response_hash != receipt.response_hash:
        raise InvalidProof("the receipt is for another response")
    _check_snapshot(disclosure, receipt, provider, declaration)
    _check_definitions(disclosure.schema, agreed or {})
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
    verify_snapshot(disclosure.snapshot, provider)
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


def _check_definitions(schema: Schema, agreed: Mapping[str, Field]) -> None:
    told = {field.name: field for field in schema if isinstance(field, Field)}
    for name in told.keys() & agreed.keys():
        if replace(told[name], salt=agreed[name].salt) != agreed[name]:
            raise InvalidProof(f"{name} has another type, unit or scale than agreed")


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
