"""Weights that write exactly the numbers from 0 to R in bits.

Ordinary binary digits reach up to 2^n - 1, so proving ``v <= R`` with them needs
two proofs, for v and for R - v. With these weights one suffices: every sum of
some of them is between 0 and R, and every number between 0 and R is such a sum.
So "between lo and hi" is proved by bits of ``value - lo`` alone, and exactly.

    w_i = floor((R + 2^i) / 2^(i+1)),  i = 0 .. n-1,  n = bit length of R

Why: w_i = ceil(R_i / 2) for R_0 = R, R_(i+1) = floor(R_i / 2) = R_i - w_i. So
the weights from i on add up to R_i; and a number v <= R_i, less w_i where it is
not below it, is at most R_(i+1): either v <= R_i - w_i, or v < w_i <= R_(i+1) + 1.
The last one is 1, as R_(n-1) = 1.
"""

from functools import lru_cache


@lru_cache(maxsize=1024)
def weights(most: int) -> tuple[int, ...]:
    """Return the weights for 0 to `most`: none for 0, the last is 1."""
    count = most.bit_length()
    return tuple((most + (1 << i)) >> (i + 1) for i in range(count))


def digits(value: int, most: int) -> list[int]:
    """Write a value between 0 and `most` in bits of these weights.

    The walk is the same for every value; Python's arithmetic is still not
    constant-time.
    """
    if not 0 <= value <= most:
        raise ValueError("outside of what these weights write")
    bits = []
    for weight in weights(most):
        bits.append(int(value >= weight))
        value -= weight * bits[-1]
    return bits
