"""Plans of every kind between the companies of these samples, and steps of them."""

from dataclasses import fields, replace
from typing import Any, Final

from ledger.conditions import Condition
from ledger.evidence import Evidence
from ledger.memory import MemoryLog
from ledger.memory_chain import MemoryChain
from ledger.plans import (
    Group,
    Kind,
    Measure,
    Party,
    Plan,
    Replaced,
    SignedPlan,
    sign_plan,
)
from ledger.receipts import Receipt, countersign, request_hash, sign_receipt
from ledger.step_answer import AskedStep, StepAnswer
from tests.unit.ledger.samples import (
    AGREEMENT,
    CONSUMER,
    CONSUMER_KEY,
    CONSUMER_RECORD,
    DATASET,
    NONCE,
    PROVIDER,
    PROVIDER_KEY,
    PROVIDER_RECORD,
    PURPOSE,
    chain,
    receipt,
    refusal,
    seed,
    stream,
)

MEMBERS: Final = tuple(each.name for each in fields(Plan) if each.init)
"""Names of a plan's members on the wire, besides `typ`."""


def party(number: int = 1) -> Party:
    """A provider; the first is that of these samples."""
    return Party(
        did=PROVIDER if number == 1 else f"did:web:127.0.0.1%3A82{number:02}",
        agreement=AGREEMENT if number == 1 else f"agreement-{number}",
        agreement_hash=seed("agreement" if number == 1 else f"{number}").hex(),
        dataset=DATASET,
    )


WEEKS: Final = Group(
    field="ordered_on", grain="week", values=("2026-11-09", "2026-11-16")
)
REGIONS: Final = Group(field="region", grain="value", values=("华东", "North", "South"))
COUNT: Final = Measure(what="count", field=None, bound=1)
TOTAL: Final = Measure(what="sum", field="order_total", bound=50_000)
SHIPPED: Final = Condition.of("after", ["shipped_on"], ["2026-01-01"])

_OWN: Final[dict[Kind, dict[str, Any]]] = {
    Kind.HEAT_MAP: {
        "mode": "C",
        "groups": (WEEKS, REGIONS),
        "contribution": 2,
        "parameters": "bfv-8192-41",
    },
    Kind.INTERSECTION: {
        "mode": "count",
        "epsilon_micro": 0,
        "size": 96,
        "commitment": seed("list").hex(),
    },
    Kind.JOINT_SUM: {
        "measure": TOTAL,
        "filters": (SHIPPED,),
        "parameters": "bfv-8192-41",
        "size": 96,
        "commitment": seed("list").hex(),
    },
    Kind.RING_COUNT: {
        "parties": (party(1), party(3)),
        "epsilon_micro": 0,
        "size": 96,
        "commitment": seed("list").hex(),
    },
    Kind.FEDERATED_SUM: {
        "parties": (party(1), party(3), party(4)),
        "groups": (REGIONS,),
        "measure": TOTAL,
        "parameters": "bfv-4096-40",
        "key": seed("key").hex(),
    },
}


def plan(kind: Kind = Kind.HEAT_MAP, **changes: Any) -> Plan:
    """A plan of a kind, changed as said."""
    common: dict[str, Any] = {
        "kind": kind,
        "mode": "",
        "round": seed("round").hex(),
        "asker": CONSUMER,
        "parties": (party(1),),
        "purpose": PURPOSE,
        "groups": (),
        "measure": COUNT,
        "filters": (),
        "cohort": "all",
        "contribution": 1,
        "epsilon_micro": 500_000,
        "k_min": 10,
        "parameters": "",
        "key": None,
        "size": 0,
        "segments": None,
        "segment_labels": (),
        "totals": (),
        "commitment": None,
        "replaces": None,
        "created": "2026-11-22T18:00:00Z",
        "expires": "2026-11-23T18:00:00Z",
        "key_id": CONSUMER_KEY.key_id(CONSUMER),
    }
    return Plan(**(common | _OWN[kind] | changes))


def rows(**changes: Any) -> Plan:
    """A heat map in mode R, changed as said."""
    own = {
        "mode": "R",
        "cohort": "shared",
        "segments": seed("masks").hex(),
        "segment_labels": ("cell A", "cell B"),
    }
    return plan(**(own | changes))


def flipped(**changes: Any) -> Plan:
    """A heat map that is computed under the asker's key, changed as said."""
    own = {"mode": "flip", "key": seed("key").hex(), "totals": ("region",)}
    return plan(**(own | changes))


def second_round(**changes: Any) -> Plan:
    """A federated sum that replaces one in which a party was missing."""
    missing = (party(5).did,)
    gone = Replaced(round=seed("round given up").hex(), missing=missing)
    return plan(Kind.FEDERATED_SUM, **({"replaces": gone} | changes))


EVERY: Final = (*map(plan, Kind), rows(), flipped(), second_round())
"""A plan of every kind and mode."""


def signed(asked: Plan | None = None) -> SignedPlan:
    """A plan, signed by its asker."""
    return sign_plan(asked or plan(), CONSUMER_KEY)


ANSWER: Final = StepAnswer.of({"spread": 31, "cells": 6}, b"\x00 ciphertext \xff")


def header(asked: SignedPlan, **changes: Any) -> dict[str, Any]:
    """What a step of a plan is asked with."""
    return {
        "agreement": AGREEMENT,
        "purpose": PURPOSE,
        "plan": asked.to_json(),
        "step": "cells",
        "arguments": {},
        "payload": seed("payload").hex(),
        "stream": {"last": None, "countersignatures": []},
    } | changes


def asked_step(asked: SignedPlan, **changes: Any) -> AskedStep:
    """A step as its asker sent it."""
    facts: dict[str, Any] = {
        "consumer": CONSUMER,
        "dataset": DATASET,
        "nonce": NONCE,
        "agreement_hash": seed("agreement").hex(),
        "header": header(asked),
    }
    return AskedStep(**(facts | changes))


def step_receipt(asked: SignedPlan, **changes: Any) -> Receipt:
    """The receipt of a step that was allowed, changed as said."""
    nothing = {"customers": 0, "records": 0, "statement": None, "snapshot": None}
    facts = {
        "request_hash": request_hash(DATASET, header(asked)),
        "fields": asked.plan.fields,
        "response_hash": ANSWER.response_hash,
        "plan": asked.plan.plan_hash,
        "step": "cells",
        "spent": asked.plan.epsilon_micro,
    }
    return receipt(**(nothing | facts | changes))


def step_refusal(asked: SignedPlan, **changes: Any) -> Receipt:
    """The receipt of a step that was refused, changed as said."""
    facts = {
        "request_hash": request_hash(DATASET, header(asked)),
        "fields": asked.plan.fields,
        "customers": 0,
        "denials": ("cohort.too_small",),
        "plan": asked.plan.plan_hash,
        "step": "cells",
        "spent": 50_000,
    }
    return refusal(**(facts | changes))


def story(of: Receipt | None = None) -> tuple[Evidence, MemoryChain]:
    """Evidence of a step, with its plan and answer, and the chain of its anchor."""
    asked = signed()
    kept, on_chain = MemoryLog(PROVIDER_RECORD, PROVIDER_KEY), chain()
    mine = sign_receipt(of or step_receipt(asked), PROVIDER_KEY)
    for number, entry in enumerate([mine, *stream(2)]):
        kept.sequence(entry, salt=seed(f"salt {number}"))
    kept.integrate()
    kept.publish()
    kept.anchor(on_chain, salt=seed("anchor"))
    evidence = replace(
        kept.evidence(0, CONSUMER_RECORD),
        countersignature=countersign(mine, CONSUMER_KEY),
        plan=asked,
        answer=ANSWER,
    )
    return evidence, on_chain
