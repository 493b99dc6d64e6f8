"""Tokens: each thing that can be wrong with one, alone, and what is then known."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from crypto.encoding import b64u, canonical
from crypto.handles import SecretHandle
from crypto.keys import Ed25519Key
from crypto.sm import Sm2Key
from ledger.participants import Participant
from node.adapters.identity import RegistryIdentity
from node.domain.disclosure import Caller
from node.errors import Unavailable
from tests.support.node import START, FixedClock

ME, YOU, OTHER = (f"did:web:{name}.test" for name in ("me", "you", "other"))
KEYS = {did: Ed25519Key.from_bytes(did.ljust(32).encode()) for did in (ME, YOU, OTHER)}
NOW = int(START.timestamp())
NONCE = b64u(b"n" * 32)
BOUND = "ab" * 32
AGREEMENT = "urn:uuid:1"


def record(did: str) -> dict[str, Any]:
    return Participant(
        did=did,
        name={"en": did, "zh": did},
        url=f"https://{did[8:]}",
        keys={
            "ed25519": KEYS[did].public_bytes,
            "x25519": b"x" * 32,
            "bls12381g2": b"b" * 96,
            "secp256k1": b"s" * 33,
        },
        chain_address="0x" + "00" * 20,
    ).to_json()


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    file = tmp_path / "participants.json"
    file.write_text(json.dumps([record(ME), record(YOU)]))
    return file


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def me(registry: Path, clock: FixedClock) -> RegistryIdentity:
    return RegistryIdentity(registry, did=ME, signer=KEYS[ME], clock=clock)


def claims(**changes: Any) -> dict[str, Any]:
    right = {
        "iss": YOU,
        "sub": YOU,
        "aud": ME,
        "iat": NOW,
        "exp": NOW + 60,
        "jti": NONCE,
        "agreement": AGREEMENT,
        "request": BOUND,
    }
    return {key: value for key, value in (right | changes).items() if value != "gone"}


def header(**changes: Any) -> dict[str, Any]:
    right = {"alg": "EdDSA", "typ": "JWT", "kid": KEYS[YOU].key_id(YOU)}
    return {key: value for key, value in (right | changes).items() if value != "gone"}


def token(*, head: Any = None, body: Any = None, key: Ed25519Key = KEYS[YOU]) -> str:
    parts = (header() if head is None else head, claims() if body is None else body)
    encoded = ".".join(b64u(json.dumps(part).encode()) for part in parts)
    return f"{encoded}.{b64u(key.sign(encoded.encode()))}"


def ask(me: RegistryIdentity, text: str | None) -> Caller:
    return me.authenticate(text, bound_to=BOUND, agreement=AGREEMENT)


def test_a_right_token_names_its_caller_and_nonce(me: RegistryIdentity) -> None:
    assert ask(me, token()) == Caller(did=YOU, problem="", nonce=NONCE)


def test_what_one_node_issues_another_accepts(
    me: RegistryIdentity, registry: Path, clock: FixedClock
) -> None:
    you = RegistryIdentity(registry, did=YOU, signer=KEYS[YOU], clock=clock)
    issued = you.issue(audience=ME, bound_to=BOUND, agreement=AGREEMENT, nonce=NONCE)
    assert ask(me, issued) == Caller(did=YOU, problem="", nonce=NONCE)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"aud": OTHER}, "token.audience"),
        ({"aud": [ME]}, "token.audience"),
        ({"aud": None}, "token.audience"),
        ({"exp": NOW}, "token.expired"),
        ({"exp": NOW - 1, "iat": NOW - 60}, "token.expired"),
        ({"exp": NOW + 301}, "token.expired"),
        ({"iat": NOW + 31, "exp": NOW + 60}, "token.expired"),
        ({"iat": NOW - 300, "exp": NOW + 1}, "token.expired"),
        ({"exp": 10**30}, "token.expired"),
        ({"exp": str(NOW + 60)}, "token.malformed"),
        ({"exp": NOW + 60.5}, "token.malformed"),
        ({"iat": True}, "token.malformed"),
        ({"iat": None}, "token.malformed"),
        ({"sub": ME}, "token.malformed"),
        ({"request": "cd" * 32}, "token.request_mismatch"),
        ({"request": BOUND.upper()}, "token.request_mismatch"),
        ({"request": None}, "token.request_mismatch"),
        ({"agreement": "urn:uuid:2"}, "token.agreement_mismatch"),
        ({"agreement": None}, "token.agreement_mismatch"),
        ({"agreement": [AGREEMENT]}, "token.agreement_mismatch"),
    ],
)
def test_a_signed_token_that_is_wrong_says_who_called_and_why(
    me: RegistryIdentity, changes: dict[str, Any], problem: str
) -> None:
    caller = ask(me, token(body=claims(**changes)))
    assert caller == Caller(did=YOU, problem=problem, nonce=NONCE)


@pytest.mark.parametrize(
    "jti",
    [7, None, [NONCE], {"a": 1}, True, "", "short", "x" * 21, b64u(b"n" * 65), "n=" * 16,
     f"{NONCE} ", NONCE + "=", "é" * 32, "\ud800" * 32],
)  # fmt: skip
def test_a_nonce_that_cannot_be_used_once_is_no_nonce(
    me: RegistryIdentity, jti: object
) -> None:
    caller = ask(me, token(body=claims(jti=jti)))
    assert (caller.problem, caller.nonce) == ("token.malformed", None)


@pytest.mark.parametrize("name", sorted(claims()))
def test_a_token_without_one_of_its_claims_is_malformed(
    me: RegistryIdentity, name: str
) -> None:
    caller = ask(me, token(body=claims(**{name: "gone"})))
    assert caller == Caller(did=None, problem="token.malformed", nonce=None)


@pytest.mark.parametrize("name", ["nbf", "scope", "cnf", "act", "vp_token", ""])
def test_a_token_with_a_claim_too_many_is_malformed(
    me: RegistryIdentity, name: str
) -> None:
    caller = ask(me, token(body=claims(**{name: NOW})))
    assert caller == Caller(did=None, problem="token.malformed", nonce=None)


@pytest.mark.parametrize(
    "issuer", [OTHER, "", "did:web:ME.TEST", f"{YOU} ", YOU.upper()]
)
def test_an_issuer_that_is_not_registered_is_nobody(
    me: RegistryIdentity, issuer: str
) -> None:
    body = claims(iss=issuer, sub=issuer)
    caller = ask(me, token(body=body, key=KEYS[OTHER]))
    assert caller == Caller(did=None, problem="token.issuer_unknown", nonce=None)


@pytest.mark.parametrize("issuer", [None, 7, [YOU], {"did": YOU}, True])
def test_an_issuer_that_is_no_text_is_malformed(
    me: RegistryIdentity, issuer: object
) -> None:
    caller = ask(me, token(body=claims(iss=issuer)))
    assert caller == Caller(did=None, problem="token.malformed", nonce=None)


def _mac(secret: bytes, alg: str = "HS256") -> str:
    signed = ".".join(
        b64u(json.dumps(part).encode()) for part in (header(alg=alg), claims())
    )
    return f"{signed}.{b64u(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _pem(public: bytes) -> bytes:
    der = bytes.fromhex("302a300506032b6570032100") + public
    body = base64.b64encode(der).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n".encode()


PUBLIC = KEYS[YOU].public_bytes
UNSIGNED = ".".join(
    b64u(json.dumps(p).encode()) for p in (header(alg="none"), claims())
)


@pytest.mark.parametrize(
    "forged",
    [
        f"{UNSIGNED}.",
        f"{UNSIGNED}.{b64u(bytes(64))}",
        token(head=header(alg="none")),
        token(head=header(alg="None")),
        token(head=header(alg="ES256")),
        token(head=header(alg="ES256K")),
        token(head=header(alg="Ed448")),
        token(head=header(alg="HS256")),
        token(head=header(alg=["EdDSA"])),
        token(head=header(alg={"EdDSA": 1})),
        token(head=header(alg=None)),
        token(head=header(alg="gone")),
        token(key=KEYS[OTHER]),
        token(key=KEYS[ME]),
        token(head=header(kid=KEYS[OTHER].key_id(OTHER)), key=KEYS[OTHER]),
        token(head=header(kid=KEYS[OTHER].key_id(OTHER))),
        token(head=header(kid=KEYS[ME].key_id(ME))),
        token(head=header(kid="../../keys/ed25519")),
        token(head=header(kid="gone")),
        _mac(PUBLIC),
        _mac(b64u(PUBLIC).encode()),
        _mac(PUBLIC.hex().encode()),
        _mac(_pem(PUBLIC)),
        _mac(_pem(PUBLIC).strip()),
        _mac(b""),
        token(
            head=header(
                jwk={"kty": "OKP", "crv": "Ed25519", "x": b64u(KEYS[OTHER].public_bytes)}
            ),
            key=KEYS[OTHER],
        ),
        token(head=header(jku="https://other.test/keys", x5u="x"), key=KEYS[OTHER]),
        token(head=header(b64=False, crit=["b64"])),
        token(head=header(crit=["fieldpact"])),
    ],
)  # fmt: skip
def test_a_token_not_signed_by_the_pinned_key_is_nobodys(
    me: RegistryIdentity, forged: str
) -> None:
    caller = ask(me, forged)
    assert caller.did is None
    assert caller.nonce is None
    assert caller.problem in {"token.signature", "token.malformed"}


def test_no_bit_of_a_signature_can_be_flipped(me: RegistryIdentity) -> None:
    signed, _, signature = token().rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    for bit in range(0, 512, 7):
        bent = bytearray(raw)
        bent[bit // 8] ^= 1 << bit % 8
        assert ask(me, f"{signed}.{b64u(bytes(bent))}").did is None


def test_a_signature_is_read_in_one_spelling_only(me: RegistryIdentity) -> None:
    signed, _, signature = token().rpartition(".")
    for spelling in (
        f"{signature}=",
        f"{signature}==",
        f" {signature}",
        signature + "\n",
    ):
        assert ask(me, f"{signed}.{spelling}").problem != ""


def test_a_key_that_was_replaced_in_the_registry_signs_no_more(
    me: RegistryIdentity, registry: Path
) -> None:
    assert ask(me, token()).problem == ""
    renewed = Ed25519Key.from_bytes(b"renewed".ljust(32))
    new = record(YOU)
    new["keys"]["ed25519"] = b64u(renewed.public_bytes)
    registry.write_text(json.dumps([record(ME), new]))
    assert ask(me, token()).problem == "token.signature"
    right = token(head=header(kid=renewed.key_id(YOU)), key=renewed)
    assert ask(me, right).problem == ""


def test_a_participant_that_left_the_registry_is_nobody(
    me: RegistryIdentity, registry: Path
) -> None:
    registry.write_text(json.dumps([record(ME)]))
    assert ask(me, token()).problem == "token.issuer_unknown"


@pytest.mark.parametrize("text", ["", "[", "{}", "[{}]", "null"])
def test_a_registry_that_cannot_be_read_lets_nobody_in(
    me: RegistryIdentity, registry: Path, text: str
) -> None:
    registry.write_text(text)
    with pytest.raises(Unavailable, match=r"registry\.unreadable"):
        ask(me, token())


def test_a_node_whose_keys_are_not_pinned_does_not_serve(
    registry: Path, clock: FixedClock
) -> None:
    stranger = RegistryIdentity(registry, did=ME, signer=KEYS[OTHER], clock=clock)
    with pytest.raises(Unavailable, match=r"registry\.self"):
        _ = stranger.me


@pytest.mark.parametrize("text", [None, ""])
def test_no_token_is_a_missing_token(me: RegistryIdentity, text: str | None) -> None:
    assert ask(me, text) == Caller(did=None, problem="token.missing", nonce=None)


@pytest.mark.parametrize(
    "text",
    ["x", ".", "..", "...", "a.b.c", "e30.e30.", "e30.e30.AA", "\x00.\x00.\x00",
     "é.é.é", "\ud800.\ud800.\ud800", "e30.bnVsbA.AA", "W10.W10.AA", "x" * 5000,
     token() + ".x", "." + token(), token().replace(".", ".."), token()[:-86]],
)  # fmt: skip
def test_what_is_no_token_is_malformed(me: RegistryIdentity, text: str) -> None:
    caller = ask(me, text)
    assert caller.did is None
    assert caller.problem in {"token.malformed", "token.signature"}


def test_claims_said_twice_are_read_the_same_way_both_times(
    me: RegistryIdentity,
) -> None:
    body = canonical(claims()).replace(b'"iss"', b'"iss":"did:web:other.test","iss"')
    signed = f"{b64u(canonical(header()))}.{b64u(body)}"
    twice = f"{signed}.{b64u(KEYS[YOU].sign(signed.encode()))}"
    assert ask(me, twice) == Caller(did=YOU, problem="", nonce=NONCE)


def test_a_node_does_not_show_its_key(me: RegistryIdentity) -> None:
    assert isinstance(me._signer, SecretHandle)
    secret = ME.ljust(32).encode()
    assert secret.hex() not in repr(vars(me))
    assert b64u(secret) not in repr(vars(me))


def test_a_token_under_a_past_key_is_refused_and_names_nobody(
    registry: Path, clock: FixedClock
) -> None:
    changed = record(YOU)
    old = {"suite": "ed25519", "public": changed["keys"]["ed25519"]}
    changed["keys"]["ed25519"] = b64u(KEYS[OTHER].public_bytes)
    changed["past_keys"] = [old | {"until": "2026-11-22T18:00:00Z"}]
    registry.write_text(json.dumps([record(ME), changed]))
    me = RegistryIdentity(registry, did=ME, signer=KEYS[ME], clock=clock)
    assert ask(me, token()) == Caller(did=None, problem="token.key_revoked", nonce=None)
    new = token(head=header(kid=KEYS[OTHER].key_id(YOU)), key=KEYS[OTHER])
    assert ask(me, new) == Caller(did=YOU, problem="", nonce=NONCE)


def test_a_node_whose_key_for_receipts_is_not_pinned_is_nobody(
    registry: Path, clock: FixedClock
) -> None:
    sm2 = Sm2Key.from_bytes(b"sm2".rjust(32))
    identity = RegistryIdentity(
        registry, did=ME, signer=KEYS[ME], clock=clock, receipts=sm2
    )
    with pytest.raises(Unavailable, match="pin"):
        _ = identity.me
    own = record(ME)
    keys = own["keys"] | {"sm2": b64u(sm2.public_bytes)}
    for pinned, right in (({}, False), ({"signing": "sm2"}, True)):
        records = [own | {"keys": keys} | pinned, record(YOU)]
        registry.write_text(json.dumps(records, indent=1 if right else 2))
        if right:
            assert identity.me.suite == "sm2"
        else:
            with pytest.raises(Unavailable, match="pin"):
                _ = identity.me
