"""Laws of authentication: no bytes raise, and none but the signed ones pass."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.adapters.identity import RegistryIdentity
from node.domain.denials import DENIALS
from tests.support.node import FixedClock
from tests.unit.node.test_identity import KEYS, ME, YOU, ask, claims, record, token

RIGHT = token()
TEXT = "ABCDEFabcdef0123456789_-=. \n\x00é"


@pytest.fixture(scope="module")
def me() -> Iterator[RegistryIdentity]:

    with tempfile.TemporaryDirectory() as folder:
        registry = Path(folder) / "participants.json"
        registry.write_text(json.dumps([record(ME), record(YOU)]))
        yield RegistryIdentity(registry, did=ME, signer=KEYS[ME], clock=FixedClock())


@given(text=st.one_of(st.text(), st.text(TEXT, max_size=300)))
def test_any_text_is_refused_with_a_code_and_nobody_named(
    me: RegistryIdentity, text: str
) -> None:
    caller = ask(me, text)
    assert caller.did is None
    assert caller.nonce is None
    assert caller.problem in DENIALS


@given(
    place=st.integers(0, len(RIGHT)),
    length=st.integers(0, 3),
    instead=st.text(TEXT, max_size=3),
)
def test_no_change_of_a_right_token_is_accepted(
    me: RegistryIdentity, place: int, length: int, instead: str
) -> None:
    changed = RIGHT[:place] + instead + RIGHT[place + length :]
    caller = ask(me, changed)
    assert (caller.problem == "") == (changed == RIGHT)


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.text(st.characters(codec="utf-8"), max_size=40),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(name=st.sampled_from(sorted(claims())), value=json_values)
def test_no_claim_can_hold_another_value(
    me: RegistryIdentity, name: str, value: object
) -> None:
    body = claims() | {name: value}
    caller = ask(me, token(body=body))
    if name in {"iat", "exp", "jti"} and caller.problem == "":
        return  # another time within the limits, another nonce
    same = value == claims()[name] and type(value) is type(claims()[name])
    assert (caller.problem == "") == same
    assert caller.problem == "" or caller.problem in DENIALS
