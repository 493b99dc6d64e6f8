"""Within what noise stays, for tests that draw it: none of them may fail by chance.

A node tells a *spread* with a figure, and that is a promise of 99 in 100: a test that
holds a figure to it fails once in a hundred runs, and rightly. So tests hold figures to
`within` it, or, where they know how noise is drawn, to `crypto.noise.spread` with a
chance of `NEVER`. That the spread itself is right is tested of the sampler, with enough
draws to tell (`tests/unit/crypto/test_noise.py`).
"""

from typing import Final

NEVER: Final = 1e-12
"""How likely it may be at most that honest noise is beyond what a test lets pass."""


def within(spread: int, noises: int = 1) -> int:
    """Return within what a noised figure stays, but for a chance of `NEVER`.

    Noise is beyond t with a probability of ``c a^(t+1)``, where ``a < 1`` and c is from
    1 to 2. For the spread s that is no more than 0.01, so beyond ``6s + 5`` it is
    ``c a^(6(s+1))``, no more than 0.01^6. Where m noises share the 0.01, each is beyond
    it with a probability of no more than (0.01 / m)^6, and all of them together less.

    Args:
        spread: As it is told, for a chance of 1 in 100.
        noises: How many noises are in one figure: of a sum of several parties each has
            one, and a weight counts as so many. Their spreads are added up in `spread`.
    """
    return 6 * spread + 5 * noises
