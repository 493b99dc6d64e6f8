"""Adding and masking whole numbers that are encrypted: BFV, as TenSEAL brings it.

A ciphertext holds a row of numbers modulo the prime T, one in each *slot*. Whoever
has the public key can add ciphertexts slot by slot and multiply each slot by a number
of its own; only who has the secret key can read. What BFV by itself does not do, and
this module does:

* **It hides what was computed.** A ciphertext that was multiplied shows, without any
  key, what it was multiplied by. So the result of a computation is a `Computation`,
  which has no octets; only `Computation.release` turns it into a `Ciphertext`, adding
  a fresh encryption and noise that drowns its history.
* **It never decrypts wrongly and silently.** Every slot has a bound, computations
  carry it along and refuse to exceed T/2; decryption is refused when the noise
  budget is lower than the parameter set demands.
* **It takes named parameter sets only** (`crypto.parameters`), and octets only if
  they are a fresh or released ciphertext of exactly that set.

Nothing here shows that octets come from whom they are said to come from: hash and
sign them. BFV is not authenticated, and a decryption of what a stranger composed is an
oracle; the protocols (`docs/protocols/fp-*.md`) say what may be decrypted.

SEAL draws keys and encryption noise from the system's randomness by itself; the noise
that drowns comes from the caller's `RandomBytes`.

Sources: Fan and Vercauteren, 2012/144; SEAL 4.3.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn, TypeAlias

import tenseal.sealapi as seal

from crypto.encoding import sha256
from crypto.errors import Invalid, Malformed
from crypto.parameters import ParameterSet, parameter_set
from crypto.seal_octets import context_of, framed, loaded, saved

RandomBytes: TypeAlias = Any
_REFUSAL: Final = "a decryption key is neither copied nor pickled"


class Exhausted(Invalid):
    """A ciphertext holds too much noise to be decrypted with certainty."""


class DecryptionKey:
    """A secret key, for one plan. It is neither printed, copied nor pickled."""

    __slots__ = ("_decryptor", "_public", "_secret", "_set")

    def __init__(self, parameters: ParameterSet, secret: Any = None) -> None:
        """Make a fresh key, or take SEAL's (`parse_decryption_key`)."""
        context = context_of(parameters)
        generator = _generator(context, secret)
        public = seal.PublicKey()
        generator.create_public_key(public)
        self._set = parameters
        self._secret = generator.secret_key()
        self._decryptor = seal.Decryptor(context, self._secret)
        self._public = EncryptionKey(parameters, public)

    @property
    def public(self) -> "EncryptionKey":
        """A public half. Of a key that was read it is another than before.

        What either encrypts is decrypted alike; but a plan names one by its digest,
        so who keeps a secret key keeps the octets of its public key as well.
        """
        return self._public

    def budget(self, ciphertext: "Ciphertext") -> int:
        """Return how many bits more the noise could have; 0 where all is noise.

        For tests of what was released: it depends on the secret key, and is not told.
        """
        left: int = self._decryptor.invariant_noise_budget(ciphertext.inner)
        return left

    def secret_octets(self) -> bytes:
        """Return the secret key, for `parse_decryption_key`.

        It comes out only to be kept encrypted, or to be given to a worker process of
        this company.
        """
        return saved(self._secret)

    def decrypt(self, ciphertext: "Ciphertext") -> list[int]:
        """Return the slots, centred: of each number x that of size below T/2.

        Raises:
            Malformed: The ciphertext is of another parameter set.
            Exhausted: Its noise budget is below the set's. It was computed with more
                than the set is for, or is not what it is said to be.
        """
        if ciphertext.parameters != self._set:
            raise Malformed("a ciphertext of another parameter set")
        if self.budget(ciphertext) < self._set.budget:
            raise Exhausted("too much noise to decrypt with certainty")
        plain = seal.Plaintext()
        self._decryptor.decrypt(ciphertext.inner, plain)
        decoded: list[int] = _encoder(self._set).decode_int64(plain)
        return decoded

    def __repr__(self) -> str:
        return f"<DecryptionKey {self._public.digest[:16]}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(_REFUSAL)


class EncryptionKey:
    """A public key, with which anybody encrypts."""

    __slots__ = ("_encryptor", "_octets", "parameters")

    def __init__(self, parameters: ParameterSet, inner: Any) -> None:
        self.parameters = parameters
        self._encryptor = seal.Encryptor(context_of(parameters), inner)
        self._octets = saved(inner)

    @property
    def octets(self) -> bytes:
        """The key, to be signed and sent."""
        return self._octets

    @property
    def digest(self) -> str:
        """Return SHA-256 of set and key, 64 hex digits: by which plans name it."""
        return sha256(self.parameters.name.encode(), b"\0", self._octets).hex()

    def encrypt(self, values: Sequence[int], *, bound: int) -> "Ciphertext":
        """Encrypt numbers, one a slot, zeros after them.

        Args:
            values: At most as many as there are slots.
            bound: None of them is larger in size. It is part of the plan, not
                computed from the values, for it does not stay secret.

        Raises:
            Malformed: Too many, or one beyond the bound, or the bound beyond T/2.
        """
        _check_bound(self.parameters, bound)
        if any(abs(value) > bound for value in values):
            raise Malformed("a number is larger than its bound")
        inner = seal.Ciphertext()
        self._encryptor.encrypt(_encoded(self.parameters, values), inner)
        return Ciphertext(self.parameters, inner, bound)

    def zeros(self) -> "Computation":
        """Return where a sum begins: nothing, encrypted."""
        inner = seal.Ciphertext()
        self._encryptor.encrypt_zero(inner)
        return Computation(self.parameters, inner, 0, multiplied=False)

    def __repr__(self) -> str:
        return f"<EncryptionKey {self.digest[:16]}>"


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """A row of encrypted numbers that may be sent: fresh, or released.

    Attributes:
        parameters: Its set.
        inner: SEAL's.
        bound: No slot is larger in size; what it means modulo T is the protocol's.
    """

    parameters: ParameterSet
    inner: Any
    bound: int

    @property
    def octets(self) -> bytes:
        """The ciphertext, to be hashed, signed and sent."""
        return saved(self.inner)

    def computation(self) -> "Computation":
        """Return it as the beginning of a computation."""
        return Computation(self.parameters, self.inner, self.bound, multiplied=False)


@dataclass(frozen=True, slots=True)
class Computation:
    """What was computed from ciphertexts. It cannot be sent: it shows how.

    Attributes:
        bound: No slot is larger in size.
        multiplied: Whether a slot was multiplied.
    """

    parameters: ParameterSet
    inner: Any
    bound: int
    multiplied: bool

    def plus(self, other: "Computation | Ciphertext") -> "Computation":
        """Add slot by slot.

        Raises:
            Malformed: Another parameter set, or the sum could exceed T/2.
        """
        bound = self._within(self.bound + other.bound, other)
        inner = seal.Ciphertext()
        _evaluator(self.parameters).add(self.inner, other.inner, inner)
        multiplied = self.multiplied or getattr(other, "multiplied", False)
        return Computation(self.parameters, inner, bound, multiplied=multiplied)

    def times(self, factors: Sequence[int], *, bound: int) -> "Computation":
        """Multiply slot by slot with numbers that nobody else learns.

        Args:
            factors: One a slot, zeros after them; not all zero.
            bound: None of them is larger in size.

        Raises:
            Malformed: The set or the plan allows no multiplication (one is all there
                is), all factors are zero, or a product could exceed T/2.
        """
        if not self.parameters.multiplies or self.multiplied:
            raise Malformed("this parameter set is for one multiplication at most")
        if not any(factors) or any(abs(factor) > bound for factor in factors):
            raise Malformed("factors that are all zero, or larger than their bound")
        product = self._within(self.bound * bound, self)
        inner = seal.Ciphertext()
        plain = _encoded(self.parameters, factors)
        _evaluator(self.parameters).multiply_plain(self.inner, plain, inner)
        return Computation(self.parameters, inner, product, multiplied=True)

    def release(
        self,
        key: EncryptionKey,
        blinding: Sequence[int],
        random_bytes: RandomBytes,
    ) -> Ciphertext:
        """Make it a ciphertext that shows nothing but its slots to who can decrypt.

        Adds a fresh encryption of the blinding, which randomises all of it, and
        uniform noise beside which that of the computation is negligible
        (statistical distance below 2^-50 for the sets here).

        Args:
            key: Of whoever will decrypt.
            blinding: Numbers modulo T, one a slot, that are added to the slots;
                zeros to leave them as they are.
            random_bytes: Where the noise comes from.

        Raises:
            Malformed: Another parameter set, or too much blinding.
        """
        if key.parameters != self.parameters:
            raise Malformed("a key of another parameter set")
        half = self.parameters.most
        centred = [_centred(self.parameters, value) for value in blinding]
        hidden = key.encrypt(centred, bound=half)
        inner, evaluator = seal.Ciphertext(), _evaluator(self.parameters)
        evaluator.add(self.inner, hidden.inner, inner)
        if self.parameters.flood_bits:
            evaluator.add_inplace(inner, _flood(self.parameters, random_bytes))
        bound = half if any(blinding) else self.bound
        return Ciphertext(self.parameters, inner, bound)

    def _within(self, bound: int, other: "Computation | Ciphertext") -> int:
        if other.parameters != self.parameters:
            raise Malformed("ciphertexts of two parameter sets")
        _check_bound(self.parameters, bound)
        return bound


def masked_sum(ciphertexts: Sequence[Ciphertext], *, bound: int) -> Ciphertext:
    """Add rows that were masked, modulo T, for whoever can decrypt each of them.

    Masks fill the whole of a slot, so sums of masked rows exceed T/2 on purpose:
    modulo T the masks cancel out, and what is left is within the bound. Nothing is
    released here. Who has the secret key is told no more by the sum than by its
    parts, each a fresh encryption of what is uniformly random to that reader; for
    anybody else, begin with `EncryptionKey.zeros` and `release`.

    Args:
        bound: No sum is larger in size, once all masks are in it.

    Raises:
        Malformed: No ciphertexts, two parameter sets, or a bound beyond T/2.
    """
    parameters = {each.parameters for each in ciphertexts}
    if len(parameters) != 1:
        raise Malformed("ciphertexts of one parameter set, at least one")
    (only,) = parameters
    _check_bound(only, bound)
    inner = seal.Ciphertext()
    _evaluator(only).add_many([each.inner for each in ciphertexts], inner)
    return Ciphertext(only, inner, bound)


def parse_decryption_key(name: str, octets: bytes) -> DecryptionKey:
    """Read a secret key of a named set, as `DecryptionKey.secret_octets` gives it.

    Raises:
        Malformed: No such set, or not a key of it.
    """
    parameters = parameter_set(name)
    inner = loaded(seal.SecretKey(), parameters, octets)
    if inner.parms_id() != context_of(parameters).key_parms_id():
        raise Malformed("a secret key of other parameters")
    return DecryptionKey(parameters, inner)


def parse_encryption_key(name: str, octets: bytes) -> EncryptionKey:
    """Read a public key of a named set.

    Raises:
        Malformed: No such set, or not a key of it.
    """
    parameters = parameter_set(name)
    inner = loaded(seal.PublicKey(), parameters, octets)
    if inner.parms_id() != context_of(parameters).key_parms_id():
        raise Malformed("a public key of other parameters")
    return EncryptionKey(parameters, inner)


def parse_ciphertext(name: str, octets: bytes, *, bound: int) -> Ciphertext:
    """Read a ciphertext of a named set, which somebody says to be within a bound.

    Raises:
        Malformed: No such set, or not a ciphertext of it at its first level, with
            two polynomials, in coefficient form; or the bound is beyond T/2.
    """
    parameters = parameter_set(name)
    _check_bound(parameters, bound)
    inner = loaded(seal.Ciphertext(), parameters, octets)
    sound = (
        inner.parms_id() == context_of(parameters).first_parms_id()
        and inner.size() == 2
        and not inner.is_ntt_form()
        and not inner.is_transparent()
    )
    if not sound:
        raise Malformed("a ciphertext of other parameters, or of another form")
    return Ciphertext(parameters, inner, bound)


def _generator(context: Any, secret: Any) -> Any:
    if secret is None:
        return seal.KeyGenerator(context)
    return seal.KeyGenerator(context, secret)


@cache
def _encoder(parameters: ParameterSet) -> Any:
    return seal.BatchEncoder(context_of(parameters))


@cache
def _evaluator(parameters: ParameterSet) -> Any:
    return seal.Evaluator(context_of(parameters))


def _check_bound(parameters: ParameterSet, bound: int) -> None:
    if not 0 <= bound <= parameters.most:
        raise Malformed("a bound beyond what a slot can hold")


def _centred(parameters: ParameterSet, value: int) -> int:
    value %= parameters.plain_modulus
    return value - parameters.plain_modulus * (value > parameters.most)


def _encoded(parameters: ParameterSet, values: Sequence[int]) -> Any:
    if len(values) > parameters.slots:
        raise Malformed(f"at most {parameters.slots} numbers fit a ciphertext")
    plain = seal.Plaintext()
    _encoder(parameters).encode(list(values), plain)
    return plain


def _flood(parameters: ParameterSet, random_bytes: RandomBytes) -> Any:
    """Return uniform noise as a ciphertext (r, 0): added, it is noise and no number."""
    primes, bits = parameters.coeff_modulus[:-1], parameters.flood_bits
    width = (bits + 1 + 7) // 8
    drawn = random_bytes(width * parameters.slots)
    mask, half = (1 << (bits + 1)) - 1, 1 << bits
    noise = [
        (int.from_bytes(drawn[at : at + width], "little") & mask) - half
        for at in range(0, len(drawn), width)
    ]
    words = [value % prime for prime in primes for value in noise]
    words += [0] * len(words)
    data = struct.pack(f"<{len(words)}Q", *words)
    array = framed(struct.pack("<Q", len(words)) + data)
    context = context_of(parameters)
    place = struct.pack("<4Q", *context.first_parms_id())
    shape = struct.pack("<?QQQdQ", False, 2, parameters.slots, len(primes), 1.0, 1)
    return loaded(seal.Ciphertext(), parameters, framed(place + shape + array))
