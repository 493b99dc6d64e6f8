"""The policies once more, in Python: what the Rego is held against.

Written from `policies/README.md`, one question after the other, as a person would
decide. Only for well-formed questions.
"""

from collections.abc import Iterator
from typing import Any

from tests.policies.questions import TOKEN_PROBLEMS

Question = dict[str, Any]
Blame = tuple[str, str]
NAMES = (
    "fields",
    "predicate_fields",
    "aggregate_fields",
    "denials",
    "denied_fields",
    "obligations",
)

_FLOOR = {
    "core": set(),
    "important": {"predicate", "aggregate"},
    "general": {"plain", "predicate", "aggregate"},
}


def decided(question: Question) -> dict[str, Any]:
    """Return the outcome that the policies must give."""
    denials, blamed = _denials(question)
    if denials:
        return _outcome(denials=denials, denied_fields=blamed)
    asked = set(question["request"]["fields"])
    hidden = _asked_about(question)
    figured = {each["field"] for each in _used(question)}
    labels = question["dataset"]["fields"]
    duties = {"receipt.countersign"}
    if any(labels[name]["personal"] for name in asked | hidden):
        duties.add("personal.protect")
    return _outcome(
        allow=True,
        fields=asked,
        predicate_fields=hidden,
        aggregate_fields=figured,
        obligations=duties,
    )


def _outcome(*, allow: bool = False, **names: set[str]) -> dict[str, Any]:
    return {"allow": allow} | {key: sorted(names.get(key, ())) for key in NAMES}


def _denials(question: Question) -> tuple[set[str], set[str]]:
    for tier in (_token, _known, _parties, _state, _stream, _dataset, _plan):
        if codes := tier(question):
            return codes, set()
    return _content(question)


def _token(question: Question) -> set[str]:
    problem = question["caller"]["problem"]
    if problem:
        return {problem if problem in TOKEN_PROBLEMS else "token.malformed"}
    return {"nonce.replayed"} if question["usage"]["nonce_seen"] else set()


def _known(question: Question) -> set[str]:
    known = question["agreement"].get("id") == question["request"]["agreement"]
    return set() if known else {"agreement.unknown"}


def _stream(question: Question) -> set[str]:
    stream = question["usage"]["stream"]
    most = question["company"]["max_unacknowledged"]
    stopped = {
        "stream.diverged": not stream["known"],
        "countersignature.wrong": not stream["signed"],
        "receipts.unacknowledged": stream["unacknowledged"] >= most,
    }
    return {code for code, holds in stopped.items() if holds}


def _dataset(question: Question) -> set[str]:
    asked = question["request"]["dataset"]
    same = asked == question["agreement"]["dataset"] == question["dataset"].get("id")
    return set() if same else {"dataset.mismatch"}


def _content(question: Question) -> tuple[set[str], set[str]]:
    request, agreement = question["request"], question["agreement"]
    gates = (_fields, _hidden, _grids, _figures, _withheld)
    stopped = {pair for gate in gates for pair in gate(question)}
    codes, blamed = {code for code, _ in stopped}, {name for _, name in stopped}
    most = min(agreement["rows_per_call"], question["company"]["max_rows"])
    if request["purpose"] not in agreement["purposes"]:
        codes.add("purpose.mismatch")
    if question["usage"]["calls_this_hour"] >= agreement["calls_per_hour"]:
        codes.add("rate.exceeded")
    if request["customers"] > most:
        codes.add("rows.exceeded")
    asks = bool(request["fields"] or request["predicates"])
    if request["plan"] is not None:
        codes |= _price(question) | _matched(question)
        if asks or request["customers"]:
            codes.add("request.malformed")
    elif not asks or not request["customers"]:
        codes.add("request.malformed")
    return codes, blamed


def _plan(question: Question) -> set[str]:
    plan = question["request"]["plan"]
    wanted = {"signed": "signature", "bound": "mismatch", "current": "expired"}
    return {f"plan.{code}" for fact, code in wanted.items() if plan and not plan[fact]}


def _used(question: Question) -> list[Question]:
    plan = question["request"]["plan"]
    return plan["fields"] if plan else []


def _figures(question: Question) -> Iterator[Blame]:
    """Say of each field of a plan why no figure is made of it."""
    modes, labels = question["agreement"]["fields"], question["dataset"]["fields"]
    for name in {each["field"] for each in _used(question)}:
        used = [each for each in _used(question) if each["field"] == name]
        if (
            modes.get(name) != "aggregate"
            or "aggregate" not in labels.get(name, {"modes": []})["modes"]
            or not all(each["granted"] for each in used)
        ):
            yield "aggregate.not_granted", name
        elif "aggregate" not in _FLOOR[labels[name]["grade"]]:
            yield "field.grade", name
        elif not all(each["in_bound"] for each in used):
            yield "aggregate.bound", name


def _price(question: Question) -> set[str]:
    """Say what else of a plan goes beyond the allowance; there may be none."""
    plan, usage = question["request"]["plan"], question["usage"]
    allowance = question["agreement"]["allowance"]
    fewest = {"ring-count": 2, "federated-sum": 3}.get(plan["kind"], 1)
    left = min(usage["budget_left"], allowance.get("epsilon_micro", -1))
    within = {
        "plan.malformed": plan["well_formed"],
        "cohort.minimum": allowance and plan["k_min"] >= allowance["k_min"],
        "parties.too_few": plan["parties"] >= fewest,
        "plans.exceeded": allowance
        and usage["plans_today"] < allowance["plans_per_day"],
        "budget.exhausted": plan["epsilon_micro"] <= left,
    }
    return {code for code, holds in within.items() if not holds}


def _matched(question: Question) -> set[str]:
    """Say what is told of shared customers beyond what was agreed."""
    plan = question["request"]["plan"]
    allowance = question["agreement"]["allowance"]
    if plan["matching"] == "none":
        return set() if allowance.get("counts") else {"aggregate.not_granted"}
    ladder = ["none", "count", "list"]
    agreed = allowance.get("matching", "none")
    codes = set()
    if ladder.index(plan["matching"]) > ladder.index(agreed):
        codes.add("matching.not_granted")
    if plan["size"] > allowance.get("match_size", -1):
        codes.add("matching.size")
    return codes


def _parties(question: Question) -> set[str]:
    did, agreement = question["caller"]["did"], question["agreement"]
    found = set()
    if not did or (did, question["node"]["did"]) != (
        agreement["consumer"],
        agreement["provider"],
    ):
        found.add("agreement.not_party")
    if did in question["company"]["denied_partners"]:
        found.add("partner.refused")
    return found


def _state(question: Question) -> set[str]:
    agreement, now = question["agreement"], question["now"]
    found = set()
    if agreement["status"] != "active":
        found.add(f"agreement.{agreement['status']}")
    if now < agreement["valid_from"]:
        found.add("agreement.not_yet_valid")
    if now >= agreement["valid_to"]:
        found.add("agreement.expired")
    return found


def _fields(question: Question) -> Iterator[Blame]:
    modes, labels = question["agreement"]["fields"], question["dataset"]["fields"]
    for name in question["request"]["fields"]:
        if name not in modes or name not in labels:
            yield "field.not_granted", name
        elif modes[name] != "plain" or "plain" not in labels[name]["modes"]:
            yield "field.mode", name
        elif "plain" not in _FLOOR[labels[name]["grade"]]:
            yield "field.grade", name


def _hidden(question: Question) -> Iterator[Blame]:
    used = question["usage"]["probes"]
    for name in _asked_about(question):
        if code := _stopped(question, name):
            yield code, name
            continue
        agreed = question["agreement"]["predicates"][name]["probes"]
        if name not in used or used[name] > agreed:
            yield "predicate.exhausted", name


def _grids(question: Question) -> Iterator[Blame]:
    for each in question["request"]["predicates"]:
        stopped = any(_stopped(question, name) for name in each["fields"])
        if not stopped and not each["on_grid"]:
            yield from (("predicate.granularity", name) for name in each["fields"])


def _stopped(question: Question, name: str) -> str:
    """Say why nothing may be proved of a field, whatever the bounds."""
    agreement, labels = question["agreement"], question["dataset"]["fields"]
    operators = {
        each["operator"]
        for each in question["request"]["predicates"]
        if name in each["fields"]
    }
    granted = agreement["predicates"].get(name, {"operators": []})["operators"]
    if (
        agreement["fields"].get(name) != "predicate"
        or "predicate" not in labels.get(name, {"modes": []})["modes"]
        or not operators <= set(granted)
    ):
        return "predicate.not_granted"
    return "" if "predicate" in _FLOOR[labels[name]["grade"]] else "field.grade"


def _withheld(question: Question) -> Iterator[Blame]:
    figured = {each["field"] for each in _used(question)}
    named = {*question["request"]["fields"], *_asked_about(question), *figured}
    for name in question["company"]["denied_fields"]:
        if name in named:
            yield "field.withheld", name


def _asked_about(question: Question) -> set[str]:
    predicates = question["request"]["predicates"]
    return {name for each in predicates for name in each["fields"]}
