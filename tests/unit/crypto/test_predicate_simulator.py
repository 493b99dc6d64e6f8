"""Zero knowledge: who knows nothing makes the same transcripts, given the challenge.

The simulator is that of docs/protocols/fp-lbv-1.md. It gets the statement, the
values shown, the commitment and the issuer's *secret* key (hiding is against the
issuer's own key, too), but no record; and it may choose the challenge first.
"""

import functools
from collections import Counter
from collections.abc import Callable

import pytest

from crypto.bbs import ARKWORKS
from crypto.bbs.core import Frame, random_scalars
from crypto.bbs.suite import ORDER
from crypto.bbs.wire import write_scalars
from crypto.errors import InvalidProof
from crypto.predicates import Claim, Statement, between, equal, one_of, verify
from tests.unit.crypto.typed_world import (
    HEADER,
    KEY,
    PH,
    RECORD,
    SCHEMA,
    VALUES,
    claim,
    sealed,
    source,
    statement,
)

ASKED = statement(
    between(SCHEMA, "orders", 5, 11),
    one_of(SCHEMA, "region", ["华东", "华北", "x"]),
    equal(SCHEMA, "orders", "returns"),
    anchored=True,
)
OTHER = {**VALUES, "orders": 10, "returns": 10, "region": "x", "spend": "0.01"}
RUNS = 250


def _simulate(
    stated: Statement, challenge: int, random_bytes: Callable[[int], bytes]
) -> bytes:
    """Make a presentation from nothing, for a challenge chosen first."""

    def fresh(count: int) -> list[int]:
        return random_scalars(count, random_bytes)

    x, d, k_b, k_c = (ARKWORKS.map_to_curve(number) for number in fresh(4))
    points = [x, ARKWORKS.msm([x], [KEY._secret]), d]
    hidden = [j for j in range(16) if j not in set(stated.shown)]
    responses = dict(zip(hidden, fresh(len(hidden)), strict=True))
    for window in stated.ties:
        assert window.second is not None
        lead = responses[window.second]
        responses[window.first] = (lead + challenge * window.lo) % ORDER
    free = sum(predicate.free for predicate in stated.predicates)
    head = b"".join(map(ARKWORKS.encode_g1, points))
    head += write_scalars([*fresh(3), *responses.values(), challenge])
    tail = b"".join(map(ARKWORKS.encode_g1, (k_b, k_c)))
    return head + tail + write_scalars(fresh(free + 2))


def _claimed(proof: bytes, stated: Statement, commitment: bytes) -> Claim:
    return Claim(
        proof=proof,
        shown={},
        statement=stated,
        public=KEY.public_bytes,
        header=HEADER,
        ph=PH,
        commitment=commitment,
    )


@pytest.mark.parametrize(
    "stated",
    [
        ASKED,
        statement(between(SCHEMA, "orders", 100, 200), anchored=True),  # false
        statement(one_of(SCHEMA, "home", ["x", "y"]), anchored=True),  # false
        statement(
            equal(SCHEMA, "spend", "paid"),
            between(SCHEMA, "paid", "1.00", "2.00"),
            anchored=True,
        ),
    ],
)
def test_who_chooses_the_challenge_needs_no_record(
    stated: Statement, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenge = random_scalars(1, source("challenge"))[0]
    proof = _simulate(stated, challenge, source("simulator"))
    made = _claimed(proof, stated, RECORD.commitment)
    with pytest.raises(InvalidProof):
        verify(made)  # the hash is not what the simulator wished
    monkeypatch.setattr(Frame, "_challenge", lambda *_: challenge)
    verify(made)


def _scalars(proof: bytes) -> list[int]:
    """Return responses (three of BBS, m^), then f, z; the challenge as the last."""
    bbs = 272 + 32 * (16 - len(ASKED.shown))
    octets = proof[144 : bbs - 32] + proof[bbs + 96 :] + proof[bbs - 32 : bbs]
    return [
        int.from_bytes(octets[at : at + 32], "big") for at in range(0, len(octets), 32)
    ]


@functools.cache
def _presentations(kind: str) -> list[bytes]:
    """Return many presentations: of one record, of another, of none."""
    values = {"record": VALUES, "other": OTHER}.get(kind)
    made = []
    record = sealed(values) if values else None
    for run in range(RUNS):
        if record is None:
            [challenge] = random_scalars(1, source(f"challenge {run}"))
            proof = _simulate(ASKED, challenge, source(f"simulator {run}"))
        else:
            proof = claim(ASKED, record=record, seed=f"{kind} {run}").proof
        made.append(proof)
    return made


def _transcripts(kind: str) -> list[list[int]]:
    return [_scalars(proof) for proof in _presentations(kind)]


def _difference(ones: list[int], others: list[int], bins: int = 8) -> float:
    """Chi-square of two samples of one size over equal parts of 0 to r-1."""
    one, other = (
        Counter(number * bins // ORDER for number in numbers)
        for numbers in (ones, others)
    )
    return sum(
        (one[place] - other[place]) ** 2 / (one[place] + other[place])
        for place in range(bins)
        if one[place] + other[place]
    )


def _surprise(numbers: list[int], bins: int = 8) -> float:
    """Chi-square of numbers over equal parts of 0 to r-1 against uniform."""
    found = Counter(number * bins // ORDER for number in numbers)
    expected = len(numbers) / bins
    return sum((found[place] - expected) ** 2 / expected for place in range(bins))


@pytest.mark.parametrize("kind", ["record", "other", "nobody"])
def test_every_response_is_uniform_whatever_is_hidden(kind: str) -> None:
    """Alone, and less once or twice the challenge, as a leak of a bit would show."""
    rows = _transcripts(kind)
    for column in zip(*(row[:-1] for row in rows), strict=True):
        for factor in (0, 1, -1):
            moved = [
                (number + factor * row[-1]) % ORDER
                for number, row in zip(column, rows, strict=True)
            ]
            # 7 degrees of freedom: above 34 once in 60,000; 150 are looked at.
            assert _surprise(moved) < 34
    for row in rows:  # what is tied is tied, in all three alike
        assert row[3 + 7] == row[3 + 8]


@pytest.mark.parametrize("kind", ["record", "other"])
def test_a_record_makes_the_transcripts_that_nobody_makes(kind: str) -> None:
    """Two samples, the simulator's and the prover's: nothing tells one from another.

    Each response, and each two that might hold the same mask: their differences,
    also less the challenge. Points of the first moves by their encoding.
    """
    honest, simulated = _transcripts(kind), _transcripts("nobody")
    columns = range(len(honest[0]) - 1)
    looks: list[Callable[[list[int]], int]] = [
        lambda row, i=i, j=j, k=k: (row[i] - row[j] - k * row[-1]) % ORDER  # type: ignore[misc]
        for i in columns
        for j in columns
        for k in (0, 1, -1)
        if i < j
    ]
    worst = max(
        _difference([look(row) for row in honest], [look(row) for row in simulated])
        for look in looks
    )
    # 7 degrees of freedom: above 45 once in 7,000,000; 1,000 are looked at.
    assert worst < 45


def test_points_look_alike_whatever_is_hidden() -> None:
    """Abar, Bbar, D, K_b and K_c, by low bits of their coordinate and by their sign."""
    bbs = 272 + 32 * (16 - len(ASKED.shown))
    for at in (0, 48, 96, bbs, bbs + 48):
        samples = {
            kind: [
                (proof[at + 47] % 4 * 2 + (proof[at] >> 5 & 1)) * (ORDER // 8) + 1
                for proof in _presentations(kind)
            ]
            for kind in ("record", "nobody")
        }
        assert all(_surprise(numbers) < 40 for numbers in samples.values())


def test_this_test_would_see_a_mask_that_is_short() -> None:
    """f = a + b*c less c is the mask: one of 250 bits is not uniform modulo r."""
    masks = [number >> 5 for number in random_scalars(RUNS, source("short"))]
    assert _surprise(masks) > 34
    assert _difference(masks, random_scalars(RUNS, source("long"))) > 45


def test_the_responses_of_small_sums_cover_all_solutions_once() -> None:
    """The masks of a window, enumerated: each vector that sums right, once."""
    window = between(SCHEMA, "orders", 5, 11)
    seen = Counter(
        tuple(window.complete((x, y), {7: total}, 0))
        for x in range(6)
        for y in range(6)
        for total in range(6)
    )
    assert set(seen.values()) == {1}
    for x, y, last in seen:
        weights = window.weights
        total = (weights[0] * x + weights[1] * y + weights[2] * last) % ORDER
        assert total in range(6)
