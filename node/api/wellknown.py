"""What everybody may read: the DID document, and whether the node is well."""

from typing import Any

from fastapi import APIRouter, Request

from crypto.encoding import b64u
from ledger.participants import Participant
from node.api.access import services

router = APIRouter(tags=["public"])
_MULTICODEC = {
    "ed25519": b"\xed\x01",
    "x25519": b"\xec\x01",
    "bls12381g2": b"\xeb\x01",
    "secp256k1": b"\xe7\x01",
    "sm2": b"\x86\x24",
}
"""The codes of public keys, as varints. Source: the multicodec table."""


def did_document(participant: Participant) -> dict[str, Any]:
    """Return a participant's DID document.

    It repeats what the registry pins, so that a partner can see that both agree.
    Source: DID 1.0; Controlled Identifiers 1.0 (Multikey).
    """
    methods = [
        {
            "id": participant.key_id(suite),
            "type": "Multikey",
            "controller": participant.did,
            "publicKeyMultibase": f"u{b64u(_MULTICODEC[suite] + public)}",
        }
        for suite, public in participant.keys.items()
    ]
    signing = participant.signing.key_id(participant.did)
    return {
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": participant.did,
        "verificationMethod": methods,
        "authentication": [participant.key_id("ed25519")],
        "assertionMethod": [signing, participant.key_id("bls12381g2")],
        "keyAgreement": [participant.key_id("x25519")],
        "service": [
            {
                "id": f"{participant.did}#node",
                "type": "FieldpactNode",
                "serviceEndpoint": participant.url,
            }
        ],
    }


@router.get("/.well-known/did.json")
async def did(request: Request) -> Any:
    """Return this node's DID document."""
    return did_document(services(request).identity.me)


@router.get("/.well-known/fieldpact.json")
async def participant(request: Request) -> Any:
    """Return this node's participant record, for a registry to pin."""
    return services(request).identity.me.to_json()


@router.get("/health/live")
async def live() -> Any:
    """Answer that the process runs."""
    return {"live": True}


@router.get("/health/ready")
async def ready(request: Request) -> Any:
    """Answer that store, registry and policy engine are there, or say which is not.

    What is amiss, and keeps nobody from being served, is told as a warning.
    """
    node = services(request)
    await node.ready()
    warnings = await node.cosignatures.warnings()
    return {"ready": True, **({"warnings": warnings} if warnings else {})}
