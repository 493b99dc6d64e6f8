"""Laws of rosters and masks, for whatever hypothesis thinks of."""

import copy
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crypto.bbs.suite import ORDER
from crypto.encoding import canonical, parse_json
from crypto.errors import CryptoError, Malformed
from crypto.keys import X25519Key
from crypto.masking import masks
from ledger.rosters import Roster, parse_acceptance, parse_roster
from tests.unit.ledger.test_rosters import check, roster

WHOLE = roster()
TEXTS = [
    (at, part, name)
    for at, each in enumerate(WHOLE.to_json()["acceptances"])
    for part, held in each.items()
    for name in (held if isinstance(held, dict) else [""])
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_anything_parses_or_is_malformed(value: Any) -> None:
    for read in (parse_roster, parse_acceptance):
        try:
            read(value)
        except Malformed:
            continue
        raise AssertionError("taken")


@given(st.sampled_from(TEXTS), st.integers(0, 400), st.characters())
@settings(deadline=None)
def test_no_character_of_a_roster_can_be_changed(
    where: tuple[int, str, str], place: int, other: str
) -> None:
    told = copy.deepcopy(WHOLE.to_json())
    at, part, name = where
    held = told["acceptances"][at]
    inner, key = (held[part], name) if name else (held, part)
    text = inner[key]
    place %= len(text)
    assume(text[place] != other)
    inner[key] = text[:place] + other + text[place + 1 :]
    try:
        check(parse_roster(told))
    except CryptoError:
        return
    raise AssertionError("a changed roster is taken")


def test_what_is_not_changed_is_taken() -> None:
    check(parse_roster(parse_json(canonical(WHOLE.to_json()))))
    check(Roster(WHOLE.acceptances))


@given(
    st.lists(st.binary(min_size=32, max_size=32), min_size=2, max_size=8, unique=True),
    st.integers(0, 40),
    st.integers(2, 2**41),
)
@settings(deadline=None, max_examples=40)
def test_masks_of_any_parties_cancel_out(
    secrets: list[bytes], count: int, modulus: int
) -> None:
    keys = {f"p{at}": X25519Key.from_bytes(each) for at, each in enumerate(secrets)}
    assume(len({key.public_bytes for key in keys.values()}) == len(keys))
    found = [
        masks(
            key,
            name,
            {each: keys[each].public_bytes for each in keys if each != name},
            round_id=bytes(32),
            roster=bytes(32),
            count=count,
            modulus=modulus,
        )
        for name, key in keys.items()
    ]
    assert all(
        sum(cells) % modulus == 0
        for cells in zip(*(row for row, _ in found), strict=True)
    )
    assert sum(blinding for _, blinding in found) % ORDER == 0
