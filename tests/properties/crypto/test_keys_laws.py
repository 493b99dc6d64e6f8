"""Laws of Ed25519 and SM2 signatures and of keys on the chain."""

from collections.abc import Callable

from eth_keys import datatypes as eth_keys
from eth_keys.constants import SECPK1_N
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import CryptoError
from crypto.keys import Ed25519Key, Secp256k1Key, X25519Key, verify_ed25519
from crypto.sm import Sm2Key, verify_sm2

SM2_ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
SEEDS = st.binary(min_size=32, max_size=32)


@given(SEEDS, st.binary(), st.data())
def test_every_ed25519_signature_verifies_and_no_flipped_bit_survives(
    seed: bytes, message: bytes, data: st.DataObject
) -> None:
    key = Ed25519Key.from_bytes(seed)
    signature = key.sign(message)
    verify_ed25519(key.public_bytes, message, signature)
    whole = int.from_bytes(key.public_bytes + signature) ^ (
        1 << data.draw(st.integers(0, 767))
    )
    bent = whole.to_bytes(96, "big")
    _refused(bent[:32], message, bent[32:])
    _refused(key.public_bytes, message + b"\0", signature)


@settings(max_examples=15)  # SM2 takes tens of milliseconds each time
@given(st.integers(1, SM2_ORDER - 2), st.binary(), st.data())
def test_every_sm2_signature_verifies_and_no_flipped_bit_survives(
    secret: int, message: bytes, data: st.DataObject
) -> None:
    key = Sm2Key.from_bytes(secret.to_bytes(32))
    signature = key.sign(message)
    verify_sm2(key.public_bytes, message, signature)
    whole = int.from_bytes(key.public_bytes + signature) ^ (
        1 << data.draw(st.integers(0, 775))
    )
    bent = whole.to_bytes(97)
    _refused(bent[:33], message, bent[33:], verify_sm2)
    _refused(key.public_bytes, message + b"\0", signature, verify_sm2)


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=70))
def test_no_bytes_that_nobody_signed_verify(
    public: bytes, message: bytes, signature: bytes
) -> None:
    _refused(public, message, signature)
    _refused(public, message, signature, verify_sm2)


@given(
    SEEDS,
    SEEDS,
    st.text(st.characters(max_codepoint=126)),
    st.text(st.characters(max_codepoint=126)),
)
def test_two_parties_always_derive_the_same_customer_key(
    one: bytes, two: bytes, agreement: str, direction: str
) -> None:
    ours, theirs = X25519Key.from_bytes(one), X25519Key.from_bytes(two)
    assert ours.customer_token_key(
        theirs.public_bytes, agreement, direction
    ) == theirs.customer_token_key(ours.public_bytes, agreement, direction)


@given(st.integers(1, SECPK1_N - 1), SEEDS)
def test_every_digest_signed_for_the_chain_recovers_to_its_address(
    secret: int, digest: bytes
) -> None:
    key = Secp256k1Key.from_bytes(secret.to_bytes(32, "big"))
    signature = eth_keys.Signature(key.sign_digest(digest))
    assert (
        signature.recover_public_key_from_msg_hash(digest).to_checksum_address()
        == key.address
    )
    assert signature.s <= SECPK1_N // 2


def _refused(
    public: bytes,
    message: bytes,
    signature: bytes,
    verify: Callable[[bytes, bytes, bytes], None] = verify_ed25519,
) -> None:
    try:
        verify(public, message, signature)
    except CryptoError:
        return
    raise AssertionError(public, message, signature)
