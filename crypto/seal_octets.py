"""SEAL's context of a parameter set, and the octets of its keys and ciphertexts.

They begin with a header, which says how long the whole is, and are not compressed.
Whatever else SEAL would take is refused.

Source: SEAL 4.3, `Serialization`, `Ciphertext::save`.
"""

import os
import struct
from functools import cache
from typing import Any

import tenseal.sealapi as seal

from crypto.errors import Malformed
from crypto.parameters import ParameterSet

_MAGIC, _HEADER, _VERSION = 0xA15E, 16, (4, 3)
"""Of SEAL's serialisation, which is pinned by the version of TenSEAL in the lock."""


@cache
def context_of(parameters: ParameterSet) -> Any:
    """Return SEAL's context of a parameter set.

    Raises:
        ValueError: It is not one of 128 bits of security.
    """
    chosen = seal.EncryptionParameters(seal.SCHEME_TYPE.BFV)
    chosen.set_poly_modulus_degree(parameters.slots)
    chosen.set_coeff_modulus([seal.Modulus(each) for each in parameters.coeff_modulus])
    chosen.set_plain_modulus(parameters.plain_modulus)
    context = seal.SEALContext(chosen, True, seal.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise ValueError(context.parameters_error_message())
    return context


def framed(body: bytes) -> bytes:
    """Put SEAL's header before what is not compressed."""
    size = _HEADER + len(body)
    return struct.pack("<HBBBBHQ", _MAGIC, _HEADER, *_VERSION, 0, 0, size) + body


def saved(inner: Any) -> bytes:
    """Return what SEAL writes. It writes to files only: to one without a place."""
    file = os.memfd_create("seal")
    try:
        inner.save(f"/proc/self/fd/{file}")
        return os.pread(file, os.fstat(file).st_size, 0)
    finally:
        os.close(file)


def loaded(inner: Any, parameters: ParameterSet, octets: bytes) -> Any:
    """Let SEAL read octets; it checks each number against its modulus.

    Args:
        inner: A new key or ciphertext of SEAL's, which is returned.

    Raises:
        Malformed: Not what SEAL writes for this parameter set, or more.
    """
    if len(octets) > parameters.octets:
        raise Malformed("more octets than anything of this parameter set has")
    # SEAL reads as many as its header says. More would be another key, or another
    # ciphertext, by its hash, and the same by what it does.
    if octets[8:_HEADER] != struct.pack("<Q", len(octets)):
        raise Malformed("octets of another length than they say")
    file = os.memfd_create("seal")
    try:
        os.write(file, octets)
        inner.load(context_of(parameters), f"/proc/self/fd/{file}")
    except (RuntimeError, ValueError, IndexError, MemoryError) as error:
        raise Malformed("not what SEAL writes for this parameter set") from error
    finally:
        os.close(file)
    return inner
