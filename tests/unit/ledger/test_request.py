"""The consumer's request: one strict form, and bound to its receipt."""

from dataclasses import replace
from typing import Any

import pytest

from crypto.encoding import b64u, canonical
from crypto.errors import InvalidProof, InvalidSignature, Malformed
from crypto.keys import Ed25519Key
from crypto.signing import Verifier
from ledger.participants import PastKey
from ledger.request import LONGEST, parse_request, verify_request
from tests.unit.ledger import asking, samples

RECEIPT = samples.receipt()
TOKEN = asking.token(RECEIPT)
HEADER, CLAIMS = asking.header(), asking.claims(RECEIPT)
STRANGER = Ed25519Key.from_bytes(samples.seed("stranger"))


def verify(token: str) -> str:
    return verify_request(token, RECEIPT, samples.CONSUMER_RECORD)


def test_a_consumer_is_shown_to_have_asked() -> None:
    assert verify(TOKEN) == samples.CONSUMER_KEY.key_id(samples.CONSUMER)


def test_a_token_reads_as_it_was_signed() -> None:
    request = parse_request(TOKEN)
    assert dict(request.claims) == CLAIMS
    assert f"{request.signed.decode()}.{b64u(request.signature)}" == TOKEN


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", samples.PROVIDER),
        ("sub", samples.PROVIDER),
        ("aud", samples.CONSUMER),
        ("jti", "B" * 22),
        ("agreement", "agreement-2"),
        ("agreement", None),
        ("request", samples.seed("another request").hex()),
    ],
)
def test_a_token_for_another_call_shows_nothing(claim: str, value: Any) -> None:
    with pytest.raises(InvalidProof, match=claim):
        verify(asking.token(RECEIPT, **{claim: value}))


def test_a_token_that_another_key_signed_shows_nothing() -> None:
    for token in (
        asking.signed(HEADER, CLAIMS, STRANGER),
        asking.signed(
            asking.header(kid=STRANGER.key_id(samples.CONSUMER)), CLAIMS, STRANGER
        ),
        asking.signed(
            asking.header(kid=samples.PROVIDER_KEY.key_id(samples.PROVIDER)),
            CLAIMS,
            samples.PROVIDER_KEY,
        ),
    ):
        with pytest.raises(InvalidSignature):
            verify(token)


def test_a_token_of_which_a_bit_changed_shows_nothing() -> None:
    above, below, signature = TOKEN.split(".")
    other = asking.token(
        samples.receipt(sequence=1, previous="ab" * 32, nonce=b64u(b"another nonce 16"))
    )
    for token in (
        f"{above}.{other.split('.')[1]}.{signature}",
        f"{above}.{below}.{other.split('.')[2]}",
    ):
        with pytest.raises(InvalidSignature):
            verify(token)


def test_a_token_of_somebody_else_shows_nothing() -> None:
    with pytest.raises(InvalidSignature):
        verify_request(TOKEN, RECEIPT, samples.PROVIDER_RECORD)


def test_a_refusal_of_somebody_unknown_has_no_request() -> None:
    nobody = samples.refusal(consumer=None)
    with pytest.raises(InvalidProof):
        verify_request(TOKEN, nobody, samples.CONSUMER_RECORD)


def test_a_key_of_before_still_shows_who_asked() -> None:
    keys = {**samples.CONSUMER_RECORD.keys, "ed25519": STRANGER.public_bytes}
    rotated = replace(samples.CONSUMER_RECORD, keys=keys)
    with pytest.raises(InvalidSignature):
        verify_request(TOKEN, RECEIPT, rotated)
    own = Verifier(suite="ed25519", public=samples.CONSUMER_KEY.public_bytes)
    past = PastKey(key=own, until="2026-11-23T00:00:00Z")
    verify_request(TOKEN, RECEIPT, replace(rotated, past_keys=(past,)))


@pytest.mark.parametrize(
    "above",
    [
        asking.header(alg="none"),
        asking.header(alg="HS256"),
        asking.header(alg="ES256K"),
        asking.header(alg=["EdDSA"]),
        asking.header(typ="jwt"),
        asking.header(crit=["exp"]),
        asking.header(jwk={"kty": "OKP"}),
        asking.header(kid=None),
        {"alg": "EdDSA", "typ": "JWT"},
        [],
    ],
)
def test_another_header_is_malformed(above: Any) -> None:
    with pytest.raises(Malformed):
        verify(asking.signed(above, CLAIMS))


@pytest.mark.parametrize(
    "below",
    [
        CLAIMS | {"nbf": 1},
        CLAIMS | {"aud": [samples.PROVIDER]},
        CLAIMS | {"iat": "1"},
        CLAIMS | {"exp": -1},
        CLAIMS | {"iat": True},
        CLAIMS | {"jti": 5},
        CLAIMS | {"request": None},
        {name: CLAIMS[name] for name in CLAIMS if name != "exp"},
        {},
        "claims",
    ],
)
def test_other_claims_are_malformed(below: Any) -> None:
    with pytest.raises(Malformed):
        verify(asking.signed(HEADER, below))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        "a.b.c",
        f"{TOKEN}.",
        f"{TOKEN}=",
        f" {TOKEN}",
        f"{TOKEN}\n",
        TOKEN.replace(".", ".."),
        TOKEN.rpartition(".")[0] + ".",
        TOKEN.rpartition(".")[0] + ".AAAA",
        "A" * LONGEST + TOKEN,
    ],
)
def test_what_is_no_compact_jws_is_malformed(token: str) -> None:
    with pytest.raises(Malformed):
        verify(token)


def test_a_signature_has_one_spelling() -> None:
    text, _, signature = TOKEN.rpartition(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 64 bytes leave four unused bits in the last character.
    spelled = signature[:-1] + last[last.index(signature[-1]) + 1]
    with pytest.raises(Malformed):
        verify(f"{text}.{spelled}")


def test_a_name_that_stands_twice_is_malformed() -> None:
    twice = canonical(CLAIMS)[:-1] + b',"iss":"' + samples.PROVIDER.encode() + b'"}'
    with pytest.raises(Malformed):
        verify(asking.over(canonical(HEADER), twice))


@pytest.mark.parametrize("value", [None, 5, b"bytes", ["a.b.c"], {}])
def test_what_is_no_text_is_malformed(value: object) -> None:
    with pytest.raises(Malformed):
        parse_request(value)
