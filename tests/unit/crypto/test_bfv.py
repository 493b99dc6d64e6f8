"""Encrypted rows of numbers: what they compute, what they refuse, what they hide."""

import copy
import math
import pickle
import random
import secrets
import struct
from typing import Any

import pytest
import tenseal.sealapi as seal

from crypto import bfv
from crypto.bfv import (
    Ciphertext,
    DecryptionKey,
    Exhausted,
    parse_ciphertext,
    parse_encryption_key,
)
from crypto.errors import Malformed
from crypto.parameters import SETS, ParameterSet, parameter_set
from crypto.seal_octets import context_of, framed, loaded, saved

ADDING, MASKING = SETS["bfv-4096-40"], SETS["bfv-8192-41"]
BOUND = 1 << 20


@pytest.fixture(scope="module", params=list(SETS.values()), ids=list(SETS))
def parameters(request: pytest.FixtureRequest) -> ParameterSet:
    found: ParameterSet = request.param
    return found


@pytest.fixture(scope="module")
def key(parameters: ParameterSet) -> DecryptionKey:
    return DecryptionKey(parameters)


@pytest.fixture(scope="module")
def masking() -> DecryptionKey:
    return DecryptionKey(MASKING)


def row(parameters: ParameterSet, bound: int = BOUND) -> list[int]:
    return [secrets.randbelow(2 * bound + 1) - bound for _ in range(parameters.slots)]


def sent(ciphertext: Ciphertext) -> Ciphertext:
    """Return a ciphertext as it arrives."""
    name = ciphertext.parameters.name
    return parse_ciphertext(name, ciphertext.octets, bound=ciphertext.bound)


# --- what is computed -------------------------------------------------------


def test_what_was_encrypted_is_decrypted(key: DecryptionKey) -> None:
    values = row(key.public.parameters)
    assert key.decrypt(sent(key.public.encrypt(values, bound=BOUND))) == values


def test_fewer_numbers_than_slots_are_followed_by_zeros(key: DecryptionKey) -> None:
    found = key.decrypt(key.public.encrypt([7, -8], bound=8))
    assert found[:3] == [7, -8, 0]
    assert not any(found[2:])


def test_sums_are_exact_to_the_largest_number_a_slot_holds(key: DecryptionKey) -> None:
    most = key.public.parameters.most
    one = key.public.encrypt([most - 1, 1 - most], bound=most - 1)
    other = key.public.encrypt([1, -1], bound=1)
    total = key.public.zeros().plus(one).plus(other)
    assert total.bound == most
    found = key.decrypt(total.release(key.public, [], secrets.token_bytes))
    assert found[:2] == [most, -most]


def test_two_hundred_rows_add_up(key: DecryptionKey) -> None:
    rows = [row(key.public.parameters) for _ in range(200)]
    total = key.public.zeros()
    for values in rows:
        total = total.plus(key.public.encrypt(values, bound=BOUND))
    released = total.release(key.public, [], secrets.token_bytes)
    assert key.decrypt(sent(released)) == [
        sum(each) for each in zip(*rows, strict=True)
    ]


def test_slots_are_multiplied_each_by_its_own(masking: DecryptionKey) -> None:
    values, factors = row(MASKING), row(MASKING, 999)
    product = masking.public.encrypt(values, bound=BOUND).computation()
    released = product.times(factors, bound=999).release(
        masking.public, [], secrets.token_bytes
    )
    assert masking.decrypt(sent(released)) == [
        value * factor for value, factor in zip(values, factors, strict=True)
    ]


def test_blinding_is_added_modulo_t(masking: DecryptionKey) -> None:
    t, values = MASKING.plain_modulus, row(MASKING)
    blinding = [secrets.randbelow(t) for _ in values]
    computed = masking.public.encrypt(values, bound=BOUND).computation()
    released = computed.release(masking.public, blinding, secrets.token_bytes)
    assert [number % t for number in masking.decrypt(sent(released))] == [
        (value + hidden) % t for value, hidden in zip(values, blinding, strict=True)
    ]


# --- what is refused --------------------------------------------------------


@pytest.mark.parametrize("values", [[BOUND + 1], [0, -BOUND - 1], [0] * 8193])
def test_numbers_beyond_the_bound_are_not_encrypted(
    masking: DecryptionKey, values: list[int]
) -> None:
    with pytest.raises(Malformed):
        masking.public.encrypt(values, bound=BOUND)


def test_a_bound_beyond_half_of_t_is_refused(key: DecryptionKey) -> None:
    most = key.public.parameters.most
    with pytest.raises(Malformed, match="beyond what a slot can hold"):
        key.public.encrypt([0], bound=most + 1)
    octets = key.public.encrypt([0], bound=1).octets
    with pytest.raises(Malformed):
        parse_ciphertext(key.public.parameters.name, octets, bound=most + 1)


def test_a_sum_that_could_overflow_is_not_computed(key: DecryptionKey) -> None:
    half = key.public.parameters.most // 2 + 1
    one = key.public.encrypt([1], bound=half).computation()
    with pytest.raises(Malformed, match="beyond what a slot can hold"):
        one.plus(one)


def test_a_product_that_could_overflow_is_not_computed(masking: DecryptionKey) -> None:
    one = masking.public.encrypt([1], bound=MASKING.most // 2).computation()
    with pytest.raises(Malformed, match="beyond what a slot can hold"):
        one.times([3], bound=3)


def test_factors_are_within_their_bound_and_not_all_zero(
    masking: DecryptionKey,
) -> None:
    one = masking.public.encrypt([1], bound=1).computation()
    for factors in ([], [0, 0], [3], [-3]):
        with pytest.raises(Malformed):
            one.times(factors, bound=2)


def test_nothing_is_multiplied_twice_or_where_the_set_forbids(
    masking: DecryptionKey,
) -> None:
    once = masking.public.encrypt([1], bound=1).computation().times([1], bound=1)
    summed = masking.public.zeros().plus(once)
    adding = DecryptionKey(ADDING).public.encrypt([1], bound=1).computation()
    for each in (once, summed, adding):
        with pytest.raises(Malformed, match="one multiplication at most"):
            each.times([1], bound=1)


def test_two_parameter_sets_do_not_mix(masking: DecryptionKey) -> None:
    other = DecryptionKey(ADDING)
    one, two = masking.public.encrypt([1], bound=1), other.public.encrypt([1], bound=1)
    with pytest.raises(Malformed, match="two parameter sets"):
        one.computation().plus(two)
    with pytest.raises(Malformed, match="another parameter set"):
        masking.decrypt(two)
    with pytest.raises(Malformed, match="another parameter set"):
        one.computation().release(other.public, [], secrets.token_bytes)
    with pytest.raises(Malformed):
        parse_ciphertext(MASKING.name, two.octets, bound=1)
    with pytest.raises(Malformed):
        parse_encryption_key(MASKING.name, other.public.octets)


def test_a_ciphertext_without_noise_budget_is_not_decrypted(
    masking: DecryptionKey,
) -> None:
    inner = masking.public.encrypt(row(MASKING), bound=BOUND).inner
    plain = bfv._encoded(MASKING, row(MASKING))
    for _ in range(4):
        product = seal.Ciphertext()
        bfv._evaluator(MASKING).multiply_plain(inner, plain, product)
        inner = product
    with pytest.raises(Exhausted, match="too much noise"):
        masking.decrypt(Ciphertext(MASKING, inner, BOUND))


def test_a_ciphertext_for_another_key_is_not_decrypted(key: DecryptionKey) -> None:
    other = DecryptionKey(key.public.parameters)
    with pytest.raises(Exhausted):
        key.decrypt(sent(other.public.encrypt([1, 2, 3], bound=3)))


@pytest.mark.parametrize("name", ["", "bfv", "bfv-8192-42", "ckks-8192", "x" * 9999])
def test_there_are_no_other_parameter_sets(name: str) -> None:
    with pytest.raises(Malformed, match="no parameter set"):
        parameter_set(name)


def test_octets_that_are_none_are_refused(key: DecryptionKey) -> None:
    parameters = key.public.parameters
    octets = key.public.encrypt(row(parameters), bound=BOUND).octets
    public = key.public.octets
    for wrong in (
        b"",
        b"\0" * 16,
        octets[:16],
        octets[:-1],
        octets[: len(octets) // 2],
        octets + b"\0",
        octets + octets,
        public,
        octets + b"\0" * parameters.octets,
        secrets.token_bytes(len(octets)),
    ):
        with pytest.raises(Malformed):
            parse_ciphertext(parameters.name, wrong, bound=BOUND)
    for wrong in (
        b"",
        public[:-1],
        public + b"\0",
        octets,
        secrets.token_bytes(len(public)),
    ):
        with pytest.raises(Malformed):
            parse_encryption_key(parameters.name, wrong)


def test_changed_octets_are_refused_or_garble_and_never_crash(
    masking: DecryptionKey,
) -> None:
    octets = masking.public.encrypt(row(MASKING), bound=BOUND).octets
    draw = random.Random(5)  # noqa: S311  # reproducible, not secret
    accepted = 0
    for _ in range(150):
        changed = bytearray(octets)
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        try:
            masking.decrypt(parse_ciphertext(MASKING.name, bytes(changed), bound=BOUND))
        except (Malformed, Exhausted):
            continue
        accepted += 1
    assert accepted < 150  # BFV does not authenticate: hash and sign what is sent


def _composed(context: Any, *, ntt: bool, size: int, words: list[int]) -> bytes:
    place = struct.pack("<4Q", *context.first_parms_id())
    shape = struct.pack("<?QQQdQ", ntt, size, MASKING.slots, 4, 1.0, 1)
    data = struct.pack(f"<Q{len(words)}Q", len(words), *words)
    return framed(place + shape + framed(data))


@pytest.mark.parametrize(
    ("ntt", "size", "fill"),
    [(False, 2, 0), (True, 2, 1), (False, 3, 1), (False, 2, 2**63)],
    ids=["transparent", "in the other form", "three polynomials", "not reduced"],
)
def test_a_ciphertext_of_another_form_is_refused(
    *, ntt: bool, size: int, fill: int
) -> None:
    words = [fill] * (size * 4 * MASKING.slots)
    octets = _composed(context_of(MASKING), ntt=ntt, size=size, words=words)
    with pytest.raises(Malformed):
        parse_ciphertext(MASKING.name, octets, bound=1)


def test_what_was_computed_elsewhere_is_no_ciphertext_of_the_set(
    masking: DecryptionKey,
) -> None:
    """A product of two ciphertexts, and one whose modulus was made smaller."""
    one = masking.public.encrypt([3], bound=3)
    evaluator = bfv._evaluator(MASKING)
    product, switched = seal.Ciphertext(), seal.Ciphertext()
    evaluator.multiply(one.inner, one.inner, product)
    evaluator.mod_switch_to_next(one.inner, switched)
    for inner in (product, switched):
        octets = saved(inner)
        assert len(octets) <= MASKING.octets
        with pytest.raises(Malformed, match="another form"):
            parse_ciphertext(MASKING.name, octets, bound=3)


def test_a_ciphertext_of_a_lower_level_is_refused(masking: DecryptionKey) -> None:
    lower = seal.Ciphertext()
    inner = masking.public.encrypt([1], bound=1).inner
    bfv._evaluator(MASKING).mod_switch_to_next(inner, lower)
    with pytest.raises(Malformed):
        parse_ciphertext(MASKING.name, saved(lower), bound=1)


def test_the_secret_key_does_not_come_out(key: DecryptionKey) -> None:
    assert key.public.digest[:16] in repr(key)
    for escape in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            escape(key)


def test_keys_are_known_by_their_digest(key: DecryptionKey) -> None:
    name = key.public.parameters.name
    again = parse_encryption_key(name, key.public.octets)
    assert again.digest == key.public.digest
    assert DecryptionKey(key.public.parameters).public.digest != again.digest
    values = row(key.public.parameters)
    assert key.decrypt(sent(again.encrypt(values, bound=BOUND))) == values


# --- what is hidden ---------------------------------------------------------


def recovered(before: Ciphertext, after: Any) -> list[int]:
    """Attack a product: divide its second polynomial by that of the factor.

    No key is needed. With c1' = c1 * m, the quotient modulo one prime of q is the
    plaintext m, whose coefficients are smaller than that prime.
    """
    prime = MASKING.coeff_modulus[0]
    context, evaluator = context_of(MASKING), bfv._evaluator(MASKING)
    spectra = []
    for inner in (before.inner, after):
        changed = seal.Ciphertext()
        evaluator.transform_to_ntt(inner, changed)
        spectra.append(_second_polynomial(changed))
    quotient = [
        b * pow(a, -1, prime) % prime if a else 0 for a, b in zip(*spectra, strict=True)
    ]
    words = quotient + [1] * (7 * MASKING.slots)
    octets = _composed(context, ntt=True, size=2, words=words)
    polynomial = seal.Ciphertext()
    evaluator.transform_from_ntt(loaded(seal.Ciphertext(), MASKING, octets), polynomial)
    numbers = polynomial.dyn_array()
    lifted = [numbers.at(at) for at in range(MASKING.slots)]
    t = MASKING.plain_modulus
    coefficients = [(c if c < prime // 2 else c - prime) % t for c in lifted]
    terms = [f"{c:X}x^{at}" if at else f"{c:X}" for at, c in enumerate(coefficients)]
    plain = seal.Plaintext(" + ".join(term for term in reversed(terms)))
    found: list[int] = bfv._encoder(MASKING).decode_int64(plain)
    return found


def _second_polynomial(inner: Any) -> list[int]:
    numbers, start = inner.dyn_array(), 4 * MASKING.slots
    return [numbers.at(start + at) for at in range(MASKING.slots)]


def test_a_bare_product_shows_its_factors_and_a_released_one_does_not(
    masking: DecryptionKey,
) -> None:
    mask = [secrets.randbelow(2) for _ in range(MASKING.slots)]
    given = masking.public.encrypt(row(MASKING), bound=BOUND)
    product = given.computation().times(mask, bound=1)
    assert recovered(given, product.inner) == mask
    released = product.release(masking.public, [], secrets.token_bytes)
    attacked = recovered(given, released.inner)
    assert sum(a == b for a, b in zip(attacked, mask, strict=True)) < 100


def test_a_computation_has_no_octets(masking: DecryptionKey) -> None:
    computed = masking.public.encrypt([1], bound=1).computation()
    assert not hasattr(computed, "octets")


def test_the_flood_is_uniform_and_drowns_what_was_before(
    masking: DecryptionKey,
) -> None:
    drawn: list[int] = []

    def _watched(count: int) -> bytes:
        drawn.append(count)
        return secrets.token_bytes(count)

    computed = masking.public.encrypt(row(MASKING), bound=BOUND).computation()
    computed.release(masking.public, [], _watched)
    assert drawn == [MASKING.slots * 16]  # 127 bits each, and one that is thrown away
    # The sum of 13 rows that were masked carries noise of 2^63 at most; the flood is
    # uniform in 2^127, and a ciphertext has 2^13 coefficients.
    for blocks, distance in ((13, 50), (512, 44)):
        noise = PRODUCT_BITS + math.log2(blocks)
        slots = math.log2(MASKING.slots)
        assert MASKING.flood_bits + 1 - noise - slots >= distance


@pytest.mark.parametrize("drawn", [b"\0", b"\xff"])
def test_the_flood_reaches_as_far_to_either_side(
    masking: DecryptionKey, drawn: bytes
) -> None:
    computed = masking.public.encrypt([1], bound=1).computation()
    released = computed.release(masking.public, [], lambda count: drawn * count)
    assert MASKING.budget <= masking.budget(released) <= 7


PRODUCT_BITS = 59
"""Of the noise of a row that was masked, as the argument for the flood has it."""


def noise_bits(key: DecryptionKey, computed: Any) -> float:
    """Return how large the largest coefficient of a ciphertext's noise is, rounded up.

    SEAL's budget is what is left of q / 2T, in whole bits.
    """
    q = math.prod(MASKING.coeff_modulus[:-1])
    left = key.budget(Ciphertext(MASKING, computed.inner, 0))
    return math.log2(q) - 1 - math.log2(MASKING.plain_modulus) - left


@pytest.mark.parametrize("ones", ["some", "half", "all but one"])
def test_the_noise_of_a_masked_row_is_below_what_the_flood_is_argued_with(
    masking: DecryptionKey, ones: str
) -> None:
    chosen = {"some": 5, "half": MASKING.slots // 2, "all but one": MASKING.slots - 1}
    places = random.Random(7).sample(range(MASKING.slots), chosen[ones])  # noqa: S311
    mask = [0] * MASKING.slots
    for place in places:
        mask[place] = 1
    most = MASKING.most // 512
    values = [most - 2 * most * (at % 2) for at in range(MASKING.slots)]
    fresh = masking.public.encrypt(values, bound=most)
    assert noise_bits(masking, fresh) <= 8
    computed = fresh.computation().times(mask, bound=1)
    assert noise_bits(masking, computed) <= PRODUCT_BITS
    for _ in range(9):  # 512 blocks, the most, and all noise of one sign
        computed = computed.plus(computed)
    assert noise_bits(masking, computed) <= PRODUCT_BITS + 9
    released = computed.release(masking.public, [], secrets.token_bytes)
    assert masking.budget(released) >= MASKING.budget
    assert masking.decrypt(sent(released)) == [
        512 * value * factor for value, factor in zip(values, mask, strict=True)
    ]


def test_two_releases_of_one_computation_differ(masking: DecryptionKey) -> None:
    computed = masking.public.encrypt([5], bound=5).computation().times([1], bound=1)
    one, two = (
        computed.release(masking.public, [], secrets.token_bytes) for _ in range(2)
    )
    assert one.octets != two.octets
    assert masking.decrypt(one) == masking.decrypt(two)
