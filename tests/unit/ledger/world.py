"""Records that a provider has committed to, and calls answered from them.

One agreement declares eight customers. Of `LEI-A` there are two records, of `LEI-B`
and `LEI-E` one each; the others are not shared. Every call asks for the first three.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from crypto import merkle
from crypto.anchored import Sealed, seal
from crypto.encoding import b64u
from crypto.predicates import holds
from crypto.tokens import customer_opening, customer_token
from crypto.typed import Field, Kind, Schema, schema_hash, size, told
from ledger import receipts, snapshots
from ledger.conditions import Condition
from ledger.disclosure import (
    CustomerAnswer,
    Disclosure,
    ShownRecord,
    statement_of,
)
from ledger.evidence import Evidence, Opening
from ledger.memory import MemoryLog
from ledger.memory_chain import MemoryChain
from ledger.presentation import prove_record
from ledger.receipts import SignedReceipt, sign_receipt
from ledger.records import Value
from ledger.snapshots import (
    SignedSnapshot,
    Snapshot,
    customer_leaf,
    declaration_hash,
    record_header,
    sign_snapshot,
)
from tests.unit.ledger.samples import (
    AGREEMENT,
    BBS_KEY,
    CONSUMER_KEY,
    CONSUMER_RECORD,
    DATASET,
    FIELDS,
    PROVIDER,
    PROVIDER_KEY,
    PROVIDER_RECORD,
    PURPOSE,
    chain,
    receipt,
    seed,
    stream,
)

SCHEMA: Schema = tuple(
    replace(field, salt=seed(f"salt of {field.name}"))
    for field in (
        Field(name="order_total", kind=Kind.MONEY, unit="EUR", scale=2),
        Field(name="region", kind=Kind.TEXT),
        Field(name="ordered_on", kind=Kind.DATE),
        Field(name="units", kind=Kind.INTEGER, unit="pcs"),
        Field(name="returned", kind=Kind.INTEGER, unit="pcs"),
        Field(name="gift", kind=Kind.BOOLEAN),
    )
)
VERSION = 7
WHO = ("LEI-A", "LEI-B", "LEI-C")
"""Customers that are asked for: of two records, of one, and one that is not shared."""
KEPT: dict[str, tuple[dict[str, Value], ...]] = {
    "LEI-A": (
        {"order_total": "12.50", "ordered_on": "2026-11-02", "units": 3},
        {"order_total": "-0.99", "ordered_on": None, "units": 0},
    ),
    "LEI-B": ({"order_total": "500.00", "ordered_on": "2026-01-31", "units": 40},),
    "LEI-E": ({"order_total": "0.01", "ordered_on": "2025-12-31", "units": 1},),
}
REST: dict[str, Value] = {"region": "华东", "gift": True, "returned": 2}


def whole(rows: Mapping[str, Sequence[Mapping[str, Value]]]) -> dict[str, Any]:
    """Records with all their fields, by customer."""
    return {who: [{**REST, **row} for row in each] for who, each in rows.items()}


def token_key(agreement: str) -> bytes:
    """What the two parties of an agreement write tokens with."""
    return seed(f"tokens of {agreement}")


def token(who: str, agreement: str = AGREEMENT) -> bytes:
    """The token of a customer under an agreement."""
    return customer_token(token_key(agreement), who)


def declared(agreement: str = AGREEMENT) -> list[bytes]:
    """What the consumer declared: eight customers, in the order of their tokens."""
    names = (*WHO, "LEI-D", "LEI-E", "filled 1", "filled 2", "filled 3")
    return sorted(token(name, agreement) for name in names)


def rank(customer: bytes, agreement: str = AGREEMENT) -> int | None:
    """Where a token stands among those declared."""
    tokens = declared(agreement)
    return tokens.index(customer) if customer in tokens else None


TOKENS = tuple(token(who) for who in WHO)
BODY: dict[str, Any] = {
    "agreement": AGREEMENT,
    "purpose": PURPOSE,
    "fields": list(FIELDS),
    "where": [],
    "customers": [b64u(each) for each in TOKENS],
}
AT_LEAST_THREE = Condition.of("at_least", ["units"], [3])


@dataclass(frozen=True, kw_only=True)
class Committed:
    """What a provider has committed to under an agreement, and all that it keeps.

    Attributes:
        sealed: Version and record, for each record of each customer, by token.
        leaves: Of the snapshot's tree.
    """

    snapshot: SignedSnapshot
    sealed: Mapping[bytes, Sequence[tuple[int, Sealed]]]
    values: Mapping[bytes, Sequence[Mapping[str, Value]]]
    leaves: Sequence[bytes]

    @property
    def facts(self) -> Snapshot:
        """What is signed."""
        return self.snapshot.snapshot

    def place(self, customer: bytes) -> dict[str, Any]:
        """Index and path of the leaf of a customer."""
        index = declared(self.facts.agreement).index(customer)
        return place_at(self.leaves, index)


def place_at(leaves: Sequence[bytes], index: int) -> dict[str, Any]:
    """Index and path of a leaf."""
    path = merkle.inclusion_proof(index, len(leaves), merkle.stored(leaves))
    return {"index": index, "path": tuple(path)}


def snapshot_over(leaves: Sequence[bytes], facts: Snapshot) -> SignedSnapshot:
    """A signed snapshot with these leaves."""
    root = merkle.root(leaves).hex()
    return sign_snapshot(replace(facts, root=root), PROVIDER_KEY)


def seal_records(
    values: Mapping[bytes, Sequence[Mapping[str, Value]]],
    facts: Snapshot,
    schema: Schema = SCHEMA,
    versions: Mapping[bytes, Sequence[int]] | None = None,
) -> dict[bytes, list[tuple[int, Sealed]]]:
    """Commit to records, by customer; in the snapshot's version unless told."""
    told = versions or {}
    return {
        customer: [
            (
                version,
                seal(
                    row,
                    key=BBS_KEY,
                    header=record_header(facts, version),
                    schema=schema,
                    link=seed("link") + bytes(16),
                    random_bytes=secrets.token_bytes,
                ),
            )
            for row, version in zip(
                rows, told.get(customer, [facts.version] * len(rows)), strict=True
            )
        ]
        for customer, rows in values.items()
    }


def snapshot(schema: Schema = SCHEMA, **changes: Any) -> Snapshot:
    """The first snapshot of the agreement, changed as said."""
    facts: dict[str, Any] = {
        "provider": PROVIDER,
        "agreement": AGREEMENT,
        "dataset": DATASET,
        "version": VERSION,
        "sequence": 0,
        "previous": snapshots.FIRST,
        "declaration": declaration_hash(declared()),
        "customers": 8,
        "root": seed("root").hex(),
        "schema_hash": schema_hash(schema).hex(),
        "messages": size(schema),
        "bbs_key_id": BBS_KEY.key_id(PROVIDER),
        "at": "2026-11-22T18:00:00Z",
        "key_id": PROVIDER_KEY.key_id(PROVIDER),
    }
    return Snapshot(**(facts | changes))


def commit(
    rows: Mapping[str, Sequence[Mapping[str, Value]]] = KEPT,
    *,
    schema: Schema = SCHEMA,
    versions: Mapping[str, Sequence[int]] | None = None,
    **changes: Any,
) -> Committed:
    """Commit to all records of an agreement, and sign the snapshot.

    Args:
        versions: Of the records of some customers; of all others, the snapshot's.
    """
    facts = snapshot(schema, **changes)
    agreement = facts.agreement
    values = {token(who, agreement): each for who, each in whole(rows).items()}
    since = {token(who, agreement): each for who, each in (versions or {}).items()}
    sealed = seal_records(values, facts, schema, since)
    return commit_to(values, sealed, facts, changes)


def commit_to(
    values: Mapping[bytes, Sequence[Mapping[str, Value]]],
    sealed: Mapping[bytes, Sequence[tuple[int, Sealed]]],
    facts: Snapshot,
    changes: dict[str, Any],
) -> Committed:
    """Put sealed records into a tree, and sign its root."""
    tokens = declared(facts.agreement)
    leaves = [
        leaf_of(each, sealed[each], facts) if each in sealed else seed(each.hex())
        for each in tokens
    ]
    own = {
        "root": merkle.root(leaves).hex(),
        "declaration": declaration_hash(tokens),
    }
    signed = sign_snapshot(replace(facts, **(own | changes)), PROVIDER_KEY)
    return Committed(snapshot=signed, sealed=sealed, values=values, leaves=leaves)


def leaf_of(
    customer: bytes, sealed: Sequence[tuple[int, Sealed]], facts: Snapshot
) -> bytes:
    """The leaf of a customer's records."""
    return customer_leaf(
        customer,
        [
            (record.commitment, record_header(facts, version).to_bytes())
            for version, record in sealed
        ],
    )


@cache
def committed() -> Committed:
    """The provider's commitment under the agreement of these samples."""
    return commit()


def draft(
    own: Committed,
    names: Sequence[str] = FIELDS,
    where: Sequence[Condition] = (),
    customers: Sequence[bytes] = TOKENS,
    schema: Schema = SCHEMA,
) -> Disclosure:
    """What will be answered, not yet proved."""
    asked = {*names, *(name for condition in where for name in condition.fields)}
    stated = statement_of(schema, names, where)
    answers = []
    for customer in customers:
        if customer not in own.sealed:
            answers.append(CustomerAnswer(customer=customer, records=None))
            continue
        pairs = zip(own.sealed[customer], own.values[customer], strict=True)
        shown = [
            ShownRecord(
                version=version,
                commitment=record.commitment,
                fields={name: row[name] for name in names}
                if holds(record, stated)
                else None,
            )
            for (version, record), row in pairs
        ]
        place = own.place(customer)
        answers.append(CustomerAnswer(customer=customer, records=tuple(shown), **place))
    return Disclosure(
        snapshot=own.snapshot, schema=told(schema, asked), answers=tuple(answers)
    )


def body(
    names: Sequence[str] = FIELDS,
    where: Sequence[Condition] = (),
    customers: Sequence[bytes] = TOKENS,
    agreement: str = AGREEMENT,
) -> dict[str, Any]:
    """A request."""
    return {
        "agreement": agreement,
        "purpose": PURPOSE,
        "fields": list(names),
        "where": [condition.to_json() for condition in where],
        "customers": [b64u(each) for each in customers],
    }


def sign_answer(
    told: Disclosure,
    names: Sequence[str] = FIELDS,
    where: Sequence[Condition] = (),
    **changes: object,
) -> SignedReceipt:
    """The receipt of a call that is answered so, changed as said."""
    facts = told.snapshot.snapshot
    customers = [answer.customer for answer in told.answers]
    asked = body(names, where, customers, facts.agreement)
    own = {
        "agreement": facts.agreement,
        "request_hash": receipts.request_hash(DATASET, asked),
        "fields": tuple(sorted(names)),
        "where": tuple(where),
        "statement": statement_of(told.schema, names, where).digest.hex(),
        "snapshot": facts.snapshot_id,
        "customers": len(told.answers),
        "records": told.records,
        "withheld": told.withheld,
        "response_hash": told.response_hash,
    }
    return sign_receipt(receipt(**(own | changes)), PROVIDER_KEY)


def prove(
    told: Disclosure,
    signed: SignedReceipt,
    own: Committed,
    *,
    names: Sequence[str] = FIELDS,
    where: Sequence[Condition] = (),
    schema: Schema = SCHEMA,
) -> Disclosure:
    """Add to a draft what is bound to its receipt."""
    stated = statement_of(schema, names, where)
    answers = []
    for answer in told.answers:
        proved = []
        for position, record in enumerate(answer.records or ()):
            if record.fields is None:
                proved.append(record)
                continue
            version, sealed = own.sealed[answer.customer][position]
            found = prove_record(
                sealed,
                stated,
                public=BBS_KEY.public_bytes,
                header=record_header(own.facts, version),
                receipt=signed.receipt,
                customer=answer.customer,
                position=position,
                random_bytes=secrets.token_bytes,
            )
            proved.append(replace(record, presentation=found.proof, moves=found.moves))
        filled = answer.records and tuple(proved)
        answers.append(replace(answer, records=filled))
    return replace(told, answers=tuple(answers))


def answer(
    own: Committed | None = None,
    names: Sequence[str] = FIELDS,
    where: Sequence[Condition] = (),
    customers: Sequence[bytes] = TOKENS,
    schema: Schema = SCHEMA,
    **changes: object,
) -> tuple[SignedReceipt, Disclosure]:
    """An allowed call, answered: the receipt first, then what is bound to it.

    Whatever is changed, signatures and presentations go along with it.
    """
    own = own or committed()
    drafted = draft(own, names, where, customers, schema)
    signed = sign_answer(drafted, names, where, **changes)
    return signed, prove(drafted, signed, own, names=names, where=where, schema=schema)


def opening(who: str, agreement: str = AGREEMENT) -> Opening:
    """What shows whom a token means."""
    return Opening(
        customer=token(who, agreement),
        opening=customer_opening(token_key(agreement), who),
        identifier=who,
    )


def story() -> tuple[Evidence, MemoryChain]:
    """Evidence with everything in it, and the chain that holds its anchor.

    The snapshot comes first, the call is the fourth of six in the first
    checkpoint; the log has grown to ten when it is anchored.
    """
    kept, on_chain = MemoryLog(PROVIDER_RECORD, PROVIDER_KEY), chain()
    signed, disclosure = answer(where=[AT_LEAST_THREE])
    others = stream(8)
    entries: list[SignedReceipt | SignedSnapshot] = [
        committed().snapshot,
        *others[:2],
        signed,
        *others[2:],
    ]
    for number, entry in enumerate(entries):
        kept.sequence(entry, salt=seed(f"salt {number}"))
        if number in (5, 9):
            kept.integrate()
            kept.publish()
    kept.anchor(on_chain, salt=seed("anchor"))
    evidence = replace(
        kept.evidence(3, CONSUMER_RECORD),
        countersignature=receipts.countersign(signed, CONSUMER_KEY),
        disclosure=disclosure,
        snapshot_place=kept.place(0),
        openings=(opening("LEI-A"),),
    )
    return evidence, on_chain
