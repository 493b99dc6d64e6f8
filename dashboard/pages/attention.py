"""What on the overview needs a person's eye: at most five findings, by rule.

Each rule is one function over what the node states; it says what it saw, the
number that made it speak, and where to look. A rule that compares with a limit
shows the limit. An empty list means "no rule fired", not "all is well", and the
page words it so.
"""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from dashboard.aggregates import Budget
from dashboard.figures import epsilon
from dashboard.pages.base import address
from dashboard.statements import (
    Agreement,
    CodeCount,
    FacetValue,
    Stream,
    Summary,
)

MOST: Final = 5
ANCHOR_LAG: Final = datetime.timedelta(minutes=60)
EXPIRES_SOON: Final = datetime.timedelta(days=14)
UNUSED_FOR: Final = datetime.timedelta(days=30)
MANY_DENIALS: Final = 10
NEARLY_FULL: Final = 0.8
"""Share of the receipts that a partner may leave open."""
BUDGET_LOW: Final = 0.1
"""Share of a budget of privacy below which it is marked."""
ALARMS: Final = frozenset(
    {
        "chain.behind",
        "log.chain_ahead",
        "log.chain_different",
        "log.corrupt",
        "log.forked",
        "partner.forked",
        "partner.unlinked",
        "registry.keys",
        "stream.diverged",
    }
)
"""Codes of alarms that the catalogue has words for."""

Severity = Literal["high", "low"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to look at.

    Attributes:
        kind: Completes the catalogue keys `attention.<kind>` and `….why`.
        values: What the two sentences need; `partner` is a DID.
        weight: Sorts findings of one severity, heaviest first.
    """

    kind: str
    severity: Severity
    values: Mapping[str, object]
    href: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Everything that the rules look at.

    Attributes:
        deniers: Denied calls by partner in this window, as the log counts them.
        query: What keeps a link in this window.
        streams: How the stream of each agreement stands.
        most: A partner that leaves more receipts open is not served.
        budgets: How much privacy each agreement has left.
    """

    summary: Summary
    agreements: tuple[Agreement, ...]
    deniers: tuple[FacetValue, ...]
    now: datetime.datetime
    query: Mapping[str, str]
    streams: tuple[Stream, ...] = ()
    most: int = 0
    budgets: tuple[Budget, ...] = ()


def findings(seen: Seen) -> tuple[Finding, ...]:
    """Return the weightiest findings, high severity first."""
    rules = (
        *(_alarms, _streams, _anchoring, _never_granted, _off_purpose),
        *(_denials, _expiring, _budgets, _unused),
    )
    every = [finding for rule in rules for finding in rule(seen)]
    every.sort(key=lambda each: (each.severity != "high", -each.weight))
    return tuple(every[:MOST])


def words_of(code: str) -> str:
    """Return the catalogue's key for the title of an alarm."""
    return f"alarm.{code}" if code in ALARMS else "alarm.other"


def _alarms(seen: Seen) -> Iterator[Finding]:
    for each in seen.summary.alarms:
        yield Finding(
            kind="alarm_stops" if each.stops else "alarm",
            severity="high",
            values={"what": words_of(each.code)},
            href="/ledger",
            weight=2e9 if each.stops else 1e9,
        )


def _streams(seen: Seen) -> Iterator[Finding]:
    for each in seen.streams:
        values = {"partner": each.partner, "n": each.open, "most": seen.most}
        provides = each.role == "provider"
        if provides and each.open >= NEARLY_FULL * seen.most > 0:
            yield Finding(
                kind="open",
                severity="high",
                values=values,
                href="/ledger",
                weight=each.open,
            )
        last = each.compared
        if last and any(not difference.mended for difference in last.differences):
            yield Finding(
                kind="differs",
                severity="high",
                values=values,
                href="/ledger",
                weight=1e8,
            )


def _anchoring(seen: Seen) -> Iterator[Finding]:
    oldest = seen.summary.receipts.oldest_unanchored_at
    if oldest and seen.now - oldest > ANCHOR_LAG:
        receipts = seen.summary.receipts
        lag = (seen.now - oldest).total_seconds()
        yield Finding(
            kind="anchoring",
            severity="high",
            values={"n": receipts.total - receipts.anchored, "lag_s": lag},
            href=address("/calls", seen.query),
            weight=lag,
        )


def _never_granted(seen: Seen) -> Iterator[Finding]:
    personal = {
        (dataset.id, field.name)
        for dataset in seen.summary.matrix.datasets
        for field in dataset.fields
        if field.personal
    }
    for cell in seen.summary.matrix.cells:
        if cell.granted or not cell.denied:
            continue
        sensitive = (cell.dataset, cell.field) in personal
        if not sensitive and cell.denied < MANY_DENIALS:
            continue
        asked = {"field": cell.field, "partner": cell.partner, "decision": "deny"}
        yield Finding(
            kind="personal" if sensitive else "ungranted",
            severity="high" if sensitive else "low",
            values={"n": cell.denied, **asked, "dataset": cell.dataset},
            href=address("/calls", {**seen.query, "dataset": cell.dataset, **asked}),
            weight=cell.denied,
        )


def _off_purpose(seen: Seen) -> Iterator[Finding]:
    count = _count(seen.summary.denials, "purpose.mismatch")
    if count:
        yield Finding(
            kind="off_purpose",
            severity="high",
            values={"n": count},
            href=address("/calls", {**seen.query, "code": "purpose.mismatch"}),
            weight=count,
        )


def _denials(seen: Seen) -> Iterator[Finding]:
    for each in seen.deniers:
        if each.count >= MANY_DENIALS:
            asked = {"partner": each.value, "decision": "deny"}
            yield Finding(
                kind="denials",
                severity="low",
                values={"n": each.count, "partner": each.value, "most": MANY_DENIALS},
                href=address("/calls", {**seen.query, **asked}),
                weight=each.count,
            )


def _expiring(seen: Seen) -> Iterator[Finding]:
    for agreement in seen.agreements:
        left = agreement.valid_to - seen.now
        if agreement.status == "active" and left <= EXPIRES_SOON:
            yield Finding(
                kind="expiring",
                severity="low",
                values={"n": max(0, left.days), "partner": agreement.partner},
                href=address("/calls", {**seen.query, "agreement": agreement.id}),
                weight=1000 - left.days,
            )


def _budgets(seen: Seen) -> Iterator[Finding]:
    for each in seen.budgets:
        low = each.left < BUDGET_LOW * each.cap or each.left <= 0
        if low and each.status == "active":
            values = {"left": epsilon(each.left), "cap": epsilon(each.cap)}
            yield Finding(
                kind="budget" if each.left > 0 else "budget_empty",
                severity="low",
                values={"partner": each.partner, **values},
                href="/budget",
                weight=900,
            )


def _unused(seen: Seen) -> Iterator[Finding]:
    for agreement in seen.agreements:
        since = agreement.last_used_at or agreement.valid_from
        idle = seen.now - since
        if agreement.status == "active" and idle >= UNUSED_FOR:
            yield Finding(
                kind="unused",
                severity="low",
                values={"n": idle.days, "partner": agreement.partner},
                href=address("/calls", {**seen.query, "agreement": agreement.id}),
                weight=idle.days,
            )


def _count(counts: tuple[CodeCount, ...], code: str) -> int:
    return sum(each.count for each in counts if each.code == code)
