"""The shapes of what partners and operators send. Unknown members are refused.

Lists are read up to their first mistake, and objects of many members not at all:
to describe each of a million mistakes costs a gigabyte, which any stranger could
ask for in three megabytes.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    model_validator,
)

Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9:._%-]{0,127}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Instant = Annotated[
    str,
    Field(pattern=r"^(19[7-9]|[2-9][0-9]{2})[0-9]-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$"),
]
Did = Annotated[str, Field(pattern=r"^did:web:[A-Za-z0-9._:%-]{1,200}$")]
Operators = Literal[
    "after",
    "at_least",
    "at_most",
    "before",
    "between",
    "equal",
    "no_more_than",
    "one_of",
    "sum_at_least",
]

_MEMBERS = 32


def _few(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > _MEMBERS:
        message = f"more than {_MEMBERS} members"
        raise ValueError(message)
    return value


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, serialize_by_alias=True)
    _few_members = model_validator(mode="before")(_few)


class Condition(_Body):
    """What shall be proved of fields that are not shown. The domain checks more."""

    fields: Annotated[list[Name], FailFast(), Field(min_length=1, max_length=2)]
    operator: Operators = Field(alias="is")
    values: Annotated[list[bool | int | str], FailFast(), Field(max_length=64)]


Conditions = Annotated[list[Condition], FailFast(), Field(max_length=16)]
_Fields = Annotated[list[Name], FailFast(), Field(max_length=64)]


class CountersignatureItem(_Body):
    """The consumer's signature over one receipt."""

    receipt: Digest
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{86}$")]


class LastReceipt(_Body):
    """The newest receipt of an agreement that the consumer holds."""

    sequence: Annotated[int, Field(ge=0, le=2**53 - 1)]
    receipt: Digest


class Stream(_Body):
    """What the consumer knows of the receipts before, and signs back."""

    last: LastReceipt | None
    countersignatures: Annotated[
        list[CountersignatureItem], FailFast(), Field(max_length=128)
    ]


class Query(_Body):
    """A question about some customers, under an agreement, for a purpose.

    There is at least one field to be shown, or one condition to be proved.
    """

    agreement: Identifier
    purpose: Identifier
    fields: _Fields
    customers: Annotated[
        list[Token], FailFast(), Field(min_length=1, max_length=10_000)
    ]
    where: Conditions
    stream: Stream


class Countersignatures(_Body):
    """Signatures over receipts that the consumer has checked."""

    countersignatures: Annotated[
        list[CountersignatureItem], FailFast(), Field(min_length=1, max_length=1000)
    ]


_Number = Annotated[int, Field(ge=0, lt=2**53)]


class StreamHead(_Body):
    """What a partner says of a stream; the ledger checks more."""

    agreement: Identifier
    head: Annotated[dict[str, Any], BeforeValidator(_few)]
    unacknowledged: Annotated[list[_Number], FailFast(), Field(max_length=256)]


class StreamEntries(_Body):
    """Which receipts of a stream a partner asks for."""

    agreement: Identifier
    sequence: _Number
    most: Annotated[int, Field(ge=1, le=64)]


class Reconcile(_Body):
    """With whom streams shall be compared; all of them, or one agreement's."""

    partner: Did
    agreement: Identifier | None = None


class ClearAlarm(_Body):
    """Which alarm is mended, and why."""

    code: Annotated[str, Field(pattern=r"^[a-z_]{1,32}\.[a-z_]{1,32}$")]
    subject: Annotated[str, Field(max_length=256, pattern=r"^[ -~]*$")] = ""
    why: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]


class Adopting(_Body):
    """Why the chain is right about what this node anchored."""

    why: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]


class Declaration(_Body):
    """The customers of a consumer, as tokens of one agreement."""

    customers: Annotated[
        list[Token], FailFast(), Field(min_length=1, max_length=1_048_576)
    ]


class ContractOfferMessage(BaseModel):
    """Dataspace Protocol 2025-1. Its policy is checked by the domain."""

    model_config = ConfigDict(extra="allow", strict=True)
    provider_pid: str = Field(alias="providerPid")
    offer: dict[str, Any]


class ContractNegotiationEventMessage(BaseModel):
    """Dataspace Protocol 2025-1."""

    model_config = ConfigDict(extra="allow", strict=True)
    event_type: Literal["ACCEPTED"] = Field(alias="eventType")


class ContractAgreementVerificationMessage(BaseModel):
    """Dataspace Protocol 2025-1, with the consumer's signature."""

    model_config = ConfigDict(extra="allow", strict=True)
    signature: Annotated[dict[str, str], BeforeValidator(_few)]


class NewPredicate(_Body):
    """What a partner may have proved of a field; its type is as declared."""

    field: Name
    operators: Annotated[list[Operators], Field(min_length=1, max_length=16)]
    step: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    probes: Annotated[int, Field(ge=1, le=10_000)]


class NewAggregate(_Body):
    """What a field may be used for in figures; its type is as declared."""

    field: Name
    uses: Annotated[
        list[Literal["filter", "group", "sum"]], Field(min_length=1, max_length=3)
    ]
    bound: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    grains: Annotated[
        list[Literal["day", "week", "month", "quarter", "year"]], Field(max_length=5)
    ] = []


class NewAllowance(_Body):
    """How much may be counted, summed and matched. The domain checks more."""

    epsilon_micro: Annotated[int, Field(ge=0, le=1_000_000_000)]
    period: Literal["day", "month", "quarter", "year", "always"]
    k_min: Annotated[int, Field(ge=5, le=1_000_000)]
    plans_per_day: Annotated[int, Field(ge=1, le=10_000)]
    matching: Literal["none", "count", "list"] = "none"
    match_size: Annotated[int, Field(ge=0, le=2**20)] = 0


class NewOffer(_Body):
    """What a data steward offers to a partner."""

    partner: Did
    dataset: Identifier
    fields: dict[Name, Literal["plain", "predicate", "aggregate"]]
    purposes: Annotated[list[Identifier], Field(min_length=1, max_length=32)]
    valid_from: Instant
    valid_to: Instant
    calls_per_hour: Annotated[int, Field(ge=1, le=1_000_000)]
    rows_per_call: Annotated[int, Field(ge=1, le=1_000_000)]
    predicates: Annotated[list[NewPredicate], Field(max_length=64)] = []
    aggregates: Annotated[list[NewAggregate], Field(max_length=64)] = []
    allowance: NewAllowance | None = None


_Why = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class Erasing(_Body):
    """Why what a receipt says is taken away."""

    why: _Why


class Expiring(_Body):
    """How many receipts to erase at once."""

    most: Annotated[int, Field(ge=1, le=1000)] = 500


class Archived(_Body):
    """Receipts that stand in an archive, and the archive's SHA-256."""

    receipts: Annotated[list[Digest], FailFast(), Field(min_length=1, max_length=1000)]
    archive: Digest


class Restoring(_Body):
    """Lines of an archive. The service checks more."""

    receipts: Annotated[
        list[dict[str, Any]], FailFast(), Field(min_length=1, max_length=1000)
    ]


class NewStatus(_Body):
    """What shall hold for an agreement from the next call on."""

    status: Literal["active", "suspended", "revoked"]


class Ask(_Body):
    """A question to a partner, with customers by their own identifiers.

    There is at least one field to be shown, or one condition to be proved.
    """

    agreement: Identifier
    purpose: Identifier
    fields: _Fields = []
    customers: Annotated[list[str], FailFast(), Field(min_length=1, max_length=10_000)]
    where: Conditions = []


class Align(_Body):
    """Our customers, by their normalised identifiers, to declare to a provider."""

    customers: Annotated[
        list[str], FailFast(), Field(min_length=1, max_length=1_048_576)
    ]


class Openings(_Body):
    """Customers by their normalised identifiers, whose tokens shall be opened."""

    customers: Annotated[list[str], FailFast(), Field(min_length=1, max_length=10_000)]


class DraftGroup(_Body):
    """A group of a draft. The domain checks more."""

    field: Name
    grain: Literal["value", "day", "week", "month", "quarter", "year"] = "value"
    values: Annotated[list[str], FailFast(), Field(max_length=4096)] = []
    first: str | None = Field(default=None, alias="from")
    last: str | None = Field(default=None, alias="to")


class DraftMeasure(_Body):
    """What a draft wants counted or summed."""

    what: Literal["count", "sum"]
    field: Name | None = None
    bound: str | None = None


class NewPlan(_Body):
    """A plan as a person drafts it (`node.domain.draft`).

    Attributes:
        ours: Instead of `customers`: a dataset of ours, whose customers are meant.
    """

    _few_members = model_validator(mode="before")(lambda value: value)
    kind: Literal[
        "heat-map", "intersection", "joint-sum", "ring-count", "federated-sum"
    ]
    mode: str = ""
    agreements: Annotated[list[Identifier], Field(min_length=1, max_length=64)]
    purpose: Identifier
    groups: Annotated[list[DraftGroup], Field(max_length=8)] = []
    measure: DraftMeasure | None = None
    filters: Annotated[list[Condition], Field(max_length=16)] = []
    cohort: Literal["all", "shared"] = "all"
    contribution: Annotated[int, Field(ge=1, le=50)] = 1
    epsilon_micro: Annotated[int, Field(ge=0, le=20_000_000)] = 0
    k_min: Annotated[int, Field(ge=5, le=1_000_000)] | None = None
    totals: Annotated[list[Name], Field(max_length=8)] = []
    customers: Annotated[list[str], FailFast(), Field(max_length=1_048_576)] = []
    ours: Identifier | None = None
    weights: Any = None
    segments: dict[str, list[str]] | None = None
