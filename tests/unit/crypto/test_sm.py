"""SM2 and SM3: the standard's examples, what must not verify, and OpenSSL's opinion."""

import json
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import gmalg
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from crypto import sm
from crypto.errors import InvalidSignature, Malformed
from crypto.hashing import sm3
from crypto.nonces import nonces
from crypto.sm import Sm2Key, check_sm2_public, verify_sm2
from tests.vectors.reading import HERE, cases, expectation

EXAMPLE = json.loads((HERE / "sm2.json").read_text())["key"]
SECRET = bytes.fromhex(EXAMPLE["secret"])
KEY = Sm2Key.from_bytes(SECRET)
OPENSSL = shutil.which("openssl")
P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize("case", cases("sm2"))
def test_sm2_vectors(case: dict[str, Any]) -> None:
    with expectation(case["expect"]):
        verify_sm2(
            bytes.fromhex(case["public"]),
            case["message"].encode(),
            bytes.fromhex(case["signature"]),
        )


def test_a_key_and_a_digest_are_those_of_the_standard() -> None:
    assert KEY.public_bytes.hex() == "03" + EXAMPLE["x"]
    point = int(EXAMPLE["x"], 16), int(EXAMPLE["y"], 16)
    assert sm._point(KEY.public_bytes) == point
    assert sm._digest(point, b"message digest").hex() == EXAMPLE["digest"]


def test_a_signature_with_the_nonce_of_the_standard_is_that_of_the_standard() -> None:
    secret, nonce = int(EXAMPLE["secret"], 16), int(EXAMPLE["nonce"], 16)
    digest = bytes.fromhex(EXAMPLE["digest"])
    signature = sm.sign_with_nonce(secret, digest, nonce)
    right = next(case for case in cases("sm2") if case.values[0]["expect"] == "success")
    assert signature
    assert signature.hex() == right.values[0]["signature"]


def test_a_key_signs_the_same_message_the_same_way_and_others_otherwise() -> None:
    signature = KEY.sign(b"message")
    assert (
        signature == KEY.sign(b"message") == Sm2Key.from_bytes(SECRET).sign(b"message")
    )
    verify_sm2(KEY.public_bytes, b"message", signature)
    other = KEY.sign(b"massage")
    assert signature[:32] != other[:32]
    with pytest.raises(InvalidSignature):
        verify_sm2(KEY.public_bytes, b"massage", signature)


@pytest.mark.parametrize("bit", [0, 7, 255, 256, 300, 511])
def test_no_bit_of_a_signature_is_spare(bit: int) -> None:
    number = int.from_bytes(KEY.sign(b"message")) ^ 1 << bit
    with pytest.raises(InvalidSignature):
        verify_sm2(KEY.public_bytes, b"message", number.to_bytes(64))


@pytest.mark.parametrize("secret", [1, 2, sm._N - 2])
def test_the_first_and_the_last_secret_sign(secret: int) -> None:
    key = Sm2Key.from_bytes(secret.to_bytes(32))
    verify_sm2(key.public_bytes, b"message", key.sign(b"message"))


@pytest.mark.parametrize("secret", [0, sm._N - 1, sm._N, 2**256 - 1])
def test_a_secret_out_of_range_is_refused(secret: int) -> None:
    with pytest.raises(Malformed):
        Sm2Key.from_bytes(secret.to_bytes(32))


def test_a_nonce_that_does_not_do_is_passed_over() -> None:
    """Each of the three faults that the standard names: r, r + k and s of zero."""
    secret, nonce = int(EXAMPLE["secret"], 16), int(EXAMPLE["nonce"], 16)
    x, _ = sm._times_base(nonce)
    for wanted in (0, sm._N - nonce, nonce * pow(secret, -1, sm._N) % sm._N):
        digest = ((wanted - x) % sm._N).to_bytes(32)
        assert sm.sign_with_nonce(secret, digest, nonce) is None


def test_signing_goes_on_to_the_next_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = KEY.sign(b"message")
    sign, refused = sm.sign_with_nonce, []

    def once(secret: int, digest: bytes, nonce: int) -> bytes | None:
        refused.append(nonce)
        return sign(secret, digest, nonce) if len(refused) == 2 else None

    monkeypatch.setattr(sm, "sign_with_nonce", once)
    signature = KEY.sign(b"message")
    assert signature != expected
    assert len(set(refused)) == 2
    verify_sm2(KEY.public_bytes, b"message", signature)


@pytest.mark.parametrize(
    "public",
    [
        b"\x02" + sm._P.to_bytes(32),
        b"\x02" + (sm._P + 1).to_bytes(32),
        b"\x02" + b"\xff" * 32,
        KEY.public_bytes + b"\0",
        KEY.public_bytes[:-1],
    ],
)
def test_a_public_key_has_one_form(public: bytes) -> None:
    with pytest.raises(Malformed):
        check_sm2_public(public)
    with pytest.raises(Malformed):
        verify_sm2(public, b"message", KEY.sign(b"message"))


@pytest.mark.parametrize(
    ("message", "nonce"),
    [
        (
            b"sample",
            "a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60",
        ),
        (b"test", "d16b6ae827f17175e040871a1c7ec3500192c4c92677336ec2537acaee0008e0"),
    ],
)
def test_nonces_are_those_of_rfc_6979_appendix_a_2_5(
    message: bytes, nonce: str
) -> None:
    secret = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    state = hashes.Hash(hashes.SHA256())
    state.update(message)
    found = nonces(
        secret=secret, digest=state.finalize(), order=P256, hashing=hashes.SHA256()
    )
    assert f"{next(found):064x}" == nonce


def test_sm3_is_that_of_the_standard() -> None:
    """GB/T 32905-2016, annex A."""
    expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm3(b"abc").hex() == sm3(b"a", b"", b"bc").hex() == expected


def test_the_library_signs_and_verifies_the_same() -> None:
    point = bytes.fromhex("04" + EXAMPLE["x"] + EXAMPLE["y"])
    other = gmalg.SM2(SECRET, b"1234567812345678", point)
    signature = KEY.sign(b"message")
    assert other.verify(b"message", signature[:32], signature[32:])
    r, s = other.sign(b"message")
    verify_sm2(KEY.public_bytes, b"message", r.rjust(32, b"\0") + s.rjust(32, b"\0"))


def _openssl(*arguments: object) -> bytes:
    assert OPENSSL
    command = [OPENSSL, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _pem(folder: Path) -> Path:
    """Write the key as SEC 1 has it: version 1, secret, curve 1.2.156.10197.1.301."""
    curve = bytes.fromhex("a00a06082a811ccf5501822d")
    body = b"\x02\x01\x01\x04\x20" + SECRET + curve
    text = b64encode(bytes([0x30, len(body)]) + body).decode()
    path = folder / "key.pem"
    kind = "EC PRIVATE KEY"
    path.write_text(f"-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
    return path


@pytest.mark.skipif(OPENSSL is None, reason="no openssl command is installed")
def test_openssl_verifies_what_we_sign_and_signs_what_we_verify(tmp_path: Path) -> None:
    pem, message, made = _pem(tmp_path), tmp_path / "message", tmp_path / "signature"
    message.write_bytes(b"message of a receipt")
    how = ["-inkey", pem, "-rawin", "-digest", "sm3", "-in", message]
    how += ["-pkeyopt", "distid:1234567812345678"]
    ours = KEY.sign(message.read_bytes())
    r, s = int.from_bytes(ours[:32]), int.from_bytes(ours[32:])
    made.write_bytes(encode_dss_signature(r, s))
    said = _openssl("pkeyutl", "-verify", *how, "-sigfile", made)
    assert b"Verified Successfully" in said
    r, s = decode_dss_signature(_openssl("pkeyutl", "-sign", *how))
    theirs = r.to_bytes(32) + s.to_bytes(32)
    verify_sm2(KEY.public_bytes, message.read_bytes(), theirs)
    assert theirs != ours
    message.write_bytes(b"message of another")
    with pytest.raises(subprocess.CalledProcessError):
        _openssl("pkeyutl", "-verify", *how, "-sigfile", made)


def _spelled(r: int, s: int) -> bytes:
    return (r % sm._N).to_bytes(32) + (s % sm._N).to_bytes(32)


def test_numbers_that_cancel_out_would_fit_every_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With r + s = n the key takes no part, or an arbitrary one: refused as such."""
    curve, s = sm._GROUP.ec, 12345
    base, own = curve.mul(s, sm._G), sm._point(KEY.public_bytes)
    for x, _ in (base, curve.add(base, own)):
        digest = ((-s - x) % sm._N).to_bytes(32)
        monkeypatch.setattr(sm, "_digest", lambda *_, found=digest: found)
        with pytest.raises(InvalidSignature, match="cancel out"):
            verify_sm2(KEY.public_bytes, b"message", _spelled(-s, s))


def test_a_signature_that_leads_to_infinity_is_invalid() -> None:
    secret, both = int(EXAMPLE["secret"], 16), 6789
    s = -both * secret
    with pytest.raises(InvalidSignature, match="not signed"):
        verify_sm2(KEY.public_bytes, b"message", _spelled(both - s, s))
