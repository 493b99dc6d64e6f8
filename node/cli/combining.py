"""`combine`: what the joint sums of several partners come to, put together at home."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from node.cli.output import (
    AsJson,
    Management,
    SettingsFile,
    out,
    print_json,
    reported,
)
from node.domain.joint import (
    Combined,
    Figure,
    delivery_period,
    lifetime_value,
    written,
)
from node.errors import BadRequest


class How(StrEnum):
    """What the sums are of."""

    LIFETIME_VALUE = "lifetime-value"
    DELIVERY_PERIOD = "delivery-period"


_HOW: Final[Mapping[How, Callable[[Sequence[Figure]], Combined]]] = {
    How.LIFETIME_VALUE: lifetime_value,
    How.DELIVERY_PERIOD: delivery_period,
}
_DIGITS: Final = 2


def combine(
    how: Annotated[
        How,
        typer.Argument(
            help="lifetime-value adds sums up; delivery-period adds up the means of "
            "stages."
        ),
    ],
    job: Annotated[list[str], typer.Argument(help="Joint sums that are done.")],
    settings_file: SettingsFile,
    as_json: AsJson = False,
) -> None:
    """Put the joint sums of several partners together. Nobody is asked for anything.

    Whoever is a customer of two partners counts at both.
    """
    api = Management.of(settings_file)
    found = [api.get(f"/management/jobs/{each}") for each in job]
    with reported():
        units = {each["result"]["unit"] for each in map(_done, found)}
        if len(units) != 1:
            detail = "These sums are not all of one unit."
            raise BadRequest("figures.units", detail)
        try:
            combined = _HOW[how]([_figure(each["result"]) for each in found])
        except ValueError as error:
            raise BadRequest("figures.units", f"{error}.") from error
    told = {
        "what": how.value,
        "value": written(combined.value, _DIGITS),
        "spread": written(combined.spread, _DIGITS),
        "unit": units.pop(),
    }
    if as_json:
        print_json(told)
        return
    unit = f" {told['unit']}" if told["unit"] else ""
    out.print(f"{how.value}  {told['value']} ± {told['spread']}{unit}", markup=False)


def _done(job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a job that is a joint sum and has a count. Raises `BadRequest`."""
    result = job["result"]
    if job["kind"] != "joint-sum" or not result or result["count"] is None:
        detail = f"{job['id']} is no joint sum that is done and over enough customers."
        raise BadRequest("figures.none", detail)
    return job


def _figure(result: Mapping[str, Any]) -> Figure:
    return Figure(
        sum=result["sum"],
        count=result["count"],
        asked=result["asked"],
        spread=result["spread"],
        scale=result["scale"],
    )
