"""The messages of a negotiation: what they hold, and what is taken from them.

Each side names the negotiation by both of its ids. The agreement is signed over its
own bytes, never over the message that carries it: so the signature is the same
whichever way it came, and whoever keeps the agreement can check it again.

Only the members of which something is made are read. A partner's message may hold
more; what it must hold and does not is refused.

Spec: Dataspace Protocol 2025-1, contract negotiation (message shapes).
"""

import re
from collections.abc import Mapping
from typing import Any

from crypto.encoding import unb64u
from crypto.errors import CryptoError
from crypto.keys import key_id, verify_ed25519
from ledger.participants import Participant
from node.domain.agreement import CONTEXT, Agreement, Offer
from node.domain.negotiation import Negotiation
from node.errors import BadRequest

_URN = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def offer_message(offer: Offer, *, pid: str, url: str) -> dict[str, Any]:
    """Return what offers terms to a partner.

    Args:
        pid: The provider's id of the negotiation.
        url: Where the provider is answered.
    """
    return {
        "@context": [CONTEXT],
        "@type": "ContractOfferMessage",
        "providerPid": pid,
        "callbackAddress": url,
        "offer": offer.to_odrl(),
    }


def acceptance_message(negotiation: Negotiation) -> dict[str, Any]:
    """Return what accepts the offer."""
    message = _message("ContractNegotiationEventMessage", negotiation)
    return message | {"eventType": "ACCEPTED"}


def agreement_message(
    negotiation: Negotiation, agreement: Agreement, signature: Mapping[str, str]
) -> dict[str, Any]:
    """Return what answers an acceptance: the agreement, signed by the provider."""
    message = _message("ContractAgreementMessage", negotiation)
    return message | {"agreement": agreement.to_odrl(), "signature": signature}


def verification_message(
    negotiation: Negotiation, signature: Mapping[str, str]
) -> dict[str, Any]:
    """Return what carries the consumer's signature over the agreement."""
    message = _message("ContractAgreementVerificationMessage", negotiation)
    return message | {"signature": signature}


def _message(kind: str, negotiation: Negotiation) -> dict[str, Any]:
    return {
        "@context": [CONTEXT],
        "@type": kind,
        "consumerPid": negotiation.consumer_pid,
        "providerPid": negotiation.provider_pid,
    }


def member(message: Any, name: str) -> Any:
    """Return a member of a message.

    Raises:
        BadRequest: It has none of that name, or is no object.
    """
    if not isinstance(message, dict) or name not in message:
        raise BadRequest("message.malformed", f"The message lacks `{name}`.")
    return message[name]


def urn_in(message: Any, name: str) -> str:
    """Return a member that is an id, `urn:uuid:…`.

    Raises:
        BadRequest: It has none of that name, or it is no such id.
    """
    value = member(message, name)
    if not isinstance(value, str) or not _URN.fullmatch(value):
        raise BadRequest("message.malformed", f"`{name}` must be a urn:uuid.")
    return value


def signature_in(message: Any) -> dict[str, str]:
    """Return the signature in a message, which nobody has looked at.

    Raises:
        BadRequest: It has none, or not a key's id and a signature.
    """
    value = member(message, "signature")
    if not isinstance(value, dict) or set(value) != {"key_id", "signature"}:
        raise BadRequest("message.malformed", "`signature` is key_id and signature.")
    return value


def check_names(message: Any, negotiation: Negotiation) -> None:
    """Check that a message speaks of the negotiation that it was sent to.

    Raises:
        BadRequest: It names another one, or none.
    """
    named = member(message, "consumerPid"), member(message, "providerPid")
    if named != (negotiation.consumer_pid, negotiation.provider_pid):
        raise BadRequest("message.pids", "The message names another negotiation.")


def check_is_offered(agreement: Agreement, offer: Offer) -> None:
    """Check that an agreement is what was offered.

    Raises:
        BadRequest: It is about other data, between others, or on other terms.
    """
    for name in ("dataset", "assigner", "assignee", "terms"):
        if getattr(agreement, name) != getattr(offer, name):
            detail = f"The agreement's {name} is not what was offered."
            raise BadRequest("agreement.not_offered", detail)


def verify_signature(
    signer: Participant, agreement: Agreement, signature: Mapping[str, str]
) -> None:
    """Check a party's signature over an agreement.

    Args:
        signer: Who must have signed, as *pinned*.
        agreement: As this side knows it.
        signature: As `signature_in` returns it.

    Raises:
        BadRequest: Signed by nobody, by another key, or another agreement.
    """
    try:
        if signature["key_id"] != key_id(signer.did, "ed25519", signer.keys["ed25519"]):
            raise BadRequest("agreement.signature", "Signed with a key not pinned.")
        raw = unb64u(signature["signature"], 64)
        verify_ed25519(signer.keys["ed25519"], agreement.signed_bytes, raw)
    except (CryptoError, KeyError, TypeError) as error:
        detail = f"The agreement is not signed by {signer.did}."
        raise BadRequest("agreement.signature", detail) from error
