"""Commitments to rows and masks on them, from octets to octets.

What it means: `crypto.vectors`, `crypto.masking`. Rows are `packing.numbers`;
blindings are 32 bytes, big-endian.
"""

from crypto import masking, vectors
from crypto.errors import Malformed
from crypto.kernels.packing import numbers, pack, parse_numbers, parse_text, unpack
from crypto.keys import X25519Key

MODULUS_BITS = 41


def scalar(value: int) -> bytes:
    """Write a blinding, 32 bytes; not a kernel."""
    return value.to_bytes(32, "big")


def commit(blinding: bytes, row: bytes) -> bytes:
    """Commit to a row: 48 bytes."""
    return vectors.commit(parse_numbers(row), _scalar(blinding))


def check_sum(blinding: bytes, row: bytes, *commitments: bytes) -> bytes:
    """Check that a row is the sum of those committed to; return nothing.

    Raises:
        InvalidProof: It is another row.
    """
    vectors.check_sum(commitments, parse_numbers(row), _scalar(blinding))
    return b""


def masks(
    secret: bytes,
    me: bytes,
    round_id: bytes,
    roster: bytes,
    shape: bytes,
    *others: bytes,
) -> bytes:
    """Return what a party adds to its row and to its blinding, packed.

    Args:
        secret: 32 bytes of this party's X25519 key for the round.
        me: Its name.
        round_id: 32 bytes.
        roster: 32 bytes.
        shape: How many numbers a row has, and their modulus.
        others: Of each other party name and public key, packed.
    """
    wanted = parse_numbers(shape)
    if len(wanted) != 2 or not 0 <= wanted[0] <= vectors.MOST:
        raise Malformed("a row has a length and a modulus")
    if not 2 <= wanted[1] <= 1 << MODULUS_BITS:
        raise Malformed(f"a modulus of at most {MODULUS_BITS} bits")
    row, blinding = masking.masks(
        X25519Key.from_bytes(secret),
        parse_text(me),
        _named(others),
        round_id=round_id,
        roster=roster,
        count=wanted[0],
        modulus=wanted[1],
    )
    return pack(numbers(row), scalar(blinding))


def _named(others: tuple[bytes, ...]) -> dict[str, bytes]:
    pairs = [unpack(each) for each in others]
    if any(len(pair) != 2 for pair in pairs):
        raise Malformed("of each party its name and its key")
    found = {parse_text(name): public for name, public in pairs}
    if len(found) != len(pairs):
        raise Malformed("a party that is named twice")
    return found


def _scalar(octets: bytes) -> int:
    if len(octets) != 32:
        raise Malformed("a blinding has 32 bytes")
    return int.from_bytes(octets, "big")
