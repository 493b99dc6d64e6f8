"""What is counted and never shown: figures over vehicles, and what they cost.

The supplier learns noised figures. What must come back is worked out from the car
maker's CRM, where no node was asked: each figure must lie as near to it as it says.
"""

import time
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from examples.demo import faults
from examples.demo.calls import Call, Calls, Unexpected
from examples.demo.consortium import Consortium
from examples.demo.narration import Teller
from examples.desk import Terms
from ledger.plans import parse_signed_plan
from node.cli.figures import amount, legend, tables

WEIGHTS: Final = {
    "P0A1F": 340,
    "P0A7F": 1200,
    "P0A80": 890,
    "P0AA6": 2600,
    "U0293": 150,
}
"""What a fault costs the supplier, in yuan. It tells nobody."""
PURPOSE: Final = "service-quality"
K_MIN: Final = 10
BOUND: Final = 5000
EPSILON: Final = 3_000_000
HEAT_MAP, JOINT_SUM, TOO_MUCH = 2_000_000, 600_000, 1_000_000
_PATIENCE_S: Final = 300.0
_GROUPS: Final = (
    {"field": "region", "values": faults.REGIONS},
    {"field": "fault_code", "values": faults.CODES},
    {
        "field": "reported_on",
        "grain": "week",
        "from": faults.WEEKS[0],
        "to": faults.WEEKS[-1],
    },
)
_TERMS: Final = Terms(
    dataset="faults",
    aggregates=(
        {"field": "fault_code", "uses": ["filter", "group"]},
        {"field": "region", "uses": ["filter", "group"]},
        {"field": "reported_on", "uses": ["filter", "group"], "grains": ["week"]},
        {"field": "repair_cost", "uses": ["sum"], "bound": f"{BOUND}.00"},
    ),
    allowance={
        "epsilon_micro": EPSILON,
        "period": "quarter",
        "k_min": K_MIN,
        "plans_per_day": 20,
        "matching": "count",
        "match_size": 1000,
    },
    purposes=(PURPOSE,),
)


class Counted:
    """The chapter; the car maker's and the supplier's nodes run."""

    def __init__(self, world: Consortium, calls: Calls, tell: Teller) -> None:
        self.maker, self.supplier, _ = world.members
        self.calls, self.tell = calls, tell
        self.agreement = ""

    def play(self) -> None:
        """Agree on figures; ask for what was agreed, and for what was not.

        Raises:
            Unexpected: A figure is wrong, or something was not refused.
        """
        self.tell.chapter("What is counted, and never shown")
        self._agree()
        self._heat_map()
        self._joint_sum()
        self._narrow()
        self._spend_too_much()
        self._tell_budget()

    def _agree(self) -> None:
        self.tell.step("The car maker publishes the faults that its vehicles reported.")
        report = self.maker.desk.publish(faults.DECLARATION)
        self.tell.good(
            f"{report['publishable']:,} faults of {report['customers']:,} vehicles"
        )
        self.tell.step(
            "It shows none of them. It offers figures: counts by code, region and "
            f"week, sums of repair costs, over {K_MIN} vehicles at least, and noised: "
            f"epsilon {_epsilon(EPSILON)} a quarter in all. The supplier accepts."
        )
        self.agreement = self.maker.desk.agree(self.supplier.desk, _TERMS)
        brief = self.agreement.removeprefix("urn:uuid:")[:8]
        self.tell.good("agreed, and signed by both", f"agreement {brief}")

    def _heat_map(self) -> None:
        self.tell.step(
            "The supplier asks where faults come from. It weighs each code with what "
            "one costs it, and tells nobody: it multiplies the encrypted table."
        )
        result = self._asked(
            kind="heat-map",
            mode="C",
            groups=_GROUPS,
            contribution=2,
            epsilon_micro=HEAT_MAP,
            weights={"fault_code": WEIGHTS},
        )
        _check_cells(result)
        for table in tables(result, 74):
            self.tell.beside(table)
        self.tell.more(f"In yuan; {legend(result)}.")
        self._tell_spent(HEAT_MAP)

    def _joint_sum(self) -> None:
        packs = faults.packs()
        self.tell.step(
            f"It asks how many of the {len(packs)} vehicles with its packs reported a "
            "fault, and what their repairs cost together. Neither shows the other a "
            "list."
        )
        result = self._asked(
            kind="joint-sum",
            customers=packs,
            measure={"what": "sum", "field": "repair_cost"},
            epsilon_micro=JOINT_SUM,
        )
        _check_sum(result, packs)
        total, spread = (amount(result, result[name]) for name in ("sum", "spread"))
        self.tell.more(
            f"{result['count']} of {result['asked']} vehicles: {total} "
            f"{result['unit']} ± {spread}, {Decimal(result['mean']):,.2f} each."
        )
        self._tell_spent(JOINT_SUM)

    def _narrow(self) -> None:
        self.tell.step(
            "It asks for the heat map without the last days: the difference to the "
            "first would be about few."
        )
        few = {"fields": ["reported_on"], "is": "before", "values": ["2026-10-30"]}
        self._asked(
            expect="plan.narrowing",
            kind="heat-map",
            mode="C",
            groups=_GROUPS,
            filters=[few],
            contribution=2,
            epsilon_micro=100_000,
        )

    def _spend_too_much(self) -> None:
        self.tell.step(f"It asks for another map, for epsilon {_epsilon(TOO_MUCH)}.")
        self._asked(
            expect="budget.exhausted",
            kind="heat-map",
            mode="C",
            groups=_GROUPS[:1],
            epsilon_micro=TOO_MUCH,
        )

    def _tell_budget(self) -> None:
        self.tell.step("The car maker looks at its budgets (`fieldpact budget`).")
        found = self.maker.desk.get("/audit/budget")
        (mine,) = (it for it in found["items"] if it["agreement"] == self.agreement)
        (all_of_it,) = (it for it in found["datasets"] if it["dataset"] == "faults")
        if mine["spent"] != HEAT_MAP + JOINT_SUM or all_of_it["spent"] != mine["spent"]:
            raise Unexpected(f"not what the plans cost: {mine} {all_of_it}")
        self.tell.table(
            ("of", "period", "epsilon", "spent", "left"),
            (f"agreement with {self.supplier.company.name['en']}", *_row(mine)),
            ("faults, all partners together", *_row(all_of_it)),
        )

    def _asked(self, *, expect: str = "", **draft: Any) -> dict[str, Any]:
        """Have the supplier's node carry a plan out; return what came of it."""
        began = time.perf_counter()
        draft |= {"agreements": [self.agreement], "purpose": PURPOSE}
        begun = self.supplier.desk.post("/management/aggregates", draft)
        with self.tell.waiting("the two nodes compute"):
            job = self._ended(begun["job"])
        plan = parse_signed_plan(job["plan"]).plan.plan_hash
        steps = self._receipts(plan)
        aside = (
            f"{_receipts(len(steps))} · {(time.perf_counter() - began) * 1000:.0f} ms"
        )
        error = job["error"] or {"code": "", "detail": ""}
        if error["code"] != expect:
            raise Unexpected(f"not {expect or 'answered'}: {error}")
        if expect:
            self.tell.refused(f"refused: {expect}", aside)
            self.tell.more(error["detail"].partition(": ")[2])
            return {}
        self.tell.good(f"answered in steps: {' '.join(steps)}", aside)
        self.calls.plans.append(plan)
        result: dict[str, Any] = job["result"]
        return result

    def _ended(self, job: str) -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            found: dict[str, Any] = self.supplier.desk.get(f"/management/jobs/{job}")
            if found["state"] != "running":
                return found
            time.sleep(0.05)
        raise Unexpected(f"the job {job} takes too long")

    def _receipts(self, plan: str) -> list[str]:
        """Keep the receipts of a plan's steps for the end; return their names."""
        items = self.supplier.desk.get(f"/audit/received?plan={plan}")["items"]
        found = items[::-1]
        if not found or not all(each["verified"] for each in found):
            raise Unexpected(f"not all steps have receipts: {found}")
        for each in found:
            call = Call(
                provider=self.maker, receipt=each["receipt_id"], asker=self.supplier
            )
            self.calls.made.append(call)
        return [each["step"] for each in found]

    def _tell_spent(self, cost: int) -> None:
        found = self.supplier.desk.get("/audit/budget")["asked"]
        (mine,) = (each for each in found if each["agreement"] == self.agreement)
        self.tell.more(
            f"It cost epsilon {_epsilon(cost)}; {_epsilon(mine['left'])} is left."
        )


def _reach(spread: int, noises: int = 1) -> int:
    """Return within what a figure stays whose spread is told; more, once in 10^12.

    Noise is beyond t with a probability of c a^(t + 1), where a < 1 and 1 < c < 2. For
    the spread s that is 0.01 at most, so beyond 6s + 5 it is 0.01^6 at most.
    """
    return 6 * spread + 5 * noises


def _check_cells(result: Mapping[str, Any]) -> None:
    """Compare a map with the CRM."""
    seen = {(it.region, it.code, it.week, it.vin) for it in faults.faults()}
    counts = Counter(each[:3] for each in seen)
    labels = [
        (region, code, week)
        for region in faults.REGIONS
        for code in faults.CODES
        for week in faults.WEEKS
    ]
    shown = 0
    for place, cell in zip(labels, result["cells"], strict=True):
        if cell is None:
            continue
        shown += 1
        weight = WEIGHTS[place[1]]
        # What is under the least number of vehicles counts as one less than that.
        off = abs(cell - weight * max(counts[place], K_MIN - 1))
        if cell % weight or off > _reach(result["spread"], weight):
            raise Unexpected(f"{place}: {cell} is not near the CRM")
    # About 24 of 40: fewer than a third are once in 10^27.
    if shown < len(labels) / 3:
        raise Unexpected(f"only {shown} of {len(labels)} cells are shown")


def _check_sum(result: Mapping[str, Any], packs: list[str]) -> None:
    costs: Counter[str] = Counter()
    for each in faults.faults():
        costs[each.vin] += each.cost
    shared = costs.keys() & set(packs)
    exact = sum(min(costs[vin], BOUND * 100) for vin in shared)
    if result["count"] != len(shared):
        raise Unexpected(f"{result['count']} vehicles, not {len(shared)}")
    if abs(result["sum"] - exact) > _reach(result["spread"]):
        raise Unexpected(f"{result['sum']} is not near {exact}")


def _row(account: Mapping[str, Any]) -> tuple[str, ...]:
    amounts = (_epsilon(account[name]) for name in ("cap", "spent", "left"))
    return account["period"], *amounts


def _epsilon(micro: int) -> str:
    return f"{micro / 1_000_000:g}"


def _receipts(count: int) -> str:
    return f"{count} receipt{'s' if count != 1 else ''}"
