"""What people are told of a job: how far it is, and what came out."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from ledger.plans import SignedPlan, parse_signed_plan
from node.domain.agreement import render_instant
from node.domain.denials import DENIALS
from node.domain.negotiation import Role
from node.ports import StepReceipt, UnitOfWork
from node.ports.aggregates import JobState, KeptJob

_MOST_RECEIPTS: Final = 200


def signed_plan(job: KeptJob) -> SignedPlan:
    """Return the plan that a job is for."""
    return parse_signed_plan(json.loads(job.core))


def plan_json(job: KeptJob) -> Mapping[str, Any]:
    """Return the plan's members, which were checked before it was kept."""
    found: Mapping[str, Any] = json.loads(job.core)["plan"]
    return found


def listed(view: UnitOfWork, job: KeptJob, did: str) -> dict[str, Any]:
    """Return a job as lists show it: `plan` is its hash, `result` whether there is one.

    Args:
        did: This node's.
    """
    told = _told(view, job, did)
    return told | {"plan": job.plan, "result": "result" in job.told}


def whole(view: UnitOfWork, job: KeptJob, did: str) -> dict[str, Any]:
    """Return all of a job: the signed plan, the result if there is one, the receipts.

    `receipts` are those of the plan's steps, the oldest first: of a plan whose steps
    were repeated very often the newest only, and `more_receipts` says so.
    """
    asker = plan_json(job)["asker"]
    found = view.receipts.of_plan(job.plan, asker, job.role, _MOST_RECEIPTS + 1)
    return _told(view, job, did) | {
        "plan": json.loads(job.core),
        "result": job.told.get("result"),
        "receipts": [_receipt(each) for each in found[-_MOST_RECEIPTS:]],
        "more_receipts": len(found) > _MOST_RECEIPTS,
    }


def _receipt(found: StepReceipt) -> dict[str, Any]:
    names = ("at", "party", "step", "decision", "spent", "state")
    return {
        "id": found.receipt_id,
        **{name: getattr(found, name) for name in names},
        "denials": list(found.denials),
    }


def _told(view: UnitOfWork, job: KeptJob, did: str) -> dict[str, Any]:
    plan, provider = plan_json(job), job.role is Role.PROVIDER
    parties = [each for each in plan["parties"] if not provider or each["did"] == did]
    ours = parties[0] if len(parties) == 1 else {}
    error: Mapping[str, Any] = job.told.get("error") or {}
    return {
        "id": job.id,
        "kind": job.kind,
        "mode": plan["mode"],
        "role": job.role.value,
        "partners": [plan["asker"]] if provider else [it["did"] for it in parties],
        "agreement": ours.get("agreement"),
        "dataset": ours.get("dataset"),
        "state": job.state.value,
        "stage": job.stage,
        "done": job.done,
        "total": job.total,
        **_speed(job),
        "created_at": render_instant(job.created_at),
        "updated_at": render_instant(job.updated_at),
        "spent": _spent(view, job),
        "error": error or None,
        "refused": error.get("code") in DENIALS,
    }


def _speed(job: KeptJob) -> Mapping[str, Any]:
    """Return how many parts are done in a second, and how long the rest will take."""
    rate = job.told.get("rate") if job.state is JobState.RUNNING else None
    if not rate or not job.total:
        return {"rate": rate, "eta_s": None}
    return {"rate": rate, "eta_s": math.ceil(max(job.total - job.done, 0) / rate)}


def _spent(view: UnitOfWork, job: KeptJob) -> int:
    """Return micro-epsilon: as provider what was charged, as consumer what was told."""
    if job.role is Role.PROVIDER:
        found = view.budgets.of(job.plan)
        return found.epsilon_micro if found else 0
    spent = (job.told.get("result") or {}).get("spent") or {}
    return sum(spent.values())
