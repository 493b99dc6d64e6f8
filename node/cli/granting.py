"""What an offer lets a partner count, as it is typed; and as agreements are shown."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import typer

from node.cli.output import reported
from node.domain.aggregates import AggregateGrant, Allowance
from node.domain.dataset import FieldType

_MICRO: Final = 1_000_000
_FORM: Final = "write field:uses or field:uses:limit, as in amount:filter,sum:5000"


def aggregates(texts: Iterable[str]) -> list[dict[str, Any]]:
    """Return what fields may be used for, as given on the command line.

    Raises:
        BadParameter: One is not `field:uses` or `field:uses:limit`.
    """
    found = []
    for text in texts:
        name, _, rest = text.partition(":")
        listed, _, limit = rest.partition(":")
        uses = listed.split(",")
        if not name or not all(uses) or ":" in limit or text.endswith(":"):
            raise typer.BadParameter(f"{text}: {_FORM}")
        is_sum = "sum" in uses
        found.append(
            {
                "field": name,
                "uses": sorted(set(uses)),
                "bound": limit if is_sum and limit else None,
                "grains": limit.split(",") if limit and not is_sum else [],
            }
        )
    return found


def micro(epsilon: str) -> int:
    """Return an epsilon in millionths.

    Raises:
        BadParameter: It is no number of at most six decimals, or below zero.
    """
    try:
        whole = Decimal(epsilon) * _MICRO
        if whole.is_finite() and 0 <= whole <= 10**12 and whole == int(whole):
            return int(whole)
    except InvalidOperation:
        pass
    message = f"{epsilon}: write a number with at most six decimals, as in 0.5"
    raise typer.BadParameter(message)


def in_words(item: Mapping[str, Any]) -> list[str]:
    """Say what an agreement, as the node lists it, lets be counted: a line each."""
    with reported():
        grants = [AggregateGrant.from_json(each) for each in item["aggregates"]]
        allowed = item["allowance"] and Allowance.from_json(item["allowance"])
    lines = [_grant_in_words(grant) for grant in grants]
    return [*lines, *([_allowance_in_words(allowed)] if allowed else [])]


def _grant_in_words(grant: AggregateGrant) -> str:
    said = [_use_in_words(grant, use) for use in grant.uses]
    return f"{grant.field}: {' · '.join(said)}"


def _use_in_words(grant: AggregateGrant, use: str) -> str:
    if use == "group" and grant.type is FieldType.DATE:
        return f"group by {', '.join(grant.grains)}"
    if use != "sum":
        return use
    unit = f" {grant.unit}" if grant.unit else ""
    return f"sum, at most {grant.bound}{unit} for each customer and cell"


def _allowance_in_words(allowed: Allowance) -> str:
    epsilon = (Decimal(allowed.epsilon_micro) / _MICRO).normalize()
    period = "in all" if allowed.period == "always" else f"a {allowed.period}"
    told = [
        f"epsilon {epsilon:f} {period}",
        f"at least {allowed.k_min:,} customers",
        f"{allowed.plans_per_day:,} plans a day",
    ]
    if allowed.matches:
        size = f"of at most {allowed.match_size:,}"
        told.append(f"shared customers: {allowed.matching} {size}")
    return " · ".join(told)
