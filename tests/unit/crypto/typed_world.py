"""One sealed record, and everything that can be asked about it."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping

from crypto import typed
from crypto.anchored import Sealed, seal
from crypto.bbs import BbsKey
from crypto.encoding import canonical
from crypto.errors import CryptoError
from crypto.predicates import (
    Claim,
    Statement,
    after,
    at_least,
    at_most,
    before,
    between,
    equal,
    no_more_than,
    one_of,
    prove,
    sum_at_least,
    verify,
)
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
BOUND: Mapping[str, object] = {
    "audience": "did:web:b",
    "agreement": "g",
    "purpose": "delivery",
    "nonce": "bm9uY2U",
}
PH = canonical(dict(BOUND))
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


MIXED = statement(
    between(SCHEMA, "orders", 3, 9),
    one_of(SCHEMA, "home", ["华东", "x", "y"]),
    equal(SCHEMA, "orders", "returns"),
    shown=("accepted", "region"),
    anchored=True,
)
"""A statement of every part, and yet of few octets."""

TRUE: dict[str, Predicate] = {
    "at least": at_least(SCHEMA, "spend", "500000.00", bits=32),
    "at least, all the way": at_least(SCHEMA, "spend", "-1.00"),
    "at most": at_most(SCHEMA, "spend", "500000.00", bits=8),
    "at most, all the way": at_most(SCHEMA, "paid", "0.00"),
    "between": between(SCHEMA, "orders", 3, 9),
    "before": before(SCHEMA, "accepted", "1970-01-01", bits=7),
    "before, all the way": before(SCHEMA, "accepted", "1970-01-01"),
    "after": after(SCHEMA, "accepted", "1969-12-30", bits=4),
    "after, all the way": after(SCHEMA, "accepted", "1969-12-30"),
    "one of": one_of(SCHEMA, "region", ["华东", "华北", "x"]),
    "one of two": one_of(SCHEMA, "active", [True, False]),
    "one of numbers": one_of(SCHEMA, "orders", range(-20, 44)),
    "no more than": no_more_than(SCHEMA, "paid", "spend", bits=40),
    "no more than, backwards": no_more_than(SCHEMA, "returns", "orders"),
    "sum at least": sum_at_least(SCHEMA, "spend", "paid", "499987.50", bits=16),
    "sum at least, all the way": sum_at_least(SCHEMA, "spend", "paid", "1.00"),
    "equal numbers": equal(SCHEMA, "orders", "returns"),
    "equal texts": equal(SCHEMA, "region", "home"),
}
FALSE: dict[str, Predicate] = {
    "at least": at_least(SCHEMA, "spend", "500000.01", bits=32),
    "at least, too far below": at_least(SCHEMA, "spend", "499000.00", bits=8),
    "at most": at_most(SCHEMA, "spend", "499999.99"),
    "between": between(SCHEMA, "orders", 8, 9),
    "before": before(SCHEMA, "accepted", "1969-12-31"),
    "after": after(SCHEMA, "accepted", "1969-12-31"),
    "one of": one_of(SCHEMA, "region", ["华北", "x", "y"]),
    "one of two": one_of(SCHEMA, "home", ["华北", "x"]),
    "no more than": no_more_than(SCHEMA, "spend", "paid"),
    "sum at least": sum_at_least(SCHEMA, "spend", "paid", "499987.51"),
    "equal": equal(SCHEMA, "spend", "paid"),
    "missing, at least": at_least(SCHEMA, "bonus", "-92233720368547758.08"),
    "missing, no more than": no_more_than(SCHEMA, "bonus", "spend"),
    "missing, no less than": no_more_than(SCHEMA, "spend", "bonus"),
    "missing, sum": sum_at_least(SCHEMA, "spend", "bonus", "0.00"),
    "missing, equal": equal(SCHEMA, "spend", "bonus"),
}


def mutations(data: bytes) -> Iterator[bytes]:
    """Change each byte once."""
    for at, noise in enumerate(source("noise")(len(data))):
        yield data[:at] + bytes([data[at] ^ (noise or 1)]) + data[at + 1 :]


def refused(changed: Claim) -> bool:
    try:
        verify(changed)
    except CryptoError:
        return True
    return False
