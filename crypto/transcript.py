"""The presentation header of a typed presentation: everything it is bound to.

A challenge that leaves anything out can be answered for something else: with
other bounds, another set, another audience, or first moves chosen after the
question ("weak Fiat-Shamir", the most frequent fault of deployed proofs). So the
statement and *all* first moves that are not BBS's own go into BBS's presentation
header, each part with its length; BBS itself hashes the rest: key, header,
generators, messages shown, and its own first moves.

Spec: `docs/protocols/fp-lbv-1.md`, Transcript.
"""

from collections.abc import Sequence

from crypto.encoding import tagged


def presentation_header(
    ph: bytes, statement: bytes, *, anchor: Sequence[bytes], bits: Sequence[bytes]
) -> bytes:
    """Return the octets that go into the BBS challenge as presentation header.

    Args:
        ph: For whom, for what and when; with the verifier's nonce.
        statement: `Statement.to_bytes`, of the verifier's statement.
        anchor: C_rec and T3, or nothing.
        bits: K_b, K_c, K_a and K_d, or nothing.
    """
    body = [_sized(ph), _sized(statement)]
    for points in (anchor, bits):
        body += [len(points).to_bytes(8, "big"), *points]
    return tagged("typed-presentation", b"".join(body))


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(8, "big") + data
