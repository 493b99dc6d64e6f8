"""Budgets of privacy: what was spent, what is left, and what a plan would cost."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from crypto.errors import CryptoError
from ledger.plans import Plan, parse_plan, parse_signed_plan
from node.api.access import operator, services
from node.errors import BadRequest

router = APIRouter()
_Partner = Annotated[
    str | None, Query(max_length=256, pattern=r"^did:web:[A-Za-z0-9._:%-]{1,200}$")
]


@router.get("/audit/budget", tags=["audit"], dependencies=[Depends(operator("audit"))])
async def budget(request: Request, partner: _Partner = None) -> Any:
    """Return what was spent and what is left, by agreement and by dataset."""
    return await services(request).budget(partner)


@router.post(
    "/management/budget",
    tags=["management"],
    dependencies=[Depends(operator("management"))],
)
async def cost(body: dict[str, Any], request: Request) -> Any:
    """Return what a plan would cost, and whether that fits. Nothing is charged.

    The body is a plan, signed or not.
    """
    return await services(request).budget.cost(_plan(body))


def _plan(body: dict[str, Any]) -> Plan:
    try:
        if body.keys() == {"plan", "signature"}:
            return parse_signed_plan(body).plan
        return parse_plan(body)
    except CryptoError as error:
        raise BadRequest("plan.malformed", f"This is no plan: {error}.") from error
