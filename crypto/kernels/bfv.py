"""Encrypted rows, from octets to octets. What it means: `crypto.bfv`.

Arguments of the same kind look alike in all kernels: `name` is the parameter set's, in
UTF-8; `public` and `secret` are keys; `bound` is one number, of `packing.numbers`, that
no slot is larger than in size; rows are `packing.numbers`, one a slot.

Which bound a result has follows from the plan, and is for whoever reads it to know; it
is not in the octets.
"""

from functools import lru_cache

from crypto import bfv
from crypto.errors import Invalid, Malformed
from crypto.kernels.packing import (
    numbers,
    pack,
    parse_number,
    parse_numbers,
    parse_text,
    unpack,
)
from crypto.kernels.selftest import check_installed
from crypto.parameters import parameter_set
from crypto.stream import stream


def key_pair(name: bytes) -> bytes:
    """Make a fresh key: the secret key and the public key, packed."""
    check_installed()
    key = bfv.DecryptionKey(parameter_set(parse_text(name)))
    return pack(key.secret_octets(), key.public.octets)


def digest(name: bytes, public: bytes) -> bytes:
    """Check a public key; return the hash by which plans name it, 32 bytes."""
    return bytes.fromhex(_public(name, public).digest)


def encrypt(name: bytes, public: bytes, bound: bytes, row: bytes) -> bytes:
    """Encrypt a row, which may be sent as it is."""
    values = parse_numbers(row)
    return _public(name, public).encrypt(values, bound=parse_number(bound)).octets


def term(ciphertext: bytes, factors: bytes = b"", bound: int = 0) -> bytes:
    """Write a term of `combine`; not a kernel.

    Args:
        ciphertext: Fresh, or released.
        factors: The row that it is multiplied with, slot by slot; empty: not at all.
        bound: No factor is larger in size.
    """
    return pack(ciphertext, factors, numbers([bound]))


def combine(
    name: bytes,
    public: bytes,
    bound: bytes,
    blinding: bytes,
    seed: bytes,
    *terms: bytes,
) -> bytes:
    """Multiply rows with factors, add them up and the blinding, and release the sum.

    A term whose factors are all zero adds nothing, which cannot be seen in the result,
    nor in how long that takes.

    Args:
        public: Key of whoever will decrypt.
        bound: Of the slots of every ciphertext.
        blinding: A row modulo T; empty for none.
        seed: 32 random bytes for this call only, from which the flood is drawn.
        terms: As `term` writes them.

    Returns:
        A ciphertext that shows nothing but its slots.
    """
    key, most = _public(name, public), parse_number(bound)
    total = key.zeros()
    for each in terms:
        if (found := _term(name, most, each)) is not None:
            total = total.plus(found)
    released = total.release(key, parse_numbers(blinding), stream(seed))
    return released.octets


def combine_part(name: bytes, public: bytes, bound: bytes, part: bytes) -> bytes:
    """Do `combine` for one part of a list.

    Args:
        part: Blinding, seed and terms, packed.
    """
    blinding, seed, *terms = _at_least(2, unpack(part))
    return combine(name, public, bound, blinding, seed, *terms)


def add(name: bytes, bound: bytes, *ciphertexts: bytes) -> bytes:
    """Add masked rows modulo T (`crypto.bfv.masked_sum`), for the holder of the key.

    Args:
        bound: Of the sum, in which the masks have cancelled out.
    """
    text, most = parse_text(name), parse_number(bound)
    half = parameter_set(text).most
    parts = [bfv.parse_ciphertext(text, each, bound=half) for each in ciphertexts]
    return bfv.masked_sum(parts, bound=most).octets


def decrypt(name: bytes, secret: bytes, bound: bytes, ciphertext: bytes) -> bytes:
    """Decrypt a row: as many numbers as there are slots, centred.

    Raises:
        Exhausted: Its noise budget is too low to be sure.
        Invalid: A slot is larger than the bound: not what the plan computes.
    """
    most = parse_number(bound)
    parsed = bfv.parse_ciphertext(parse_text(name), ciphertext, bound=most)
    values = _secret(name, secret).decrypt(parsed)
    if any(abs(value) > most for value in values):
        raise Invalid("a slot holds more than its bound")
    return numbers(values)


def check_ciphertext(name: bytes, ciphertext: bytes) -> bytes:
    """Check that octets are a ciphertext of a set; return nothing."""
    text = parse_text(name)
    bfv.parse_ciphertext(text, ciphertext, bound=parameter_set(text).most)
    return b""


def _term(name: bytes, bound: int, octets: bytes) -> bfv.Computation | None:
    parts = unpack(octets)
    if len(parts) != 3:
        raise Malformed("a term is a ciphertext, factors and their bound")
    row, most = parse_numbers(parts[1]), parse_number(parts[2])
    parsed = bfv.parse_ciphertext(parse_text(name), parts[0], bound=bound)
    if not row:
        return parsed.computation()
    # SEAL multiplies with no row of zeros: with another then, for nothing.
    if not any(row):
        parsed.computation().times([1], bound=1)
        return None
    return parsed.computation().times(row, bound=most)


def _at_least(count: int, parts: list[bytes]) -> list[bytes]:
    if len(parts) < count:
        raise Malformed(f"at least {count} parts")
    return parts


@lru_cache(maxsize=8)
def _public(name: bytes, octets: bytes) -> bfv.EncryptionKey:
    check_installed()
    return bfv.parse_encryption_key(parse_text(name), octets)


@lru_cache(maxsize=4)
def _secret(name: bytes, octets: bytes) -> bfv.DecryptionKey:
    check_installed()
    return bfv.parse_decryption_key(parse_text(name), octets)
