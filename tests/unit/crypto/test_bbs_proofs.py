"""BBS signatures and proofs: what verifies, and all that must not."""

import itertools
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from crypto import bbs
from crypto.bbs import ARKWORKS, SHA_256, SHAKE_256, SUITES, Backend, BbsKey, Suite
from crypto.bbs.backends.pyecc import PYECC
from crypto.bbs.core import random_scalars
from crypto.bbs.suite import ORDER
from crypto.errors import CryptoError, InvalidProof, InvalidSignature, Malformed

HEADER, PH = b"header", b"presentation header"
MESSAGES = [b"one", b"two", b"", b"four", b"five"]
SHOWN = [0, 2, 3]
KEY = BbsKey.generate(b"k" * 32)
OTHER = BbsKey.generate(b"o" * 32)
SIGNATURE = KEY.sign(HEADER, MESSAGES, random_bytes=secrets.token_bytes)
STRANGER = BbsKey.generate(b"k" * 32, suite=SHAKE_256)


def _prove(**changes: Any) -> bytes:
    given: dict[str, Any] = {
        "public": KEY.public_bytes,
        "signature": SIGNATURE,
        "header": HEADER,
        "ph": PH,
        "messages": MESSAGES,
        "disclosed_indexes": SHOWN,
        "random_bytes": secrets.token_bytes,
    }
    return bbs.proof_gen(**given | changes)


PROOF = _prove()


def _check(**changes: Any) -> None:
    given: dict[str, Any] = {
        "public": KEY.public_bytes,
        "proof": PROOF,
        "header": HEADER,
        "ph": PH,
        "disclosed_messages": [MESSAGES[index] for index in SHOWN],
        "disclosed_indexes": SHOWN,
    }
    bbs.proof_verify(**given | changes)


def _verify(**changes: Any) -> None:
    given: dict[str, Any] = {
        "public": KEY.public_bytes,
        "signature": SIGNATURE,
        "header": HEADER,
        "messages": MESSAGES,
    }
    bbs.verify(**given | changes)


def test_every_choice_of_fields_is_proved() -> None:
    for count in range(len(MESSAGES) + 1):
        for shown in itertools.combinations(range(len(MESSAGES)), count):
            proof = _prove(disclosed_indexes=shown)
            assert len(proof) == 272 + 32 * (len(MESSAGES) - count)
            _check(
                proof=proof,
                disclosed_indexes=shown,
                disclosed_messages=[MESSAGES[i] for i in shown],
            )


@pytest.mark.parametrize("messages", [[], [b"alone"], [b"m"] * 40])
def test_records_of_any_length_are_signed(messages: list[bytes]) -> None:
    signature = KEY.sign(b"", messages, random_bytes=secrets.token_bytes)
    _verify(signature=signature, header=b"", messages=messages)
    proof = _prove(
        signature=signature, header=b"", ph=b"", messages=messages, disclosed_indexes=[]
    )
    _check(proof=proof, header=b"", ph=b"", disclosed_messages=[], disclosed_indexes=[])


def test_signing_is_deterministic_whatever_blinds_it() -> None:
    assert KEY.sign(HEADER, MESSAGES, random_bytes=secrets.token_bytes) == SIGNATURE
    assert (
        KEY.sign_scalars(
            HEADER, bbs.map_messages(MESSAGES), random_bytes=secrets.token_bytes
        )
        == SIGNATURE
    )


def test_two_proofs_of_one_record_have_nothing_in_common() -> None:
    other = _prove()
    pieces = {PROOF[at : at + 16] for at in range(0, len(PROOF), 16)}
    assert not pieces & {other[at : at + 16] for at in range(0, len(other), 16)}
    assert SIGNATURE[:48] not in PROOF
    assert SIGNATURE[48:] not in PROOF


@pytest.mark.parametrize(
    "changes",
    [
        {"public": OTHER.public_bytes},
        {"header": b"other"},
        {"header": b""},
        {"messages": [b"ONE", *MESSAGES[1:]]},
        {"messages": MESSAGES[::-1]},
        {"messages": MESSAGES[:-1]},
        {"messages": [*MESSAGES, b""]},
        {"messages": []},
        {"suite": SHAKE_256},
    ],
)
def test_a_signature_says_nothing_about_another_record(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidSignature):
        _verify(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"public": OTHER.public_bytes},
        {"public": STRANGER.public_bytes},
        {"header": b"other"},
        {"ph": b"other"},
        {"ph": PH + b"\0"},
        {"ph": b""},
        {"disclosed_messages": [b"ONE", b"", b"four"]},
        {"disclosed_messages": [b"one", b"four", b""]},
        {"disclosed_indexes": [0, 2, 4]},
        {"disclosed_indexes": [0, 1, 3]},
        {"disclosed_messages": [b"one", b""]},
        {"disclosed_messages": [b"one", b"", b"four", b"five"]},
        {"disclosed_indexes": [0, 2], "disclosed_messages": [b"one", b""]},
        {
            "disclosed_indexes": [0, 2, 3, 4],
            "disclosed_messages": [b"one", b"", b"four", b"five"],
        },
        {"disclosed_indexes": [], "disclosed_messages": []},
        {"suite": SHAKE_256},
        {"proof": PROOF[:-64] + PROOF[-32:]},
        {"proof": PROOF[:-32] + PROOF[-64:-32] + PROOF[-32:]},
        {"proof": PROOF[:48] + PROOF[:48] + PROOF[96:]},
        {"proof": PROOF[48:96] + PROOF[:48] + PROOF[96:]},
    ],
)
def test_a_proof_shows_nothing_else_than_its_statement(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidProof):
        _check(**changes)


@pytest.mark.parametrize(
    "indexes", [[0, 0, 3], [3, 2, 0], [2, 0, 3], [0, 2, 5], [-1, 0, 2], [0, 2, 2**64]]
)
def test_indexes_that_repeat_or_do_not_ascend_are_malformed(indexes: list[int]) -> None:
    with pytest.raises(Malformed):
        _check(disclosed_indexes=indexes)
    with pytest.raises(Malformed):
        _prove(disclosed_indexes=indexes)


SCALARS_OF_A_PROOF = range(144, len(PROOF), 32)


@pytest.mark.parametrize("at", SCALARS_OF_A_PROOF)
@pytest.mark.parametrize(
    "change", [lambda n: 0, lambda n: ORDER, lambda n: n + ORDER, lambda n: 2**256 - 1]
)
def test_a_scalar_of_a_proof_out_of_range_is_malformed(
    at: int, change: Callable[[int], int]
) -> None:
    number = change(int.from_bytes(PROOF[at : at + 32], "big"))
    with pytest.raises(Malformed):
        _check(proof=PROOF[:at] + number.to_bytes(32, "big") + PROOF[at + 32 :])


@pytest.mark.parametrize("number", [0, ORDER, 2**256 - 1])
def test_a_scalar_of_a_signature_out_of_range_is_malformed(number: int) -> None:
    with pytest.raises(Malformed):
        _verify(signature=SIGNATURE[:48] + number.to_bytes(32, "big"))


@pytest.mark.parametrize("at", [0, 48, 96])
def test_the_identity_in_a_proof_is_malformed(at: int) -> None:
    identity = b"\xc0" + bytes(47)
    with pytest.raises(Malformed):
        _check(proof=PROOF[:at] + identity + PROOF[at + 48 :])


@pytest.mark.parametrize(
    "public",
    [
        b"",
        bytes(96),
        b"\xc0" + bytes(95),
        KEY.public_bytes[:-1],
        KEY.public_bytes + b"\0",
    ],
)
def test_what_is_no_key_verifies_nothing(public: bytes) -> None:
    for check in (_check, _verify):
        with pytest.raises(Malformed):
            check(public=public)


@pytest.mark.parametrize(
    "cut", [0, 1, 143, 144, 271, 272, 303, len(PROOF) - 1, len(PROOF) + 1]
)
def test_a_proof_of_another_length_is_refused(cut: int) -> None:
    with pytest.raises(CryptoError):
        _check(proof=(PROOF + b"\0")[:cut])


def test_a_huge_proof_is_refused_before_it_is_computed_with() -> None:
    with pytest.raises(Malformed, match="at most"):
        _check(proof=PROOF + bytes(32 * 1_000_000))


@pytest.mark.parametrize("length", [0, 79, 81])
def test_a_signature_of_another_length_is_malformed(length: int) -> None:
    with pytest.raises(Malformed):
        _verify(signature=(SIGNATURE + b"\0")[:length])


def test_a_proof_from_a_false_signature_is_false() -> None:
    forged = OTHER.sign(HEADER, MESSAGES, random_bytes=secrets.token_bytes)
    with pytest.raises(InvalidProof):
        _check(proof=_prove(signature=forged))
    with pytest.raises(InvalidProof):
        _check(proof=_prove(messages=[*MESSAGES[:-1], b"FIVE"]))


def test_the_scalar_level_makes_and_checks_the_same_proofs() -> None:
    scalars = bbs.map_messages(MESSAGES)
    frame = bbs.frame(SHA_256, ARKWORKS, KEY.public_bytes, HEADER, len(MESSAGES))
    frame.verify(SIGNATURE, scalars)
    frame.verify_proof(PROOF, [scalars[i] for i in SHOWN], disclosed=SHOWN, ph=PH)
    _check(
        proof=frame.prove(
            SIGNATURE, scalars, disclosed=SHOWN, ph=PH, random_bytes=secrets.token_bytes
        )
    )


@pytest.mark.parametrize(
    "scalars",
    [[b""] * 5, [bytes(31)] * 5, [ORDER.to_bytes(32, "big")] * 5, [bytes(32)] * 4],
)
def test_message_scalars_are_checked(scalars: list[bytes]) -> None:
    frame = bbs.frame(SHA_256, ARKWORKS, KEY.public_bytes, HEADER, len(MESSAGES))
    with pytest.raises(Malformed):
        frame.verify(SIGNATURE, scalars)
    with pytest.raises(Malformed):
        frame.prove(
            SIGNATURE, scalars, disclosed=[], ph=b"", random_bytes=secrets.token_bytes
        )


@pytest.mark.parametrize(
    "source",
    [
        bytes,
        lambda count: b"\x01" * count,
        lambda count: secrets.token_bytes(count - 1),
        lambda count: b"",
    ],
)
def test_a_source_of_randomness_that_repeats_itself_is_not_used(
    source: Callable[[int], bytes],
) -> None:
    with pytest.raises(ValueError, match="random bytes is broken"):
        _prove(random_bytes=source)


def test_random_scalars_are_drawn_from_48_bytes_each() -> None:
    asked: list[int] = []

    def source(count: int) -> bytes:
        asked.append(count)
        return secrets.token_bytes(count)

    drawn = random_scalars(7, source)
    assert asked == [48] * 7
    assert all(0 < number < ORDER for number in drawn)


@pytest.mark.parametrize("suite", list(SUITES.values()), ids=lambda suite: suite.name)
@pytest.mark.parametrize(("maker", "checker"), [(ARKWORKS, PYECC), (PYECC, ARKWORKS)])
def test_what_one_library_makes_the_other_verifies(
    suite: Suite, maker: Backend, checker: Backend
) -> None:
    key = BbsKey.generate(b"k" * 32, suite=suite, backend=maker)
    signature = key.sign(HEADER, MESSAGES, random_bytes=secrets.token_bytes)
    proof = _prove(
        public=key.public_bytes,
        signature=signature,
        disclosed_indexes=[1, 4],
        suite=suite,
        backend=maker,
    )
    _verify(public=key.public_bytes, signature=signature, suite=suite, backend=checker)
    named = [MESSAGES[1], MESSAGES[4]]
    checked = {
        "public": key.public_bytes,
        "proof": proof,
        "suite": suite,
        "backend": checker,
    }
    _check(**checked, disclosed_indexes=[1, 4], disclosed_messages=named)
    with pytest.raises(InvalidProof):
        _check(
            **checked, disclosed_indexes=[1, 4], disclosed_messages=named, ph=b"other"
        )


@pytest.mark.parametrize("suite", list(SUITES.values()), ids=lambda suite: suite.name)
def test_both_libraries_make_the_same_proof_from_the_same_randomness(
    suite: Suite,
) -> None:
    made = []
    for backend in (ARKWORKS, PYECC):
        key = BbsKey.generate(b"k" * 32, suite=suite, backend=backend)
        counter = itertools.count(1)
        proof = _prove(
            public=key.public_bytes,
            signature=key.sign(HEADER, MESSAGES, random_bytes=secrets.token_bytes),
            random_bytes=lambda size, counter=counter: next(counter).to_bytes(
                size, "big"
            ),
            suite=suite,
            backend=backend,
        )
        made.append(proof)
    assert made[0] == made[1]


def test_a_message_is_mapped_by_itself() -> None:
    mapped = bbs.map_messages(MESSAGES)
    assert mapped == [bbs.map_messages([message])[0] for message in MESSAGES]
    assert len(set(mapped)) == len(mapped)
    assert mapped != bbs.map_messages(MESSAGES, suite=SHAKE_256)
