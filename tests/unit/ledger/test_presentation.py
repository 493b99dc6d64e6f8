"""Presentations: what they are bound to, and what they cannot be made of."""

import secrets
from dataclasses import replace
from typing import Any

import pytest

from crypto.bbs import BbsKey
from crypto.encoding import b64u
from crypto.errors import CryptoError, Invalid, Malformed
from crypto.predicates import Claim, verify
from ledger.conditions import Condition
from ledger.disclosure import statement_of
from ledger.presentation import presentation_header, prove_record
from ledger.snapshots import record_header
from tests.unit.ledger import samples, world

OWN = world.committed()
CUSTOMER = world.TOKENS[0]
VERSION, SEALED = OWN.sealed[CUSTOMER][0]
HEADER = record_header(OWN.facts, VERSION)
WHERE = (Condition.of("between", ["units"], [1, 8]),)
STATEMENT = statement_of(world.SCHEMA, samples.FIELDS, WHERE)
SHOWN = {name: OWN.values[CUSTOMER][0][name] for name in samples.FIELDS}
BOUND: dict[str, Any] = {
    "receipt": samples.receipt(),
    "customer": CUSTOMER,
    "position": 0,
}
PROOF = prove_record(
    SEALED,
    STATEMENT,
    public=samples.BBS_KEY.public_bytes,
    header=HEADER,
    random_bytes=secrets.token_bytes,
    **BOUND,
)
CLAIM = Claim(
    proof=PROOF.proof,
    shown=SHOWN,
    statement=STATEMENT,
    public=samples.BBS_KEY.public_bytes,
    header=HEADER,
    ph=presentation_header(**BOUND),
    commitment=SEALED.commitment,
)


def test_what_is_asked_is_shown_and_proved_of_a_committed_record() -> None:
    verify(CLAIM)


@pytest.mark.parametrize(
    "moved",
    [
        {"receipt": samples.receipt(records=4)},
        {"receipt": samples.receipt(nonce="A" * 22)},
        {"receipt": samples.receipt(purpose="marketing")},
        {"customer": world.TOKENS[1]},
        {"position": 1},
    ],
)
def test_a_presentation_holds_in_its_own_place_only(moved: dict[str, Any]) -> None:
    ph = presentation_header(**(BOUND | moved))
    with pytest.raises(CryptoError):
        verify(replace(CLAIM, ph=ph))


@pytest.mark.parametrize(
    "change",
    [
        {"public": BbsKey.generate(samples.seed("another")).public_bytes},
        {"header": replace(HEADER, dataset="leads")},
        {"header": replace(HEADER, grant="agreement-2")},
        {"header": replace(HEADER, version=VERSION + 1)},
        {"commitment": OWN.sealed[CUSTOMER][1][1].commitment},
        {"shown": SHOWN | {"order_total": "12.51"}},
        {"shown": SHOWN | {"order_total": None}},
        {"statement": statement_of(world.SCHEMA, samples.FIELDS, ())},
        {
            "statement": statement_of(
                world.SCHEMA,
                samples.FIELDS,
                [Condition.of("between", ["units"], [2, 9])],
            )
        },
    ],
)
def test_a_presentation_is_of_one_record_and_one_statement(
    change: dict[str, Any],
) -> None:
    with pytest.raises(CryptoError):
        verify(replace(CLAIM, **change))


def test_a_condition_that_does_not_hold_cannot_be_proved() -> None:
    false = statement_of(world.SCHEMA, (), [Condition.of("at_least", ["units"], [4])])
    with pytest.raises(Invalid, match="false of this record"):
        prove_record(
            SEALED,
            false,
            public=samples.BBS_KEY.public_bytes,
            header=HEADER,
            random_bytes=secrets.token_bytes,
            **BOUND,
        )


@pytest.mark.parametrize(
    ("names", "where"),
    [
        (("colour",), ()),
        (("units", "units"), ()),
        (("units",), WHERE),
        ((), WHERE * 2),
        ((), (Condition.of("at_least", ["region"], ["a"]),)),
        ((), (Condition.of("at_least", ["colour"], [1]),)),
        (
            (),
            (
                Condition.of("before", ["ordered_on"], ["2026-01-02"]),
                Condition.of("at_most", ["ordered_on"], ["2026-01-01"]),
            ),
        ),
    ],
)
def test_what_cannot_be_stated_is_malformed(
    names: tuple[str, ...], where: tuple[Condition, ...]
) -> None:
    with pytest.raises(Malformed):
        statement_of(world.SCHEMA, names, where)


def test_the_presentation_header_names_everything_it_is_bound_to() -> None:
    receipt = samples.receipt()
    header = presentation_header(receipt, customer=world.TOKENS[0], position=7).decode()
    for part in (
        '"typ":"fieldpact/presentation/1"',
        f'"issuer":"{samples.PROVIDER}"',
        f'"audience":"{samples.CONSUMER}"',
        f'"agreement":"{samples.AGREEMENT}"',
        f'"purpose":"{samples.PURPOSE}"',
        f'"nonce":"{samples.NONCE}"',
        f'"receipt":"{receipt.receipt_id}"',
        f'"customer":"{b64u(world.TOKENS[0])}"',
        '"position":7',
    ):
        assert part in header
