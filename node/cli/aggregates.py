"""`aggregate`: ask partners for a figure over their customers, as a file drafts it."""

import datetime
import re
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.progress import Progress
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ledger.conditions import ordered
from node.cli.asking import Rule, key_of
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
from node.domain.dataset import FieldType
from node.domain.decision import DENIALS
from node.domain.predicates import FITTING, PredicateGrant
from node.domain.where import parse_where
from node.errors import BadRequest

_EPSILON: Final = re.compile(r"(0|[1-9]\d{0,2})(\.\d{1,6})?")
_MEMBERS: Final = frozenset(
    {
        *("kind", "mode", "agreements", "purpose", "groups", "measure", "where"),
        *("cohort", "contribution", "epsilon", "k_min", "totals", "customers"),
        *("ours", "weights", "segments"),
    }
)


def aggregate(
    file: Annotated[Path, typer.Argument(help="What is asked, as YAML.")],
    settings_file: SettingsFile,
    look: Annotated[
        bool,
        typer.Option(help="Only show the plan and what stands in its way."),
    ] = False,
    wait: Annotated[bool, typer.Option(help="Follow it until it has ended.")] = True,
    rule: Rule = "exact",
    as_json: AsJson = False,
) -> None:
    """Ask partners for a figure: a heat map, shared customers, a sum.

    The file names the agreements and what is wanted; the node draws a plan up, signs
    it, and carries it out as a job. It ends with 3 if a partner refused, and with
    --look if an agreement does not grant it.
    """
    api = Management.of(settings_file)
    with reported():
        draft = _draft(file, rule, api)
    if look:
        _show_look(api.post("/management/aggregates/look", draft), as_json=as_json)
        return
    begun = api.post("/management/aggregates", draft)
    if not wait:
        print_json(begun) if as_json else out.print(begun["job"])
        return
    with Progress(*columns(), console=err, transient=True) as bars:
        job = watch(
            lambda: api.get(f"/management/jobs/{begun['job']}"), bars, pause=time.sleep
        )
    print_json(job) if as_json else _show(job)
    if job["state"] != "done":
        refused = job["error"] and job["error"]["code"] in DENIALS
        raise typer.Exit(Exit.DENIED if refused else Exit.ERROR)


def _draft(file: Path, rule: str, api: Management) -> dict[str, Any]:
    """Read a draft; return it as the node takes it.

    Raises:
        BadRequest: Naming the member and the mend.
    """
    given = _plain(_read(file))
    if not isinstance(given, dict) or set(given) - _MEMBERS:
        unknown = sorted(set(given) - _MEMBERS) if isinstance(given, dict) else []
        _refuse(
            file, f"unknown members: {', '.join(unknown)}" if unknown else "no plan"
        )
    here = file.parent
    draft = {name: each for name, each in given.items() if name not in _TRANSLATED}
    if (epsilon := given.get("epsilon")) is not None:
        draft["epsilon_micro"] = _micro(file, str(epsilon))
    if where := given.get("where"):
        grants = _grants(api, given.get("agreements") or [])
        found = ordered(parse_where(text, grants) for text in where)
        draft["filters"] = [condition.to_json() for condition in found]
    if customers := given.get("customers"):
        draft["customers"] = _customers(here, customers, rule)
    if segments := given.get("segments"):
        draft["segments"] = {
            label: _customers(here, each, rule) for label, each in segments.items()
        }
    return draft


_TRANSLATED: Final = frozenset({"epsilon", "where", "customers", "segments"})


def _read(file: Path) -> Any:
    try:
        return YAML(typ="safe").load(file.read_text("utf-8"))
    except (OSError, YAMLError, UnicodeDecodeError) as error:
        detail = f"{file} cannot be read as YAML."
        raise BadRequest("plan.unreadable", detail) from error


def _plain(value: Any) -> Any:
    """Return what YAML reads, with days as text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def _micro(file: Path, text: str) -> int:
    if not _EPSILON.fullmatch(text):
        _refuse(file, "epsilon is a number with at most six decimals, like 0.5")
    return int(Decimal(text) * 1_000_000)


def _customers(here: Path, given: str | Sequence[Any], rule: str) -> list[str]:
    """Return normalised keys: of a list, or of a file with one on each line."""
    if isinstance(given, str):
        file = here / given
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            detail = f"{file} cannot be read as a list of customers."
            raise BadRequest("customers.unreadable", detail) from error
        given = [line for line in lines if line.strip()]
    return [key_of(rule, str(each)) for each in given]


def _grants(api: Management, agreements: Sequence[str]) -> list[PredicateGrant]:
    """Return how the agreements type their fields, as conditions are read by."""
    found = {}
    for item in api.get("/audit/agreements")["items"]:
        for each in item["aggregates"] if item["id"] in agreements else ():
            kind = FieldType(each["type"])
            found[each["field"]] = PredicateGrant(
                field=each["field"],
                type=kind,
                unit=each["unit"],
                scale=each["scale"],
                operators=tuple(sorted(FITTING[kind])),
                probes=1,
            )
    return [*found.values()]


def _refuse(file: Path, why: str) -> NoReturn:
    raise BadRequest("plan.draft", f"{file}: {why}.")


def _show_look(found: Mapping[str, Any], *, as_json: bool) -> None:
    in_the_way = {did: codes for did, codes in found["unmet"].items() if codes}
    if as_json:
        print_json(found)
    else:
        print_json(found["plan"]["plan"])
        for did, codes in in_the_way.items():
            out.print(f"✗ {did}: {', '.join(codes)}", markup=False)
        if not in_the_way:
            out.print("✓ granted, as far as the agreements say")
    if in_the_way:
        raise typer.Exit(Exit.DENIED)


def _show(job: Mapping[str, Any]) -> None:
    if job["state"] == "done":
        out.print(f"✓ {job['kind']} {job['mode']}".rstrip(), markup=False)
        show_result(job["result"])
    else:
        said = job["error"] or {"code": job["state"], "detail": ""}
        out.print(f"✗ {said['code']} {said['detail']}".rstrip(), markup=False)
    if job["spent"]:
        out.print(f"epsilon {job['spent'] / 1_000_000:g} spent", style="dim")
    out.print(f"job {job['id']}", style="dim")
