"""Commit: sign a record's fields, so that some of them can be shown and proved later.

The signature covers every field that could ever be shown or proved, in the
dataset's order. What the node keeps of a record are the scalars that the fields
map to and the signature: enough to prove, and not the values.
"""

from dataclasses import dataclass

from crypto.bbs import BbsKey
from ledger.presentation import sign_record
from ledger.records import RecordHeader, Schema, SchemaField, schema_hash
from node.domain.dataset import Dataset
from node.domain.report import SoundRecord
from node.ports import Randomness, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Signs records with this node's key."""

    did: str
    key: BbsKey
    randomness: Randomness

    def header(self, dataset: Dataset) -> RecordHeader:
        """Return what the signature covers beside the fields."""
        return RecordHeader(
            issuer=self.did,
            key_id=self.key.key_id(self.did),
            dataset=dataset.id,
            schema_hash=schema_hash(schema_of(dataset)),
        )

    def __call__(self, dataset: Dataset, record: SoundRecord) -> Record:
        """Sign one record. What is not committed to is left out."""
        signed = sign_record(
            {field.name: record.values[field.name] for field in dataset.committed},
            key=self.key,
            header=self.header(dataset),
            schema=schema_of(dataset),
            random_bytes=self.randomness,
        )
        return Record(key=record.key, customer=record.customer, signed=signed)


def schema_of(dataset: Dataset) -> Schema:
    """Return the schema that orders and types the signed fields."""
    return tuple(
        SchemaField(name=each.name, type=each.type, unit=each.unit, scale=each.scale)
        for each in dataset.committed
    )
