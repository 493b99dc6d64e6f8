"""The messages of a negotiation, as partners send them.

Source: Dataspace Protocol 2025-1, contract negotiation, HTTPS binding.
"""

from typing import Any

from fastapi import APIRouter, Request

from node.api.access import partner, services
from node.api.models import (
    ContractAgreementVerificationMessage,
    ContractNegotiationEventMessage,
    ContractOfferMessage,
    Identifier,
)
from node.domain.agreement import CONTEXT
from node.domain.negotiation import Negotiation

router = APIRouter(prefix="/negotiations", tags=["negotiations"])


def state(negotiation: Negotiation) -> dict[str, Any]:
    """Return a negotiation as the protocol answers it."""
    return {
        "@context": [CONTEXT],
        "@type": "ContractNegotiation",
        "consumerPid": negotiation.consumer_pid,
        "providerPid": negotiation.provider_pid,
        "state": negotiation.state.value,
    }


@router.post("/offers", status_code=201)
async def offers(body: ContractOfferMessage, request: Request) -> Any:
    """Take a provider's offer."""
    message = body.model_dump(by_alias=True)
    sender = await partner(request, message)
    return state(await services(request).negotiate.receive_offer(sender, message))


@router.post("/{pid}/events")
async def events(
    pid: Identifier, body: ContractNegotiationEventMessage, request: Request
) -> Any:
    """Take a consumer's acceptance; answer with the signed agreement."""
    message = body.model_dump(by_alias=True)
    sender = await partner(request, message)
    return await services(request).negotiate.receive_event(sender, pid, message)


@router.post("/{pid}/agreement/verification")
async def verification(
    pid: Identifier, body: ContractAgreementVerificationMessage, request: Request
) -> Any:
    """Take the consumer's signature; the agreement holds from here on."""
    message = body.model_dump(by_alias=True)
    sender = await partner(request, message)
    negotiate = services(request).negotiate
    return state(await negotiate.receive_verification(sender, pid, message))
