"""Parameters of homomorphic encryption: few, named, and nothing else accepted.

Degree, moduli, flood and least noise budget belong together: each set was chosen and
measured as a whole. A plan names a set, and nobody sends numbers of its own.

Source: Homomorphic Encryption Standard (128 bits), by SEAL's table.
"""

from dataclasses import dataclass
from typing import Final

from crypto.errors import Malformed


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSet:
    """Parameters that were chosen, measured and named together.

    All are of 128 bits security by the table of the Homomorphic Encryption Standard,
    which SEAL enforces.

    Attributes:
        name: By which plans name the set.
        slots: Numbers in one ciphertext: the degree N of the ring.
        plain_modulus: The prime T; slots hold numbers of less than T/2 in size.
        coeff_modulus: The primes of q; the last is for keys alone.
        multiplies: Whether slots may be multiplied, once.
        flood_bits: Released ciphertexts are drowned in uniform noise of so many bits;
            0 where nothing is multiplied.
        budget: Bits of noise budget below which nothing is decrypted.
    """

    name: str
    slots: int
    plain_modulus: int
    coeff_modulus: tuple[int, ...]
    multiplies: bool
    flood_bits: int
    budget: int

    @property
    def most(self) -> int:
        """The largest size of a number that a slot can hold without doubt."""
        return (self.plain_modulus - 1) // 2

    @property
    def octets(self) -> int:
        """More octets than any ciphertext or key of the set has."""
        return 2 * 8 * self.slots * len(self.coeff_modulus) + 4096


SETS: Final = {
    each.name: each
    for each in (
        ParameterSet(
            name="bfv-4096-40",
            slots=4096,
            plain_modulus=1099511480321,
            coeff_modulus=(68719403009, 68719230977, 137438822401),
            multiplies=False,
            flood_bits=0,
            budget=8,
        ),
        ParameterSet(
            name="bfv-8192-41",
            slots=8192,
            plain_modulus=2199023190017,
            coeff_modulus=(
                8796092858369,
                8796092792833,
                17592186028033,
                17592185438209,
                17592184717313,
            ),
            multiplies=True,
            flood_bits=126,
            budget=4,
        ),
    )
}
"""The parameter sets there are. No other is accepted, from anybody."""


def parameter_set(name: str) -> ParameterSet:
    """Return a named set.

    Raises:
        Malformed: There is none of that name.
    """
    if (found := SETS.get(name)) is None:
        raise Malformed(f"no parameter set is called {name[:32]}")
    return found
