"""Searching for many strings at once finds what searching one by one finds."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.searching import occurring

OCTETS = st.binary(max_size=90)


@given(OCTETS, OCTETS, st.lists(st.binary(min_size=1, max_size=40), max_size=6))
def test_what_occurs_is_found_wherever_it_begins(
    before: bytes, after: bytes, needles: list[bytes]
) -> None:
    octets = before + b"".join(needles[::2]) + after
    assert occurring(needles, octets) == {each for each in needles if each in octets}
