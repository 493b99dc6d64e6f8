"""`jobs`, `job`: plans that are being carried out, by this node or for a partner."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import typer
from rich.progress import Progress, TaskID

from node.cli.budget import epsilon
from node.cli.figures import show_result
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
from node.cli.progress import columns, left, rate

_EVERY_S: Final = 0.5
_Id = Annotated[str, typer.Argument(help="The job's id, as listed.")]
_EXITS: Final = {
    "failed": Exit.ERROR,
    "refused": Exit.DENIED,
    "cancelled": Exit.PARTIAL,
}


def jobs(settings_file: SettingsFile, as_json: AsJson = False) -> None:
    """List the newest jobs: what was asked of whom, and how far it is."""
    found = Management.of(settings_file).get("/management/jobs")["items"]
    if as_json:
        print_json(found)
    elif not found:
        out.print("no plan was carried out yet")
    else:
        names = ("id", "kind", "role", "partners", "state", "stage", "created")
        show(names, [_row(each) for each in found])


job = typer.Typer(help="A plan that is being carried out.")


@job.command("show")
def show_job(job_id: _Id, settings_file: SettingsFile, as_json: AsJson = False) -> None:
    """Show how far a job is, and what came of it.

    Ends with 0 while it runs and once it is done, 1 if it failed, 3 if it was
    refused, 5 if it was cancelled.
    """
    _told(Management.of(settings_file).get(f"/management/jobs/{job_id}"), as_json)


@job.command("watch")
def watch_job(
    job_id: _Id, settings_file: SettingsFile, as_json: AsJson = False
) -> None:
    """Follow a job until it has ended, and show what came of it."""
    api = Management.of(settings_file)
    unseen = not err.is_terminal
    with Progress(*columns(), console=err, transient=True, disable=unseen) as bars:
        found = watch(
            lambda: api.get(f"/management/jobs/{job_id}"), bars, pause=time.sleep
        )
    _told(found, as_json)


@job.command("cancel")
def cancel_job(
    job_id: _Id, settings_file: SettingsFile, as_json: AsJson = False
) -> None:
    """End a job. What it has spent stays spent; nothing more is sent of it."""
    api = Management.of(settings_file)
    found = api.post(f"/management/jobs/{job_id}/cancel", {})
    if as_json:
        print_json(found)
    else:
        out.print(f"✓ {job_id} is cancelled", markup=False)


def watch(
    look: Callable[[], Mapping[str, Any]],
    bars: Progress,
    *,
    pause: Callable[[float], None],
) -> Mapping[str, Any]:
    """Draw a bar for each stage of what `look` returns, until it has ended."""
    tasks: dict[str, TaskID] = {}
    while True:
        found = look()
        stage, total = found["stage"] or "begin", found["total"]
        if stage not in tasks:
            for task in tasks.values():  # the stages before are done
                bars.update(task, speed="")
                bars.stop_task(task)
            tasks[stage] = bars.add_task(stage, speed="")
        bars.update(
            tasks[stage],
            completed=found["done"],
            total=total or None,
            speed=" · ".join(part for part in (rate(found), left(found)) if part),
        )
        if found["state"] != "running":
            return found
        pause(_EVERY_S)


def _told(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        _show(found)
    if code := _EXITS.get(_state(found)):
        raise typer.Exit(code)


def _show(found: Mapping[str, Any]) -> None:
    mark = {"done": "✓", "running": "…"}.get(found["state"], "✗")
    asked = f"{found['kind']} {found['mode']}".strip()
    out.print(f"{mark} {asked}: {_state(found)}", markup=False)
    whom = ", ".join(found["partners"])
    by = "asked of" if found["role"] == "consumer" else "asked by"
    out.print(f"  {by} {whom}", markup=False)
    if found["state"] == "running":
        speed = [part for part in (rate(found), left(found)) if part]
        out.print("  " + " · ".join([_stage(found), *speed]), markup=False)
    if found["error"]:
        said = f"{found['error']['code']} {found['error']['detail']}"
        out.print(f"  {said}".rstrip(), markup=False)
    if found["spent"]:
        out.print(f"  epsilon {epsilon(found['spent'])} spent", markup=False)
    if found["result"] is not None:
        show_result(found["result"])
    _show_receipts(found)


def _show_receipts(found: Mapping[str, Any]) -> None:
    """List the receipts of the steps: each id can be given to `fieldpact evidence`."""
    if not found["receipts"]:
        return
    many = " (the newest)" if found["more_receipts"] else ""
    out.print(f"receipts of its steps{many}:", markup=False)
    rows = [_receipt(each) for each in found["receipts"]]
    show(("step", "party", "decision", "spent", "state", "receipt"), rows)


def _receipt(each: Mapping[str, Any]) -> tuple[str, ...]:
    denied = each["denials"]
    return (
        each["step"],
        each["party"],
        denied[0] if denied else each["decision"],
        epsilon(each["spent"]) if each["spent"] else "",
        each["state"],
        each["id"],
    )


def _row(each: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        each["id"],
        f"{each['kind']} {each['mode']}".strip(),
        each["role"],
        ", ".join(each["partners"]),
        _state(each),
        _stage(each) if each["state"] == "running" else "",
        each["created_at"],
    )


def _state(each: Mapping[str, Any]) -> str:
    """Return how a job stands, in one word; what was refused has not failed."""
    return "refused" if each["refused"] else str(each["state"])


def _stage(each: Mapping[str, Any]) -> str:
    count = f" {each['done']:,} of {each['total']:,}" if each["total"] else ""
    return f"{each['stage'] or 'begin'}{count}"
