"""One short secret, expanded to as many random bytes as are asked for.

What is drawn from a seed is the key stream of ChaCha20, which nobody who lacks the
seed tells from random bytes, and which whoever has it gets again. A seed is used for
one thing: two that draw from the same seed draw the same bytes.

Source: RFC 8439, section 2.4.
"""

from collections.abc import Callable
from typing import TypeAlias

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from crypto.errors import Malformed

RandomBytes: TypeAlias = Callable[[int], bytes]


def stream(seed: bytes) -> RandomBytes:
    """Return what draws from a seed; each call goes on where the last one ended.

    Args:
        seed: 32 uniformly random bytes, for this stream only. At most 256 GiB are
            drawn from it.

    Raises:
        Malformed: Not 32 bytes.
    """
    if len(seed) != 32:
        raise Malformed("a seed has 32 bytes")
    encryptor = Cipher(ChaCha20(seed, bytes(16)), mode=None).encryptor()
    return lambda size: encryptor.update(bytes(size))
