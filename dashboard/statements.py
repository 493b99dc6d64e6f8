"""What the node states through its audit API, parsed where it arrives.

Every value of this module is the node's word: it was not checked, and pages
say so. Only receipts can be checked, which is why `AuditClient.evidence` hands
out the bytes and leaves the parsing to the verifier.

Only what pages read is named here. Other keys are ignored, so that a newer node
can be audited; a missing or mistyped one is `NodeNonsense`.
"""

import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    PlainValidator,
)

from crypto.errors import Malformed
from ledger.conditions import Condition, parse_conditions


def _utc(value: datetime.datetime) -> datetime.datetime:
    return value.astimezone(datetime.UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
Names = dict[str, str]
"""A title in both languages, keyed `en` and `zh`."""


def _read_conditions(value: object) -> tuple[Condition, ...]:
    try:
        return parse_conditions(value)
    except Malformed as error:
        raise ValueError(str(error)) from error


Conditions = Annotated[tuple[Condition, ...], PlainValidator(_read_conditions)]
"""What was to be proved, as in a receipt."""


class _Statement(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Party(_Statement):
    """A participant as the node names it."""

    did: str
    name: Names


class Calls(_Statement):
    """How many calls were answered each way."""

    allowed: int
    denied: int

    @property
    def total(self) -> int:
        """Return the number of calls."""
        return self.allowed + self.denied


class ReceiptCounts(_Statement):
    """How far receipts have come on their way to the chain."""

    total: int
    integrated: int
    anchored: int
    oldest_unanchored_at: Instant | None


class Anchor(_Statement):
    """The newest anchor that the node says it wrote."""

    epoch: int
    at: Instant
    transaction: str | None
    state: str


class Cosigned(_Statement):
    """How many witnesses cosigned a checkpoint of a size."""

    size: int
    cosigned: int


class Witnesses(_Statement):
    """How far others have seen the log.

    Attributes:
        quorum: As many must have cosigned what is anchored.
    """

    known: int
    quorum: int
    anchored: Cosigned | None
    newest: Cosigned | None


class Sounding(_Statement):
    """An open alarm, in brief."""

    code: str
    subject: str
    at: Instant
    stops: bool


class Alarm(Sounding):
    """One item of `GET /audit/alarms`: what a person must look at.

    Attributes:
        stops: Whether the node discloses nothing while it is open.
        detail: In words of the node, which are English.
    """

    detail: str


class AlarmList(_Statement):
    """`GET /audit/alarms`."""

    items: tuple[Alarm, ...]


class Fault(_Statement):
    """One item of `GET /audit/faults`: that there is a proof, and of what."""

    id: str
    kind: str
    participant: str
    at: Instant


class FaultList(_Statement):
    """`GET /audit/faults`."""

    items: tuple[Fault, ...]


class Difference(_Statement):
    """What two copies of a stream had differently when they were compared."""

    kind: str
    numbers: str
    count: int
    mended: bool
    en: str
    zh: str


class Compared(_Statement):
    """How the last comparison of a stream came out."""

    at: Instant
    state: Literal["same", "different", "unreachable"]
    differences: tuple[Difference, ...] = ()
    unanswered: int = 0


class Stream(_Statement):
    """One item of `GET /audit/streams`.

    Attributes:
        receipts: How many there are here.
        open: Of them, those that the consumer has not signed back; as consumer,
            those whose provider has no signature of ours.
    """

    agreement: str
    role: Literal["provider", "consumer"]
    partner: str
    dataset: str
    stream: str
    receipts: int
    open: int
    compared: Compared | None


class StreamList(_Statement):
    """`GET /audit/streams`.

    Attributes:
        most_unacknowledged: A partner that leaves more open is not served.
    """

    items: tuple[Stream, ...]
    most_unacknowledged: int


class DatasetField(_Statement):
    """One field of a dataset."""

    name: str
    title: Names
    grade: Literal["core", "important", "general"]
    personal: bool


class Dataset(_Statement):
    """A published dataset."""

    id: str
    title: Names
    fields: tuple[DatasetField, ...]


class Cell(_Statement):
    """What one partner may do and did with one field."""

    dataset: str
    field: str
    partner: str
    granted: bool
    mode: str | None
    allowed: int
    denied: int


class Matrix(_Statement):
    """Fields by partners. Cells may be left out when nothing is in them."""

    partners: tuple[Party, ...]
    datasets: tuple[Dataset, ...]
    cells: tuple[Cell, ...]


class TrendPoint(_Statement):
    """Calls in one bucket of the trend, by the bucket's first instant."""

    at: Instant
    allowed: int
    denied: int


class CodeCount(_Statement):
    """How often a denial code was given."""

    code: str
    count: int


class Purpose(_Statement):
    """An entry of the purpose registry."""

    id: str
    title: Names


class Summary(_Statement):
    """`GET /audit/summary`."""

    participant: Party
    calls: Calls
    receipts: ReceiptCounts
    anchor: Anchor | None
    alarms: tuple[Sounding, ...]
    witnesses: Witnesses
    matrix: Matrix
    trend: tuple[TrendPoint, ...]
    denials: tuple[CodeCount, ...]
    purposes: tuple[Purpose, ...]


class Erased(_Statement):
    """When and why what a receipt said was erased."""

    at: Instant
    why: str


class Call(_Statement):
    """One line of the call log.

    Attributes:
        erased: None, unless what the receipt said is gone; then nothing else is told
            but when it was, and where it stands.
        fields: What was to be shown.
        where: What was to be proved; of these fields nothing was shown.
        records: Disclosed, and with `where`: proved.
        withheld: Records of which it was not proved, so nothing was shown.
        plan: Hash of the plan of which it was a step; None of a query.
        step: Name of the step.
        spent: Privacy that the step has spent, in millionths of epsilon.
    """

    sequence: int
    receipt_id: str
    at: Instant
    partner: str | None
    agreement: str | None
    dataset: str | None
    fields: tuple[str, ...]
    where: Conditions
    purpose: str | None
    decision: Literal["allow", "deny"] | None
    denials: tuple[str, ...]
    customers: int | None
    records: int | None
    withheld: int | None
    plan: str | None = None
    step: str | None = None
    spent: int | None = None
    state: Literal["sequenced", "integrated", "anchored"]
    erased: Erased | None = None


class FacetValue(_Statement):
    """A value that a filter could take, and how many calls have it."""

    value: str
    count: int


class CallPage(_Statement):
    """`GET /audit/calls`: newest first, keyset paging by sequence."""

    items: tuple[Call, ...]
    newer: int | str | None
    older: int | str | None
    total: int
    facets: dict[str, tuple[FacetValue, ...]]


class Provable(_Statement):
    """A field of which an agreement lets something be proved.

    Attributes:
        type: As the dataset declares it: `date`, `integer`, `money`, …
        unit: What its number counts, if it is one.
    """

    field: str
    type: str
    unit: str | None


class Agreement(_Statement):
    """One item of `GET /audit/agreements`."""

    id: str
    role: Literal["provider", "consumer"]
    partner: str
    valid_from: Instant
    valid_to: Instant
    status: str
    last_used_at: Instant | None
    predicates: tuple[Provable, ...]


class AgreementList(_Statement):
    """`GET /audit/agreements`."""

    items: tuple[Agreement, ...]
