"""A simulated audit API: a node's, as a dashboard sees it, over synthetic data.

For tests of the dashboard and for its pictures. It answers the questions of the
audit API in the contract's shape from a `World`, and can be told to misbehave:
tamper with a receipt, answer nonsense, or take the chain away.

`python -m tests.support.audit_api --directory DIR` serves one on loopback and
writes a settings file beside its registry, for `python -m dashboard`.
"""

import argparse
import datetime
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from crypto.encoding import b64u, canonical
from crypto.typed import Kind
from tests.support.audit_jobs import SimulatedJobs
from tests.support.audit_world import (
    DATASETS,
    GRANTS,
    KINDS,
    PURPOSES,
    WANTED,
    Entry,
    World,
)

TOKEN = "simulated-audit-token"
ACCESS_KEY = "simulated-access-key-4c1f9d0b7e"

Evidence = dict[str, Any]


def stamp(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def names(en: str, zh: str) -> dict[str, str]:
    return {"en": en, "zh": zh}


@dataclass
class SimulatedAudit:
    """Answers from a `World`, or wrongly where it is told to."""

    world: World
    tampering: dict[str, Callable[[Evidence], Evidence]] = field(default_factory=dict)
    failure: int = 0
    nonsense: bool = False
    troubled: bool = False
    erased: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.aggregates = SimulatedJobs(self.world)

    def app(self) -> Starlette:
        routes = {
            "/audit/summary": self.summary,
            "/audit/calls": self.calls,
            "/audit/agreements": self.agreements,
            "/audit/participants": self.participants,
            "/audit/alarms": self.alarms,
            "/audit/faults": self.faults,
            "/audit/faults/{fault_id}": self.fault,
            "/audit/streams": self.streams,
            "/audit/jobs": self.jobs,
            "/audit/jobs/{job_id}": self.job,
            "/audit/budget": lambda _: JSONResponse(self.aggregates.budget()),
            "/audit/receipts/{receipt_id}": self.receipt,
        }
        return Starlette(
            routes=[Route(path, self._guard(it)) for path, it in routes.items()]
        )

    def _guard(
        self, answer: Callable[[Request], Response]
    ) -> Callable[[Request], Response]:
        def guarded(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return JSONResponse({"title": "unauthenticated"}, 401)
            if self.failure:
                return JSONResponse({"title": "simulated failure"}, self.failure)
            if self.nonsense:
                return JSONResponse({"hello": "world"})
            return answer(request)

        return guarded

    # --- answers

    def summary(self, request: Request) -> Response:
        world, query = self.world, request.query_params
        entries = self._within(query["from"], query["to"])
        everything = world.entries
        open_ = [entry for entry in everything if world.state(entry) != "anchored"]
        allowed = sum(entry.receipt.decision == "allow" for entry in entries)
        anchor = max(world.chain.times, default=0)
        agreements = self._agreements()
        return JSONResponse(
            {
                "participant": self._party(0),
                "window": {"from": query["from"], "to": query["to"]},
                "calls": {"allowed": allowed, "denied": len(entries) - allowed},
                "agreements": {
                    "total": len(agreements),
                    "active": len(agreements),
                    **dict.fromkeys(("expired", "suspended", "revoked"), 0),
                    "dormant": 1,
                },
                "receipts": {
                    "total": len(everything),
                    "integrated": world.integrated,
                    "anchored": len(everything) - len(open_),
                    "countersigned": sum(
                        bool(it.countersignature) for it in everything
                    ),
                    "oldest_unanchored_at": stamp(open_[0].at) if open_ else None,
                },
                "checkpoint": {
                    "size": world.integrated,
                    "root": "0" * 64,
                    "at": stamp(world.now),
                },
                "anchor": {
                    "epoch": anchor,
                    "at": stamp(world.anchored_at),
                    "block": anchor,
                    "transaction": f"0x{anchor:064x}",
                    "state": "final",
                }
                if anchor
                else None,
                "alarms": self._alarms(),
                "witnesses": {
                    "known": 7,
                    "quorum": 4,
                    "anchored": {"size": world.integrated, "cosigned": 5},
                    "newest": {"size": world.integrated, "cosigned": 5},
                },
                "matrix": self._matrix(entries),
                "trend": self._trend(entries, query["from"], query["to"]),
                "denials": [
                    {"code": code, "count": count}
                    for code, count in Counter(
                        code for it in entries for code in it.receipt.denials
                    ).most_common()
                ],
                "purposes": [
                    {"id": name, "title": names(*title)}
                    for name, title in PURPOSES.items()
                ],
            }
        )

    def calls(self, request: Request) -> Response:
        query = request.query_params
        tests: dict[str, Callable[[Entry, str], bool]] = {
            "partner": lambda it, value: (it.receipt.consumer or "unknown") == value,
            "field": lambda it, value: value in it.names,
            "purpose": lambda it, value: it.receipt.purpose == value,
            "decision": lambda it, value: it.receipt.decision == value,
            "code": lambda it, value: value in it.receipt.denials,
            "agreement": lambda it, value: it.receipt.agreement == value,
            "dataset": lambda it, value: it.receipt.dataset == value,
            "plan": lambda it, value: self.aggregates.step(it)["plan"] == value,
        }
        within = self._within(query["from"], query["to"])
        wanted = {name: query[name] for name in tests if name in query}

        def matching(*, but: str = "") -> list[Entry]:
            asked = {name: value for name, value in wanted.items() if name != but}
            return [
                it for it in within if all(tests[n](it, v) for n, v in asked.items())
            ]

        found = matching()
        limit = int(query.get("limit", "50"))
        if "after" in query:
            page = [it for it in found if it.sequence > int(query["after"])][:limit]
        else:
            before = int(query.get("before", "999999999"))
            page = [it for it in found if it.sequence < before][-limit:]
        return JSONResponse(
            {
                "items": [self._call(it) for it in reversed(page)],
                "newer": page[-1].sequence
                if page and page[-1] is not found[-1]
                else None,
                "older": page[0].sequence if page and page[0] is not found[0] else None,
                "total": len(found),
                "facets": {
                    "partner": _counted(
                        it.receipt.consumer for it in matching(but="partner")
                    ),
                    "field": _counted(
                        n for it in matching(but="field") for n in it.names
                    ),
                    "purpose": _counted(
                        it.receipt.purpose for it in matching(but="purpose")
                    ),
                    "decision": _counted(
                        it.receipt.decision for it in matching(but="decision")
                    ),
                    "code": _counted(
                        c for it in matching(but="code") for c in it.receipt.denials
                    ),
                },
            }
        )

    def agreements(self, _: Request) -> Response:
        return JSONResponse({"items": self._agreements()})

    def participants(self, _: Request) -> Response:
        own = self.world.companies[0].participant.did
        return JSONResponse({"items": self.registry(), "self": own})

    def _alarms(self) -> list[dict[str, Any]]:
        """What a troubled node calls a person for; nothing otherwise."""
        if not self.troubled:
            return []
        since = stamp(self.world.now - datetime.timedelta(hours=3))
        told = (
            ("log.forked", "a.example/log", "A partner holds receipts that we lack."),
            ("partner.forked", self._party(1)["did"], "It has two histories."),
            ("new.code", "", "Something that no catalogue knows yet."),
        )
        return [
            {
                "code": code,
                "subject": subject,
                "detail": detail,
                "at": since,
                "stops": code.startswith("log."),
            }
            for code, subject, detail in told
        ]

    def alarms(self, _: Request) -> Response:
        return JSONResponse({"items": self._alarms()})

    def faults(self, _: Request) -> Response:
        since = stamp(self.world.now - datetime.timedelta(hours=3))
        kept = [
            {"id": digit * 64, "kind": kind, "participant": did, "at": since}
            for digit, kind, did in (
                ("a", "fork", self._party(1)["did"]),
                ("b", "equivocation", self._party(2)["did"]),
            )
        ]
        return JSONResponse({"items": kept if self.troubled else []})

    def fault(self, request: Request) -> Response:
        if not self.troubled or request.path_params["fault_id"] != "a" * 64:
            return JSONResponse({"title": "no such fault"}, 404)
        return JSONResponse({"typ": "fieldpact/stream-fork/1", "simulated": True})

    def streams(self, _: Request) -> Response:
        """One stream for each agreement; the first ones have something to tell."""
        opened = (96, 0, 41, 3) if self.troubled else (4, 0, 1)
        lost = {
            "kind": "answer_lost",
            "numbers": "17-18",
            "count": 2,
            "mended": True,
            "en": "We lacked these receipts: the answers were lost on the way.",
            "zh": "我方缺少这些回执：答复在途中丢失。",
            "evidence": [],
        }
        forked = {
            **lost,
            "kind": "forked",
            "numbers": "42",
            "count": 1,
            "mended": False,
            "en": "The provider has two histories.",
            "zh": "提供方有两段历史。",
        }
        at = stamp(self.world.now - datetime.timedelta(minutes=12))
        same: dict[str, Any] = {"at": at, "state": "same", "differences": []}
        differs = {"at": at, "state": "different", "unanswered": 1}
        compared = (
            [
                differs | {"differences": [forked]},
                {"at": at, "state": "unreachable"},
                differs | {"differences": [lost]},
                same,
            ]
            if self.troubled
            else [same, None, same]
        )
        counts = Counter(it.receipt.agreement for it in self.world.entries)
        items = []
        for place, each in enumerate(self._agreements()):
            stream = hashlib.sha256(each["id"].encode()).hexdigest()
            items.append(
                {
                    "agreement": each["id"],
                    "role": "provider",
                    "partner": each["partner"],
                    "dataset": each["dataset"],
                    "stream": stream,
                    "receipts": counts[each["id"]],
                    "open": opened[place % len(opened)],
                    "compared": compared[place % len(compared)],
                }
            )
        return JSONResponse({"items": items, "most_unacknowledged": 100})

    def jobs(self, request: Request) -> Response:
        wanted = request.query_params.get("plan")
        return JSONResponse(self.aggregates.listed(wanted))

    def job(self, request: Request) -> Response:
        told = self.aggregates.one(request.path_params["job_id"])
        if told is None:
            return JSONResponse({"title": "no such job"}, 404)
        return JSONResponse(told)

    def receipt(self, request: Request) -> Response:
        receipt_id = request.path_params["receipt_id"]
        entry = self.find(receipt_id)
        if entry is None:
            return JSONResponse({"title": "no such receipt"}, 404)
        if receipt_id in self.erased:
            return JSONResponse({"code": "receipt.erased"}, 410)
        evidence = self.evidence(entry)
        if tamper := self.tampering.get(receipt_id):
            evidence = tamper(evidence)
        return JSONResponse(evidence)

    def evidence(self, entry: Entry) -> Evidence:
        known = {it.participant.did: it.participant for it in self.world.companies}
        consumer = known.get(entry.receipt.consumer or "")
        parties = (consumer,) if consumer else ()
        evidence = self.world.log.evidence(entry.index, *parties)
        told = replace(evidence, countersignature=entry.countersignature).to_json()
        return told | {
            "canonical": b64u(canonical(told["receipt"])),
            "committed": self.world.committed(entry.receipt),
        }

    def find(self, receipt_id: str) -> Entry | None:
        entries = self.world.entries
        return next((it for it in entries if it.receipt.receipt_id == receipt_id), None)

    def registry(self) -> list[dict[str, Any]]:
        return [it.participant.to_json() for it in self.world.companies]

    # --- parts of answers

    def _within(self, start: str, end: str) -> list[Entry]:
        return [it for it in self.world.entries if start <= stamp(it.at) < end]

    def _party(self, number: int) -> dict[str, Any]:
        record = self.world.companies[number].participant
        return {"did": record.did, "name": dict(record.name)}

    def _call(self, entry: Entry) -> dict[str, Any]:
        told = self._told(entry)
        if entry.receipt.receipt_id not in self.erased:
            return told
        kept = {"sequence", "receipt_id", "at", "state"}
        gone = dict.fromkeys(told.keys() - kept)
        return {
            **{name: told[name] for name in kept},
            **gone,
            "fields": [],
            "where": [],
            "denials": [],
            "countersigned": False,
            "erased": {"at": "2026-11-20T10:00:00Z", "why": "<asked> to"},
        }

    def _told(self, entry: Entry) -> dict[str, Any]:
        receipt = entry.receipt
        return {
            "sequence": entry.sequence,
            "receipt_id": receipt.receipt_id,
            "at": receipt.at,
            "partner": receipt.consumer,
            "agreement": receipt.agreement,
            "dataset": receipt.dataset,
            "fields": list(receipt.fields),
            "where": [condition.to_json() for condition in receipt.where],
            "purpose": receipt.purpose,
            "decision": receipt.decision,
            "denials": list(receipt.denials),
            "customers": receipt.customers,
            "records": receipt.records,
            "withheld": receipt.withheld,
            **self.aggregates.step(entry),
            "state": self.world.state(entry),
            "countersigned": entry.countersignature is not None,
            "duration_ms": entry.duration_ms,
        }

    def _matrix(self, entries: list[Entry]) -> dict[str, Any]:
        counted: Counter[tuple[str, str, str | None, str]] = Counter(
            (it.receipt.dataset or "", name, it.receipt.consumer, it.receipt.decision)
            for it in entries
            for name in it.names
        )
        cells = []
        for number in range(1, len(self.world.companies)):
            did = self.world.companies[number].participant.did
            for dataset, (_, _, fields) in DATASETS.items():
                modes = GRANTS.get((number, dataset), ({}, ()))[0]
                cells += [
                    {
                        "dataset": dataset,
                        "field": name,
                        "partner": did,
                        "granted": name in modes,
                        "mode": modes.get(name),
                        "allowed": counted[dataset, name, did, "allow"],
                        "denied": counted[dataset, name, did, "deny"],
                    }
                    for name in fields
                ]
        return {
            "partners": [self._party(it) for it in range(1, len(self.world.companies))],
            "datasets": [
                {
                    "id": dataset,
                    "title": names(en, zh),
                    "fields": [
                        {
                            "name": name,
                            "title": names(title_en, title_zh),
                            "grade": grade,
                            "personal": personal,
                            "modes": modes,
                        }
                        for name, (
                            title_en,
                            title_zh,
                            grade,
                            personal,
                            modes,
                        ) in fields.items()
                    ],
                }
                for dataset, (en, zh, fields) in DATASETS.items()
            ],
            "cells": cells,
        }

    def _trend(
        self, entries: list[Entry], start: str, end: str
    ) -> list[dict[str, Any]]:
        """Slots that have calls: by the hour up to a week, else by the day in UTC."""
        first, last = (datetime.datetime.fromisoformat(it) for it in (start, end))
        hourly = last - first <= datetime.timedelta(days=7)
        shape = "%Y-%m-%dT%H:00:00Z" if hourly else "%Y-%m-%dT00:00:00Z"
        slots: dict[str, dict[str, int]] = {}
        for entry in entries:
            slot = slots.setdefault(entry.at.strftime(shape), {"allow": 0, "deny": 0})
            slot[entry.receipt.decision] += 1
        return [
            {"at": at, "allowed": slot["allow"], "denied": slot["deny"]}
            for at, slot in slots.items()
        ]

    def _agreements(self) -> list[dict[str, Any]]:
        now, day = self.world.now, datetime.timedelta(days=1)
        used: dict[str | None, list[Entry]] = {}
        for entry in self.world.entries:
            used.setdefault(entry.receipt.agreement, []).append(entry)
        items = []
        for (number, dataset), (modes, purposes) in GRANTS.items():
            name = self.world.agreement_id(number, dataset)
            calls = used.get(name, [])
            items.append(
                {
                    "id": name,
                    "role": "provider",
                    "partner": self.world.companies[number].participant.did,
                    "dataset": dataset,
                    "fields": modes,
                    "predicates": [
                        _grant(field)
                        for field, mode in modes.items()
                        if mode == "predicate"
                    ],
                    "purposes": list(purposes),
                    "valid_from": stamp(now - 80 * day),
                    "valid_to": stamp(now + (9 if number == 3 else 200) * day),
                    "calls_per_hour": 120,
                    "rows_per_call": 100,
                    "status": "active",
                    "hash": hashlib.sha256(name.encode()).hexdigest(),
                    "last_used_at": stamp(calls[-1].at) if calls else None,
                    "calls": len(calls),
                }
            )
        return items


def _grant(field: str) -> dict[str, Any]:
    kind, unit, scale = KINDS.get(field, (Kind.TEXT, None, 0))
    return {
        "field": field,
        "type": kind.value,
        "unit": unit,
        "scale": scale,
        "operators": sorted({operator for operator, _ in WANTED[field]}),
        "step": None,
        "probes": 8,
    }


def _counted(values: Iterable[str | None]) -> list[dict[str, Any]]:
    counted = Counter(value or "unknown" for value in values)
    return [
        {"value": value, "count": count} for value, count in counted.most_common(100)
    ]


def write_settings(
    directory: Path, audit: SimulatedAudit, *, node: str, port: int
) -> Path:
    """Write what a dashboard of the simulated node needs; return its settings file."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "registry.json").write_text(
        json.dumps(audit.registry(), ensure_ascii=False)
    )
    (directory / "audit.token").write_text(TOKEN)
    path = directory / "dashboard.toml"
    path.write_text(
        f"""participant = "{audit.world.companies[0].participant.did}"
registry = "registry.json"
access_key_sha256 = "{hashlib.sha256(ACCESS_KEY.encode()).hexdigest()}"
language = "en"
time_zone = "Asia/Shanghai"

[node]
url = "{node}"
token_file = "audit.token"
timeout_s = 60

[listen]
port = {port}
"""
    )
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8190)
    parser.add_argument("--dashboard-port", type=int, default=8290)
    options = parser.parse_args()
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    audit = SimulatedAudit(World(now=now))
    node = f"http://127.0.0.1:{options.port}"
    path = write_settings(
        options.directory, audit, node=node, port=options.dashboard_port
    )
    sys.stdout.write(
        f"simulated audit API at {node}; python -m dashboard --settings {path}\n"
        f"access key: {ACCESS_KEY}\n"
    )
    sys.stdout.flush()
    uvicorn.run(audit.app(), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
