"""`dataset`, `offer`, `accept`, `align`, `agreement`, `ask`: sharing and asking."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from node import offline
from node.cli.output import (
    AsJson,
    Exit,
    Management,
    SettingsFile,
    err,
    modes,
    out,
    print_json,
    reported,
    show,
)
from node.domain.agreement import instant, render_instant
from node.domain.customer import BadCustomer, normalise, rule_problem
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


@dataset.command()
def publish(file: _File, settings_file: SettingsFile, as_json: AsJson = False) -> None:
    """Publish a dataset on the running node; again to take in what changed."""
    with reported():
        declaration = offline.read_declaration(file)
    answer = Management.of(settings_file).post("/management/datasets", declaration)
    if as_json:
        print_json(answer)
        return
    out.print(f"✓ published {answer['dataset']}, version {answer['version']}")
    _show_report(answer["report"])


def offer(
    partner: Annotated[str, typer.Argument(help="DID of the partner.")],
    dataset_id: Annotated[str, typer.Argument(help="The dataset's id.")],
    settings_file: SettingsFile,
    field: Annotated[list[str], typer.Option(help="field:mode, one or more.")],
    purpose: Annotated[list[str], typer.Option(help="A purpose's id.")],
    valid_from: Annotated[
        str, typer.Option(help="2026-11-22 or 2026-11-22T08:00:00Z, UTC.")
    ],
    valid_to: Annotated[
        str, typer.Option(help="The first instant after it, likewise.")
    ],
    calls_per_hour: int = 600,
    rows_per_call: int = 1000,
) -> None:
    """Offer fields of a dataset to a partner."""
    answer = Management.of(settings_file).post(
        "/management/offers",
        {
            "partner": partner,
            "dataset": dataset_id,
            "fields": modes(field),
            "purposes": purpose,
            "valid_from": _instant(valid_from),
            "valid_to": _instant(valid_to),
            "calls_per_hour": calls_per_hour,
            "rows_per_call": rows_per_call,
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


def ask(
    agreement_id: _Agreement,
    customer: Annotated[list[str], typer.Argument(help="Identifiers of customers.")],
    settings_file: SettingsFile,
    field: Annotated[list[str], typer.Option(help="A field; one or more.")],
    purpose: Annotated[str, typer.Option(help="A purpose's id.")],
    rule: Annotated[str, typer.Option(help="The normalisation rule.")] = "exact",
    as_json: AsJson = False,
) -> None:
    """Ask a partner for fields of customers, and check what it answers."""
    answer = Management.of(settings_file).post(
        "/management/ask",
        {
            "agreement": agreement_id,
            "purpose": purpose,
            "fields": sorted(set(field)),
            "customers": [_key(rule, each) for each in customer],
        },
    )
    print_json(answer) if as_json else _show_answer(answer)
    if not answer["verified"]:
        raise typer.Exit(Exit.NOT_VERIFIED)
    if not answer["allowed"]:
        raise typer.Exit(Exit.DENIED)


def _key(rule: str, identifier: str) -> str:
    if problem := rule_problem(rule):
        raise typer.BadParameter(f"{rule} is no rule; {problem}")
    try:
        return normalise(rule, identifier)
    except BadCustomer as bad:
        message = f"{identifier} does not fit the rule {rule}: {bad.kind}"
        raise typer.BadParameter(message) from bad


def _instant(text: str) -> str:
    """Return an instant; of a date, its beginning."""
    whole = f"{text}T00:00:00Z" if len(text) == 10 else text
    try:
        return render_instant(instant(whole))
    except BadRequest as error:
        raise typer.BadParameter(f"{text}: write 2026-11-22T08:00:00Z") from error


def _show_answer(answer: dict[str, Any]) -> None:
    word = "✓ verified" if answer["verified"] else "✗ not verified"
    out.print(f"{word} · receipt {answer['receipt']}")
    for each in answer["denials"]:
        out.print(f"✗ {each['code']}: {each['message']} {each['mend']}")
    for name, records in answer["customers"].items():
        if not records:
            out.print(f"{name}: {'not shared' if records is None else 'no record'}")
        for record in records or ():
            values = ", ".join(f"{key} = {value}" for key, value in record.items())
            out.print(f"{name}: {values}")


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
