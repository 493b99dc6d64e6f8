"""`fsck`, `receipt`, `archive`: looking after what the store keeps."""

import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from ledger.errors import LedgerError
from ledger.receipts import parse_receipt
from node import keeping
from node.cli.output import (
    AsJson,
    Exit,
    Management,
    SettingsFile,
    err,
    out,
    print_json,
    reported,
)
from node.config import Settings, load


def fsck(
    settings_file: SettingsFile,
    chain: Annotated[
        bool, typer.Option("--chain", help="Compare every anchor with the chain, too.")
    ] = False,
    alarm: Annotated[
        bool,
        typer.Option(
            "--alarm", help="If something is wrong, have the node stop disclosing."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Derive the whole log again from the database, and name every row that is wrong.

    It reads the store itself, in one state, and may run beside the node.
    """
    with reported():
        settings = load(settings_file)
        try:
            found = _check(settings, chain=chain, as_json=as_json)
        except LedgerError as error:
            err.print(f"[red]✗ chain.unavailable[/red] {error}")
            raise typer.Exit(Exit.ERROR) from error
        if found and alarm:
            first = f"fsck found {len(found)} wrong. First: {found[0]}"
            keeping.sound(settings, first)
            err.print(f"Sounded {keeping.CORRUPT}: see `fieldpact alarms`.")
    if found:
        raise typer.Exit(Exit.NOT_VERIFIED)


def _check(settings: Settings, *, chain: bool, as_json: bool) -> list[str]:
    """Print findings as they come; return them."""
    found: list[str] = []
    codes: set[str] = set()
    with Progress(console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("log entries", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        with keeping.checking(settings, ask_chain=chain, progress=tell) as (
            basis,
            all_,
        ):
            for finding in all_:
                found.append(str(finding))
                codes.add(finding.code)
                if not as_json:
                    out.print(f"✗ {finding}", markup=False)
    counts = basis.counts() | {"chain": chain, "unknown": sorted(basis.unknown)}
    if as_json:
        told = {"findings": found, "codes": sorted(codes), "checked": counts}
        print_json(told)
        return found
    for did in sorted(basis.unknown):
        err.print(
            f"○ {did} is not pinned: its signatures are not checked", markup=False
        )
    words = ", ".join(f"{counts[name]} {name}" for name in basis.counts())
    anchored = "the chain agrees" if chain else "the chain was not asked"
    if not found:
        out.print(f"✓ {words}; {anchored}")
    else:
        out.print(f"✗ {len(found)} wrong in {words}")
    return found


receipt = typer.Typer(help="What receipts say, and for how long it is kept.")


@receipt.command("erase")
def erase(
    receipt_id: Annotated[str, typer.Argument(help="The receipt's id.")],
    settings_file: SettingsFile,
    why: Annotated[str, typer.Option(help="For whoever looks for it later.")],
) -> None:
    """Erase what a receipt says, ours or one that we received, once it is old enough.

    Its place in the log and in its stream stays, and both still verify.
    """
    api = Management.of(settings_file)
    told = api.post(f"/management/receipts/{receipt_id}/erase", {"why": why})
    out.print(f"✓ erased {told['erased']['at']}: {told['erased']['why']}", markup=False)


@receipt.command("expire")
def expire(
    settings_file: SettingsFile,
    yes: Annotated[bool, typer.Option("--yes", help="Erase without asking.")] = False,
) -> None:
    """Erase all that is older than `retention_days`, ours and what we received."""
    with reported():
        days = load(settings_file).retention_days
    if not yes:
        typer.confirm(
            f"Erase what all receipts older than {days} days say?", abort=True
        )
    api, erased, more = Management.of(settings_file), 0, True
    with Progress(console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("receipts erased", total=None)
        while more:
            told = api.post("/management/receipts/expire", {})
            erased, more = erased + told["erased"], told["more"]
            bar.update(task, completed=erased)
    out.print(f"✓ erased {erased}")


archive = typer.Typer(help="Receipts taken out of the store, to be put back if needed.")
_File = Annotated[Path, typer.Argument(help="The archive.")]


@archive.command("write")
def write(
    file: Annotated[Path, typer.Argument(help="A new file.")],
    settings_file: SettingsFile,
    before: Annotated[str, typer.Option(help="Receipts from before this day, UTC.")],
    remove: Annotated[
        bool, typer.Option("--remove", help="Then erase what they say in the store.")
    ] = False,
) -> None:
    """Write receipts of ours to a file, with everything that opens them.

    The file is read back and checked before it gets its name.
    """
    with reported():
        settings = load(settings_file)
        manifest = keeping.write_archive(settings, file, _day(before))
    _tell(manifest.to_json())
    if remove:
        _remove(file, settings, settings_file)


@archive.command("verify")
def verify(file: _File, settings_file: SettingsFile) -> None:
    """Check an archive, and each of its receipts against its leaf in the log."""
    with reported():
        manifest = keeping.verify_archive(load(settings_file), file)
    _tell(manifest.to_json())


@archive.command("remove")
def remove(file: _File, settings_file: SettingsFile) -> None:
    """Erase in the store what an archive holds, once it is checked.

    Stopped half way, it is run again: what is erased already stays so.
    """
    with reported():
        settings = load(settings_file)
    _remove(file, settings, settings_file)


@archive.command("restore")
def restore(file: _File, settings_file: SettingsFile) -> None:
    """Put back into the store what an archive holds, each receipt against its leaf."""
    with reported():
        settings = load(settings_file)
        keeping.verify_archive(settings, file)
    api, restored = Management.of(settings_file), 0
    for lines in keeping.archived(settings, file):
        told = api.post("/management/receipts/restore", {"receipts": lines})
        restored += told["restored"]
    out.print(f"✓ put back {restored}")


def _remove(file: Path, settings: Settings, settings_file: Path) -> None:
    with reported():
        manifest = keeping.verify_archive(settings, file)
    api, erased = Management.of(settings_file), 0
    for lines in keeping.archived(settings, file):
        ids = [_id_of(each) for each in lines]
        body = {"receipts": ids, "archive": manifest.sha256}
        erased += api.post("/management/receipts/archived", body)["erased"]
    out.print(f"✓ erased {erased}")


def _id_of(line: dict[str, Any]) -> str:
    """Return the id of the receipt that a line of an archive holds."""
    return parse_receipt(line["receipt"]).receipt_id


def _day(text: str) -> datetime.datetime:
    """Return the first instant of a day. Raises `BadParameter`."""
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError as error:
        message = f"{text}: write a day, as in 2026-05-31"
        raise typer.BadParameter(message) from error
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC)


def _tell(manifest: dict[str, Any]) -> None:
    count, first, last = (manifest[name] for name in ("count", "first", "last"))
    out.print(f"✓ {count} receipts, {first} to {last} in the log")
    out.print(f"  SHA-256 {manifest['sha256']}")
