"""Simulated aggregates: what a node would state of jobs, results and budgets.

Plans are genuine (made and signed with `ledger.plans`), so that whoever checks them has
something to check; there is nothing behind the figures, which are deterministic.
"""

import datetime
import math
import random
from typing import Any

from ledger.conditions import Condition
from ledger.plans import Group, Kind, Measure, Party, Plan, SignedPlan, sign_plan
from node.domain.denials import DENIALS
from tests.support.audit_world import Entry, World, seeded

REGIONS = ("Beijing", "Chengdu", "Guangzhou", "Shanghai")
CODES = tuple(f"E-{number}" for number in (1041, 1042, 1107, 2003, 2010, 2044, 3310))
CODES += ("P0A7F cell voltage imbalance", "P0AA6", "U0100", "U0293", "B1325")
WEEKS = 16
IDS = [seeded("job", number).hex()[:32] for number in range(12)]
HEAT, RUNNING, JOINT, FEDERATED, SHARED = IDS[:5]
REFUSED, CANCELLED, STARTING, FLIPPED, ANSWERED, RING, FAILED = IDS[5:]
Told = dict[str, Any]
SHARED_BY_BOTH = {"count": 617, "asked": 793, "rate": "0.7781"}


def stamp(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def regions() -> Group:
    return Group(field="region", grain="value", values=REGIONS)


def weeks(now: datetime.datetime) -> Group:
    monday = now.date() - datetime.timedelta(days=now.weekday())
    days = [monday - datetime.timedelta(weeks=back) for back in range(WEEKS, 0, -1)]
    return Group(
        field="reported", grain="week", values=tuple(day.isoformat() for day in days)
    )


def plan(
    world: World, kind: Kind, asker: int, parties: tuple[int, ...], **changes: Any
) -> SignedPlan:
    """A signed plan of a kind; companies by number."""
    company = world.companies[asker]
    did = company.participant.did
    exact = kind in {Kind.INTERSECTION, Kind.RING_COUNT}
    lists = exact or kind is Kind.JOINT_SUM
    values: dict[str, Any] = {
        "kind": kind,
        "mode": {Kind.HEAT_MAP: "C", Kind.INTERSECTION: "count"}.get(kind, ""),
        "round": seeded("round", kind, asker, parties, str(changes)).hex(),
        "asker": did,
        "parties": tuple(
            Party(
                did=world.companies[number].participant.did,
                agreement=f"agr-{asker:02d}-{number:02d}-service",
                agreement_hash=seeded("agreement", asker, number).hex(),
                dataset="service-cases",
            )
            for number in sorted(parties)
        ),
        "purpose": "service-quality",
        "groups": (),
        "measure": Measure(what="count", field=None, bound=1),
        "filters": (),
        "cohort": "shared" if lists else "all",
        "contribution": 1,
        "epsilon_micro": 0 if exact else 500_000,
        "k_min": 10,
        "parameters": "" if exact else "bfv-8192-41",
        "key": seeded("key").hex() if kind is Kind.FEDERATED_SUM else None,
        "size": 2**14 if lists else 0,
        "segments": None,
        "segment_labels": (),
        "totals": (),
        "commitment": seeded("list").hex() if lists else None,
        "replaces": None,
        "created": stamp(world.now - datetime.timedelta(hours=2)),
        "expires": stamp(world.now + datetime.timedelta(hours=20)),
        "key_id": company.key.key_id(did),
    }
    return sign_plan(Plan(**values | changes), company.key)


class SimulatedJobs:
    """The jobs and budgets of a `World`'s first company."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.running = True
        self.empty = False
        self.tight = False
        self.repeated = False
        self.forged: set[str] = set()

    # --- answers

    def listed(self, wanted: str | None = None) -> Told:
        """The list; of one plan where its hash is `wanted`."""
        jobs = [] if self.empty else self._jobs()
        if wanted is not None:
            jobs = [pair for pair in jobs if pair[1].plan.plan_hash == wanted]
        return {
            "items": [
                {
                    **told,
                    "plan": signed.plan.plan_hash,
                    "result": told["result"] is not None,
                }
                for told, signed in jobs
            ]
        }

    def one(self, job_id: str) -> Told | None:
        for told, signed in self._jobs():
            if told["id"] == job_id:
                core = signed.to_json()
                if job_id in self.forged:
                    core["plan"]["purpose"] = "cross-sell"
                receipts = self._receipts(told, signed.plan)
                beside = {"receipts": receipts, "more_receipts": self.repeated}
                return {**told, "plan": core, **beside}
        return None

    def budget(self) -> Told:
        year = {"from": "2026-01-01", "until": "2027-01-01", "period": "year"}
        quarter = {"from": "2026-10-01", "until": "2027-01-01", "period": "quarter"}
        always = {"from": None, "until": None, "period": "always"}
        cap = 2_000_000

        def item(number: int, dataset: str, spent: int, **period: Any) -> Told:
            return {
                "agreement": self.world.agreement_id(number, dataset),
                "partner": self.world.companies[number].participant.did,
                "dataset": dataset,
                "status": "active",
                **period,
                "cap": cap,
                "spent": spent,
                "left": cap - spent,
                "plans_today": min(2, spent // 500_000),
                "plans_per_day": 10,
            }

        items = [
            item(1, "service-cases", 1_850_000 if self.tight else 1_100_000, **quarter),
            item(2, "opportunities", cap if self.tight else 250_000, **year),
            item(4, "service-cases", 0, **always),
        ]
        asked = item(5, "service-cases", 500_000, **quarter)
        del asked["plans_today"]
        whole = 20_000_000
        totals = [
            {
                "dataset": name,
                **year,
                "cap": whole,
                "spent": spent,
                "left": whole - spent,
            }
            for name, spent in (
                ("opportunities", 250_000),
                ("service-cases", 9_100_000),
            )
        ]
        return {
            "items": [] if self.empty else items,
            "asked": [] if self.empty else [asked],
            "datasets": [] if self.empty else totals,
        }

    def step(self, entry: Entry) -> Told:
        """What a call tells of a plan: those of one agreement in one half hour do."""
        began = self.world.now - datetime.timedelta(minutes=40)
        agreement = self.world.agreement_id(1, "service-cases")
        if entry.at < began or entry.receipt.agreement != agreement:
            return {"plan": None, "step": None, "spent": 0}
        _, signed = self._answered()
        name = ("table", "open")[entry.sequence % 2]
        spent = 500_000 if name == "table" else 0
        return {"plan": signed.plan.plan_hash, "step": name, "spent": spent}

    def _receipts(self, job: Told, asked: Plan) -> list[Told]:
        """Receipts of its steps: the world's, which name no plan.

        Of the job that a partner asked for, those that `step` tells of; of ours some.
        """
        world, answers = self.world, job["role"] == "provider"
        entries = [it for it in world.entries if not answers or self.step(it)["plan"]]
        parties = asked.parties[:1] if answers else asked.parties * 2
        return [
            {
                "id": entry.receipt.receipt_id,
                "at": job["created_at"],
                "party": party.did,
                "step": ("table", "open", "accept", "contribute")[number % 4],
                "decision": "deny" if number == 3 else "allow",
                "denials": ["rate.exceeded"] if number == 3 else [],
                "spent": asked.epsilon_micro if number < len(asked.parties) else 0,
                "state": world.state(entry) if answers else "verified",
            }
            for number, (entry, party) in enumerate(
                zip(entries[-8:], parties * 8 if answers else parties, strict=False)
            )
        ]

    # --- jobs

    def _jobs(self) -> list[tuple[Told, SignedPlan]]:
        running = [self._starting(), self._running()] if self.running else []
        return [
            *running,
            self._heat(),
            self._joint(),
            self._federated(),
            self._shared(),
            self._ring(),
            self._answered(),
            self._ended(REFUSED, Kind.RING_COUNT, (0, 3), "cohort.too_small"),
            self._ended(FAILED, Kind.RING_COUNT, (0, 3), "partner.unavailable"),
            self._ended(CANCELLED, Kind.FEDERATED_SUM, (0, 3, 4), None),
            self._flipped(),
        ]

    def _job(
        self,
        job_id: str,
        signed: SignedPlan,
        minutes: float,
        **changes: Any,
    ) -> tuple[Told, SignedPlan]:
        asked = signed.plan
        ours = asked.asker == self.world.companies[0].participant.did
        started = self.world.now - datetime.timedelta(minutes=minutes)
        partners = [party.did for party in asked.parties] if ours else [asked.asker]
        told: Told = {
            "id": job_id,
            "kind": asked.kind.value,
            "mode": asked.mode,
            "role": "consumer" if ours else "provider",
            "partners": partners,
            "agreement": asked.parties[0].agreement,
            "dataset": asked.parties[0].dataset,
            "state": "done",
            "stage": "",
            "done": 0,
            "total": 0,
            "rate": None,
            "eta_s": None,
            "created_at": stamp(started),
            "updated_at": stamp(started + datetime.timedelta(seconds=47)),
            "spent": asked.epsilon_micro * len(partners),
            "result": None,
            "error": None,
            "refused": False,
        }
        return told | changes, signed

    def _running(self) -> tuple[Told, SignedPlan]:
        signed = plan(self.world, Kind.JOINT_SUM, 1, (0,), **_spend())
        return self._job(
            RUNNING,
            signed,
            3,
            state="running",
            stage="blind",
            done=41_200,
            total=100_000,
            rate=2480.4,
            eta_s=24,
            spent=0,
        )

    def _starting(self) -> tuple[Told, SignedPlan]:
        signed = plan(self.world, Kind.HEAT_MAP, 0, (4,), groups=(regions(),))
        return self._job(STARTING, signed, 0.2, state="running", stage="rows", spent=0)

    def _answered(self) -> tuple[Told, SignedPlan]:
        groups = (Group(field="fault_code", grain="value", values=CODES),)
        signed = plan(self.world, Kind.HEAT_MAP, 1, (0,), groups=groups)
        agreement = self.world.agreement_id(1, "service-cases")
        ended = stamp(self.world.now - datetime.timedelta(minutes=1))
        return self._job(ANSWERED, signed, 40, agreement=agreement, updated_at=ended)

    def _heat(self) -> tuple[Told, SignedPlan]:
        groups = (
            regions(),
            Group(field="fault_code", grain="value", values=CODES),
            weeks(self.world.now),
        )
        asked = Condition.of("one_of", ["vehicle_line"], ["H5", "H7"])
        signed = plan(
            self.world, Kind.HEAT_MAP, 0, (1,), groups=groups, filters=(asked,)
        )
        return self._job(HEAT, signed, 95, result=self._told(signed, _faults(), 14))

    def _flipped(self) -> tuple[Told, SignedPlan]:
        groups = (regions(), Group(field="fault_code", grain="value", values=CODES[:5]))
        signed = plan(
            self.world,
            Kind.HEAT_MAP,
            0,
            (5,),
            groups=groups,
            mode="flip",
            key=seeded("key").hex(),
            totals=("region",),
        )
        result = self._told(signed, [1204, 388, None, 2250], 30)
        result |= {"groups": [regions().to_json()], "hidden": [0, 1, 5, 0]}
        return self._job(FLIPPED, signed, 60 * 26, result=result)

    def _joint(self) -> tuple[Told, SignedPlan]:
        signed = plan(self.world, Kind.JOINT_SUM, 0, (2,), **_spend())
        result = self._told(signed, [], 2_500_000)
        result |= {"sum": 1_284_750_250, "mean": "20822.5324"} | SHARED_BY_BOTH
        return self._job(
            JOINT, signed, 210, result=result | {"unit": "CNY", "scale": 2}
        )

    def _federated(self) -> tuple[Told, SignedPlan]:
        quarters = Group(
            field="closed",
            grain="quarter",
            values=("2026-01-01", "2026-04-01", "2026-07-01"),
        )
        signed = plan(
            self.world,
            Kind.FEDERATED_SUM,
            0,
            (1, 2, 5),
            groups=(regions(), quarters),
            parameters="bfv-4096-40",
            measure=Measure(what="sum", field="repair_hours", bound=400),
            contribution=4,
        )
        cells = [4210, 3988, 4475, 1220, None, 1410, 0, 240, 310, 8120, 8004, 9377]
        result = self._told(signed, cells, 220) | {"unit": "h"}
        return self._job(FEDERATED, signed, 60 * 5, result=result)

    def _shared(self) -> tuple[Told, SignedPlan]:
        signed = plan(self.world, Kind.INTERSECTION, 0, (6,))
        result = self._told(signed, [], 0) | SHARED_BY_BOTH
        return self._job(SHARED, signed, 60 * 7, result=result)

    def _ring(self) -> tuple[Told, SignedPlan]:
        signed = plan(self.world, Kind.RING_COUNT, 0, (2, 6))
        asked = signed.plan
        first, second = (party.did for party in asked.parties)
        pairs = [
            {"between": [asked.asker, first], "count": 233},
            {"between": [asked.asker, second], "count": None},
            {"between": [first, second], "count": 71},
        ]
        result = self._told(signed, [], 0) | {"count": 12, "asked": 793, "pairs": pairs}
        return self._job(RING, signed, 60 * 8, result=result)

    def _ended(
        self, job_id: str, kind: Kind, parties: tuple[int, ...], code: str | None
    ) -> tuple[Told, SignedPlan]:
        signed = plan(self.world, kind, 2, parties)
        if code is None:
            return self._job(job_id, signed, 60 * 9, state="cancelled")
        failed = {
            "state": "failed",
            "error": {"code": code, "detail": "In words of the node."},
            "refused": code in DENIALS,
        }
        return self._job(job_id, signed, 60 * 9, **failed)

    def _told(self, signed: SignedPlan, cells: list[int | None], spread: int) -> Told:
        asked = signed.plan
        return {
            "kind": asked.kind.value,
            "mode": asked.mode,
            "plan": asked.plan_hash,
            "groups": [group.to_json() for group in asked.groups],
            "cells": cells,
            "unit": None,
            "scale": 0,
            "spread": spread,
            "spent": {party.did: asked.epsilon_micro for party in asked.parties},
        }


def _spend() -> Told:
    return {
        "measure": Measure(what="sum", field="annual_spend", bound=50_000_00),
        "filters": (Condition.of("at_least", ["orders_12m"], [3]),),
    }


def _faults() -> list[int | None]:
    """Counts that a fault-code table might hold: few codes with most, small ones gone."""
    draw = random.Random(11)  # noqa: S311 - synthetic data
    cells: list[int | None] = []
    for region in range(len(REGIONS)):
        for code in range(len(CODES)):
            weight = 260 / (1 + code) ** 1.15 * (1.5 - 0.3 * region)
            for week in range(WEEKS):
                wave = 1 + 0.8 * math.sin((week + 3 * code) / 3)
                figure = int(draw.gauss(weight * wave, 6))
                cells.append(figure if figure >= 10 else None)
    return cells
