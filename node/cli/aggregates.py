"""`aggregate`: ask partners for a figure over their customers, as a file drafts it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import Progress

from node.cli.asking import Rule
from node.cli.budget import epsilon, tell_cost
from node.cli.drafts import read_draft
from node.cli.figures import show_result
from node.cli.jobs import watch
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
from node.cli.progress import columns
from node.domain.denials import DENIALS

_FEW: Final = 6
"""Labels that are all written out."""


def aggregate(
    file: Annotated[Path, typer.Argument(help="What is asked, as YAML.")],
    settings_file: SettingsFile,
    agreement: Annotated[
        list[str] | None,
        typer.Option(help="Id of an agreement, one or more; in place of the file's."),
    ] = None,
    look: Annotated[
        bool,
        typer.Option(help="Only show the plan and what stands in its way."),
    ] = False,
    wait: Annotated[bool, typer.Option(help="Follow it until it has ended.")] = True,
    rule: Rule = "exact",
    as_json: AsJson = False,
) -> None:
    """Ask partners for a figure: a heat map, shared customers, a sum.

    The file says what is wanted, and under which agreements unless --agreement does;
    the node draws a plan up, signs it, and carries it out as a job. It ends with 3 if
    a partner refused, and with --look if an agreement does not grant it or its budget
    has not enough left.
    """
    api = Management.of(settings_file)
    with reported():
        draft = read_draft(file, rule, api, agreement or ())
    if look:
        _look(api, draft, as_json=as_json)
        return
    begun = api.post("/management/aggregates", draft)
    if not wait:
        print_json(begun) if as_json else out.print(begun["job"])
        return
    unseen = not err.is_terminal  # an empty line would be all that is left of it
    with Progress(*columns(), console=err, transient=True, disable=unseen) as bars:
        job = watch(
            lambda: api.get(f"/management/jobs/{begun['job']}"), bars, pause=time.sleep
        )
    print_json(job) if as_json else _show(job)
    if job["state"] != "done":
        raise typer.Exit(Exit.DENIED if job["refused"] else Exit.ERROR)


def _look(api: Management, draft: Mapping[str, Any], *, as_json: bool) -> None:
    found = api.post("/management/aggregates/look", draft)
    if as_json:
        print_json(found)
    else:
        _show_look(found)
    costs = api.post("/management/budget", found["plan"])
    if not as_json and found["plan"]["plan"]["epsilon_micro"]:
        tell_cost(costs)
    if _in_the_way(found) or not all(each["fits"] for each in costs["parties"]):
        raise typer.Exit(Exit.DENIED)


def _show_look(found: Mapping[str, Any]) -> None:
    """Show a plan as people read it, and what stands in its way."""
    plan = found["plan"]["plan"]
    out.print(" · ".join(_in_words(plan)), markup=False)
    for party in plan["parties"]:
        whom = f"{party['did']}, {party['dataset']}, {party['agreement']}"
        out.print(f"  asked of {whom}", markup=False)
    for name, each in _members(plan):
        out.print(f"  {name} {each}", markup=False)
    for did, codes in _in_the_way(found).items():
        for code in codes:
            said = f": {DENIALS[code].message.en}" if code in DENIALS else ""
            out.print(f"✗ {did}: {code}{said}", markup=False)
    if not _in_the_way(found):
        out.print("✓ granted, as far as the agreements say")


def _in_the_way(found: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    return {did: codes for did, codes in found["unmet"].items() if codes}


def _in_words(plan: Mapping[str, Any]) -> Iterator[str]:
    yield f"{plan['kind']} {plan['mode']}".rstrip()
    yield f"for {plan['purpose']}"
    if plan["size"]:
        yield f"our customers in a list of {plan['size']:,}"
    else:
        cells = prod(len(group["values"]) for group in plan["groups"])
        yield f"{cells:,} cell{'s' if cells != 1 else ''}"
    yield f"epsilon {epsilon(plan['epsilon_micro'])}"
    yield f"at least {plan['k_min']:,} customers"


def _members(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    measure = plan["measure"]
    for group in plan["groups"]:
        grain = "" if group["grain"] == "value" else f", a {group['grain']} each"
        yield "by", f"{group['field']}{grain}: {_few(group['values'])}"
    if measure["field"]:
        bound = f", {measure['bound']:,} smallest units of each customer at most"
        yield measure["what"], measure["field"] + bound
    for condition in plan["filters"]:
        values = ", ".join(map(str, condition["values"]))
        how = condition["is"].replace("_", " ")
        yield "where", f"{' '.join(condition['fields'])} {how} {values}"
    if plan["cohort"] != "all":
        yield "over", f"{plan['cohort']} customers"


def _few(labels: Sequence[str]) -> str:
    if len(labels) <= _FEW:
        return ", ".join(labels)
    return f"{labels[0]}, {labels[1]} … {labels[-1]} ({len(labels):,})"


def _show(job: Mapping[str, Any]) -> None:
    if job["state"] == "done":
        out.print(f"✓ {job['kind']} {job['mode']}".rstrip(), markup=False)
        show_result(job["result"])
    else:
        said = job["error"] or {"code": job["state"], "detail": ""}
        out.print(f"✗ {said['code']} {said['detail']}".rstrip(), markup=False)
    if job["spent"]:
        out.print(f"epsilon {epsilon(job['spent'])} spent", style="dim")
    out.print(f"job {job['id']}", style="dim")
