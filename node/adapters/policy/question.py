"""The shape of a question, checked before any engine sees it.

Engines differ most on what nobody meant to ask: a number where text belongs, an
integer of forty digits, text with a NUL. So a question is refused here unless
every member is there, is of its type and within its size. The bounds also keep
a single question from exhausting the engine.

`policies/schemas/question.json` is the JSON Schema of these models.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from crypto.encoding import canonical, sha256, tagged
from crypto.errors import Malformed
from ledger.conditions import MOST_CONDITIONS

UNHASHED = "0" * 64
"""The input hash of a question that has no canonical form."""

_Text = Annotated[str, Field(max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
_Names = Annotated[list[_Text], Field(max_length=1024)]
_Mode = Literal["plain", "predicate", "aggregate", "never"]
_Matching = Literal["none", "count", "list"]
_OfOne = Literal["after", "at_least", "at_most", "before", "between", "one_of"]
_OfTwo = Literal["equal", "no_more_than", "sum_at_least"]


def _different(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        message = "the fields of a predicate are different ones"
        raise ValueError(message)
    return names


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Unknown(_Strict):
    """Nothing: there is no such agreement or dataset, or nothing may be counted."""


class _Caller(_Strict):
    did: _Text
    problem: _Text


class _Single(_Strict):
    """A condition on one hidden field. Its bounds are not told."""

    fields: Annotated[list[_Text], Field(min_length=1, max_length=1)]
    operator: _OfOne
    on_grid: bool


class _Relation(_Strict):
    """A condition that relates two hidden fields."""

    fields: Annotated[
        list[_Text],
        Field(min_length=2, max_length=2, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_different),
    ]
    operator: _OfTwo
    on_grid: bool


_Predicate = Annotated[_Single | _Relation, Field(discriminator="operator")]


class _Use(_Strict):
    """A field of a plan, and one thing that it is used for."""

    field: _Text
    use: Literal["filter", "group", "sum"]
    granted: bool
    in_bound: bool


class _Plan(_Strict):
    """A plan for figures, and one step of it. Its values are not told."""

    kind: Literal[
        "heat-map", "intersection", "joint-sum", "ring-count", "federated-sum"
    ]
    mode: _Text
    step: _Text
    fields: Annotated[list[_Use], Field(max_length=256)]
    well_formed: bool
    epsilon_micro: _Count
    k_min: _Count
    cells: _Count
    parties: _Count
    matching: _Matching
    size: _Count
    signed: bool
    current: bool
    bound: bool


class _Request(_Strict):
    agreement: _Text
    dataset: _Text
    purpose: _Text
    fields: Annotated[list[_Text], Field(max_length=256)]
    predicates: Annotated[list[_Predicate], Field(max_length=MOST_CONDITIONS)]
    customers: _Count
    plan: _Plan | None


class _Grant(_Strict):
    """What may be asked about one field that stays hidden."""

    operators: Annotated[list[_OfOne | _OfTwo], Field(max_length=9)]
    probes: _Count


class _Allowance(_Strict):
    """How much may be counted, summed and matched."""

    counts: bool
    epsilon_micro: _Count
    k_min: _Count
    plans_per_day: _Count
    matching: _Matching
    match_size: _Count


class _Agreement(_Strict):
    id: _Text
    status: Literal["active", "suspended", "revoked"]
    provider: _Text
    consumer: _Text
    dataset: _Text
    valid_from: _Count
    valid_to: _Count
    purposes: _Names
    fields: Annotated[dict[_Text, _Mode], Field(max_length=1024)]
    predicates: Annotated[dict[_Text, _Grant], Field(max_length=1024)]
    allowance: _Allowance | _Unknown
    calls_per_hour: _Count
    rows_per_call: _Count


class _Labels(_Strict):
    grade: Literal["core", "important", "general"]
    personal: bool
    modes: Annotated[list[_Mode], Field(max_length=4)]


class _Dataset(_Strict):
    id: _Text
    fields: Annotated[dict[_Text, _Labels], Field(max_length=1024)]


class _Node(_Strict):
    did: _Text


class _Stream(_Strict):
    """What the parties know of each other's receipts."""

    known: bool
    signed: bool
    unacknowledged: _Count


class _Usage(_Strict):
    calls_this_hour: _Count
    nonce_seen: bool
    stream: _Stream
    probes: Annotated[dict[_Text, _Count], Field(max_length=1024)]
    budget_left: _Count
    plans_today: _Count


class _Company(_Strict):
    denied_fields: _Names
    denied_partners: _Names
    max_rows: _Count
    max_unacknowledged: _Count


class Question(_Strict):
    """Everything that a decision depends on, time included."""

    now: _Count
    caller: _Caller
    request: _Request
    agreement: _Agreement | _Unknown
    dataset: _Dataset | _Unknown
    node: _Node
    usage: _Usage
    company: _Company


def check_question(question: Mapping[str, Any]) -> None:
    """Check that a question is one.

    Raises:
        Malformed: A member is missing, too many, of another type or too large.
    """
    try:
        Question.model_validate(question)
    except ValidationError as error:
        member = ".".join(map(str, error.errors()[0]["loc"]))
        message = f"the question's {member or 'form'} is not as it must be"
        raise Malformed(message) from None  # the cause holds the values


def input_hash(question: Mapping[str, Any]) -> str:
    """Return the hash that a receipt names the question by, hex SHA-256."""
    try:
        return sha256(tagged("policy-input", canonical(question))).hex()
    except Malformed:
        return UNHASHED
