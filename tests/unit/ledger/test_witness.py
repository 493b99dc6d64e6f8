"""The law of a witness: each sentence of `add-checkpoint`, and its status."""

from dataclasses import replace
from typing import Final

import pytest

from crypto import merkle
from crypto.errors import Malformed
from crypto.keys import Ed25519Key
from crypto.notes import Checkpoint, sign_checkpoint
from ledger.checkpoint import origin_of
from ledger.participants import PastKey
from ledger.witness import (
    Conflict,
    Cosign,
    Decision,
    Held,
    Refused,
    Request,
    judge,
    open_request,
    parse_request,
    parse_size,
    render_size,
)
from tests.unit.ledger import samples

LOG = samples.PROVIDER_RECORD
ORIGIN: Final = origin_of(LOG.did)
LOGS = {ORIGIN: LOG}
LEAVES = [samples.seed(f"leaf {number}") for number in range(20)]
OTHERS = [*LEAVES[:9], *(samples.seed(f"other {number}") for number in range(11))]
TREE, FORK = merkle.stored(LEAVES), merkle.stored(OTHERS)


def at(size: int, read: merkle.Reader = TREE) -> Checkpoint:
    return Checkpoint(origin=ORIGIN, size=size, root=merkle.root_at(size, read))


def held(size: int) -> Held:
    return Held(size=size, root=at(size).root)


def proof(old: int, new: int, read: merkle.Reader = TREE) -> tuple[bytes, ...]:
    return tuple(merkle.consistency_proof(old, new, read)) if old else ()


def request(old: int = 5, new: int = 12) -> Request:
    note = sign_checkpoint(at(new), samples.PROVIDER_KEY)
    return Request(old=old, proof=proof(old, new), note=note)


# --- what a request is


def test_a_request_is_read_as_it_was_written() -> None:
    for each in (request(), request(0), request(5, 5)):
        assert parse_request(each.render().encode()) == each
    assert request().origin == ORIGIN


def test_the_example_of_the_specification_is_a_request() -> None:
    """Source: c2sp.org/tlog-witness, section add-checkpoint."""
    dash = "\N{EM DASH}"
    body = f"""\
old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

{dash} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
{dash} example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
"""
    found = parse_request(body.encode())
    assert (found.old, len(found.proof)) == (20852014, 4)
    assert found.origin == "example.com/behind-the-sofa"
    assert found.render() == body


def _bodies() -> dict[str, bytes]:
    right = request().render()
    line = right.split("\n")[1]
    return {
        "nothing": b"",
        "not UTF-8": b"\xff" + right.encode(),
        "no old size": right.removeprefix("old 5\n").encode(),
        "a leading zero": right.replace("old 5", "old 05").encode(),
        "a sign": right.replace("old 5", "old +5").encode(),
        "no number": right.replace("old 5", "old ").encode(),
        "two spaces": right.replace("old 5", "old  5").encode(),
        "a size beyond all sizes": right.replace("old 5", f"old {10**19}").encode(),
        "carriage returns": right.replace("\n", "\r\n").encode(),
        "a short hash": right.replace(line, line[4:]).encode(),
        "a long hash": right.replace(line, "AAAA" + line).encode(),
        "a hash that is not base64": right.replace(line, "!" + line[1:]).encode(),
        "base64 without padding": right.replace(line, line.rstrip("=")).encode(),
        "a hash in the other alphabet": right.replace(
            line, line[:3] + "_" + line[4:]
        ).encode(),
        "no empty line": right.replace("\n\n", "\n").encode(),
        "no checkpoint": right.partition("\n\n")[0].encode() + b"\n\n",
        "a note that is no checkpoint": right.replace("\n12\n", "\ntwelve\n").encode(),
        "17 signatures": (right + right.rpartition("\n\n")[2] * 16).encode(),
        "64 lines": right.replace("old 5\n", "old 5\n" + (line + "\n") * 61).encode(),
    }


@pytest.mark.parametrize("name", _bodies())
def test_what_is_no_request_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        parse_request(_bodies()[name])


def test_16_signatures_are_read() -> None:
    """signed-note: verifiers MUST accept at least up to 16."""
    line = request().note.rpartition("\n\n")[2]
    many = replace(request(), note=request().note + line * 15)
    assert parse_request(many.render().encode()) == many
    assert open_request(many, LOGS) == (LOG, at(12))


def test_63_lines_are_read() -> None:
    one = request()
    long = Request(old=5, proof=one.proof[:1] * 63, note=one.note)
    assert parse_request(long.render().encode()) == long


def test_a_conflict_tells_a_size() -> None:
    assert render_size(12) == "12\n"
    assert parse_size("12\n") == 12
    assert parse_size("0\n") == 0
    for body in ("", "12", "012\n", "-1\n", "12\n\n", "twelve\n", f"{10**19}\n"):
        with pytest.raises(Malformed):
            parse_size(body)


# --- whose checkpoint it is


def test_only_the_logs_own_signature_opens_a_request() -> None:
    assert open_request(request(), LOGS) == (LOG, at(12))
    unknown = open_request(request(), {})
    assert isinstance(unknown, Refused)
    assert unknown.status == 404
    forged = sign_checkpoint(at(12), samples.CONSUMER_KEY)
    for note in (forged, forged.replace("\n12\n", "\n13\n")):
        refused = open_request(Request(old=0, proof=(), note=note), LOGS)
        assert isinstance(refused, Refused)
        assert refused.status == 403


def test_a_key_of_the_past_signs_no_new_checkpoint() -> None:
    new = Ed25519Key.from_bytes(samples.seed("new"))
    past = PastKey(key=LOG.signing, until="2026-11-23T00:00:00Z")
    now = replace(
        LOG, keys={**LOG.keys, "ed25519": new.public_bytes}, past_keys=(past,)
    )
    refused = open_request(request(), {ORIGIN: now})
    assert isinstance(refused, Refused)
    assert refused.status == 403
    fresh = replace(request(), note=sign_checkpoint(at(12), new))
    assert open_request(fresh, {ORIGIN: now}) == (now, at(12))


def test_one_false_line_of_the_log_spoils_the_others() -> None:
    """signed-note: a false signature of a known key makes the note malformed."""
    right, other = (sign_checkpoint(at(n), samples.PROVIDER_KEY) for n in (12, 13))
    note = right + other.rpartition("\n\n")[2]
    refused = open_request(Request(old=0, proof=(), note=note), LOGS)
    assert isinstance(refused, Refused)
    assert refused.status == 403


# --- what is decided


def status(decision: Decision) -> int:
    match decision:
        case Cosign():
            return 200
        case Conflict():
            return 409
        case Refused():
            return decision.status


def test_the_first_checkpoint_of_a_log_is_believed() -> None:
    assert judge(0, (), at(12), None) == Cosign(changes=True)


def test_a_checkpoint_that_continues_what_is_held_is_cosigned() -> None:
    for old, new in [(1, 2), (5, 12), (8, 16), (12, 13), (19, 20)]:
        decision = judge(old, proof(old, new), at(new), held(old))
        assert decision == Cosign(changes=True)


def test_the_same_checkpoint_is_cosigned_again_without_a_change() -> None:
    assert judge(12, (), at(12), held(12)) == Cosign(changes=False)


def test_an_old_size_beyond_the_checkpoint_is_400() -> None:
    assert status(judge(13, (), at(12), held(13))) == 400
    assert status(judge(1, (), at(0), None)) == 400


def test_another_old_size_than_the_one_held_is_a_conflict_that_tells_it() -> None:
    for old in (0, 4, 6, 12):
        assert judge(old, proof(old, 12), at(12), held(5)) == Conflict(size=5)
    assert judge(5, proof(5, 12), at(12), None) == Conflict(size=0)


def test_a_log_that_shrinks_is_in_conflict_with_what_is_held() -> None:
    assert judge(5, (), at(5), held(12)) == Conflict(size=12)
    assert judge(0, (), at(5), held(12)) == Conflict(size=12)


def test_one_size_with_another_root_is_422() -> None:
    assert status(judge(12, (), at(12, FORK), held(12))) == 422
    assert status(judge(12, (), at(12), held(12))) == 200


def test_a_proof_that_does_not_lead_there_is_422() -> None:
    right = proof(10, 16)
    wrong = [(), right[:-1], (*right, right[0]), right[::-1], proof(9, 16)]
    for steps in wrong:
        assert status(judge(10, steps, at(16), held(10))) == 422
    assert status(judge(10, proof(10, 16, FORK), at(16, FORK), held(10))) == 422
    assert status(judge(10, right, at(16), held(10))) == 200


def test_a_proof_where_none_can_be_is_422() -> None:
    assert status(judge(0, proof(5, 12), at(12), None)) == 422
    assert status(judge(12, proof(5, 12), at(12), held(12))) == 422


def test_an_empty_tree_has_one_root() -> None:
    empty = Checkpoint(origin=ORIGIN, size=0, root=merkle.EMPTY_ROOT)
    assert judge(0, (), empty, None) == Cosign(changes=True)
    nothing = Held(size=0, root=empty.root)
    assert judge(0, (), empty, nothing) == Cosign(changes=False)
    assert judge(0, (), at(12), nothing) == Cosign(changes=True)
    false = Checkpoint(origin=ORIGIN, size=0, root=bytes(32))
    for before in (None, nothing):
        assert status(judge(0, (), false, before)) == 422


def test_a_log_that_is_hashed_otherwise_is_judged_by_its_own_hashes() -> None:
    tree = merkle.stored(LEAVES, hashing="sm3")
    small, large = (
        Checkpoint(origin=ORIGIN, size=n, root=merkle.root_at(n, tree, hashing="sm3"))
        for n in (5, 12)
    )
    steps = merkle.consistency_proof(5, 12, tree, hashing="sm3")
    before = Held(size=5, root=small.root)
    assert status(judge(5, steps, large, before, hashing="sm3")) == 200
    assert status(judge(5, steps, large, before)) == 422
