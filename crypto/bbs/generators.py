"""The fixed points that messages are multiplied into.

A signature over L messages uses one point for the header and one per message.
Nobody may know how one of these points is a multiple of another, or messages
could be exchanged under a signature; so each is hashed to the curve from a
seed that leaves no choice. They are the same for everybody and are computed
once per count (0.25 ms each on arkworks).

Source: draft-irtf-cfrg-bbs-signatures, section 4.1.1 (create_generators).
"""

import functools
from dataclasses import dataclass

from crypto.bbs.backends import G1, Backend
from crypto.bbs.suite import EXPAND_BYTES, FIELD, Suite
from crypto.errors import Malformed

MAX_MESSAGES = 512
"""More than any record has; a bound on what a stranger can make us compute."""


@dataclass(frozen=True, slots=True)
class Generators:
    """The points for records of one length.

    Attributes:
        base: P1, the fixed term of every signature.
        header: Q_1, which carries the header.
        messages: H_1 to H_L, one per message.
        octets: All but P1 as `calculate_domain` hashes them, their number first.
    """

    base: G1
    header: G1
    messages: tuple[G1, ...]
    octets: bytes


@functools.lru_cache(maxsize=64)
def generators(suite: Suite, backend: Backend, count: int) -> Generators:
    """Return the generators for records of `count` messages.

    Raises:
        Malformed: `count` is above `MAX_MESSAGES`.
    """
    if not 0 <= count <= MAX_MESSAGES:
        message = f"a record has at most {MAX_MESSAGES} messages"
        raise Malformed(message)
    [base] = _create(suite, backend, 1, b"BP_MESSAGE_GENERATOR_SEED")
    header, *messages = _create(suite, backend, count + 1, b"MESSAGE_GENERATOR_SEED")
    octets = b"".join(map(backend.encode_g1, (header, *messages)))
    return Generators(base, header, tuple(messages), count.to_bytes(8, "big") + octets)


def _create(suite: Suite, backend: Backend, count: int, seed: bytes) -> list[G1]:
    tag = suite.api_id + b"SIG_GENERATOR_SEED_"
    chain = suite.expand_message(suite.api_id + seed, tag, EXPAND_BYTES)
    points = []
    for index in range(1, count + 1):
        chain = suite.expand_message(
            chain + index.to_bytes(8, "big"), tag, EXPAND_BYTES
        )
        points.append(_hash_to_curve(suite, backend, chain))
    return points


def _hash_to_curve(suite: Suite, backend: Backend, seed: bytes) -> G1:
    """hash_to_curve for G1; RFC 9380, sections 3 and 8.8.1."""
    uniform = suite.expand_message(seed, suite.api_id + b"SIG_GENERATOR_DST_", 128)
    first, second = (
        backend.map_to_curve(int.from_bytes(half, "big") % FIELD)
        for half in (uniform[:64], uniform[64:])
    )
    return backend.add(first, second)
