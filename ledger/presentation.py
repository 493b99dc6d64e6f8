"""Presentations: some fields of a signed record, and proof that they are in it.

The provider signs every record once (BBS). For each call it derives a fresh
proof that shows exactly the allowed fields, and that nobody can link to another
proof by anything but the values shown. The proof is bound to one place in one
receipt, and through the receipt to one consumer, agreement, purpose and nonce:
it can be neither replayed nor moved.

A presentation shows that the provider signed such a record with that key. It
does not show that the record is true, that it is the only one about this
customer, or that it was not signed a moment ago: signer and discloser are the
same company.

Spec: `docs/protocols/records.md`; draft-irtf-cfrg-bbs-signatures (the proof).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from crypto import bbs
from crypto.encoding import b64u, canonical
from crypto.errors import Malformed
from ledger.receipts import Receipt
from ledger.records import RecordHeader, Schema, messages

TYPE: Final = "fieldpact/presentation/1"


def presentation_header(receipt: Receipt, *, customer: bytes, position: int) -> bytes:
    """Return what a presentation is bound to.

    Args:
        receipt: Receipt of the call that it answers.
        customer: Token by which the customer was asked for, 32 bytes.
        position: Of the record among that customer's, from 0.
    """
    return canonical(
        {
            "typ": TYPE,
            "issuer": receipt.provider,
            "audience": receipt.consumer,
            "agreement": receipt.agreement,
            "purpose": receipt.purpose,
            "nonce": receipt.nonce,
            "receipt": receipt.receipt_id,
            "customer": b64u(customer),
            "position": position,
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRecord:
    """What a provider keeps of a record it signed. Secret: values can be guessed.

    Attributes:
        scalars: One 32-byte scalar for each field of the schema, in order, joined.
        signature: BBS signature, 80 bytes.
    """

    scalars: bytes
    signature: bytes


def sign_record(
    values: Mapping[str, object],
    *,
    key: bbs.BbsKey,
    header: RecordHeader,
    schema: Schema,
    random_bytes: bbs.RandomBytes,
) -> SignedRecord:
    """Sign a whole record, once, when it is published.

    Args:
        values: Value by name, for every field of the schema.
        key: The provider's key, the one that `header` names.
        header: Says whose record of what it is.
        schema: Orders and types the fields.
        random_bytes: Blinds the arithmetic; leaves no trace in the result.

    Raises:
        Malformed: A field is missing or unknown, or a value is out of form.
    """
    scalars = bbs.map_messages(messages(schema, values))
    signature = key.sign_scalars(header.to_bytes(), scalars, random_bytes=random_bytes)
    return SignedRecord(scalars=b"".join(scalars), signature=signature)


def changed_fields(
    record: SignedRecord, values: Mapping[str, object], *, schema: Schema
) -> tuple[str, ...]:
    """Return the names of the fields whose value is not the signed one, sorted.

    Asked before anything is decided: a value that changed since the record was
    signed cannot be presented.

    Raises:
        Malformed: A value is out of form or its field is unknown.
    """
    places = _places(schema, values)
    octets = [schema[place].message(values[schema[place].name]) for place in places]
    now, signed = bbs.map_messages(octets), _split(record.scalars)
    pairs = zip(places, now, strict=True)
    return tuple(sorted(schema[i].name for i, scalar in pairs if signed[i] != scalar))


def prove_record(
    record: SignedRecord,
    shown: Collection[str],
    *,
    public: bytes,
    header: RecordHeader,
    schema: Schema,
    receipt: Receipt,
    customer: bytes,
    position: int,
    random_bytes: bbs.RandomBytes,
) -> bytes:
    """Prove that the shown fields stand in a signed record.

    The signature is not checked: a false one gives a false proof.

    Args:
        record: As kept since it was signed.
        shown: Names of the fields to show.
        public: The provider's BBS key, 96 bytes.
        header: As when it was signed.
        schema: As when it was signed.
        receipt: Receipt of the call, already durable.
        customer: Token by which the customer was asked for, 32 bytes.
        position: Of the record among that customer's, from 0.
        random_bytes: Fresh for each proof.

    Returns:
        272 bytes and 32 for each field that stays hidden.

    Raises:
        Malformed: A field is unknown, or the record is not of this schema.
    """
    return _frame(public, header, schema).prove(
        record.signature,
        _split(record.scalars),
        disclosed=_places(schema, shown),
        ph=presentation_header(receipt, customer=customer, position=position),
        random_bytes=random_bytes,
    )


def verify_record(
    presentation: bytes,
    shown: Mapping[str, object],
    *,
    public: bytes,
    header: RecordHeader,
    schema: Schema,
    receipt: Receipt,
    customer: bytes,
    position: int,
) -> None:
    """Check that the shown fields stand in a record the provider signed.

    Args:
        presentation: What `prove_record` returned.
        shown: Value by name, as received.
        public: The provider's *pinned* BBS key, 96 bytes.
        header: As received, and checked to be this provider's.
        schema: As received, with the hash that `header` holds.
        receipt: The verified receipt of the call.
        customer: Token by which the customer was asked for, 32 bytes.
        position: Of the record among that customer's, from 0.

    Raises:
        Malformed: A value is out of form, a field unknown, or it does not parse.
        InvalidProof: It does not show these values here.
    """
    places = _places(schema, shown)
    octets = [schema[place].message(shown[schema[place].name]) for place in places]
    _frame(public, header, schema).verify_proof(
        presentation,
        bbs.map_messages(octets),
        disclosed=places,
        ph=presentation_header(receipt, customer=customer, position=position),
    )


def _frame(public: bytes, header: RecordHeader, schema: Schema) -> bbs.Frame:
    octets = header.to_bytes()
    return bbs.frame(bbs.SHA_256, bbs.ARKWORKS, public, octets, len(schema))


def _places(schema: Schema, names: Collection[str]) -> list[int]:
    """Return where in the record the named fields are, ascending."""
    places = [place for place, field in enumerate(schema) if field.name in names]
    if len(places) != len(names):
        raise Malformed("a field that the schema does not have")
    return places


def _split(scalars: bytes) -> list[bytes]:
    return [scalars[start : start + 32] for start in range(0, len(scalars), 32)]
