"""`dataset`, `offer`, `accept`, `align`, `agreement`: what is shared with whom."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from node import offline
from node.cli import granting
from node.cli.asking import grants_of
from node.cli.output import (
    AsJson,
    Management,
    SettingsFile,
    err,
    modes,
    out,
    predicates,
    print_json,
    reported,
    show,
)
from node.cli.progress import Wait, follow, progress
from node.domain.agreement import instant, render_instant
from node.domain.where import grant_in_words
from node.errors import BadRequest

dataset = typer.Typer(help="What the company could share.")
agreement = typer.Typer(help="What the company has agreed on.")
_File = Annotated[Path, typer.Argument(help="A dataset's declaration (YAML).")]
_Agreement = Annotated[str, typer.Argument(help="The agreement's id.")]


@dataset.command()
def check(
    file: _File,
    grant: Annotated[
        list[str] | None,
        typer.Option(help="field:mode, to preview what a partner would see."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a declaration and its source, and preview what would be published."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    granted = modes(grant) if grant else None
    with reported(), Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("reading the source")
        found = offline.examine_file(
            file,
            granted,
            lambda rows: progress.update(task, description=f"{rows:,} rows read"),
        )
    if as_json:
        print_json(found)
        return
    _show_report(found["report"])
    rows = []
    for each in found["fields"]:
        grade = each["grade"] + (" · personal" if each["personal"] else "")
        sees = [each["granted"] or f"nothing ({each['why']})"] if granted else []
        rows.append([each["name"], grade, " ".join(each["modes"]), *sees])
    show(["field", "grade", "modes", *(["partner sees"] if granted else [])], rows)


dataset.command("progress")(progress)


@dataset.command()
def publish(
    file: _File,
    settings_file: SettingsFile,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Publish a dataset on the running node; again to take in what changed."""
    with reported():
        declaration = offline.read_declaration(file)
    api = Management.of(settings_file)
    answer = api.post("/management/datasets", declaration)
    if wait:
        follow(api, answer["dataset"])
    if as_json:
        print_json(answer)
        return
    out.print(f"✓ published {answer['dataset']}, version {answer['version']}")
    _show_report(answer["report"])


def offer(
    partner: Annotated[str, typer.Argument(help="DID of the partner.")],
    dataset_id: Annotated[str, typer.Argument(help="The dataset's id.")],
    settings_file: SettingsFile,
    purpose: Annotated[list[str], typer.Option(help="A purpose's id.")],
    valid_from: Annotated[
        str, typer.Option(help="2026-11-22 or 2026-11-22T08:00:00Z, UTC.")
    ],
    valid_to: Annotated[
        str, typer.Option(help="The first instant after it, likewise.")
    ],
    field: Annotated[
        list[str] | None, typer.Option(help="field:mode; one or more.")
    ] = None,
    predicate: Annotated[
        list[str] | None,
        typer.Option(
            help="field:operators:step:probes; what may be proved of a field that "
            "is never shown, as in annual_spend:at_least,at_most:100000:8. A step of "
            "a date is a day, month, quarter or year; `-` allows any bound. Probes "
            "are how many conditions may ever be asked of one customer."
        ),
    ] = None,
    aggregate: Annotated[
        list[str] | None,
        typer.Option(
            help="field:uses:limit; what a field that is never shown may be used for "
            "in figures: filter, group, sum. The limit is, for a sum, what one "
            "customer adds to a cell at most, and for a date the periods to group "
            "by: amount:filter,sum:5000, due:filter,group:week,month, region:group."
        ),
    ] = None,
    epsilon: Annotated[
        str, typer.Option(help="Privacy that figures may cost in a period.")
    ] = "1",
    period: Annotated[
        str, typer.Option(help="day, month, quarter, year or always.")
    ] = "quarter",
    k_min: Annotated[
        int, typer.Option(help="Customers that a figure is over, at least.")
    ] = 10,
    plans_per_day: Annotated[int, typer.Option(help="Plans answered in a day.")] = 20,
    matching: Annotated[
        str,
        typer.Option(
            help="Whether shared customers may be found: none, count or list."
        ),
    ] = "none",
    match_size: Annotated[
        int, typer.Option(help="Customers that a list to be matched names, at most.")
    ] = 0,
    calls_per_hour: int = 600,
    rows_per_call: int = 1000,
) -> None:
    """Offer fields of a dataset to a partner."""
    granted = predicates(predicate or ())
    figures = granting.aggregates(aggregate or ())
    hidden = {each["field"]: "predicate" for each in granted}
    hidden |= {each["field"]: "aggregate" for each in figures}
    allowance = {
        "epsilon_micro": granting.micro(epsilon),
        "period": period,
        "k_min": k_min,
        "plans_per_day": plans_per_day,
        "matching": matching,
        "match_size": match_size,
    }
    counts = bool(figures) or matching != "none"
    answer = Management.of(settings_file).post(
        "/management/offers",
        {
            "partner": partner,
            "dataset": dataset_id,
            "fields": hidden | modes(field or ()),
            "purposes": purpose,
            "valid_from": _instant(valid_from),
            "valid_to": _instant(valid_to),
            "calls_per_hour": calls_per_hour,
            "rows_per_call": rows_per_call,
            "predicates": granted,
            "aggregates": figures,
            "allowance": allowance if counts else None,
        },
    )
    out.print(f"✓ offered · the partner can accept {answer['consumerPid']}")


def accept(
    pid: Annotated[str, typer.Argument(help="Id of the negotiation on our side.")],
    settings_file: SettingsFile,
) -> None:
    """Accept an offer; both sides then hold the agreement, signed by both."""
    answer = Management.of(settings_file).post(
        f"/management/negotiations/{pid}/accept", {}
    )
    out.print(answer["agreement"]["@id"])


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
    agreement_id: _Agreement,
    to: Annotated[str, typer.Argument(help="active, suspended or revoked.")],
    settings_file: SettingsFile,
) -> None:
    """Suspend, resume or revoke an agreement, from the next call on."""
    path = f"/management/agreements/{agreement_id}/status"
    answer = Management.of(settings_file).post(path, {"status": to})
    out.print(f"✓ {answer['agreement']} is {answer['status']}")


def align(
    agreement_id: _Agreement,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or Parquet file with our customers; or a dataset's declaration.",
            exists=True,
            dir_okay=False,
        ),
    ],
    settings_file: SettingsFile,
    column: Annotated[str, typer.Option(help="Of a file: what identifies them.")] = "",
    rule: Annotated[str, typer.Option(help="For a file: uscc, lei, name, …")] = "",
) -> None:
    """Declare our customers to the provider of an agreement, as tokens."""
    with reported():
        found, bad = offline.read_customers(file, column, rule)
    path = f"/management/agreements/{agreement_id}/customers"
    answer = Management.of(settings_file).post(path, {"customers": sorted(found)})
    out.print(f"✓ declared {answer['declared']} customers in a set of {answer['sent']}")
    for kind, count in bad.items():
        err.print(f"{count} rows left out: customer.{kind}")


def _instant(text: str) -> str:
    """Return an instant; of a date, its beginning."""
    whole = f"{text}T00:00:00Z" if len(text) == 10 else text
    try:
        return render_instant(instant(whole))
    except BadRequest as error:
        raise typer.BadParameter(f"{text}: write 2026-11-22T08:00:00Z") from error


def _show_report(report: dict[str, Any]) -> None:
    out.print(
        f"{report['rows']:,} rows · {report['publishable']:,} publishable · "
        f"{report['rejected']:,} rejected · {report['customers']:,} customers"
    )
    rows = []
    for each in report["findings"]:
        found = [f"{text} ({count})" for text, count in each["spellings"]]
        shown = ", ".join(found or each["examples"])
        counts = f"{each['count']:,}", f"{each['rejected']:,}"
        rows.append((each["code"], each["field"] or "", *counts, shown))
    if rows:
        show(("finding", "field", "rows", "rejected", "for example"), rows)
