"""`dataset`, `offer`, `accept`, `align`, `agreement`, `ask`: sharing and asking."""

import csv
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from node import bootstrap
from node.cli.output import (
    AsJson,
    Exit,
    Management,
    SettingsFile,
    err,
    out,
    print_json,
    reported,
    table,
)
from node.domain.customer import BadCustomer, normalise

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
    granted = dict(each.split(":", 1) for each in grant) if grant else None
    with reported(), Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("reading the source")
        found = bootstrap.examine_file(
            file,
            granted,
            lambda rows: progress.update(task, description=f"{rows:,} rows read"),
        )
    if as_json:
        print_json(found)
        return
    _show_report(found["report"])
    fields = table("field", "grade", "modes", "partner sees")
    for each in found["fields"]:
        personal = " · personal" if each["personal"] else ""
        sees = each["granted"] or f"nothing ({each['why']})"
        fields.add_row(
            each["name"], each["grade"] + personal, " ".join(each["modes"]), sees
        )
    out.print(fields)


@dataset.command()
def publish(file: _File, settings_file: SettingsFile, as_json: AsJson = False) -> None:
    """Publish a dataset on the running node; again to take in what changed."""
    with reported():
        declaration = bootstrap.read_declaration(file)
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
    valid_from: Annotated[str, typer.Option(help="As 2026-11-22T00:00:00Z.")],
    valid_to: Annotated[str, typer.Option(help="As 2027-05-22T00:00:00Z.")],
    calls_per_hour: int = 600,
    rows_per_call: int = 1000,
) -> None:
    """Offer fields of a dataset to a partner."""
    answer = Management.of(settings_file).post(
        "/management/offers",
        {
            "partner": partner,
            "dataset": dataset_id,
            "fields": dict(each.split(":", 1) for each in field),
            "purposes": purpose,
            "valid_from": valid_from,
            "valid_to": valid_to,
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
    rows = table("id", "partner", "dataset", "state")
    for each in items:
        rows.add_row(
            each["pid"], each["partner"], each["offer"]["target"], each["state"]
        )
    out.print(rows)


@agreement.command("list")
def agreements(settings_file: SettingsFile, as_json: AsJson = False) -> None:
    """List agreements, newest first, with their use."""
    items = Management.of(settings_file).get("/audit/agreements")["items"]
    if as_json:
        print_json(items)
        return
    rows = table("id", "role", "partner", "dataset", "fields", "status", "calls")
    for each in items:
        fields = " ".join(f"{name}:{mode}" for name, mode in each["fields"].items())
        rows.add_row(
            each["id"],
            each["role"],
            each["partner"],
            each["dataset"],
            fields,
            each["status"],
            str(each["calls"]),
        )
    out.print(rows)


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
    file: Annotated[Path, typer.Argument(help="CSV file with our customers.")],
    column: Annotated[str, typer.Option(help="The column that identifies them.")],
    rule: Annotated[str, typer.Option(help="The normalisation rule: uscc, lei, …")],
    settings_file: SettingsFile,
) -> None:
    """Declare our customers to the provider of an agreement, as tokens."""
    good: set[str] = set()
    bad = 0
    with file.open(encoding="utf-8-sig", newline="") as rows:
        for row in csv.DictReader(rows):
            try:
                good.add(normalise(rule, row[column]))
            except BadCustomer:
                bad += 1
    path = f"/management/agreements/{agreement_id}/customers"
    answer = Management.of(settings_file).post(path, {"customers": sorted(good)})
    out.print(f"✓ declared {answer['declared']} customers in a set of {answer['sent']}")
    if bad:
        err.print(
            f"{bad} rows left out: their identifier does not fit the rule {rule}."
        )


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
            "customers": [normalise(rule, each) for each in customer],
        },
    )
    print_json(answer) if as_json else _show_answer(answer)
    if not answer["verified"]:
        raise typer.Exit(Exit.NOT_VERIFIED)
    if not answer["allowed"]:
        raise typer.Exit(Exit.DENIED)


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
    if report["findings"]:
        rows = table("finding", "field", "rows", "rejected", "for example")
        for each in report["findings"]:
            shown = [f"{text} ({count})" for text, count in each["spellings"]]
            rows.add_row(
                each["code"],
                each["field"] or "",
                f"{each['count']:,}",
                f"{each['rejected']:,}",
                ", ".join(shown or each["examples"]),
            )
        out.print(rows)
