"""The policies once more, in Python: what the Rego is held against.

Written from `policies/README.md`, one question after the other, as a person would
decide. Only for well-formed questions.
"""

from typing import Any

from tests.policies.questions import TOKEN_PROBLEMS

_FLOOR = {
    "core": set(),
    "important": {"predicate", "aggregate"},
    "general": {"plain", "predicate", "aggregate"},
}


def decided(question: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome that the policies must give."""
    denials, blamed = _denials(question)
    if denials:
        return _outcome(denials=denials, denied_fields=blamed)
    asked = set(question["request"]["fields"])
    labels = question["dataset"]["fields"]
    duties = {"receipt.countersign"}
    if any(labels[name]["personal"] for name in asked):
        duties.add("personal.protect")
    return _outcome(allow=True, fields=asked, obligations=duties)


def _outcome(*, allow: bool = False, **names: set[str]) -> dict[str, Any]:
    keys = ("fields", "denials", "denied_fields", "obligations")
    return {"allow": allow} | {key: sorted(names.get(key, ())) for key in keys}


def _denials(question: dict[str, Any]) -> tuple[set[str], set[str]]:
    for tier in (_token, _known, _parties, _state, _dataset):
        if codes := tier(question):
            return codes, set()
    return _content(question)


def _token(question: dict[str, Any]) -> set[str]:
    problem = question["caller"]["problem"]
    if problem:
        return {problem if problem in TOKEN_PROBLEMS else "token.malformed"}
    return {"nonce.replayed"} if question["usage"]["nonce_seen"] else set()


def _known(question: dict[str, Any]) -> set[str]:
    known = question["agreement"].get("id") == question["request"]["agreement"]
    return set() if known else {"agreement.unknown"}


def _dataset(question: dict[str, Any]) -> set[str]:
    asked = question["request"]["dataset"]
    same = asked == question["agreement"]["dataset"] == question["dataset"].get("id")
    return set() if same else {"dataset.mismatch"}


def _content(question: dict[str, Any]) -> tuple[set[str], set[str]]:
    request, agreement = question["request"], question["agreement"]
    codes, blamed = _fields(question)
    most = min(agreement["rows_per_call"], question["company"]["max_rows"])
    if request["purpose"] not in agreement["purposes"]:
        codes.add("purpose.mismatch")
    if question["usage"]["calls_this_hour"] >= agreement["calls_per_hour"]:
        codes.add("rate.exceeded")
    if request["customers"] > most:
        codes.add("rows.exceeded")
    if not request["fields"] or not request["customers"]:
        codes.add("request.malformed")
    return codes, blamed


def _parties(question: dict[str, Any]) -> set[str]:
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


def _state(question: dict[str, Any]) -> set[str]:
    agreement, now = question["agreement"], question["now"]
    found = set()
    if agreement["status"] != "active":
        found.add(f"agreement.{agreement['status']}")
    if now < agreement["valid_from"]:
        found.add("agreement.not_yet_valid")
    if now >= agreement["valid_to"]:
        found.add("agreement.expired")
    return found


def _fields(question: dict[str, Any]) -> tuple[set[str], set[str]]:
    modes, labels = question["agreement"]["fields"], question["dataset"]["fields"]
    codes, blamed = set(), set()
    for name in question["request"]["fields"]:
        code = ""
        if name not in modes or name not in labels:
            code = "field.not_granted"
        elif modes[name] != "plain" or "plain" not in labels[name]["modes"]:
            code = "field.mode"
        elif "plain" not in _FLOOR[labels[name]["grade"]]:
            code = "field.grade"
        found = {code} if code else set()
        if name in question["company"]["denied_fields"]:
            found.add("field.withheld")
        if found:
            codes |= found
            blamed.add(name)
    return codes, blamed
