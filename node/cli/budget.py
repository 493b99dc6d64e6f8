"""`budget`: what may still be told of customers, and what a plan would cost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from crypto.encoding import parse_json
from crypto.errors import Malformed
from node.cli.output import (
    AsJson,
    Exit,
    Management,
    SettingsFile,
    out,
    print_json,
    reported,
    show,
)
from node.errors import BadRequest

_MICRO = 1_000_000


def budget(
    settings_file: SettingsFile,
    partner: Annotated[
        str | None, typer.Argument(help="The partner's DID; all if left out.")
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(help="A file with a plan: tell what it would cost."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how much privacy was spent and is left, in epsilon.

    With a plan, whether it fits what is left; the command ends with 3 if it does not.
    Nothing is charged.
    """
    if plan is not None and partner is not None:
        message = "a plan names its parties: leave the partner out"
        raise typer.BadParameter(message)
    api = Management.of(settings_file)
    if plan is not None:
        _show_cost(api.post("/management/budget", _read(plan)), as_json=as_json)
        return
    query = f"?{urlencode({'partner': partner})}" if partner else ""
    found = api.get(f"/audit/budget{query}")
    if as_json:
        print_json(found)
        return
    _show_items(found)
    _show_datasets(found)
    _show_asked(found)


def _read(file: Path) -> Any:
    with reported():
        try:
            return parse_json(file.read_bytes())
        except (OSError, Malformed) as error:
            why = error.strerror if isinstance(error, OSError) else "not JSON"
            detail = f"{file} cannot be read as a plan: {why}."
            raise BadRequest("plan.unreadable", detail) from error


def epsilon(micro: int) -> str:
    """Return micro-epsilon as people read epsilon: `0.5`."""
    whole, rest = divmod(micro, _MICRO)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".")


_AMOUNTS = ("period", "from", "until (UTC)", "epsilon", "spent", "left")
_AMOUNTS_OF = ("cap", "spent", "left")
_AGREEMENT = ("agreement", "partner", "dataset", "status", *_AMOUNTS)


def _amounts(each: Mapping[str, Any]) -> tuple[str, ...]:
    days = each["from"] or "-", each["until"] or "-"
    return (each["period"], *days, *(epsilon(each[name]) for name in _AMOUNTS_OF))


def _agreement(each: Mapping[str, Any]) -> tuple[str, ...]:
    named = (each[name] for name in ("agreement", "partner", "dataset", "status"))
    return (*named, *_amounts(each))


def _show_items(found: Mapping[str, Any]) -> None:
    if not found["items"] and not found["asked"]:
        out.print("No agreement allows aggregates.")
    if found["items"]:
        rows = (
            (*_agreement(each), f"{each['plans_today']} of {each['plans_per_day']}")
            for each in found["items"]
        )
        show((*_AGREEMENT, "plans today"), rows)


def _show_datasets(found: Mapping[str, Any]) -> None:
    if found["datasets"]:
        out.print("\nAll partners together, whatever agreements allow:")
        rows = ((each["dataset"], *_amounts(each)) for each in found["datasets"])
        show(("dataset", *_AMOUNTS), rows)


def _show_asked(found: Mapping[str, Any]) -> None:
    if found["asked"]:
        out.print(
            "\nWhere we ask, as the provider's receipts tell. Over all partners, its "
            "dataset may have less left:"
        )
        show(_AGREEMENT, (_agreement(each) for each in found["asked"]))


def _show_cost(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        tell_cost(found)
    if not all(each["fits"] for each in found["parties"]):
        raise typer.Exit(Exit.DENIED)


def tell_cost(found: Mapping[str, Any]) -> None:
    """Say what a plan would cost each party, and whether that fits."""
    for each in found["parties"]:
        mark = "✓" if each["fits"] else "✗"
        cost = f"costs {epsilon(each['cost'])}, {epsilon(each['left'])} is left"
        why = f": {', '.join(each['denials'])}" if each["denials"] else ""
        out.print(f"{mark} {each['agreement']}: {cost}{why}", markup=False)
    if not found["parties"]:
        out.print("None of the plan's agreements is known here.")
