"""Sealed records: the commitment, putting it together again, and the signing key."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from crypto import bbs
from crypto.anchored import Sealed, record_digest, reopen, seal
from crypto.bbs import ARKWORKS, BbsKey
from crypto.bbs.backends import G1
from crypto.bbs.backends.arkworks import Arkworks
from crypto.bbs.suite import ORDER
from crypto.bbs.wire import read_messages, read_signature
from crypto.encoding import sha256, tagged
from crypto.errors import InvalidProof, InvalidSignature, Malformed
from crypto.predicates import prove, verify
from crypto.typed import TYPED
from tests.unit.crypto.typed_world import (
    HEADER,
    KEY,
    LINK,
    MIXED,
    PH,
    RECORD,
    SCHEMA,
    VALUES,
    claim,
    sealed,
    source,
)

KEPT: dict[str, bytes] = {
    "blinder": RECORD.blinder,
    "link": LINK,
    "signature": RECORD.signature,
    "commitment": RECORD.commitment,
}


def test_the_commitment_is_the_point_under_the_signature() -> None:
    header = HEADER.to_bytes()
    frame = bbs.frame(TYPED, ARKWORKS, KEY.public_bytes, header, 16)
    numbers = read_messages(RECORD.messages)
    b = ARKWORKS.msm([frame.start, *frame.points.messages], [1, *numbers])
    assert ARKWORKS.encode_g1(b) == RECORD.commitment
    frame.verify(RECORD.signature, RECORD.messages)
    key = BbsKey.generate(b"k" * 32, suite=TYPED)
    again = key.sign_scalars(header, RECORD.messages, random_bytes=source("x"))
    assert again == RECORD.signature


def test_a_record_is_committed_to_afresh_each_time() -> None:
    other = sealed(seed="other")
    assert other.commitment != RECORD.commitment
    assert other.blinder != RECORD.blinder
    assert other.messages[0] != RECORD.messages[0]
    assert other.messages[1:] == RECORD.messages[1:]


def test_a_commitment_is_of_one_header_and_of_one_value_for_each_field() -> None:
    """The same blinder for all, so that nothing else can make the difference."""
    commitments = {sealed().commitment}
    others: list[dict[str, Any]] = [{"grant": "h"}, {"version": 1}, {"dataset": "e"}]
    for changes in others:
        header = dataclasses.replace(HEADER, **changes)
        commitments.add(sealed(header=header).commitment)
    for name in VALUES:
        commitments.add(sealed({**VALUES, name: None}).commitment)
    assert len(commitments) == 1 + 3 + len(VALUES) - 1  # one has no value already


@pytest.mark.parametrize(
    "broken", [bytes, lambda count: b"\1" * count, lambda count: b"ab"]
)
def test_a_source_of_randomness_that_is_broken_blinds_nothing(
    broken: Callable[[int], bytes],
) -> None:
    with pytest.raises(ValueError, match="random bytes is broken"):
        _seal(broken)


def _seal(random_bytes: Callable[[int], bytes], key: BbsKey = KEY) -> Sealed:
    return seal(
        VALUES,
        key=key,
        header=HEADER,
        schema=SCHEMA,
        link=LINK,
        random_bytes=random_bytes,
    )


def test_a_sealed_record_is_not_printed() -> None:
    for secret in (RECORD.scalars, RECORD.blinder, RECORD.signature):
        assert secret.hex() not in repr(RECORD)
        assert repr(secret) not in repr(RECORD)
    assert repr(RECORD.commitment) in repr(RECORD)


# --- Put together again ------------------------------------------------------


def test_a_record_is_put_together_again_from_its_values_and_what_was_kept() -> None:
    again = reopen(SCHEMA, VALUES, **KEPT)
    assert again == RECORD
    verify(claim(MIXED, record=again))


@pytest.mark.parametrize("part", KEPT)
def test_what_was_kept_of_another_record_gives_false_proofs(part: str) -> None:
    other = sealed({**VALUES, "spend": "1.00"}, seed="other")
    found = {
        "blinder": other.blinder,
        "link": b"o" * 48,
        "signature": other.signature,
        "commitment": other.commitment,
    }
    again = reopen(SCHEMA, VALUES, **{**KEPT, part: found[part]})
    with pytest.raises(InvalidProof):
        verify(claim(MIXED, record=again))


@pytest.mark.parametrize("name", ["spend", "orders", "active", "bonus"])
def test_a_value_that_changed_is_seen_before_a_false_proof_is_made(name: str) -> None:
    now = {"spend": "500000.01", "orders": 8, "active": False, "bonus": "0.00"}
    values = {**VALUES, name: now[name]}
    again = reopen(SCHEMA, values, **KEPT)
    assert again.digest != RECORD.digest
    assert record_digest(SCHEMA, values, LINK) == again.digest
    plain = dataclasses.replace(MIXED, predicates=())
    with pytest.raises(InvalidProof):
        verify(claim(plain, record=again))


def test_a_digest_is_of_link_and_fields_and_the_same_for_every_grant() -> None:
    other = sealed(seed="other", header=dataclasses.replace(HEADER, grant="h"))
    assert other.digest == RECORD.digest == record_digest(SCHEMA, VALUES, LINK)
    joined = b"".join(RECORD.messages[1:])
    assert RECORD.digest == sha256(tagged("record-digest", joined))
    assert record_digest(SCHEMA, VALUES, b"o" * 48) != RECORD.digest
    for name in set(VALUES) - {"bonus"}:
        changed = record_digest(SCHEMA, {**VALUES, name: None}, LINK)
        assert changed != RECORD.digest


@pytest.mark.parametrize("part", ["blinder", "link"])
@pytest.mark.parametrize("size", [0, 32, 47, 49])
def test_a_blinder_or_a_link_of_another_length_is_a_mistake(
    part: str, size: int
) -> None:
    with pytest.raises(ValueError, match="48 bytes"):
        reopen(SCHEMA, VALUES, **{**KEPT, part: bytes(size)})


@pytest.mark.parametrize(
    "values", [{}, {**VALUES, "more": 1}, {**VALUES, "orders": "7"}]
)
def test_a_record_has_every_field_and_no_other(values: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        sealed(values)
    with pytest.raises(Malformed):
        reopen(SCHEMA, values, **KEPT)
    with pytest.raises(Malformed):
        record_digest(SCHEMA, values, LINK)


def test_a_header_of_another_schema_is_not_sealed_under() -> None:
    other = dataclasses.replace(HEADER, schema_hash="0" * 64)
    with pytest.raises(Malformed):
        sealed(header=other)


def test_a_signature_of_one_interface_is_none_of_the_other() -> None:
    frame = bbs.frame(bbs.SHA_256, ARKWORKS, KEY.public_bytes, HEADER.to_bytes(), 16)
    with pytest.raises(InvalidSignature):
        frame.verify(RECORD.signature, RECORD.messages)


# --- The signing key ---------------------------------------------------------


class Watching(Arkworks):
    """Arkworks, which takes a time that depends on the factors, and their list."""

    def __init__(self) -> None:
        self.factors: list[int] = []

    def msm(self, points: Sequence[G1], scalars: Sequence[int]) -> G1:
        self.factors += scalars
        return super().msm(points, scalars)


def _watched(seed: str) -> tuple[Sealed, set[int]]:
    watching = Watching()
    secret = KEY._secret.to_bytes(32, "big")
    key = BbsKey.from_bytes(secret, backend=watching)
    watching.factors.clear()
    made = _seal(_then(RECORD.blinder, seed), key)
    return made, set(watching.factors)


def _then(first: bytes, seed: str) -> Callable[[int], bytes]:
    """Give these bytes, and then those of a source."""
    rest, given = source(seed), [first]
    return lambda count: given.pop() if given else rest(count)


def test_neither_the_signing_key_nor_a_message_is_ever_a_bare_factor() -> None:
    (one, first), (other, second) = _watched("one"), _watched("other")
    assert one == other == dataclasses.replace(RECORD, blinder=one.blinder)
    _, e = read_signature(one.signature, ARKWORKS)
    bare = (KEY._secret + e) % ORDER
    secrets = {
        *(number for number in read_messages(one.messages) if number),
        *(KEY._secret, bare, pow(bare, -1, ORDER), pow(KEY._secret, -1, ORDER)),
    }
    secrets |= {ORDER - number for number in secrets}
    assert len(secrets) == 2 * (9 + 4)  # two pairs of fields are equal
    assert not secrets & (first | second)
    # What blinds them is drawn each time; what both have is 0, 1 and the domain.
    frame = bbs.frame(TYPED, ARKWORKS, KEY.public_bytes, HEADER.to_bytes(), 16)
    assert first & second <= {0, 1, frame.domain}
    assert len(first) > 13


def test_no_hidden_number_is_a_bare_factor_of_a_proof() -> None:
    watching = Watching()
    made: Any = prove(
        RECORD,
        MIXED,
        public=KEY.public_bytes,
        header=HEADER,
        ph=PH,
        random_bytes=source("prove"),
        backend=watching,
    )
    assert made.proof == claim(MIXED).proof
    hidden = [number for number in read_messages(RECORD.messages) if number]
    assert not set(hidden) & set(watching.factors)
    assert not {ORDER - number for number in hidden} & set(watching.factors)
    # Nor are the bits, or products of them: 1 and -1 stand beside whole points.
    small = [factor for factor in watching.factors if min(factor, ORDER - factor) < 2]
    frame = bbs.frame(TYPED, ARKWORKS, KEY.public_bytes, HEADER.to_bytes(), 16)
    assert frame.domain in watching.factors
    assert small.count(0) == watching.factors.count(0) == 5  # the padding, in D
    assert sorted(set(small)) == [0, 1, ORDER - 1]
    assert len(small) == 5 + 3  # 1 for P1; 1 and -1 in K_b, whatever the bits
