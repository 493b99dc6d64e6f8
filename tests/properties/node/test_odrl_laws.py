"""Laws of policies: exactly what this node writes is understood, and nothing else."""

import copy
import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.encoding import canonical
from node.domain.agreement import Agreement, Offer, Terms
from node.domain.dataset import Mode
from node.errors import BadRequest
from tests.properties.node.test_predicate_grants_laws import grants
from tests.properties.node.test_token_laws import json_values

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
MODES = st.sampled_from([Mode.PLAIN, Mode.PREDICATE, Mode.AGGREGATE])
INSTANTS = st.integers(0, 7_000_000_000).map(
    lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.UTC)
)
PURPOSES = st.lists(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,9}", fullmatch=True),
    unique=True,
    min_size=1,
    max_size=4,
)
UUIDS = st.uuids().map(lambda each: each.urn)
DIDS = st.from_regex(r"did:web:[a-z0-9.%-]{1,20}", fullmatch=True)


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    start, end = sorted(draw(st.lists(INSTANTS, min_size=2, max_size=2, unique=True)))
    fields = draw(st.dictionaries(NAMES, MODES, min_size=1, max_size=5))
    hidden = sorted(name for name, mode in fields.items() if mode is Mode.PREDICATE)
    return Terms(
        fields=fields,
        predicates=tuple(draw(grants(name)) for name in hidden if draw(st.booleans())),
        purposes=tuple(sorted(draw(PURPOSES))),
        valid_from=start,
        valid_to=end,
        calls_per_hour=draw(st.integers(1, 1_000_000)),
        rows_per_call=draw(st.integers(1, 1_000_000)),
    )


AGREEMENTS = st.builds(
    Agreement,
    id=UUIDS,
    dataset=NAMES,
    assigner=DIDS,
    assignee=DIDS,
    terms=terms(),
    timestamp=INSTANTS,
)
OFFERS = st.builds(
    Offer, id=UUIDS, dataset=NAMES, assigner=DIDS, assignee=DIDS, terms=terms()
)


@given(policy=AGREEMENTS | OFFERS)
def test_written_then_read_is_the_same(policy: Agreement | Offer) -> None:
    written = policy.to_odrl()
    assert type(policy).from_odrl(copy.deepcopy(written)) == policy
    canonical(written)


@given(one=AGREEMENTS, other=AGREEMENTS)
def test_two_agreements_have_one_hash_only_if_they_are_one(
    one: Agreement, other: Agreement
) -> None:
    assert (one.hash == other.hash) == (one == other)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the way to every value inside a value."""
    yield at
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        found = list(value.items())
    elif isinstance(value, list):
        found = list(enumerate(value))
    for key, inner in found:
        yield from places(inner, (*at, key))


def changed(data: st.DataObject, policy: Any) -> Any:
    """Return a copy with one value replaced, removed, doubled or added."""
    copied = copy.deepcopy(policy)
    *way, last = data.draw(st.sampled_from([p for p in places(policy) if p]))
    holder = copied
    for step in way:
        holder = holder[step]
    kind = data.draw(st.sampled_from(["replace", "nudge", "remove", "add"]))
    if kind == "replace":
        holder[last] = data.draw(json_values)
    elif kind == "remove":
        del holder[last]
    elif kind == "add" and isinstance(holder, list):
        holder.insert(last, data.draw(st.sampled_from(holder) | json_values))
    elif kind == "add":
        holder[data.draw(st.text(max_size=8))] = data.draw(json_values)
    elif isinstance(holder[last], str):
        text = holder[last]
        cut = data.draw(st.integers(0, len(text)))
        holder[last] = text[:cut] + data.draw(st.text(max_size=2)) + text[cut + 1 :]
    return copied


@pytest.mark.parametrize("kind", [Agreement, Offer])
@given(data=st.data())
def test_a_changed_policy_is_refused_or_means_what_it_says(
    kind: type[Agreement] | type[Offer], data: st.DataObject
) -> None:
    drawn = data.draw(AGREEMENTS) if kind is Agreement else data.draw(OFFERS)
    policy = drawn.to_odrl()
    other = changed(data, policy)
    try:
        read = kind.from_odrl(other)
    except BadRequest:
        assert other != policy
        return
    assert read.to_odrl() == other
    assert canonical(read.to_odrl()) == canonical(other)


@given(value=json_values)
def test_any_json_is_refused_and_nothing_else_happens(value: object) -> None:
    for kind in (Agreement, Offer):
        with pytest.raises(BadRequest):
            kind.from_odrl(value)
