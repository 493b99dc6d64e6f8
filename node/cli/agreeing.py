"""`offer`, `accept`, `agreement`: what a partner may have, and for how long."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

import typer

from node.cli import granting
from node.cli.asking import grants_of
from node.cli.output import (
    AsJson,
    Exit,
    Management,
    SettingsFile,
    err,
    modes,
    out,
    predicates,
    print_json,
    show,
)
from node.domain.agreement import instant, render_instant
from node.domain.negotiation import Role, State
from node.domain.where import grant_in_words
from node.errors import BadRequest

agreement = typer.Typer(help="What the company has agreed on.")

_Fields: TypeAlias = Annotated[
    list[str] | None, typer.Option(help="field:mode; one or more.")
]
_Predicates: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="field:operators:step:probes; what may be proved of a field that "
        "is never shown, as in annual_spend:at_least,at_most:100000:8. A step of "
        "a date is a day, month, quarter or year; `-` allows any bound. Probes "
        "are how many conditions may ever be asked of one customer."
    ),
]
_Aggregates: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="field:uses:limit; what a field that is never shown may be used for "
        "in figures: filter, group, sum. The limit is, for a sum, what one "
        "customer adds to a cell at most, and for a date the periods to group "
        "by: amount:filter,sum:5000, due:filter,group:week,month, region:group."
    ),
]
_From: TypeAlias = Annotated[
    str, typer.Option(help="2026-11-22 or 2026-11-22T08:00:00Z, UTC.")
]
_To: TypeAlias = Annotated[
    str, typer.Option(help="The first instant after it, likewise.")
]
_Epsilon: TypeAlias = Annotated[
    str, typer.Option(help="Privacy that figures may cost in a period.")
]
_Period: TypeAlias = Annotated[
    str, typer.Option(help="day, month, quarter, year or always.")
]
_KMin: TypeAlias = Annotated[
    int, typer.Option(help="Customers that a figure is over, at least.")
]
_Plans: TypeAlias = Annotated[int, typer.Option(help="Plans answered in a day.")]
_Matching: TypeAlias = Annotated[
    str,
    typer.Option(help="Whether shared customers may be found: none, count or list."),
]
_MatchSize: TypeAlias = Annotated[
    int, typer.Option(help="Customers that a list to be matched names, at most.")
]
_OPEN: Final = frozenset({State.OFFERED, State.ACCEPTED, State.AGREED})
"""States in which an offer is to be accepted, for the first time or again."""


def offer(
    partner: Annotated[str, typer.Argument(help="DID of the partner.")],
    dataset_id: Annotated[str, typer.Argument(help="The dataset's id.")],
    settings_file: SettingsFile,
    purpose: Annotated[list[str], typer.Option(help="A purpose's id.")],
    valid_from: _From,
    valid_to: _To,
    field: _Fields = None,
    predicate: _Predicates = None,
    aggregate: _Aggregates = None,
    epsilon: _Epsilon = "1",
    period: _Period = "quarter",
    k_min: _KMin = 10,
    plans_per_day: _Plans = 20,
    matching: _Matching = "none",
    match_size: _MatchSize = 0,
    calls_per_hour: int = 600,
    rows_per_call: int = 1000,
) -> None:
    """Offer fields of a dataset to a partner."""
    proved = predicates(predicate or ())
    figures = granting.aggregates(aggregate or ())
    allowance = {
        "epsilon_micro": granting.micro(epsilon),
        "period": period,
        "k_min": k_min,
        "plans_per_day": plans_per_day,
        "matching": matching,
        "match_size": match_size,
    }
    body = {
        "partner": partner,
        "dataset": dataset_id,
        "fields": _modes(field or (), proved, figures),
        "purposes": purpose,
        "valid_from": _instant(valid_from),
        "valid_to": _instant(valid_to),
        "calls_per_hour": calls_per_hour,
        "rows_per_call": rows_per_call,
        "predicates": proved,
        "aggregates": figures,
        "allowance": allowance if figures or matching != "none" else None,
    }
    answer = Management.of(settings_file).post("/management/offers", body)
    out.print(f"✓ offered · the partner can accept {answer['consumerPid']}")


def _modes(
    shown: Sequence[str],
    proved: Sequence[Mapping[str, Any]],
    figures: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    """Return the mode of each field that is offered in any way."""
    hidden = {each["field"]: "predicate" for each in proved}
    hidden |= {each["field"]: "aggregate" for each in figures}
    return hidden | modes(shown)


def accept(
    settings_file: SettingsFile,
    pid: Annotated[
        str,
        typer.Argument(help="Id of the offer; needed where several are open."),
    ] = "",
) -> None:
    """Accept an offer; both sides then hold the agreement, signed by both."""
    api = Management.of(settings_file)
    pid = pid or _only_offer(api)
    answer = api.post(f"/management/negotiations/{pid}/accept", {})
    out.print(answer["agreement"]["@id"])


def _only_offer(api: Management) -> str:
    """Return the id of the one offer that is open, and say on stderr what it is.

    Where there is none, or a choice, it is the person's turn.
    """
    items = [
        each
        for each in api.get("/management/negotiations")["items"]
        if each["role"] == Role.CONSUMER and each["state"] in _OPEN
    ]
    said = [f"{each['offer']['target']} of {each['partner']}" for each in items]
    if len(items) == 1:
        err.print(f"accepting {said[0]}", style="dim", markup=False)
        return str(items[0]["pid"])
    if not items:
        err.print("[red]✗ offer.none[/red]")
        err.print("No offer is open: the partner makes one with `fieldpact offer`.")
    else:
        err.print("[red]✗ offer.several[/red]")
        err.print("Say which, as in `fieldpact accept ID`:")
        for each, what in zip(items, said, strict=True):
            err.print(f"{each['pid']}  {what}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.ERROR)


@agreement.command("offers")
def offers(settings_file: SettingsFile, as_json: AsJson = False) -> None:
    """List negotiations, newest first."""
    items = Management.of(settings_file).get("/management/negotiations")["items"]
    if as_json:
        print_json(items)
        return
    rows = (
        (each["pid"], each["partner"], each["offer"]["target"], each["state"])
        for each in items
    )
    show(("id", "partner", "dataset", "state"), rows)


@agreement.command("list")
def agreements(settings_file: SettingsFile, as_json: AsJson = False) -> None:
    """List agreements, newest first, with their use."""
    items = Management.of(settings_file).get("/audit/agreements")["items"]
    if as_json:
        print_json(items)
        return
    rows = (
        (
            each["id"],
            each["role"],
            each["partner"],
            each["dataset"],
            " ".join(f"{name}:{mode}" for name, mode in each["fields"].items()),
            each["status"],
            str(each["calls"]),
        )
        for each in items
    )
    show(("id", "role", "partner", "dataset", "fields", "status", "calls"), rows)
    for each in items:
        for grant in grants_of(each):
            out.print(f"{each['id']} · {grant_in_words(grant)}", markup=False)
        for line in granting.in_words(each):
            out.print(f"{each['id']} · {line}", markup=False)


@agreement.command("status")
def status(
    agreement_id: Annotated[str, typer.Argument(help="The agreement's id.")],
    to: Annotated[str, typer.Argument(help="active, suspended or revoked.")],
    settings_file: SettingsFile,
) -> None:
    """Suspend, resume or revoke an agreement, from the next call on."""
    path = f"/management/agreements/{agreement_id}/status"
    answer = Management.of(settings_file).post(path, {"status": to})
    out.print(f"✓ {answer['agreement']} is {answer['status']}")


def _instant(text: str) -> str:
    """Return an instant; of a date, its beginning."""
    whole = f"{text}T00:00:00Z" if len(text) == 10 else text
    try:
        return render_instant(instant(whole))
    except BadRequest as error:
        raise typer.BadParameter(f"{text}: write 2026-11-22T08:00:00Z") from error
