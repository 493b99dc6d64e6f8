"""Hash functions that a log may be built with.

SHA-256 is what everything here is hashed with. SM3 is China's standard hash, and a
company that must use it can build its *log* with it. Both give 32 bytes, so trees,
proofs and checkpoints look the same; what tells them apart is the log's key, whose
suite its participant's record pins (`ledger.participants`).

SM3 follows the design of SHA-256 (Merkle-Damgard, 256 bits), and like it lets a hash
be extended by who does not know what was hashed. Nothing here is a key, so
nothing is lost by that.

Sources: FIPS 180-4 (SHA-256), GB/T 32905-2016 (SM3).
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from cryptography.hazmat.primitives import hashes

from crypto.encoding import sha256

Hashing: TypeAlias = Literal["sha-256", "sm3"]
"""Name of a hash function that a log may be built with."""


def sm3(*parts: bytes) -> bytes:
    """Hash the concatenation of `parts` with SM3: 32 bytes."""
    state = hashes.Hash(hashes.SM3())
    for part in parts:
        state.update(part)
    return state.finalize()


HASHES: Final[Mapping[Hashing, Callable[..., bytes]]] = {"sha-256": sha256, "sm3": sm3}
"""Each function by name; it takes the parts of what is hashed."""
