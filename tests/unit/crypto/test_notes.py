"""Signed notes and checkpoints."""

import base64
import hashlib
from typing import Any

import pytest

from crypto import notes
from crypto.errors import CryptoError, InvalidSignature, Malformed
from crypto.keys import Ed25519Key
from crypto.sm import Sm2Key

# The example of c2sp.org/signed-note, section "Verifier keys".
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq"
    "6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
LOG = Ed25519Key.from_bytes(b"\x01" * 32)
WITNESS = Ed25519Key.from_bytes(b"\x02" * 32)
ORIGIN = "127.0.0.1:8101/log"
CHECKPOINT = notes.Checkpoint(origin=ORIGIN, size=7, root=bytes(range(32)))
SIGNED = notes.sign_checkpoint(CHECKPOINT, LOG)
LOG_KEY = notes.VerifierKey(name=ORIGIN, public=LOG.public_bytes)
WITNESS_KEY = notes.VerifierKey(name="witness.example/w", public=WITNESS.public_bytes)


def _line(name: str, key: Ed25519Key, text: str) -> str:
    return notes.sign_note(text, name=name, key=key).removeprefix(text + "\n")


def test_the_example_of_the_specification_opens() -> None:
    key = notes.parse_verifier_key(EXAMPLE_KEY)
    assert key.render() == EXAMPLE_KEY
    assert notes.open_note(EXAMPLE_NOTE, [key]) == "This is an example message.\n"


def test_a_checkpoint_reads_as_it_was_written() -> None:
    assert (
        CHECKPOINT.render()
        == f"{ORIGIN}\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    )
    assert notes.parse_checkpoint(CHECKPOINT.render()) == CHECKPOINT
    assert (
        notes.open_checkpoint(SIGNED, origin=ORIGIN, keys=[LOG_KEY.verifier])
        == CHECKPOINT
    )


def test_a_note_that_no_trusted_key_signed_does_not_open() -> None:
    for keys in (
        [],
        [WITNESS_KEY],
        [notes.VerifierKey(name=ORIGIN, public=WITNESS.public_bytes)],
    ):
        with pytest.raises(InvalidSignature):
            notes.open_note(SIGNED, keys)


def test_signatures_of_strangers_are_passed_over() -> None:
    note = SIGNED + _line(WITNESS_KEY.name, WITNESS, CHECKPOINT.render())
    for keys in ([LOG_KEY], [WITNESS_KEY], [LOG_KEY, WITNESS_KEY]):
        assert notes.open_note(note, keys) == CHECKPOINT.render()


def test_one_false_signature_of_a_trusted_key_refuses_the_note() -> None:
    note = SIGNED + _line(WITNESS_KEY.name, WITNESS, "something else\n")
    assert notes.open_note(note, [LOG_KEY])
    with pytest.raises(InvalidSignature):
        notes.open_note(note, [LOG_KEY, WITNESS_KEY])


def test_a_key_hash_alone_convinces_nobody() -> None:
    forged = base64.b64encode(
        LOG_KEY.key_hash + WITNESS.sign(CHECKPOINT.render().encode())
    )
    note = f"{CHECKPOINT.render()}\n— {ORIGIN} {forged.decode()}\n"
    with pytest.raises(InvalidSignature):
        notes.open_note(note, [LOG_KEY])


def test_a_log_cannot_sign_as_another_log() -> None:
    other = notes.Checkpoint(origin="other.example/log", size=7, root=bytes(32))
    note = notes.sign_note(other.render(), name=ORIGIN, key=LOG)
    with pytest.raises(InvalidSignature, match="another log"):
        notes.open_checkpoint(note, origin=ORIGIN, keys=[LOG_KEY.verifier])


def test_text_may_contain_empty_lines_and_things_like_signatures() -> None:
    text = f"a\n\n— {ORIGIN} AAAA\n\n\nb\n"
    note = notes.sign_note(text, name=ORIGIN, key=LOG)
    assert notes.open_note(note, [LOG_KEY]) == text


@pytest.mark.parametrize(
    "text", ["", "no newline", "tab\there\n", "return\r\n", "nul\0\n", "\ud800\n"]
)
def test_text_with_control_characters_or_no_last_newline_is_not_signed(
    text: str,
) -> None:
    with pytest.raises(Malformed):
        notes.sign_note(text, name=ORIGIN, key=LOG)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "\n\n",
        "text\n",
        "text\n\n",
        SIGNED[:-1],
        SIGNED + "\n",
        SIGNED + "garbage\n",
        SIGNED.replace("\n", "\r\n"),
        SIGNED.replace("— ", "- "),
        SIGNED.replace("— ", "—"),
        SIGNED.replace("=\n", "\n"),
        SIGNED.replace(f"— {ORIGIN} ", f"— {ORIGIN}  "),
        "text\n\n— name AAAAAA==\n",
        "text\n\n— na+me AAAAAAA=\n",
        SIGNED + _line("x.example", WITNESS, "t\n") * 100,
    ],
)
def test_what_is_not_a_note_is_malformed(note: str) -> None:
    with pytest.raises(Malformed):
        notes.open_note(note, [LOG_KEY])


@pytest.mark.parametrize("count", [16, 99])
def test_a_checkpoint_may_have_many_witnesses(count: int) -> None:
    note = SIGNED + _line("x.example", WITNESS, "t\n") * count
    assert notes.open_note(note, [LOG_KEY]) == CHECKPOINT.render()


@pytest.mark.parametrize(
    "text",
    [
        CHECKPOINT.render()[:-1],
        CHECKPOINT.render() + "extension\n",
        CHECKPOINT.render().replace("\n7\n", "\n07\n"),
        CHECKPOINT.render().replace("\n7\n", "\n+7\n"),
        CHECKPOINT.render().replace("\n7\n", "\n\u0667\n"),
        CHECKPOINT.render().replace("\n7\n", "\n-7\n"),
        CHECKPOINT.render().replace("\n7\n", "\n9999999999999999999\n"),
        CHECKPOINT.render().replace("h8=", "h8"),
        CHECKPOINT.render().replace("h8=", "h9="),
        CHECKPOINT.render().replace("AAECAwQF", ""),
        CHECKPOINT.render().replace(ORIGIN, ""),
        CHECKPOINT.render().replace(ORIGIN, "a log"),
    ],
)
def test_a_checkpoint_has_one_spelling(text: str) -> None:
    with pytest.raises(Malformed):
        notes.parse_checkpoint(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\x00b"])
def test_a_key_name_that_could_be_misread_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        notes.VerifierKey(name=name, public=LOG.public_bytes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        EXAMPLE_KEY.replace("530d903a", "530d903b"),
        EXAMPLE_KEY.replace("530d903a", "530D903A"),
        EXAMPLE_KEY.replace("foo", "bar"),
        EXAMPLE_KEY.replace("+Aek", "+Bek"),
        EXAMPLE_KEY[:-4],
        EXAMPLE_KEY + "=",
    ],
)
def test_a_verifier_key_that_does_not_fit_its_hash_is_refused(text: str) -> None:
    with pytest.raises(CryptoError):
        notes.parse_verifier_key(text)


SM2 = Sm2Key.from_bytes(b"\x03" * 32)
SM2_NOTE = notes.sign_checkpoint(CHECKPOINT, SM2)
SM2_KEY = notes.VerifierKey(name=ORIGIN, public=SM2.public_bytes, suite="sm2")


def test_a_note_can_be_signed_with_sm2() -> None:
    for keys in ([SM2_KEY.verifier], [LOG_KEY.verifier, SM2_KEY.verifier]):
        found = notes.open_checkpoint(SM2_NOTE, origin=ORIGIN, keys=keys)
        assert found == CHECKPOINT
    with pytest.raises(InvalidSignature):
        notes.open_checkpoint(SM2_NOTE, origin=ORIGIN, keys=[LOG_KEY.verifier])
    with pytest.raises(InvalidSignature):
        notes.open_checkpoint(SIGNED, origin=ORIGIN, keys=[SM2_KEY.verifier])


def test_the_suite_of_a_key_is_in_its_verifier_key_and_in_its_hash() -> None:
    for key in (LOG_KEY, SM2_KEY):
        assert notes.parse_verifier_key(key.render()) == key
    name, shown, material = SM2_KEY.render().split("+", 2)
    octets = base64.b64decode(material)
    assert octets == b"\xfffieldpact/note-sm2/1\x00" + SM2.public_bytes
    assert shown == hashlib.sha256(f"{name}\n".encode() + octets).hexdigest()[:8]
    assert SM2_KEY.key_hash.hex() == shown


@pytest.mark.parametrize("suite", ["x25519", "secp256k1", "bls12381g2"])
def test_keys_of_suites_that_sign_no_notes_are_refused(suite: Any) -> None:
    with pytest.raises(Malformed, match="sign no receipts"):
        notes.VerifierKey(name=ORIGIN, public=LOG.public_bytes, suite=suite)


def test_a_key_is_refused_under_the_suite_of_another() -> None:
    for suite, public in (("sm2", LOG.public_bytes), ("ed25519", SM2.public_bytes)):
        with pytest.raises(Malformed):
            notes.VerifierKey(name=ORIGIN, public=public, suite=suite)  # type: ignore[arg-type]
