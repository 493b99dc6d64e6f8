"""`reconcile`, `alarms`: comparing streams with partners, and what needs a person."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli.output import (
    AsJson,
    Exit,
    Management,
    SettingsFile,
    err,
    out,
    print_json,
    show,
)

_EXITS = {"same": 0, "different": Exit.NOT_VERIFIED, "partial": Exit.PARTIAL}


def reconcile(
    partner: Annotated[str, typer.Argument(help="The partner's DID.")],
    settings_file: SettingsFile,
    agreement: Annotated[
        str | None, typer.Option(help="Only the stream of this agreement.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="A folder for what shows the differences."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare our receipts with a partner's copy, and say who lacks what.

    Receipts and signatures that were lost on the way are fetched and delivered. The
    command ends with 0 if all streams are the same, 4 if there were differences, 5 if
    a stream could not be compared.
    """
    api = Management.of(settings_file)
    asked = {"partner": partner, "agreement": agreement}
    report = api.post("/management/reconcile", asked)
    files = _write(report, folder) if folder else []
    if as_json:
        print_json(report)
    else:
        for stream in report["streams"]:
            _show(stream)
        if not report["streams"]:
            out.print("There is no agreement with this partner.")
    for file in files:
        err.print(f"wrote {file}", soft_wrap=True)
    if code := _EXITS[report["state"]]:
        raise typer.Exit(code)


def _show(stream: Mapping[str, Any]) -> None:
    said = f"{stream['agreement']} (as {stream['role']})"
    if stream["state"] == "unreachable":
        out.print(f"… {said}: not compared. {stream['detail']}", markup=False)
        return
    ours, theirs = stream["ours"]["count"], stream["theirs"]["count"]
    mark, word = ("✓", "the same") if stream["state"] == "same" else ("✗", "different")
    counts = f"{ours:,} receipts here, {theirs:,} there"
    out.print(f"{mark} {said}: {word}. {counts}.", markup=False)
    for each in stream["differences"]:
        mended = " (mended)" if each["mended"] else ""
        out.print(f"  {each['numbers']}: {each['en']}{mended}", markup=False)
    if stream["delivered"]:
        out.print(f"  {stream['delivered']} countersignatures were delivered.")
    if stream["unanswered"]:
        out.print(
            f"  {stream['unanswered']} calls of ours have no receipt: they did not "
            "arrive, or the provider keeps silent about them."
        )


def _write(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write what shows the differences; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for stream in report["streams"]:
        for each in stream.get("differences", ()):
            for name, value in each["evidence"].items():
                file = folder / Path(name).name
                text = json.dumps(value, ensure_ascii=False, indent=1)
                file.write_text(text + "\n", encoding="utf-8")
                written.append(file)
    return written


alarms = typer.Typer(
    help="What a person must look at.",
    invoke_without_command=True,
    no_args_is_help=False,
)


@alarms.callback()
def open_alarms(
    context: typer.Context,
    settings_file: Annotated[
        Path | None,
        typer.Option("--settings", "-s", help="The node's settings file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the open alarms. While one of `log.*` is open, nothing is disclosed."""
    if context.invoked_subcommand is not None:
        return
    if settings_file is None:
        message = "name the node's settings file: --settings FILE"
        raise typer.BadParameter(message)
    found = Management.of(settings_file).get("/audit/alarms")["items"]
    if as_json:
        print_json(found)
        return
    if not found:
        out.print("✓ no alarm is open")
        return
    show(
        ("code", "subject", "since", "what"),
        [
            (each["code"], each["subject"], each["at"], _told(each["stops"], each))
            for each in found
        ],
    )


def _told(stops: bool, alarm: Mapping[str, Any]) -> str:
    detail = str(alarm["detail"])
    return f"{detail} Nothing is disclosed meanwhile." if stops else detail


@alarms.command("clear")
def clear(
    code: Annotated[str, typer.Argument(help="The alarm's code, as listed.")],
    settings_file: SettingsFile,
    why: Annotated[str, typer.Option(help="What was found, and done. It is kept.")],
    subject: Annotated[str, typer.Argument(help="Its subject, as listed.")] = "",
) -> None:
    """End an alarm, once a person has looked and mended what it was about."""
    asked = {"code": code, "subject": subject, "why": why}
    Management.of(settings_file).post("/management/alarms/clear", asked)
    out.print(f"✓ {code} {subject} is cleared".replace("  ", " "), markup=False)
