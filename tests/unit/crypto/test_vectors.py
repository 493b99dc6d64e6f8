"""Commitments to rows: they add up, and to nothing else."""

import secrets

import pytest

from crypto import vectors
from crypto.bbs.backends.pyecc import PYECC
from crypto.bbs.suite import ORDER
from crypto.errors import InvalidProof, Malformed
from ledger.plan_laws import MOST_CELLS

ROWS = [[1, 2, 3, 0], [10, 0, 2**40, 7], [5, 5, 5, 5]]


def blinding() -> int:
    return int.from_bytes(secrets.token_bytes(64)) % ORDER


def test_commitments_add_up_as_their_rows_do() -> None:
    hidden = [blinding() for _ in ROWS]
    commitments = [vectors.commit(row, r) for row, r in zip(ROWS, hidden, strict=True)]
    total = [sum(each) for each in zip(*ROWS, strict=True)]
    vectors.check_sum(commitments, total, sum(hidden) % ORDER)
    for cell in range(4):
        changed = list(total)
        changed[cell] += 1
        with pytest.raises(InvalidProof):
            vectors.check_sum(commitments, changed, sum(hidden) % ORDER)
    with pytest.raises(InvalidProof):
        vectors.check_sum(commitments, total, (sum(hidden) + 1) % ORDER)
    with pytest.raises(InvalidProof):
        vectors.check_sum(commitments[:2], total, sum(hidden) % ORDER)
    with pytest.raises(InvalidProof):
        vectors.check_sum(commitments, total[:3], sum(hidden) % ORDER)


def test_a_shorter_row_is_one_with_zeros_after_it() -> None:
    r = blinding()
    assert vectors.commit([4, 0, 0], r) == vectors.commit([4], r)
    assert vectors.commit([], r) == vectors.commit([0], r)


def test_rows_longer_than_one_part_have_points_of_their_own() -> None:
    r = blinding()
    places = [0, 511, 512, 1023, 1024]
    found = {
        vectors.commit([int(at == place) for at in range(1025)], r) for place in places
    }
    assert len(found) == len(places)


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (
            [1, 2, 3],
            (
                "870b7f38d79fddcc03f74e3204692b20c25d93bd12f9a620"
                "dc9f186f78f7685cd06eb2af374e2922745aba9980c00530"
            ),
        ),
        (
            [0] * 512 + [7],
            (
                "a11773b1c163a20b95982f50ff82abf636d31b8567209da3"
                "36c444310abc9980b13c5daa8f8ddda6ddf777839fba4315"
            ),
        ),
    ],
    ids=["one part", "a second part"],
)
def test_a_commitment_is_what_it_was(row: list[int], wanted: str) -> None:
    """Made here, by both curve libraries: partners commit to the same points."""
    assert vectors.commit(row, 5).hex() == wanted


def test_the_blinding_hides() -> None:
    assert vectors.commit([1, 2], blinding()) != vectors.commit([1, 2], blinding())


def test_both_curve_libraries_commit_alike() -> None:
    r = blinding()
    assert vectors.commit([3, 2**41], r) == vectors.commit([3, 2**41], r, backend=PYECC)


@pytest.mark.parametrize(("most", "hidden"), [(2**48 - 1, 0), (0, ORDER - 1)])
def test_the_largest_numbers_and_the_ends_of_blindings_are_taken(
    most: int, hidden: int
) -> None:
    vectors.check_sum([vectors.commit([most], hidden)], [most], hidden)


@pytest.mark.parametrize("wrong", [[-1], [2**48], [0, 2**60]])
def test_numbers_out_of_range_are_refused(wrong: list[int]) -> None:
    with pytest.raises(Malformed):
        vectors.commit(wrong, 1)
    with pytest.raises(Malformed):
        vectors.check_sum([vectors.commit([1], 1)], wrong, 1)


@pytest.mark.parametrize("wrong", [-1, ORDER])
def test_a_blinding_out_of_range_is_refused(wrong: int) -> None:
    with pytest.raises(Malformed):
        vectors.commit([1], wrong)


def test_a_row_is_as_long_as_a_plan_has_cells_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert vectors.MOST == MOST_CELLS == 65_536
    with pytest.raises(Malformed, match="too long"):
        vectors.commit([0] * (vectors.MOST + 1), 1)
    monkeypatch.setattr(vectors, "MOST", 3)  # of so many there are points at once
    assert vectors.commit([0] * 3, 1)
    with pytest.raises(Malformed, match="too long"):
        vectors.commit([0] * 4, 1)


@pytest.mark.parametrize("wrong", [b"", bytes(48), b"\xc0" + bytes(47), b"\xff" * 48])
def test_what_is_no_commitment_is_refused(wrong: bytes) -> None:
    vectors.check_commitment(vectors.commit([1], 1))
    with pytest.raises(Malformed):
        vectors.check_commitment(wrong)
    with pytest.raises(Malformed):
        vectors.check_sum([wrong], [1], 1)
