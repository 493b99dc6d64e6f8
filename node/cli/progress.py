"""`dataset progress`: how far a dataset's records are committed to.

A partner is answered from a snapshot of its agreement, and a snapshot is made of
commitments: some hundred a second. Until one is ready, the partner is answered
from the one before, or told to ask again.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
)

from node.cli.output import (
    AsJson,
    Management,
    SettingsFile,
    err,
    out,
    print_json,
    show,
)

_PENDING: Final = frozenset({"building", "waiting"})
_EVERY_S: Final = 0.5

Wait = Annotated[
    bool,
    typer.Option("--wait", help="Show the progress until all records are committed."),
]


def progress(
    dataset_id: Annotated[str, typer.Argument(help="The dataset's id.")],
    settings_file: SettingsFile,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Show, for each agreement, how many records are committed to, and how fast."""
    api = Management.of(settings_file)
    found = follow(api, dataset_id) if wait else _look(api, dataset_id)
    if as_json:
        print_json(found)
    elif not found:
        out.print(f"no agreement is about {dataset_id} yet: nothing to commit to")
    else:
        names = ("agreement", "state", "records", "rate", "to go", "version")
        show(names, [_row(each) for each in found])


def follow(api: Management, dataset: str) -> Sequence[Mapping[str, Any]]:
    """Show progress on stderr until nothing is being built; return how it ended."""
    with Progress(*columns(), console=err, transient=True) as bars:
        return watch(lambda: _look(api, dataset), bars, pause=time.sleep)


def columns() -> tuple[ProgressColumn, ...]:
    """Return the columns of the bars: name, bar, count, rate and what is left."""
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
    )


def watch(
    look: Callable[[], Sequence[Mapping[str, Any]]],
    bars: Progress,
    *,
    pause: Callable[[float], None],
) -> Sequence[Mapping[str, Any]]:
    """Draw what `look` returns until nothing of it is pending; return the last."""
    tasks: dict[str, TaskID] = {}
    while True:
        found = look()
        for each in found:
            name = each["agreement"]
            if name not in tasks:
                tasks[name] = bars.add_task(name, speed="")
            bars.update(
                tasks[name],
                completed=each["done"],
                total=each["total"],
                speed=" · ".join(part for part in (rate(each), left(each)) if part),
            )
        if not any(map(_is_pending, found)):
            return found
        pause(_EVERY_S)


def _is_pending(each: Mapping[str, Any]) -> bool:
    """Tell whether a snapshot is still to come.

    Where the partner has declared no customer that we know, there is nothing to
    wait for.
    """
    return each["state"] in _PENDING and each["total"] > 0


def _look(api: Management, dataset: str) -> list[Mapping[str, Any]]:
    answer = api.get(f"/management/datasets/{dataset}/progress")
    return list(answer["agreements"])


def _row(each: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        each["agreement"],
        each["state"],
        f"{each['done']:,} of {each['total']:,}",
        rate(each) or "-",
        left(each) or "-",
        "-" if each["version"] is None else str(each["version"]),
    )


def rate(each: Mapping[str, Any]) -> str:
    """Say how many are done in a second: `1,200/s`; nothing where nobody knows."""
    return f"{each['rate']:,.0f}/s" if each["rate"] else ""


def left(each: Mapping[str, Any]) -> str:
    """Say how long it will take: `2 min 5 s`."""
    if each["eta_s"] is None:
        return ""
    minutes, seconds = divmod(round(each["eta_s"]), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
