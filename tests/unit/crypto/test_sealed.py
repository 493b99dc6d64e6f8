"""What is sealed opens at its place, under its key, and nowhere else."""

import pytest

from crypto.errors import Invalid
from crypto.sealed import NONCE, open_sealed, seal

KEY, NONCE_OF_IT = bytes(range(32)), bytes(range(12))
SEALED = seal(KEY, b"noise", about=b"here", nonce=NONCE_OF_IT)


def test_what_is_sealed_is_what_it_was() -> None:
    """Made here: what a node has kept, a later release reads."""
    wanted = "000102030405060708090a0b296dbf68a02ad494210acda273d44623009271bb17"
    assert SEALED.hex() == wanted
    assert len(SEALED) == NONCE + len(b"noise") + 16


def test_it_opens_at_its_place_and_under_its_key() -> None:
    assert open_sealed(KEY, SEALED, about=b"here") == b"noise"
    for about in (b"", b"her", b"there"):
        with pytest.raises(Invalid):
            open_sealed(KEY, SEALED, about=about)
    with pytest.raises(Invalid):
        open_sealed(bytes(32), SEALED, about=b"here")


def test_no_octet_of_it_can_be_another() -> None:
    for at in range(len(SEALED)):
        changed = bytearray(SEALED)
        changed[at] ^= 1
        with pytest.raises(Invalid):
            open_sealed(KEY, bytes(changed), about=b"here")


def test_a_part_of_it_opens_nothing() -> None:
    for size in range(len(SEALED)):
        with pytest.raises(Invalid):
            open_sealed(KEY, SEALED[:size], about=b"here")


@pytest.mark.parametrize("size", [0, 8, 11, 13, 16])
def test_a_nonce_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="12 bytes"):
        seal(KEY, b"noise", about=b"here", nonce=bytes(size))
