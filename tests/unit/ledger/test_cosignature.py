"""Cosignatures: their bytes, whose they are, and what makes a note refused."""

import base64
import datetime
import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from crypto.errors import InvalidSignature, Malformed
from crypto.keys import Ed25519Key
from crypto.notes import Checkpoint, SignatureLine, sign_checkpoint, split_note
from crypto.sm import Sm2Key
from ledger.checkpoint import open_checkpoint, origin_of
from ledger.cosignature import (
    cosign,
    key_hash,
    line_of,
    open_cosignatures,
    with_cosignatures,
    without_cosignatures,
    witness_name,
)
from ledger.participants import PastKey
from tests.unit.ledger import samples

AT = 1_795_395_600
LOG, WITNESS = samples.PROVIDER_RECORD, samples.CONSUMER_RECORD
POINT = Checkpoint(origin=origin_of(LOG.did), size=5, root=samples.seed("root"))
NOTE = sign_checkpoint(POINT, samples.PROVIDER_KEY)


def line(at: int = AT, text: str | None = None) -> SignatureLine:
    return cosign(
        POINT.render() if text is None else text,
        did=WITNESS.did,
        signer=samples.CONSUMER_KEY,
        at=at,
    )


def noted(*lines: SignatureLine) -> str:
    return with_cosignatures(NOTE, [each.render() for each in lines])


def test_a_witness_is_named_after_its_did() -> None:
    assert witness_name(WITNESS.did) == "127.0.0.1:8102/witness"
    assert witness_name("did:web:example.com:a") == "example.com/a/witness"
    with pytest.raises(Malformed):
        witness_name("did:key:z6Mk")


def test_the_bytes_are_those_of_the_specification() -> None:
    """Worked out here from its text, without any code of ours."""
    public = WITNESS.keys["ed25519"]
    name, dash = "127.0.0.1:8102/witness", "\N{EM DASH}"
    digest = hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4]
    written = line().render()
    start = f"{dash} {name} "
    assert written.startswith(start)
    assert written.endswith("\n")
    data = base64.b64decode(written.removeprefix(start))
    assert (data[:4], int.from_bytes(data[4:12], "big")) == (digest, AT)
    root = base64.b64encode(POINT.root).decode()
    message = f"cosignature/v1\ntime {AT}\n127.0.0.1:8101/log\n5\n{root}\n"
    Ed25519PublicKey.from_public_bytes(public).verify(data[12:], message.encode())


def test_a_known_witness_is_told_with_its_time() -> None:
    note = noted(line())
    assert open_cosignatures(note, [WITNESS]) == {WITNESS.did: AT}
    keys = LOG.verifiers
    assert open_checkpoint(note, origin=POINT.origin, keys=keys) == POINT


def test_of_several_lines_of_one_witness_the_newest_counts() -> None:
    note = noted(line(AT), line(AT + 9), line(AT + 3))
    assert open_cosignatures(note, [WITNESS]) == {WITNESS.did: AT + 9}


def test_lines_of_unknown_keys_are_passed_over() -> None:
    strange = replace(line(), key_hash=b"none")
    elsewhere = replace(line(), name="example.com/witness")
    note = noted(strange, elsewhere)
    assert open_cosignatures(note, [WITNESS, LOG]) == {}
    assert open_cosignatures(noted(line()), []) == {}
    assert open_cosignatures(noted(line()), [LOG]) == {}


@pytest.mark.parametrize(
    "false",
    [
        line(text=replace(POINT, size=6).render()),
        line(text=replace(POINT, origin="else/log").render()),
        replace(line(), signature=(AT + 1).to_bytes(8) + line().signature[8:]),
        replace(line(), signature=bytes(8) + line().signature[8:]),
        replace(line(), signature=(2**63).to_bytes(8) + line().signature[8:]),
        replace(line(), signature=AT.to_bytes(8)),
        replace(line(), signature=b"x"),
        replace(
            line(),
            signature=line().signature[:8]
            + samples.CONSUMER_KEY.sign(POINT.render().encode()),
        ),
    ],
    ids=[
        "another size",
        "another log",
        "another time",
        "no time",
        "a time beyond all times",
        "no signature",
        "too short",
        "signed as a note",
    ],
)
def test_a_false_line_of_a_known_witness_refuses_the_note(false: SignatureLine) -> None:
    for lines in ([false], [line(), false], [false, line()]):
        with pytest.raises(InvalidSignature):
            open_cosignatures(noted(*lines), [WITNESS])


def test_what_is_no_note_has_no_cosignatures() -> None:
    with pytest.raises(Malformed):
        open_cosignatures(POINT.render(), [WITNESS])


def test_a_cosignature_always_has_a_time() -> None:
    for at in (0, -1, 2**63):
        with pytest.raises(ValueError, match="time"):
            line(at)


def test_a_line_of_the_log_does_not_pass_as_one_of_its_witness() -> None:
    """The types of the keys differ, so their hashes do, under one name or two."""
    own = split_note(NOTE)[1][0]
    assert own.key_hash != key_hash(LOG.did, LOG.signing)
    passed_off = replace(own, name=witness_name(LOG.did))
    assert open_cosignatures(noted(passed_off), [LOG]) == {}


def test_a_note_is_stripped_to_the_lines_of_its_log() -> None:
    assert without_cosignatures(noted(line(), line(AT + 1)), LOG) == NOTE
    assert without_cosignatures(NOTE, LOG) == NOTE
    with pytest.raises(InvalidSignature):
        without_cosignatures(NOTE, WITNESS)


def test_the_newest_line_of_one_witness_is_taken_out() -> None:
    note = noted(line(AT), line(AT + 9), line(AT + 3))
    assert line_of(note, WITNESS) == (line(AT + 9).render(), AT + 9)
    assert line_of(note, LOG) is None
    with pytest.raises(InvalidSignature):
        line_of(noted(replace(line(), signature=bytes(72))), WITNESS)


def test_a_witness_may_sign_with_sm2() -> None:
    key = Sm2Key.from_bytes(samples.seed("sm2"))
    other = replace(
        WITNESS, keys={**WITNESS.keys, "sm2": key.public_bytes}, suite="sm2"
    )
    made = cosign(POINT.render(), did=WITNESS.did, signer=key, at=AT)
    name, kind = b"127.0.0.1:8102/witness\n", b"\xfffieldpact/cosignature-sm2/1\0"
    digest = hashlib.sha256(name + kind + key.public_bytes).digest()
    assert made.key_hash == digest[:4]
    assert open_cosignatures(noted(made), [other]) == {WITNESS.did: AT}
    assert open_cosignatures(noted(made), [WITNESS]) == {}
    with pytest.raises(InvalidSignature):
        open_cosignatures(noted(replace(made, signature=bytes(72))), [other])


def test_a_key_of_the_past_counts_for_its_own_time() -> None:
    """Whoever has the old key today may sign with it, and name any time."""
    new = Ed25519Key.from_bytes(samples.seed("new"))
    until = datetime.datetime.fromtimestamp(AT, datetime.UTC)
    past = PastKey(key=WITNESS.signing, until=until.strftime("%Y-%m-%dT%H:%M:%SZ"))
    now = replace(
        WITNESS, keys={**WITNESS.keys, "ed25519": new.public_bytes}, past_keys=(past,)
    )
    assert open_cosignatures(noted(line(AT)), [now]) == {WITNESS.did: AT}
    assert open_cosignatures(noted(line(AT + 1)), [now]) == {}
    fresh = cosign(POINT.render(), did=WITNESS.did, signer=new, at=AT + 9)
    assert open_cosignatures(noted(line(AT + 1), fresh), [now]) == {WITNESS.did: AT + 9}
    with pytest.raises(InvalidSignature):
        open_cosignatures(noted(replace(line(AT + 1), signature=bytes(72))), [now])
