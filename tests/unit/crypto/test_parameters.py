"""The parameter sets, held against the standard and against what SEAL enforces."""

import math
from dataclasses import replace

import pytest

from crypto import bfv
from crypto.parameters import SETS, ParameterSet
from crypto.seal_octets import context_of

LARGEST = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
"""Bits of q at most, by degree: 128 bits against classical attacks, ternary secrets.

Source: Homomorphic Encryption Standard, 2018, table 1; SEAL's `hestdparms.h`.
"""
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
"""Enough to make the test of Miller and Rabin exact below 2^64."""


@pytest.fixture(params=list(SETS.values()), ids=list(SETS))
def parameters(request: pytest.FixtureRequest) -> ParameterSet:
    found: ParameterSet = request.param
    return found


def is_prime(number: int) -> bool:
    """Tell whether a number below 2^64 is prime."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for witness in _WITNESSES:
        power = pow(witness, odd, number)
        passes = {pow(power, 1 << at, number) for at in range(twos)}
        if power != 1 and number - 1 not in passes:
            return False
    return True


def test_primes_are_told_from_others() -> None:
    found = [number for number in range(41, 100) if is_prime(number)]
    assert found == [41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97]
    assert not is_prime(3215031751)  # passes for 2, 3, 5 and 7


def test_a_set_has_its_name(parameters: ParameterSet) -> None:
    bits = parameters.plain_modulus.bit_length()
    assert parameters.name == f"bfv-{parameters.slots}-{bits}"


def test_all_moduli_are_primes_that_the_ring_splits_at(
    parameters: ParameterSet,
) -> None:
    moduli = (parameters.plain_modulus, *parameters.coeff_modulus)
    assert len(set(moduli)) == len(moduli)
    for modulus in moduli:
        assert is_prime(modulus)
        assert modulus % (2 * parameters.slots) == 1


def test_q_is_no_larger_than_the_standard_has_it(parameters: ParameterSet) -> None:
    q = math.prod(parameters.coeff_modulus)
    assert q.bit_length() <= LARGEST[parameters.slots]


def test_no_prime_is_larger_than_the_one_that_keys_need_beside(
    parameters: ParameterSet,
) -> None:
    *rest, last = (prime.bit_length() for prime in parameters.coeff_modulus)
    assert last >= max(rest)


def test_a_set_of_less_security_is_not_computed_with(
    parameters: ParameterSet,
) -> None:
    weak = replace(parameters, slots=parameters.slots // 2)
    with pytest.raises(ValueError, match="standard"):
        context_of(weak)


def test_the_flood_leaves_what_decrypting_demands(parameters: ParameterSet) -> None:
    q = math.prod(parameters.coeff_modulus[:-1])
    room = math.log2(q) - 1 - math.log2(parameters.plain_modulus)
    assert parameters.budget >= 4
    assert parameters.flood_bits + parameters.budget + 1 <= room
    assert bool(parameters.flood_bits) == parameters.multiplies


def test_a_slot_holds_both_signs_of_what_it_holds(parameters: ParameterSet) -> None:
    assert 2 * parameters.most + 1 == parameters.plain_modulus


def test_no_key_and_no_ciphertext_has_more_octets(parameters: ParameterSet) -> None:
    key = bfv.DecryptionKey(parameters)
    slots = [parameters.most] * parameters.slots
    one = key.public.encrypt(slots, bound=parameters.most)
    for octets in (key.public.octets, key.secret_octets(), one.octets):
        assert len(octets) <= parameters.octets
