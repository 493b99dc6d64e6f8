"""Laws of BBS: honest proofs verify, bent ones never do, nothing else is raised."""

import secrets

from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import bbs
from crypto.bbs import ARKWORKS, Backend
from crypto.bbs.backends.pyecc import PYECC
from crypto.bbs.wire import read_proof, read_scalars, read_signature, write_scalars
from crypto.errors import CryptoError, Malformed

KEY = bbs.BbsKey.generate(b"k" * 32)
RECORDS = st.lists(st.binary(max_size=40), max_size=12)
MESSAGES = [b"a", b"b", b"c", b"d"]
SIGNATURE = KEY.sign(b"h", MESSAGES, random_bytes=secrets.token_bytes)
PROOF = bbs.proof_gen(
    KEY.public_bytes,
    SIGNATURE,
    header=b"h",
    ph=b"p",
    messages=MESSAGES,
    disclosed_indexes=[1, 3],
    random_bytes=secrets.token_bytes,
)


@settings(max_examples=40)
@given(RECORDS, st.binary(max_size=60), st.binary(max_size=60), st.data())
def test_every_honest_proof_verifies(
    messages: list[bytes], header: bytes, ph: bytes, data: st.DataObject
) -> None:
    shown = sorted(
        data.draw(st.sets(st.sampled_from(range(len(messages))))) if messages else ()
    )
    signature = KEY.sign(header, messages, random_bytes=secrets.token_bytes)
    bbs.verify(KEY.public_bytes, signature, header=header, messages=messages)
    proof = bbs.proof_gen(
        KEY.public_bytes,
        signature,
        header=header,
        ph=ph,
        messages=messages,
        disclosed_indexes=shown,
        random_bytes=secrets.token_bytes,
    )
    bbs.proof_verify(
        KEY.public_bytes,
        proof,
        header=header,
        ph=ph,
        disclosed_messages=[messages[index] for index in shown],
        disclosed_indexes=shown,
    )


@settings(max_examples=150)
@given(st.integers(0, 8 * len(PROOF) - 1))
def test_no_flipped_bit_of_a_proof_survives(bit: int) -> None:
    assert not _holds(_flipped(PROOF, bit))


@settings(max_examples=80)
@given(st.integers(0, 8 * len(SIGNATURE) - 1))
def test_no_flipped_bit_of_a_signature_survives(bit: int) -> None:
    try:
        bbs.verify(
            KEY.public_bytes, _flipped(SIGNATURE, bit), header=b"h", messages=MESSAGES
        )
    except CryptoError:
        return
    raise AssertionError(bit)


@settings(max_examples=150)
@given(st.binary(max_size=500) | st.binary(min_size=336, max_size=336))
def test_any_bytes_are_refused_as_a_proof_without_another_error(data: bytes) -> None:
    assert not _holds(data)


@settings(max_examples=60)
@given(st.binary(min_size=47, max_size=97), st.sampled_from([0x80, 0xA0, 0xC0, 0xE0]))
def test_any_bytes_are_a_point_in_one_spelling_or_malformed_in_both_libraries(
    data: bytes, flags: int
) -> None:
    data = bytes([data[0] & 0x1F | flags]) + data[1:]
    assert _decoded(ARKWORKS, data) == _decoded(PYECC, data)


@given(st.binary(max_size=400))
def test_any_bytes_are_scalars_in_one_spelling_or_malformed(data: bytes) -> None:
    try:
        numbers = read_scalars(data)
    except Malformed:
        return
    assert write_scalars(numbers) == data


@given(st.binary(max_size=400))
def test_any_bytes_parse_or_are_malformed(data: bytes) -> None:
    for read in (read_signature, read_proof):
        try:
            read(data, ARKWORKS)
        except Malformed:
            continue


def _flipped(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data) ^ (1 << bit)).to_bytes(len(data), "big")


def _holds(proof: bytes) -> bool:
    try:
        bbs.proof_verify(
            KEY.public_bytes,
            proof,
            header=b"h",
            ph=b"p",
            disclosed_messages=[b"b", b"d"],
            disclosed_indexes=[1, 3],
        )
    except CryptoError:
        return False
    return True


def _decoded(backend: Backend, data: bytes) -> bytes | None:
    try:
        point = backend.decode_g1(data)
    except Malformed:
        return None
    assert backend.encode_g1(point) == data
    return data
