"""Known answers, before anything is computed that counts.

What is computed on encrypted numbers rests on packages that could be replaced by
another version: the flood that hides what was computed is written into SEAL's own
serialisation (`crypto.bfv`), and a serialisation of another version could be read
otherwise. So a worker is asked for answers that are known, once when a node starts. A
wrong one costs the node its aggregates, and nothing else.
"""

import importlib.metadata
from functools import cache
from typing import Final

from crypto import noise
from crypto.bfv import DecryptionKey, Exhausted, parse_ciphertext
from crypto.encoding import sha256
from crypto.errors import CryptoError, Invalid
from crypto.kernels import psi, rows
from crypto.kernels.packing import numbers, pack
from crypto.parameters import SETS, ParameterSet
from crypto.stream import stream

TENSEAL: Final = "0.3.18"
"""The version whose SEAL (4.3) this code was measured with."""
_SEED: Final = bytes(range(32))
_BLINDED: Final = "af5c48528bbfc0886051f53c3af6e058461f6b35012b9416700f3e5910ae1d12"
_COMMITTED: Final = (
    "a1c7df12661869a29c6f08df92987a822dc10884300146a0"
    "919418e857bef401314f19f87c4a19b5e2653ffe6fbfc8d3"
)
_KEY_STREAM: Final = "39fd2b7dd9c5196a8dbd0377b8dc4a498a35d86fbcde6accb2cc7d4cd8ea2492"


def check(version: bytes = TENSEAL.encode()) -> bytes:
    """Compute what is known; return nothing.

    Args:
        version: Of TenSEAL, which must be the one that is installed.

    Raises:
        Invalid: An answer is wrong, or TenSEAL is another. The message says which.
    """
    check_installed(version.decode())
    for parameters in SETS.values():
        try:
            _check_set(parameters)
        except CryptoError as error:
            raise Invalid(f"{parameters.name}: {error}") from error
    _check_points()
    noise.check()
    return b""


@cache
def check_installed(version: str = TENSEAL) -> None:
    """Check which TenSEAL is installed, where it is to compute: once in a process.

    Of several workers one is asked for known answers. So each looks for itself, too.

    Raises:
        Invalid: Another version.
    """
    if (found := importlib.metadata.version("tenseal")) != version:
        raise Invalid(f"TenSEAL is {found}, and not {version}")


def _check_set(parameters: ParameterSet) -> None:
    """Encrypt, multiply, release and decrypt; see that the release did drown."""
    key = DecryptionKey(parameters)
    half = parameters.slots // 2
    values = [(place % 2001) - 1000 for place in range(parameters.slots)]
    fresh = key.public.encrypt(values, bound=1000)
    factors = [1] * parameters.slots
    computed = fresh.computation()
    if parameters.multiplies:
        factors = [place % 7 for place in range(parameters.slots)]
        computed = computed.times(factors, bound=6)
    blinding = [0] * half + [5] * (parameters.slots - half)
    released = computed.release(key.public, blinding, stream(_SEED))
    arrived = parse_ciphertext(parameters.name, released.octets, bound=parameters.most)
    expected = [
        value * factor + hidden
        for value, factor, hidden in zip(values, factors, blinding, strict=True)
    ]
    if key.decrypt(arrived) != expected:
        raise Invalid("what was computed on encrypted numbers is wrong")
    _check_budget(parameters, key.budget(fresh), key.budget(arrived))
    try:
        DecryptionKey(parameters).decrypt(arrived)
    except Exhausted:
        return
    raise Invalid("a ciphertext under another key is decrypted")


def _check_budget(parameters: ParameterSet, fresh: int, left: int) -> None:
    if not parameters.budget <= left <= fresh:
        raise Invalid(f"a noise budget of {left} bits, of {fresh}")
    # The flood is all the noise there is, beside which no other counts: what it
    # leaves of q / T is known to a bit or two.
    room = _bits(parameters) - parameters.plain_modulus.bit_length()
    if parameters.flood_bits and not 0 <= room - parameters.flood_bits - left <= 3:
        raise Invalid(f"a noise budget of {left} bits after the flood")


def _bits(parameters: ParameterSet) -> int:
    product = 1
    for prime in parameters.coeff_modulus[:-1]:
        product *= prime
    return product.bit_length()


def _check_points() -> None:
    scalar = psi.key(stream(_SEED)(64))
    blinded = psi.blind(scalar, _SEED, pack(b"known", "已知".encode()))
    other = psi.key(sha256(_SEED) * 2)
    both = psi.multiply(other, blinded)
    back = psi.multiply(
        scalar, psi.blind(other, _SEED, pack(b"known", "已知".encode()))
    )
    committed = rows.commit(rows.scalar(7), numbers([1, 2, 3]))
    if sha256(blinded).hex() != _BLINDED or both != back:
        raise Invalid("ristretto255 does not give known answers")
    if committed.hex() != _COMMITTED:
        raise Invalid("BLS12-381 does not give known answers")
    if stream(_SEED)(32).hex() != _KEY_STREAM:
        raise Invalid("ChaCha20 does not give known answers")
