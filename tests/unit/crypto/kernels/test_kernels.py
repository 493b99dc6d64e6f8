"""Kernels give what the modules behind them give, and refuse what does not parse."""

import secrets
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import psi as plain_psi
from crypto import vectors
from crypto.bbs.suite import ORDER
from crypto.bfv import (
    Computation,
    DecryptionKey,
    Exhausted,
    masked_sum,
    parse_decryption_key,
)
from crypto.errors import CryptoError, Invalid, InvalidProof, Malformed
from crypto.kernels import bfv, psi, rows
from crypto.kernels.packing import (
    numbers,
    pack,
    parse_number,
    parse_numbers,
    parse_text,
    unpack,
)
from crypto.keys import X25519Key
from crypto.parameters import SETS
from crypto.psi import BlindingKey
from crypto.stream import stream

NAME = b"bfv-8192-41"
SET = SETS["bfv-8192-41"]
SEED = bytes(range(32))


@pytest.fixture(scope="module")
def key() -> tuple[bytes, bytes]:
    secret, public = unpack(bfv.key_pair(NAME))
    return secret, public


def decrypted(secret: bytes, bound: int, ciphertext: bytes) -> list[int]:
    return parse_numbers(bfv.decrypt(NAME, secret, numbers([bound]), ciphertext))


# --- packing ----------------------------------------------------------------


@pytest.mark.parametrize("parts", [(), (b"",), (b"a", b"", b"bc" * 500)])
def test_what_was_packed_is_unpacked(parts: tuple[bytes, ...]) -> None:
    assert tuple(unpack(pack(*parts))) == parts


@pytest.mark.parametrize("octets", [b"\0", b"\0\0\0\1", b"\0\0\0\0\0\0\0"])
def test_what_is_cut_off_is_not_unpacked(octets: bytes) -> None:
    with pytest.raises(Malformed):
        unpack(octets)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_parts_are_packed_in_one_way(parts: list[bytes]) -> None:
    assert unpack(pack(*parts)) == parts


@given(st.binary(max_size=64))
def test_any_octets_unpack_to_what_packs_to_them_or_are_refused(octets: bytes) -> None:
    try:
        parts = unpack(octets)
    except Malformed:
        return
    assert pack(*parts) == octets


def test_numbers_are_octets_and_back() -> None:
    values = [0, -1, 2**63 - 1, -(2**63)]
    assert numbers([1, -1]).hex() == "0100000000000000ffffffffffffffff"
    assert parse_numbers(numbers(values)) == values
    assert parse_number(numbers([-7])) == -7


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(Malformed):
        numbers([2**63])
    for parse, octets in ((parse_numbers, bytes(7)), (parse_number, bytes(16))):
        with pytest.raises(Malformed):
            parse(octets)
    with pytest.raises(Malformed):
        parse_text(b"\xff")


def test_a_stream_goes_on_where_it_ended() -> None:
    draw = stream(SEED)
    assert draw(5) + draw(60) == stream(SEED)(65)
    with pytest.raises(Malformed):
        stream(bytes(31))


# --- encrypted rows ---------------------------------------------------------


def test_rows_are_combined_and_decrypted(key: tuple[bytes, bytes]) -> None:
    secret, public = key
    one = bfv.encrypt(NAME, public, numbers([100]), numbers([1, -2, 100]))
    two = bfv.encrypt(NAME, public, numbers([100]), numbers([5, 5, 5]))
    terms = [bfv.term(one, numbers([3, 2, 1]), 3), bfv.term(two)]
    terms.append(bfv.term(two, numbers([0, 0]), 9))
    out = bfv.combine(NAME, public, numbers([100]), numbers([0, 0, 1]), SEED, *terms)
    assert decrypted(secret, SET.most, out)[:4] == [8, 1, 106, 0]
    part = pack(b"", SEED, *terms)
    again = bfv.combine_part(NAME, public, numbers([100]), part)
    assert decrypted(secret, 400, again)[:4] == [8, 1, 105, 0]


def test_a_term_of_zeros_is_as_much_work_as_any(
    key: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else how long it takes would tell how many rows are in a sum."""
    secret, public = key
    row = bfv.encrypt(NAME, public, numbers([100]), numbers([5, 5]))
    times, work = Computation.times, []

    def counted(self: Computation, factors: list[int], *, bound: int) -> Computation:
        work.append(bound)
        return times(self, factors, bound=bound)

    monkeypatch.setattr(Computation, "times", counted)
    terms = [bfv.term(row, numbers(each), 9) for each in ([1, 2], [0, 0])]
    out = bfv.combine(NAME, public, numbers([100]), b"", SEED, *terms)
    assert (decrypted(secret, 900, out)[:2], len(work)) == ([5, 10], 2)


def test_a_sum_of_masked_rows_is_modulo_t(key: tuple[bytes, bytes]) -> None:
    secret, public = key
    most = numbers([SET.most])
    shares = [[SET.most, -SET.most, 7], [SET.most, -SET.most, 1], [3, -3, 0]]
    parts = [bfv.encrypt(NAME, public, most, numbers(each)) for each in shares]
    total = bfv.add(NAME, numbers([8]), *parts)
    assert decrypted(secret, 8, total)[:3] == [2, -2, 8]


def test_masked_rows_of_two_sets_are_not_added(key: tuple[bytes, bytes]) -> None:
    one = DecryptionKey(SET).public.encrypt([1], bound=1)
    other = DecryptionKey(SETS["bfv-4096-40"]).public.encrypt([1], bound=1)
    for rows_, bound in (([one, other], 2), ([one, one], SET.most + 1), ([], 1)):
        with pytest.raises(Malformed):
            masked_sum(rows_, bound=bound)


def test_a_slot_beyond_the_bound_is_refused(key: tuple[bytes, bytes]) -> None:
    secret, public = key
    row = bfv.encrypt(NAME, public, numbers([100]), numbers([51]))
    with pytest.raises(Invalid, match="more than its bound"):
        bfv.decrypt(NAME, secret, numbers([50]), row)


def test_a_row_under_another_key_is_not_decrypted(key: tuple[bytes, bytes]) -> None:
    secret, _ = key
    _, other = unpack(bfv.key_pair(NAME))
    row = bfv.encrypt(NAME, other, numbers([100]), numbers([51]))
    with pytest.raises(Exhausted):
        bfv.decrypt(NAME, secret, numbers([100]), row)


def test_bfv_kernels_refuse_what_does_not_parse(key: tuple[bytes, bytes]) -> None:
    secret, public = key
    one = numbers([1])
    row = bfv.encrypt(NAME, public, one, one)
    wrong: list[Callable[[], object]] = [
        lambda: bfv.key_pair(b"bfv-1"),
        lambda: bfv.encrypt(NAME, public, one, numbers([2])),
        lambda: bfv.encrypt(NAME, secret, one, one),
        lambda: bfv.combine(NAME, public, one, b"", bytes(31), bfv.term(row)),
        lambda: bfv.combine(NAME, public, one, b"", SEED, pack(row)),
        lambda: bfv.combine(NAME, public, one, b"", SEED, bfv.term(row, one, 0)),
        lambda: bfv.combine(NAME, public, one, b"", SEED, bfv.term(row[:-1])),
        lambda: bfv.combine_part(NAME, public, one, pack(b"")),
        lambda: bfv.add(NAME, one),
        lambda: bfv.decrypt(NAME, public, one, row),
        lambda: bfv.decrypt(b"bfv-4096-40", secret, one, row),
        lambda: bfv.check_ciphertext(NAME, public),
        lambda: bfv.digest(NAME, row),
    ]
    for call in wrong:
        with pytest.raises(Malformed):
            call()
    assert bfv.check_ciphertext(NAME, row) == b""


def test_plans_name_a_key_by_its_digest(key: tuple[bytes, bytes]) -> None:
    _, public = key
    assert len(bfv.digest(NAME, public)) == 32


def test_a_secret_key_that_was_kept_decrypts_as_before() -> None:
    made = DecryptionKey(SET)
    kept = parse_decryption_key(SET.name, made.secret_octets())
    assert kept.decrypt(made.public.encrypt([5], bound=5))[:2] == [5, 0]
    assert made.decrypt(kept.public.encrypt([6], bound=6))[:2] == [6, 0]
    assert kept.secret_octets() == made.secret_octets()


# --- points -----------------------------------------------------------------


def test_lists_are_blinded_in_parts_as_in_one() -> None:
    mine, theirs = psi.key(secrets.token_bytes(64)), psi.key(secrets.token_bytes(64))
    names = [f"c{n}".encode() for n in range(6)]
    whole = psi.blind(mine, SEED, pack(*names))
    parts = [psi.blind(mine, SEED, pack(*names[at : at + 2])) for at in (0, 2, 4)]
    assert whole == b"".join(parts)
    other = psi.blind(theirs, SEED, pack(*names[3:], b"z"))
    found = psi.matches(psi.multiply(theirs, whole), psi.multiply(mine, other))
    assert parse_numbers(found) == [3, 4, 5]


def test_orders_and_dummies_come_from_a_seed() -> None:
    places = psi.order(numbers([50]), SEED)
    assert sorted(parse_numbers(places)) == list(range(50))
    points = psi.dummies(numbers([50]), SEED)
    assert psi.arranged(places, points) == plain_psi.arranged(
        points, parse_numbers(places)
    )


def test_a_scalar_that_was_kept_is_the_same() -> None:
    made = BlindingKey(secrets.token_bytes)
    kept = BlindingKey.from_octets(made.secret_octets())
    assert kept.blind(SEED, ["a"]) == made.blind(SEED, ["a"])


@pytest.mark.parametrize("scalar", [bytes(32), bytes(31), b"\xff" * 32])
def test_what_is_no_scalar_is_refused(scalar: bytes) -> None:
    with pytest.raises(Malformed):
        BlindingKey.from_octets(scalar)


def test_psi_kernels_refuse_what_does_not_parse() -> None:
    scalar = psi.key(secrets.token_bytes(64))
    wrong: list[Callable[[], object]] = [
        lambda: psi.key(bytes(32)),
        lambda: psi.blind(scalar, bytes(31), pack(b"a")),
        lambda: psi.blind(scalar, SEED, pack(b"\xff")),
        lambda: psi.multiply(scalar, bytes(32)),
        lambda: psi.multiply(scalar, bytes(31)),
        lambda: psi.dummies(numbers([-1]), SEED),
        lambda: psi.arranged(numbers([1]), bytes(32)),
        lambda: psi.arranged(numbers([-1]), bytes(32)),
    ]
    for call in wrong:
        with pytest.raises(Malformed):
            call()


# --- commitments and masks --------------------------------------------------


def test_commitments_add_up() -> None:
    one = rows.commit(rows.scalar(5), numbers([1, 2]))
    two = rows.commit(rows.scalar(6), numbers([3, 0]))
    assert one == vectors.commit([1, 2], 5)
    assert rows.check_sum(rows.scalar(11), numbers([4, 2]), one, two) == b""
    with pytest.raises(InvalidProof):
        rows.check_sum(rows.scalar(11), numbers([4, 3]), one, two)


def test_masks_cancel_out() -> None:
    held = {name: secrets.token_bytes(32) for name in ("a", "b", "c")}
    public = {name: X25519Key.from_bytes(held[name]).public_bytes for name in held}
    shape, total, hidden = numbers([4, 1 << 41]), [0] * 4, 0
    for me, secret in held.items():
        others = [pack(n.encode(), public[n]) for n in held if n != me]
        packed = rows.masks(secret, me.encode(), SEED, bytes(32), shape, *others)
        row, blinding = unpack(packed)
        total = [a + b for a, b in zip(total, parse_numbers(row), strict=True)]
        hidden += int.from_bytes(blinding, "big")
    assert [each % (1 << 41) for each in total] == [0] * 4
    assert hidden % ORDER == 0


def test_row_kernels_refuse_what_does_not_parse() -> None:
    one = pack(b"b", X25519Key.from_bytes(SEED).public_bytes)
    shape = numbers([4, 97])
    wrong: list[Callable[[], object]] = [
        lambda: rows.commit(bytes(31), b""),
        lambda: rows.commit(rows.scalar(1), numbers([-1])),
        lambda: rows.masks(SEED, b"a", SEED, SEED, numbers([4]), one),
        lambda: rows.masks(SEED, b"a", SEED, SEED, numbers([4, 1 << 42]), one),
        lambda: rows.masks(SEED, b"a", SEED, SEED, shape, one, one),
        lambda: rows.masks(SEED, b"a", SEED, SEED, shape, pack(b"b")),
        lambda: rows.masks(SEED, b"b", SEED, SEED, shape, one),
    ]
    for call in wrong:
        with pytest.raises(CryptoError):
            call()
