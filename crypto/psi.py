"""Blinding identifiers so that two parties can compare them and learn no others.

Each party hashes an identifier to a point of ristretto255 and multiplies it with a
scalar of its own. Multiplied by both, in whichever order, one identifier gives one
point; nobody who lacks one of the scalars can compute it, or test a guess. So two
lists are compared without being shown (Diffie-Hellman private set intersection).

Hashing is to the *group* (no scalar is known for which the generator gives the
point), and belongs to one session: of two sessions, nothing can be joined.

Lists of points are octets, 32 for each. Whatever comes from elsewhere is checked
where it is multiplied (`crypto.ristretto`): an encoding that is not canonical, or the
identity, is refused.

What the comparison shows, and to whom, is the protocol's
(`docs/protocols/fp-psi-sum-1.md`): here are its steps.

Sources: RFC 9496 (ristretto255); Meadows, 1986; libsodium through rbcl.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha512
from typing import Final, NoReturn, Self, TypeAlias

import rbcl

from crypto.encoding import sha256, tagged
from crypto.errors import Malformed
from crypto.ristretto import DIGEST, hashed, multiplied

RandomBytes: TypeAlias = Callable[[int], bytes]
POINT: Final = 32
_REFUSAL: Final = "a blinding key is neither copied nor pickled"


class BlindingKey:
    """A scalar for one session and one side: neither printed, copied nor pickled."""

    __slots__ = ("_scalar",)

    def __init__(self, random_bytes: RandomBytes) -> None:
        """Draw the scalar, uniformly.

        Args:
            random_bytes: Asked for 64 bytes once.
        """
        self._scalar: bytes = rbcl.crypto_core_ristretto255_scalar_reduce(
            random_bytes(64)
        )
        if not any(self._scalar):
            raise ValueError("a random scalar of zero: there is no randomness")

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """Take a scalar as `secret_octets` gave it.

        Raises:
            Malformed: Not 32 bytes that are a scalar below the order, and not zero.
        """
        wide = octets + bytes(32)
        reduce = rbcl.crypto_core_ristretto255_scalar_reduce
        if len(octets) != 32 or not any(octets) or reduce(wide) != octets:
            raise Malformed("not a scalar of ristretto255")
        return cls(lambda _: wide)

    def secret_octets(self) -> bytes:
        """Return the scalar, 32 bytes.

        It comes out only to be kept encrypted, or to be given to a worker process of
        this company.
        """
        return self._scalar

    def blind(self, session: bytes, identifiers: Iterable[str]) -> bytes:
        """Hash identifiers to points, and multiply them.

        Args:
            session: 32 bytes that both parties use, in this session only.
            identifiers: Normalised, so that both parties write them alike.

        Returns:
            The points, in the order of the identifiers.
        """
        if len(session) != 32:
            raise ValueError("a session is named by 32 bytes")
        begun = sha512(tagged("psi-identifier", session))  # as all of them begin
        digests = []
        for identifier in identifiers:
            digest = begun.copy()
            digest.update(identifier.encode())
            digests.append(digest.digest())
        return multiplied(self._scalar, hashed(b"".join(digests)))

    def multiply(self, points: bytes) -> bytes:
        """Multiply points that the other party has blinded.

        Raises:
            Malformed: Not a list of canonical points other than the identity.
        """
        return multiplied(self._scalar, points)

    def __repr__(self) -> str:
        return "<BlindingKey>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(_REFUSAL)


def split(points: bytes) -> list[bytes]:
    """Return the points of a list, 32 bytes each, not yet known to be points.

    Raises:
        Malformed: Not a multiple of 32 bytes.
    """
    if len(points) % POINT:
        raise Malformed("a list of points is a multiple of 32 bytes")
    return [points[at : at + POINT] for at in range(0, len(points), POINT)]


def check_distinct(points: bytes) -> None:
    """Check that a list holds no point twice.

    Raises:
        Malformed: It does, or it is no list of points.
    """
    held = split(points)
    if len(set(held)) != len(held):
        raise Malformed("a list that holds a point twice")


def dummies(count: int, random_bytes: RandomBytes) -> bytes:
    """Return random points, which equal no identifier of anybody.

    They fill a list up, so that its length tells only how long it is at most.
    """
    return hashed(random_bytes(DIGEST * count))


def bucket(size: int) -> int:
    """Return the length to which a list of a size is filled up.

    Eight lengths from each power of two to the next: 64, 72, 80 … 128, 144 … So a
    list is filled up by an eighth of itself at most, and its length tells its size
    within that. Longer steps would hide more, and each dummy costs as much as a
    customer.
    """
    power = 64
    while power < size:
        power *= 2
    step = power // 16
    return max(-(-size // step) * step, 64)


def order(count: int, random_bytes: RandomBytes) -> list[int]:
    """Return a random order of so many things: the place from which each comes.

    Uniform but for one chance in 2^128, times the square of the count, that two of
    the drawn keys are the same.
    """
    drawn = random_bytes(16 * count)
    keys = [drawn[at : at + 16] for at in range(0, len(drawn), 16)]
    return sorted(range(count), key=keys.__getitem__)


def arranged(points: bytes, places: Sequence[int]) -> bytes:
    """Return a list of points in an order, as `order` gives it."""
    held = split(points)
    return b"".join([held[at] for at in places])


def commitment(session: bytes, points: bytes) -> str:
    """Return the hash by which a list is fixed before another is seen: 64 hex digits.

    It hides the list, as its points are blinded with a scalar that nobody else has.
    """
    return sha256(tagged("psi-list", session), points).hex()


def matches(ours: bytes, theirs: bytes) -> list[int]:
    """Return the places in our list of points that are in theirs too.

    Both lists were multiplied by both parties.

    Raises:
        Malformed: A list that is none, or one that holds a point twice: a list of
            customers has each once, and one that does not counts somebody twice.
    """
    held = split(theirs)
    known = set(held)
    mine = split(ours)
    if len(known) != len(held) or len(set(mine)) != len(mine):
        raise Malformed("a list that holds a point twice")
    return [place for place, point in enumerate(mine) if point in known]
