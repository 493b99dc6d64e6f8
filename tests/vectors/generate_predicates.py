"""Write fp-bbs-1.json and fp-lbv-1.json: presentations, good ones and bad ones.

    python -m tests.vectors.generate_predicates

Random bytes come from a seed, so the files are the same each time, and a test
that compares them notices a change of a format. The seeds are for vectors alone.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from crypto.encoding import canonical
from crypto.predicates import (
    Claim,
    Predicate,
    Statement,
    Window,
    after,
    at_least,
    before,
    between,
    equal,
    no_more_than,
    one_of,
    sum_at_least,
)
from crypto.tokens import customer_opening, customer_token
from crypto.typed import FIRST_FIELD, Field, Opaque, told
from tests.unit.crypto.typed_world import (
    FIELDS,
    HEADER,
    KEY,
    PH,
    RECORD,
    SCHEMA,
    VALUES,
    claim,
    sealed,
    statement,
)
from tests.vectors.reading import HERE

SOURCE = (
    "made here by generate_predicates.py from docs/protocols/{}.md; checked by a second"
    " verifier on py_ecc (tests/unit/crypto/second_verifier.py)"
)


def _field(field: Field | Opaque) -> dict[str, Any]:
    if isinstance(field, Opaque):
        return {"digest": field.digest.hex()}
    described = dataclasses.asdict(field)
    return described | {"kind": field.kind.value, "salt": field.salt.hex()}


def _predicate(predicate: Predicate) -> dict[str, Any]:
    if isinstance(predicate, Window):
        found = dataclasses.asdict(predicate)
        return found | {"lo": str(predicate.lo), "hi": str(predicate.hi)}
    among = [value.to_bytes(32, "big").hex() for value in predicate.among]
    return {"first": predicate.first, "among": among}


def _case(comment: str, made: Claim, expect: str = "success") -> dict[str, Any]:
    stated = made.statement
    return {
        "comment": comment,
        "expect": expect,
        "public": made.public.hex(),
        "header": made.header.to_bytes().decode(),
        "schema": [_field(field) for field in stated.schema],
        "statement": {
            "disclosed": list(stated.disclosed),
            "predicates": [_predicate(one) for one in stated.predicates],
            "anchored": stated.anchored,
        },
        "statement_octets": stated.to_bytes().hex(),
        "shown": dict(made.shown),
        "ph": made.ph.hex(),
        "commitment": made.commitment and made.commitment.hex(),
        "proof": made.proof.hex(),
        "moves": made.moves.hex(),
    }


def _records() -> list[dict[str, Any]]:
    names = tuple(VALUES)
    good = claim(statement(shown=names[::2], anchored=True))
    other = sealed(seed="other").commitment
    later = dataclasses.replace(HEADER, version=1)
    wrong = dataclasses.replace(FIELDS[0], salt=bytes(32))
    blind = claim(
        statement(
            shown=("region",), schema=told(SCHEMA, ["region", "paid"]), anchored=True
        )
    )
    return [
        _case("anchored, some fields", good),
        _case("a partner that is told two of nine fields", blind),
        _case(
            "a partner that is told a field under another salt",
            dataclasses.replace(
                good,
                statement=dataclasses.replace(
                    good.statement, schema=(wrong, *SCHEMA[1:])
                ),
            ),
            "Malformed",
        ),
        _case("not anchored, nothing", claim(statement())),
        _case("all fields, one without a value", claim(statement(shown=names))),
        _case(
            "another commitment to the same record",
            dataclasses.replace(good, commitment=other),
            "InvalidProof",
        ),
        _case(
            "another version",
            dataclasses.replace(good, header=later),
            "InvalidProof",
        ),
        _case("another nonce", dataclasses.replace(good, ph=PH + b"x"), "InvalidProof"),
        _case(
            "another value",
            dataclasses.replace(good, shown={**good.shown, "spend": "500000.01"}),
            "InvalidProof",
        ),
        _case(
            "cut short", dataclasses.replace(good, proof=good.proof[:-32]), "Malformed"
        ),
    ]


def _predicates() -> list[dict[str, Any]]:
    several = statement(
        between(SCHEMA, "orders", 3, 9),
        one_of(SCHEMA, "home", ["华东", "华北", "x"]),
        equal(SCHEMA, "orders", "returns"),
        shown=("accepted",),
        anchored=True,
    )
    good = claim(several)
    blind = claim(
        statement(
            no_more_than(SCHEMA, "paid", "spend"),
            schema=told(SCHEMA, ["spend", "paid"]),
            anchored=True,
        )
    )
    tail = 272 + 32 * (16 - len(several.shown)) + 96
    flipped = bytearray(good.proof)
    flipped[tail + 40] ^= 1

    def but(*predicates: Predicate) -> Statement:
        return dataclasses.replace(several, predicates=predicates)

    first, second, third = several.predicates
    single: dict[str, Predicate] = {
        "at least, 32 bits": at_least(SCHEMA, "spend", "500000.00", bits=32),
        "before, 7 bits": before(SCHEMA, "accepted", "1970-01-01", bits=7),
        "after, to the end of dates": after(SCHEMA, "accepted", "1969-12-30"),
        "a range of two values": between(SCHEMA, "orders", 6, 7),
        "a <= b": no_more_than(SCHEMA, "paid", "spend", bits=26),
        "a + b >= Y": sum_at_least(SCHEMA, "spend", "paid", "499987.50", bits=8),
        "one of two texts": one_of(SCHEMA, "region", ["华东", "华北"]),
        "equal texts": equal(SCHEMA, "region", "home"),
    }
    return [
        *(_case(name, claim(statement(one))) for name, one in single.items()),
        _case("several, anchored, beside a field shown", good),
        _case("of the two fields that a partner is told of", blind),
        _case(
            "other bounds",
            dataclasses.replace(
                good, statement=but(between(SCHEMA, "orders", 4, 10), second, third)
            ),
            "InvalidProof",
        ),
        _case(
            "other order",
            dataclasses.replace(good, statement=but(second, first, third)),
            "InvalidProof",
        ),
        _case(
            "a false equality",
            dataclasses.replace(
                good, statement=but(first, second, equal(SCHEMA, "spend", "paid"))
            ),
            "InvalidProof",
        ),
        _case(
            "one bit of a response",
            dataclasses.replace(good, proof=bytes(flipped)),
            "InvalidProof",
        ),
        _case(
            "K_b the identity",
            dataclasses.replace(
                good,
                proof=good.proof[: tail - 96]
                + b"\xc0"
                + bytes(47)
                + good.proof[tail - 48 :],
            ),
            "Malformed",
        ),
    ]


def _tokens() -> dict[str, Any]:
    key, customer = b"k" * 32, "91350100M000100Y43"
    return {
        "key": key.hex(),
        "customer": customer,
        "opening": customer_opening(key, customer).hex(),
        "token": customer_token(key, customer).hex(),
    }


def render() -> dict[Path, str]:
    """Return what each file should hold."""
    record = {
        "secret": KEY._secret.to_bytes(32, "big").hex(),
        "header": HEADER.to_bytes().decode(),
        "values": canonical(dict(VALUES)).decode(),
        "messages": [message.hex() for message in RECORD.messages],
        "commitment": RECORD.commitment.hex(),
        "signature": RECORD.signature.hex(),
        "digest": RECORD.digest.hex(),
        "first_field": FIRST_FIELD,
    }
    found: dict[str, dict[str, Any]] = {
        "fp-bbs-1": {"record": record, "token": _tokens(), "cases": _records()},
        "fp-lbv-1": {"cases": _predicates()},
    }
    return {
        HERE / f"{name}.json": json.dumps(
            {"source": SOURCE.format(name)} | content, indent=1, ensure_ascii=False
        )
        + "\n"
        for name, content in found.items()
    }


if __name__ == "__main__":
    for path, text in render().items():
        path.write_text(text)
