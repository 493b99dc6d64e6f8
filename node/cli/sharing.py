"""`dataset`, `align`: what a company could share, and which customers it has."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from node import offline
from node.cli.output import (
    AsJson,
    Management,
    SettingsFile,
    err,
    modes,
    out,
    print_json,
    reported,
    show,
)
from node.cli.progress import Wait, follow, progress

dataset = typer.Typer(help="What the company could share.")
_File = Annotated[Path, typer.Argument(help="A dataset's declaration (YAML).")]


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


def align(
    agreement_id: Annotated[str, typer.Argument(help="The agreement's id.")],
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
