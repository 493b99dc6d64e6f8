"""What the company's own people do: publish, offer, accept, suspend, ask."""

import json
from typing import Any

from fastapi import APIRouter, Depends, Request

from crypto.errors import Malformed
from ledger.conditions import Condition, ordered, parse_condition
from node.api.access import operator, services
from node.api.models import (
    Align,
    Archived,
    Ask,
    Digest,
    Erasing,
    Expiring,
    Identifier,
    NewOffer,
    NewStatus,
    Openings,
    Restoring,
)
from node.api.negotiations import state
from node.domain.aggregates import AggregateOffer, Allowance
from node.domain.agreement import Status, Terms, instant
from node.domain.dataset import Mode
from node.domain.declaration import dataset_from_json
from node.domain.predicates import PredicateOffer
from node.errors import BadRequest
from node.services.archived import content_from_json

router = APIRouter(
    prefix="/management",
    tags=["management"],
    dependencies=[Depends(operator("management"))],
)


@router.post("/datasets", status_code=201)
async def publish(body: dict[str, Any], request: Request) -> Any:
    """Publish a dataset; answer with the report of what was left out, and why."""
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        detail = "The declaration holds text that is not Unicode."
        raise BadRequest("declaration.invalid", detail) from error
    return await services(request).publish(dataset_from_json(body))


@router.get("/datasets")
async def datasets(request: Request) -> Any:
    """Return every published dataset with its report."""
    publications = await services(request).store.read(lambda view: view.datasets.all())
    return {
        "items": [
            {
                "id": each.dataset.id,
                "version": each.version,
                "declaration": each.declaration,
                "report": each.report,
            }
            for each in publications
        ]
    }


@router.get("/datasets/{dataset}/progress")
async def progress(dataset: Identifier, request: Request) -> Any:
    """Return how far the records of a dataset are committed to, by agreement."""
    return await services(request).snapshots.progress(dataset)


@router.post("/offers", status_code=201)
async def offer(body: NewOffer, request: Request) -> Any:
    """Offer terms to a partner."""
    terms = Terms(
        fields={name: Mode(mode) for name, mode in body.fields.items()},
        purposes=tuple(sorted(body.purposes)),
        valid_from=instant(body.valid_from),
        valid_to=instant(body.valid_to),
        calls_per_hour=body.calls_per_hour,
        rows_per_call=body.rows_per_call,
    )
    predicates = [
        PredicateOffer(
            field=each.field,
            operators=tuple(each.operators),
            step=each.step,
            probes=each.probes,
        )
        for each in body.predicates
    ]
    aggregates = [
        AggregateOffer(
            field=each.field,
            uses=tuple(each.uses),
            bound=each.bound,
            grains=tuple(each.grains),
        )
        for each in body.aggregates
    ]
    allowed = body.allowance
    return state(
        await services(request).negotiate.offer(
            partner=body.partner,
            dataset=body.dataset,
            terms=terms,
            predicates=predicates,
            aggregates=aggregates,
            allowance=None if allowed is None else Allowance(**allowed.model_dump()),
        )
    )


@router.get("/negotiations")
async def negotiations(request: Request) -> Any:
    """Return every negotiation, newest first, with the offer on the table."""
    found = await services(request).store.read(
        lambda view: view.agreements.negotiations()
    )
    return {
        "items": [
            state(each)
            | {
                "pid": each.pid,
                "role": each.role.value,
                "partner": each.partner,
                "offer": each.offer.to_odrl(),
                "agreement": each.agreement.id if each.agreement else None,
            }
            for each in found
        ]
    }


@router.post("/negotiations/{pid}/accept")
async def accept(pid: Identifier, request: Request) -> Any:
    """Accept an offer; answer with the agreement that both have signed."""
    kept = await services(request).negotiate.accept(pid)
    return {
        "agreement": kept.agreement.to_odrl(),
        "signatures": kept.signatures,
        "hash": kept.agreement.hash,
    }


@router.post("/agreements/{agreement}/status")
async def status(agreement: Identifier, body: NewStatus, request: Request) -> Any:
    """Suspend, revoke or resume an agreement, from the next call on."""
    kept = await services(request).set_status(agreement, Status(body.status))
    return {"agreement": agreement, "status": kept.value}


@router.post("/agreements/{agreement}/customers")
async def align(agreement: Identifier, body: Align, request: Request) -> Any:
    """Declare our customers to the provider of an agreement."""
    declared = await services(request).align.declare(agreement, body.customers)
    return {"declared": len(set(body.customers)), "sent": declared}


@router.post("/receipts/{receipt_id}/evidence")
async def evidence(receipt_id: Digest, body: Openings, request: Request) -> Any:
    """Return the evidence for an answer, with tokens of these customers opened.

    A token hides whom a call was about; who opens one tells whoever reads the file.
    So it is for management to do, and not for auditors.
    """
    found = await services(request).evidence(receipt_id, openings=body.customers)
    return found.to_json()


@router.post("/receipts/expire")
async def expire(body: Expiring, request: Request) -> Any:
    """Erase some of the receipts that are older than they have to be kept."""
    return await services(request).erase.expire(body.most)


@router.post("/receipts/archived")
async def archived(body: Archived, request: Request) -> Any:
    """Erase receipts that stand in an archive."""
    return await services(request).erase.archived(body.receipts, body.archive)


@router.post("/receipts/restore")
async def restore(body: Restoring, request: Request) -> Any:
    """Put back what an archive holds, each receipt checked against the log."""
    try:
        contents = [content_from_json(each) for each in body.receipts]
    except Malformed as error:
        raise BadRequest("archive.malformed", f"{error}.") from error
    return await services(request).erase.restore(contents)


@router.post("/receipts/{receipt_id}/erase")
async def erase(receipt_id: Digest, body: Erasing, request: Request) -> Any:
    """Erase what a receipt says; its place in stream and log stays."""
    return await services(request).erase(receipt_id, body.why)


@router.post("/ask")
async def ask(body: Ask, request: Request) -> Any:
    """Ask a partner; answer with what our own checks accepted."""
    return await services(request).ask(
        agreement_id=body.agreement,
        purpose=body.purpose,
        fields=body.fields,
        customers=body.customers,
        where=_conditions(body),
    )


def _conditions(body: Ask) -> tuple[Condition, ...]:
    """Return the conditions of a question, in the order that requests need."""
    found = []
    for number, each in enumerate(body.where):
        try:
            found.append(parse_condition(each.model_dump()))
        except Malformed as error:
            detail = f"Condition {number + 1} cannot be asked: {error}."
            raise BadRequest("where.form", detail) from error
    return ordered(found)
