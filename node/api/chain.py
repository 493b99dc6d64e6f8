"""What an operator decides about the chain."""

from typing import Any

from fastapi import APIRouter, Depends, Request

from node.api.access import operator, services
from node.api.models import Adopting

router = APIRouter(
    prefix="/management/chain",
    tags=["management"],
    dependencies=[Depends(operator("management"))],
)


@router.post("/adopt")
async def adopt(body: Adopting, request: Request) -> Any:
    """Go on from the chain's epoch, after our store was put back from a backup."""
    epoch, adopted = await services(request).adopt(body.why)
    return {"epoch": epoch, "adopted": adopted}
