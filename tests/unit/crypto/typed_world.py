"""One sealed record, and everything that can be asked about it."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping

from crypto import typed
from crypto.anchored import Sealed, seal
from crypto.bbs import BbsKey
from crypto.predicates import Claim, Statement, prove
from crypto.predicates.kinds import Predicate
from crypto.typed import Field, Header, Kind, Schema

FIELDS = tuple(
    dataclasses.replace(field, salt=hashlib.sha256(field.name.encode()).digest())
    for field in (
        Field(name="spend", kind=Kind.MONEY, unit="EUR", scale=2),
        Field(name="paid", kind=Kind.MONEY, unit="EUR", scale=2),
        Field(name="accepted", kind=Kind.DATE),
        Field(name="region", kind=Kind.TEXT),
        Field(name="home", kind=Kind.TEXT),
        Field(name="orders", kind=Kind.INTEGER),
        Field(name="returns", kind=Kind.INTEGER),
        Field(name="bonus", kind=Kind.MONEY, unit="EUR", scale=2),
        Field(name="active", kind=Kind.BOOLEAN),
    )
)
SCHEMA: Schema = FIELDS
VALUES: Mapping[str, object] = {
    "spend": "500000.00",
    "paid": "-12.50",
    "accepted": "1969-12-31",
    "region": "华东",
    "home": "华东",
    "orders": 7,
    "returns": 7,
    "bonus": None,
    "active": True,
}
KEY = BbsKey.generate(b"k" * 32)
HEADER = Header.of(
    SCHEMA, issuer="did:web:a", key_id="did:web:a#1", dataset="d", grant="g", version=0
)
PH = b"audience, agreement, purpose, nonce"
LINK = b"l" * 48


def source(seed: str) -> Callable[[int], bytes]:
    """Return bytes that look random, the same for one seed. For tests alone."""
    state = hashlib.sha256(seed.encode()).digest()

    def take(count: int) -> bytes:
        nonlocal state
        state = hashlib.sha256(state).digest()
        return hashlib.shake_256(state).digest(count)

    return take


def sealed(
    values: Mapping[str, object] = VALUES,
    *,
    seed: str = "seal",
    header: Header = HEADER,
) -> Sealed:
    return seal(
        values,
        key=KEY,
        header=header,
        schema=SCHEMA,
        link=LINK,
        random_bytes=source(seed),
    )


RECORD = sealed()


def statement(
    *predicates: Predicate,
    shown: tuple[str, ...] = (),
    anchored: bool = False,
    schema: Schema = SCHEMA,
) -> Statement:
    return Statement(
        schema=schema,
        disclosed=tuple(typed.places(schema, shown)),
        predicates=predicates,
        anchored=anchored,
    )


def claim(
    stated: Statement,
    *,
    record: Sealed = RECORD,
    values: Mapping[str, object] = VALUES,
    seed: str = "prove",
    header: Header = HEADER,
    ph: bytes = PH,
) -> Claim:
    """Prove a statement, and return all that its verifier holds."""
    made = prove(
        record,
        stated,
        public=KEY.public_bytes,
        header=header,
        ph=ph,
        random_bytes=source(seed),
    )
    names = [typed.field_at(stated.schema, index).name for index in stated.disclosed]
    return Claim(
        proof=made.proof,
        moves=made.moves,
        shown={name: values[name] for name in names},
        statement=stated,
        public=KEY.public_bytes,
        header=header,
        ph=ph,
        commitment=record.commitment if stated.anchored else None,
    )
