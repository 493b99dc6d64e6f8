"""tlog-proof files: what other tools read of ours, and what they check."""

import base64
import hashlib
from dataclasses import replace

import pytest

from crypto.errors import CryptoError, InvalidProof, InvalidSignature, Malformed
from crypto.notes import split_note
from ledger.cosignature import cosign, with_cosignatures
from ledger.log import commitment
from ledger.memory import MemoryLog
from ledger.tlog_proof import (
    TlogProof,
    parse_tlog_proof,
    tlog_proof_from,
    tlog_proof_of,
    verify_tlog_proof,
)
from tests.unit.ledger import samples

LOG, WITNESS = samples.PROVIDER_RECORD, samples.CONSUMER_RECORD
AT = 1_795_395_600


def proved(index: int = 2, size: int = 7) -> tuple[TlogProof, bytes]:
    """The proof of one receipt of several, and the entry that the tree holds."""
    kept = MemoryLog(LOG, samples.PROVIDER_KEY)
    signed = samples.stream(size)
    for number, each in enumerate(signed):
        kept.sequence(each, salt=samples.seed(f"salt {number}"))
    kept.integrate()
    text = split_note(kept.publish())[0]
    place = kept.place(index)
    assert place.inclusion is not None
    line = cosign(text, did=WITNESS.did, signer=samples.CONSUMER_KEY, at=AT)
    seen = with_cosignatures(place.inclusion.checkpoint, [line.render()])
    found = tlog_proof_of(
        signed[index], place.salt, replace(place.inclusion, checkpoint=seen), LOG
    )
    return found, commitment(signed[index], place.salt)


def test_a_proof_is_read_as_it_was_written() -> None:
    for index, size in [(0, 1), (2, 7), (6, 7)]:
        found, _ = proved(index, size)
        assert parse_tlog_proof(found.render()) == found
        plain = replace(found, extra=None)
        assert parse_tlog_proof(plain.render()) == plain


def test_the_file_is_that_of_the_specification() -> None:
    found, entry = proved()
    first, extra, index, *steps = found.render().partition("\n\n")[0].split("\n")
    assert first == "c2sp.org/tlog-proof@v1"
    assert extra == "extra " + base64.b64encode(entry).decode()
    assert index == "index 2"
    assert [base64.b64decode(step) for step in steps] == list(found.proof)
    assert found.render().endswith("\n\n" + found.checkpoint)


def test_the_example_of_the_specification_parses() -> None:
    """Its signatures are shortened there; lines of the same form stand for them."""
    body = """\
c2sp.org/tlog-proof@v1
extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

example.com/fancylog
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

\N{EM DASH} example.com/fancylog hI2DJwAA
\N{EM DASH} witness1.example mJirIklj
"""
    found = parse_tlog_proof(body)
    assert (found.index, len(found.proof)) == (73894, 5)
    assert found.extra == b"age-v1.2.1-darwin-arm64.tar.gz"
    assert found.render() == body


def test_who_knows_the_entry_checks_it_and_who_saw_it() -> None:
    for index, size in [(0, 1), (2, 7), (6, 7)]:
        found, entry = proved(index, size)
        assert verify_tlog_proof(found, entry, LOG, [WITNESS]) == {WITNESS.did: AT}
        assert verify_tlog_proof(found, entry, LOG) == {}


def test_the_leaf_is_worked_out_as_any_other_tool_does() -> None:
    found, entry = proved()
    assert found.extra == entry
    walk = hashlib.sha256(b"\0" + entry).digest()
    left = hashlib.sha256(b"\x01" + walk + found.proof[0]).digest()
    middle = hashlib.sha256(b"\x01" + found.proof[1] + left).digest()
    top = hashlib.sha256(b"\x01" + middle + found.proof[2]).digest()
    assert base64.b64encode(top).decode() in found.checkpoint


def test_what_is_false_in_a_proof_is_found() -> None:
    found, entry = proved()
    spoiled = [
        replace(found, index=3),
        replace(found, proof=found.proof[:-1]),
        replace(found, proof=(*found.proof, bytes(32))),
        replace(found, proof=(bytes(32), *found.proof[1:])),
        replace(found, checkpoint=proved(size=6)[0].checkpoint),
    ]
    for each in spoiled:
        with pytest.raises(InvalidProof):
            verify_tlog_proof(each, entry, LOG, [WITNESS])
    with pytest.raises(InvalidProof):
        verify_tlog_proof(found, proved(3)[1], LOG)
    with pytest.raises(InvalidSignature):
        verify_tlog_proof(found, entry, WITNESS)
    false = replace(found, checkpoint=found.checkpoint.replace("\n7\n", "\n8\n"))
    with pytest.raises(CryptoError):
        verify_tlog_proof(false, entry, LOG)


def test_the_files_own_extra_is_not_what_is_checked() -> None:
    found, entry = proved()
    other = replace(found, extra=bytes(32))
    assert verify_tlog_proof(other, entry, LOG) == {}


def _files() -> dict[str, str]:
    right = proved()[0].render()
    extra = right.split("\n")[1]
    step = right.split("\n")[3]
    return {
        "nothing": "",
        "another version": right.replace("@v1", "@v2"),
        "no index": right.replace("index 2\n", ""),
        "a leading zero": right.replace("index 2", "index 02"),
        "a negative index": right.replace("index 2", "index -2"),
        "extra after the index": right.replace(
            f"{extra}\nindex 2", f"index 2\n{extra}"
        ),
        "extra that is not base64": right.replace(extra, extra + "!"),
        "a short hash": right.replace(step, step[4:]),
        "base64 without padding": right.replace(step, step.rstrip("=")),
        "carriage returns": right.replace("\n", "\r\n"),
        "no checkpoint": right.partition("\n\n")[0] + "\n\n",
        "no empty line": right.replace("\n\n", "\n"),
        "64 hashes": right.replace(step, "\n".join([step] * 62)),
        "another note": right.replace("\n7\n", "\nseven\n"),
    }


@pytest.mark.parametrize("name", _files())
def test_what_is_no_tlog_proof_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        parse_tlog_proof(_files()[name])


def test_a_log_that_is_hashed_otherwise_has_no_such_proof() -> None:
    class Other:
        hashing = "sm3"

    found, _ = proved()
    signed = samples.stream(1)[0]
    place = MemoryLog(LOG, samples.PROVIDER_KEY)
    place.sequence(signed, salt=bytes(32))
    place.integrate()
    place.publish()
    inclusion = place.place(0).inclusion
    assert inclusion is not None
    with pytest.raises(Malformed, match="sm3"):
        tlog_proof_of(signed, bytes(32), inclusion, Other())  # type: ignore[arg-type]
    assert found.proof


def test_evidence_holds_what_the_file_holds() -> None:
    kept = MemoryLog(LOG, samples.PROVIDER_KEY)
    for number, signed in enumerate(samples.stream(5)):
        kept.sequence(signed, salt=samples.seed(f"salt {number}"))
    with pytest.raises(Malformed, match="no checkpoint"):
        tlog_proof_from(kept.evidence(3, WITNESS))
    kept.integrate()
    kept.publish()
    told = kept.evidence(3, WITNESS)
    found = parse_tlog_proof(tlog_proof_from(told).render())
    entry = commitment(told.signed, told.salt)
    assert verify_tlog_proof(found, entry, LOG) == {}
    with pytest.raises(Malformed):
        tlog_proof_from(replace(told, participants=(WITNESS,)))
