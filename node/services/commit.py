"""Commit: bind this company to its records before anybody asks for them.

Of a published record the node keeps a secret link, a digest and a version; of a
commitment to it under one agreement the blinder, the signature and the point.
None of them is a value: values stay in the CRM, and are read again for each call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from crypto import anchored, typed
from crypto.bbs import BbsKey
from crypto.errors import Malformed
from ledger.records import Schema
from node.domain.dataset import Dataset, Value
from node.ports import Publication, Randomness, Record, Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Commits to records with this node's key."""

    did: str
    key: BbsKey
    randomness: Randomness

    @property
    def key_id(self) -> str:
        """Return the id of the key that commits."""
        return self.key.key_id(self.did)

    def schema(self, dataset: Dataset, last: Publication | None) -> Schema:
        """Order and type what is committed to, each definition blinded by a salt.

        As long as nothing about them changes, fields keep their salts: the same
        dataset always has the same schema.
        """
        fields = tuple(
            typed.Field(
                name=each.name,
                kind=typed.Kind(each.type),
                unit=each.unit,
                scale=each.scale,
                salt=self.randomness(32),
            )
            for each in dataset.committed
        )
        if last is not None and _defined(last.schema) == _defined(fields):
            return last.schema
        return fields

    def header(
        self, publication: Publication, agreement: str, version: int
    ) -> typed.Header:
        """Return what is bound to a record of some version under an agreement."""
        return typed.Header.of(
            publication.schema,
            issuer=self.did,
            key_id=publication.key_id,
            dataset=publication.dataset.id,
            grant=agreement,
            version=version,
        )

    def link(self) -> bytes:
        """Draw the secret of a new record: 48 bytes."""
        return self.randomness(anchored.BLINDER_BYTES)

    def __call__(
        self,
        publication: Publication,
        agreement: str,
        place: tuple[Record, int],
        values: Mapping[str, Value],
    ) -> Seal:
        """Commit to one record under an agreement.

        Args:
            place: The record, and its customer's position.
            values: Of every field of the schema.
        """
        record, position = place
        sealed = anchored.seal(
            values,
            key=self.key,
            header=self.header(publication, agreement, record.version),
            schema=publication.schema,
            link=record.link,
            random_bytes=self.randomness,
        )
        return Seal(
            record=record,
            position=position,
            blinder=sealed.blinder,
            signature=sealed.signature,
            commitment=sealed.commitment,
        )


def reopen(schema: Schema, seal: Seal, values: Mapping[str, Value]) -> anchored.Sealed:
    """Put a sealed record together again, to prove something of it."""
    return anchored.reopen(
        schema,
        values,
        blinder=seal.blinder,
        link=seal.record.link,
        signature=seal.signature,
        commitment=seal.commitment,
    )


def digest(schema: Schema, values: Mapping[str, Value], link: bytes) -> bytes | None:
    """Return what a record's values are recognised by; None if they do not fit."""
    try:
        return anchored.record_digest(schema, values, link)
    except Malformed:
        return None


def _defined(schema: Schema) -> list[object]:
    """Return what a schema says, apart from its salts."""
    return [
        replace(each, salt=bytes(32)) if isinstance(each, typed.Field) else each
        for each in schema
    ]
