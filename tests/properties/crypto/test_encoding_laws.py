"""Laws of canonical JSON, base64url and Merkle trees."""

import json
import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crypto import encoding, merkle
from crypto.errors import CryptoError, Malformed

TEXT = st.text(st.characters(exclude_categories=["Cs"])).map(
    lambda text: unicodedata.normalize("NFC", text)
)
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5)
    ),
    max_leaves=25,
)
HASHES = st.binary(min_size=32, max_size=32)


@given(VALUES)
def test_reading_what_was_written_is_identity(value: Any) -> None:
    written = encoding.canonical(value)
    assert encoding.parse_canonical(written) == value
    assert encoding.canonical(encoding.parse_json(written)) == written
    assert json.loads(written) == value


@given(VALUES)
def test_spacing_and_order_do_not_change_the_canonical_form(value: Any) -> None:
    other = json.dumps(value, indent=3, ensure_ascii=True).encode()
    assert encoding.canonical(encoding.parse_json(other)) == encoding.canonical(value)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_json_or_malformed(data: bytes) -> None:
    try:
        value = encoding.parse_json(data)
    except Malformed:
        return
    assert encoding.parse_canonical(encoding.canonical(value)) == value


@given(st.text(alphabet='{}[]",:\\0a ', max_size=60))
def test_any_json_like_text_is_json_or_malformed(text: str) -> None:
    try:
        value = encoding.parse_json(text.encode())
    except Malformed:
        return
    assert json.loads(text) == value


@given(st.binary())
def test_base64url_reads_what_it_wrote(data: bytes) -> None:
    assert encoding.unb64u(encoding.b64u(data), len(data)) == data


@given(st.text() | st.text(alphabet="AQgw_-="))
def test_any_text_is_base64url_in_one_spelling_or_malformed(text: str) -> None:
    try:
        data = encoding.unb64u(text)
    except Malformed:
        return
    assert encoding.b64u(data) == text


@given(st.lists(HASHES, min_size=1, max_size=40), st.data())
def test_every_honest_inclusion_proof_verifies_and_no_flipped_bit_survives(
    leaves: list[bytes], data: st.DataObject
) -> None:
    size, read = len(leaves), merkle.stored(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof, root = merkle.inclusion_proof(index, size, read), merkle.root(leaves)
    merkle.verify_inclusion(
        leaf=leaves[index], index=index, size=size, proof=proof, root=root
    )
    leaf, *bent, top = _flip([leaves[index], *proof, root], data)
    _refused(
        lambda: merkle.verify_inclusion(
            leaf=leaf, index=index, size=size, proof=bent, root=top
        )
    )


@given(st.lists(HASHES, min_size=2, max_size=40, unique=True), st.data())
def test_every_honest_consistency_proof_verifies_and_no_flipped_bit_survives(
    leaves: list[bytes], data: st.DataObject
) -> None:
    size, read = len(leaves), merkle.stored(leaves)
    earlier = data.draw(st.integers(1, size))
    proof = merkle.consistency_proof(earlier, size, read)
    old, new = merkle.root_at(earlier, read), merkle.root(leaves)
    merkle.verify_consistency(
        size1=earlier, size2=size, proof=proof, root1=old, root2=new
    )
    first, *bent, last = _flip([old, *proof, new], data)
    _refused(
        lambda: merkle.verify_consistency(
            size1=earlier, size2=size, proof=bent, root1=first, root2=last
        )
    )


@given(
    st.integers(-2, 2**70),
    st.integers(-2, 2**70),
    st.lists(st.binary(max_size=33), max_size=70),
    HASHES,
    HASHES,
)
def test_any_proof_is_decided_without_another_error(
    one: int, two: int, proof: list[bytes], left: bytes, right: bytes
) -> None:
    _refused(
        lambda: merkle.verify_inclusion(
            leaf=left, index=one, size=two, proof=proof, root=right
        ),
        may_hold=left == right,
    )
    _refused(
        lambda: merkle.verify_consistency(
            size1=one, size2=two, proof=proof, root1=left, root2=right
        ),
        may_hold=left == right,
    )


def _flip(parts: list[bytes], data: st.DataObject) -> list[bytes]:
    which = data.draw(st.integers(0, len(parts) - 1))
    bit = data.draw(st.integers(0, 255))
    bent = (int.from_bytes(parts[which]) ^ (1 << bit)).to_bytes(32, "big")
    return [*parts[:which], bent, *parts[which + 1 :]]


def _refused(check: Any, *, may_hold: bool = False) -> None:
    try:
        check()
    except CryptoError:
        return
    assert may_hold
