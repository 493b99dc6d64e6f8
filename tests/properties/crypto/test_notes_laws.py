"""Laws of signed notes and checkpoints."""

from hypothesis import given
from hypothesis import strategies as st

from crypto import notes
from crypto.errors import CryptoError, Malformed
from crypto.keys import Ed25519Key

KEY = Ed25519Key.from_bytes(b"\x01" * 32)
NAME = "log.example/a"
TRUSTED = notes.VerifierKey(name=NAME, public=KEY.public_bytes)
LINES = st.text(
    st.characters(exclude_categories=["Cs"], min_codepoint=0x20) | st.just("\n")
)
NAMES = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="+"
    ),
    min_size=1,
)
CHECKPOINTS = st.builds(
    notes.Checkpoint,
    origin=NAMES,
    size=st.integers(0, 2**63 - 1),
    root=st.binary(min_size=32, max_size=32),
)


@given(LINES)
def test_any_text_that_can_be_signed_opens_as_it_was(text: str) -> None:
    assert (
        notes.open_note(notes.sign_note(text + "\n", name=NAME, key=KEY), [TRUSTED])
        == text + "\n"
    )


@given(CHECKPOINTS)
def test_reading_a_checkpoint_that_was_written_is_identity(
    checkpoint: notes.Checkpoint,
) -> None:
    assert notes.parse_checkpoint(checkpoint.render()) == checkpoint
    note = notes.sign_checkpoint(checkpoint, KEY)
    assert (
        notes.open_checkpoint(note, origin=checkpoint.origin, keys=[TRUSTED.verifier])
        == checkpoint
    )


@given(NAMES, st.binary(min_size=32, max_size=32))
def test_reading_a_verifier_key_that_was_written_is_identity(
    name: str, seed: bytes
) -> None:
    key = notes.VerifierKey(name=name, public=Ed25519Key.from_bytes(seed).public_bytes)
    assert notes.parse_verifier_key(key.render()) == key


@given(st.text())
def test_any_text_is_a_checkpoint_in_one_spelling_or_malformed(text: str) -> None:
    try:
        checkpoint = notes.parse_checkpoint(text)
    except Malformed:
        return
    assert checkpoint.render() == text


@given(st.text() | LINES.map(lambda text: f"{text}\n\n— {NAME} {text}\n"))
def test_no_text_that_we_did_not_sign_opens(text: str) -> None:
    for open_one in (
        lambda: notes.open_note(text, [TRUSTED]),
        lambda: notes.parse_verifier_key(text),
    ):
        try:
            open_one()
        except CryptoError:
            continue
        raise AssertionError(text)


@given(st.data())
def test_no_flipped_bit_of_a_note_survives(data: st.DataObject) -> None:
    checkpoint = notes.Checkpoint(origin=NAME, size=41, root=bytes(32))
    note = bytearray(notes.sign_checkpoint(checkpoint, KEY).encode())
    at = data.draw(st.integers(0, len(note) - 1))
    note[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        notes.open_checkpoint(note.decode(), origin=NAME, keys=[TRUSTED.verifier])
    except (CryptoError, UnicodeDecodeError):
        return
    raise AssertionError(bytes(note))
