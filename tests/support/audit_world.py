"""A simulated consortium with two weeks of synthetic calls. Nothing in it is real.

Seven made-up companies, two datasets, one provider's log of signed receipts and
snapshots. All of it is deterministic in `now`: keys, calls, salts, anchors. The
receipts, snapshots, places and anchors are genuine (made with `ledger.memory`), so
that whoever checks them has something to check; there are no records behind them.
"""

import datetime
import math
import random
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from crypto.encoding import b64u
from crypto.keys import Ed25519Key
from crypto.typed import Field, Kind, Schema, schema_hash, size
from ledger.conditions import Condition, Value, ordered
from ledger.disclosure import statement_of
from ledger.memory import MemoryLog
from ledger.memory_chain import MemoryChain
from ledger.participants import Participant
from ledger.receipts import (
    FIRST,
    Countersignature,
    PolicyReference,
    Receipt,
    SignedReceipt,
    countersign,
    sign_receipt,
    stream_id,
)
from ledger.snapshots import SignedSnapshot, Snapshot, sign_snapshot

COMPANIES = (
    ("Hengchuan Motors", "衡川汽车"),
    ("Lumen Battery", "流明电池"),
    ("Voltway Charging", "沃途充电"),
    ("Haichen Logistics", "海宸物流"),
    ("Qingyun Sensors", "青云传感"),
    ("Nordwind Pumps", "北风泵业"),
    ("Tessera Leasing", "方格租赁"),
)
WEIGHTS = (0, 42, 17, 9, 14, 3, 6)
PURPOSES = {
    "joint-delivery": ("Joint delivery", "联合交付"),
    "service-quality": ("Service quality", "服务质量"),
    "cross-sell": ("Cross-selling", "交叉销售"),
}
# dataset -> title, fields: name -> (en, zh, grade, personal, modes)
DATASETS: dict[str, tuple[str, str, dict[str, tuple[str, str, str, bool, list[str]]]]]
DATASETS = {
    "opportunities": (
        "Sales opportunities",
        "销售商机",
        {
            "industry": (
                "Industry",
                "所属行业",
                "general",
                False,
                ["plain", "predicate"],
            ),
            "region": ("Region", "所在区域", "general", False, ["plain"]),
            "project_stage": ("Project stage", "项目阶段", "general", False, ["plain"]),
            "expected_acceptance_date": (
                "Expected acceptance date",
                "预计验收日期",
                "general",
                False,
                ["plain", "predicate"],
            ),
            "orders_12m": (
                "Orders, 12 months",
                "近 12 个月订单数",
                "important",
                False,
                ["aggregate"],
            ),
            "contract_value": (
                "Contract value",
                "合同金额",
                "important",
                False,
                ["predicate", "aggregate"],
            ),
            "contact_email": ("Contact e-mail", "联系邮箱", "general", True, ["never"]),
            "contact_phone": ("Contact phone", "联系电话", "general", True, ["never"]),
        },
    ),
    "service-cases": (
        "Service cases",
        "售后工单",
        {
            "fault_code": ("Fault code", "故障代码", "general", False, ["plain"]),
            "repair_hours": ("Repair hours", "维修工时", "general", False, ["plain"]),
            "sla_met": ("SLA met", "是否达到 SLA", "general", False, ["plain"]),
            "satisfaction": (
                "Satisfaction band",
                "满意度区间",
                "general",
                False,
                ["plain", "aggregate"],
            ),
        },
    ),
}
# (partner, dataset) -> {field: mode}, purposes
GRANTS: dict[tuple[int, str], tuple[dict[str, str], tuple[str, ...]]] = {
    (1, "opportunities"): (
        {
            "industry": "plain",
            "region": "plain",
            "project_stage": "plain",
            "expected_acceptance_date": "plain",
            "contract_value": "predicate",
        },
        ("joint-delivery",),
    ),
    (1, "service-cases"): (
        {"fault_code": "plain", "repair_hours": "plain", "satisfaction": "aggregate"},
        ("service-quality",),
    ),
    (2, "opportunities"): (
        {"industry": "plain", "region": "plain", "orders_12m": "aggregate"},
        ("cross-sell", "joint-delivery"),
    ),
    (2, "service-cases"): (
        {"fault_code": "plain", "sla_met": "plain"},
        ("service-quality",),
    ),
    (3, "opportunities"): (
        {"region": "plain", "expected_acceptance_date": "predicate"},
        ("joint-delivery",),
    ),
    (4, "service-cases"): (
        {
            "fault_code": "plain",
            "repair_hours": "plain",
            "sla_met": "plain",
            "satisfaction": "plain",
        },
        ("service-quality",),
    ),
    (5, "service-cases"): (
        {"fault_code": "plain", "repair_hours": "plain"},
        ("service-quality",),
    ),
    (6, "opportunities"): (
        {"industry": "predicate", "region": "plain", "contract_value": "predicate"},
        ("cross-sell",),
    ),
}
# field -> type and unit where they are not plain text; what partners want proved
KINDS = {
    "expected_acceptance_date": (Kind.DATE, None, 0),
    "orders_12m": (Kind.INTEGER, None, 0),
    "contract_value": (Kind.MONEY, "CNY", 2),
    "repair_hours": (Kind.INTEGER, "h", 0),
    "sla_met": (Kind.BOOLEAN, None, 0),
}
WANTED: dict[str, tuple[tuple[str, tuple[Value, ...]], ...]] = {
    "expected_acceptance_date": (
        ("before", ("2027-03-01",)),
        ("between", ("2027-01-01", "2027-03-31")),
    ),
    "contract_value": (
        ("at_least", ("500000.00",)),
        ("between", ("200000.00", "499999.99")),
    ),
    "industry": (("one_of", ("charging", "logistics")),),
}
NONE = datetime.timedelta(0)
FRESH = datetime.timedelta(minutes=4)
RECENT = datetime.timedelta(minutes=20)
HALF_DAY = datetime.timedelta(hours=12)
RARELY = {"satisfaction", "orders_12m", "sla_met"}


def seeded(*parts: object) -> bytes:
    """32 bytes that depend on nothing but the parts."""
    return sha256(repr(parts).encode()).digest()


def schema_of(dataset: str) -> Schema:
    """The schema of a dataset's records, as a provider would keep it."""
    plain = (Kind.TEXT, None, 0)
    kinds = {name: KINDS.get(name, plain) for name in DATASETS[dataset][2]}
    return tuple(
        Field(name=name, kind=kind, unit=unit, scale=scale, salt=seeded("salt", name))
        for name, (kind, unit, scale) in kinds.items()
    )


@dataclass(frozen=True)
class Company:
    """A made-up participant with its signing key."""

    participant: Participant
    key: Ed25519Key


def company(number: int) -> Company:
    en, zh = COMPANIES[number]
    did = f"did:web:127.0.0.1%3A{8101 + number}"
    key = Ed25519Key.from_bytes(seeded("key", number))
    record = Participant(
        did=did,
        name={"en": en, "zh": zh},
        url=f"http://127.0.0.1:{8101 + number}",
        keys={
            "ed25519": key.public_bytes,
            "x25519": seeded("x", number),
            "bls12381g2": seeded("b", number) * 3,
            "secp256k1": b"\x02" + seeded("s", number),
        },
        chain_address="0x" + seeded("a", number)[:20].hex(),
    )
    return Company(participant=record, key=key)


@dataclass(kw_only=True)
class Chain(MemoryChain):
    """A chain whose clock is that of the calls."""

    times: dict[int, datetime.datetime] = field(default_factory=dict)

    def anchored_at(self, member: str, epoch: int) -> int | None:
        held = self.commitment(member, epoch)
        return int(self.times[epoch].timestamp()) if held else None


@dataclass(frozen=True)
class Entry:
    """One call, as the node's database would hold it; `sequence` counts from 1.

    Snapshots stand between the receipts in the log, so its `index` there is another.
    """

    sequence: int
    at: datetime.datetime
    signed: SignedReceipt
    countersignature: Countersignature | None
    duration_ms: int
    index: int

    @property
    def receipt(self) -> Receipt:
        return self.signed.receipt

    @property
    def names(self) -> list[str]:
        """The fields that were to be shown, or proved something of."""
        hidden = {name for each in self.receipt.where for name in each.fields}
        return [*self.receipt.fields, *sorted(hidden)]


@dataclass
class World:
    """The simulated provider's side of the consortium at `now`."""

    now: datetime.datetime
    calls: int = 3000
    companies: list[Company] = field(
        default_factory=lambda: [company(number) for number in range(len(COMPANIES))]
    )

    def __post_init__(self) -> None:
        own = self.companies[0]
        self.chain = Chain(member=own.participant.chain_address)
        self.log = MemoryLog(own.participant, own.key)
        self.entries: list[Entry] = []
        self.anchored, self.anchored_at = 0, self.now
        self.snapshots: dict[str, tuple[SignedSnapshot, int]] = {}
        self._newest: dict[str, SignedSnapshot] = {}
        self._heads: dict[str, Receipt] = {}
        self._random = random.Random(7)  # noqa: S311 - synthetic data
        recent = [self.now - datetime.timedelta(seconds=75 * it) for it in range(1, 31)]
        times = sorted([self._moment() for _ in range(self.calls - 30)] + recent)
        ages = [self.now - at for at in times]
        for sequence, (at, age) in enumerate(zip(times, ages, strict=True)):
            self._call(sequence + 1, at)
            following = ages[sequence + 1] if sequence + 1 < self.calls else NONE
            if age // HALF_DAY != following // HALF_DAY or age >= RECENT > following:
                self._anchor(sequence)
            elif age >= FRESH > following:
                self.log.integrate()
                self.log.publish()

    @property
    def integrated(self) -> int:
        return self.log.size

    def agreement_id(self, partner: int, dataset: str) -> str:
        return f"agr-{partner:02d}-{dataset}"

    def committed(self, receipt: Receipt) -> dict[str, Any] | None:
        """Tell of the snapshot that a receipt names, and of its agreement's newest."""
        if receipt.snapshot is None or receipt.agreement is None:
            return None
        signed, index = self.snapshots[receipt.snapshot]
        return {
            **signed.to_json(),
            "snapshot_place": self.log.place(index).to_json(),
            "newest": self._newest[receipt.agreement].snapshot.sequence,
        }

    def state(self, entry: Entry) -> str:
        if entry.index < self.anchored:
            return "anchored"
        return "integrated" if entry.index < self.integrated else "sequenced"

    def _anchor(self, sequence: int) -> None:
        self.log.integrate()
        self.log.publish()
        done = self.log.anchor(self.chain, salt=seeded("epoch", sequence))
        self.anchored = self.log.size
        self.anchored_at = self.chain.times[done.epoch] = self.entries[-1].at

    def _moment(self) -> datetime.datetime:
        """Some instant of the last 14 days; more by day than by night, at +08:00."""
        while True:
            back = datetime.timedelta(seconds=self._random.randrange(30, 14 * 86_400))
            hour = (self.now - back).hour + 8
            if self._random.random() < math.exp(-(((hour % 24 - 14) / 5) ** 2)) + 0.04:
                return self.now - back

    def _call(self, sequence: int, at: datetime.datetime) -> None:
        draw = self._random
        number = draw.choices(range(len(COMPANIES)), WEIGHTS)[0]
        grants = [dataset for partner, dataset in GRANTS if partner == number]
        dataset = draw.choice(grants)
        modes, purposes = GRANTS[number, dataset]
        names = [
            name
            for name in modes
            if draw.random() < (0.12 if name in RARELY else 0.6)
            and (number, name) != (6, "contract_value")
        ] or [next(iter(modes))]
        purpose, denials = draw.choice(purposes), []
        if draw.random() < 0.035:
            trouble = draw.choices(range(4), (5, 2, 3, 1))[0]
            wanted = ["contact_phone", "contract_value", "contact_email"]
            if trouble == 0 and dataset == "opportunities":
                name = wanted[number % 3]
                names = sorted({*names, name})
                denials = [] if name in modes else ["field.not_granted"]
            elif trouble == 1:
                purpose, denials = "credit-scoring", ["purpose.mismatch"]
            elif trouble == 2:
                denials = ["rate.exceeded"]
            else:
                denials = ["nonce.replayed"]
        unknown = draw.random() < 0.004
        if unknown:
            denials = ["token.signature"]
        self._append(
            sequence,
            at,
            partner=None if unknown else number,
            dataset=dataset,
            names=sorted(names),
            purpose=purpose,
            denials=denials,
        )

    def _append(
        self,
        sequence: int,
        at: datetime.datetime,
        *,
        partner: int | None,
        dataset: str,
        names: list[str],
        purpose: str,
        denials: list[str],
    ) -> None:
        own, draw = self.companies[0], self._random
        caller = None if partner is None else self.companies[partner]
        agreement = None if partner is None else self.agreement_id(partner, dataset)
        provider = own.participant.did
        consumer = caller.participant.did if caller else None
        stream = stream_id(provider=provider, consumer=consumer, agreement=agreement)
        before = self._heads.get(stream)
        allowed, customers = not denials, draw.randrange(1, 60)
        fields, where = self._asked(partner, dataset, names)
        found = int(customers * 0.8)
        withheld = draw.randrange(found + 1) if where else 0
        statement = statement_of(schema_of(dataset), fields, where)
        snapshot = (
            self._snapshot(agreement, dataset, sequence, at) if agreement else None
        )
        receipt = Receipt(
            provider=provider,
            consumer=consumer,
            agreement=agreement,
            agreement_hash=seeded(agreement).hex() if agreement else None,
            stream=stream,
            sequence=before.sequence + 1 if before else 0,
            previous=before.receipt_id if before else FIRST,
            at=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            request_hash=seeded("request", sequence).hex(),
            nonce=b64u(seeded("nonce", sequence)[:16]) if caller else None,
            dataset=dataset,
            purpose=purpose,
            fields=fields,
            where=where,
            statement=statement.digest.hex() if allowed else None,
            decision="allow" if allowed else "deny",
            denials=tuple(denials),
            customers=customers,
            records=found - withheld if allowed else 0,
            withheld=withheld if allowed else 0,
            snapshot=snapshot.snapshot.snapshot_id if snapshot and allowed else None,
            response_hash=seeded("answer", sequence).hex() if allowed else None,
            policy=PolicyReference(
                revision=seeded("policy").hex(),
                input_hash=seeded("input", sequence).hex(),
                engine="simulated 1.0",
            ),
            key_id=own.key.key_id(own.participant.did),
        )
        signed = sign_receipt(receipt, own.key)
        self._heads[stream] = receipt
        index = self.log.sequence(signed, salt=seeded("salt", sequence))
        back = (
            countersign(signed, caller.key) if caller and draw.random() < 0.97 else None
        )
        entry = Entry(sequence, at, signed, back, draw.randrange(6, 48), index)
        self.entries.append(entry)

    def _asked(
        self, partner: int | None, dataset: str, names: list[str]
    ) -> tuple[tuple[str, ...], tuple[Condition, ...]]:
        """Part what is to be shown from what is to be proved."""
        modes = GRANTS.get((partner or 0, dataset), ({}, ()))[0]
        hidden = [name for name in names if modes.get(name) == "predicate"]
        asked = [(name, *self._random.choice(WANTED[name])) for name in hidden]
        where = ordered(
            Condition.of(how, [name], values) for name, how, values in asked
        )
        return tuple(name for name in names if name not in hidden), where

    def _snapshot(
        self, agreement: str, dataset: str, sequence: int, at: datetime.datetime
    ) -> SignedSnapshot:
        """Return the agreement's newest snapshot; a new one when it is time."""
        newest = self._newest.get(agreement)
        if newest and sequence not in {self.calls // 2, self.calls - 2}:
            return newest
        own, before = self.companies[0], newest.snapshot if newest else None
        did = own.participant.did
        snapshot = Snapshot(
            provider=did,
            agreement=agreement,
            dataset=dataset,
            version=before.version + 1 if before else 1,
            sequence=before.sequence + 1 if before else 0,
            previous=before.snapshot_id if before else FIRST,
            declaration=seeded("declaration", agreement).hex(),
            customers=256,
            root=seeded("root", agreement, sequence).hex(),
            schema_hash=schema_hash(schema_of(dataset)).hex(),
            messages=size(schema_of(dataset)),
            bbs_key_id=own.participant.key_id("bls12381g2"),
            at=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            key_id=own.key.key_id(did),
        )
        signed = sign_snapshot(snapshot, own.key)
        salt = seeded("salt", snapshot.snapshot_id)
        index = self.log.sequence(signed, salt=salt)
        self.snapshots[snapshot.snapshot_id] = signed, index
        self._newest[agreement] = signed
        return signed
