"""The pinned cases, written down by hand: what is asked, and what must be decided.

A case is a comment, what is set or removed in a question that is allowed, and the
outcome. `generate` writes them to `policies/corpus.json`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from tests.policies.model import NAMES
from tests.policies.questions import (
    CONSUMER,
    DELETE,
    NOW,
    PROVIDER,
    STRANGER,
    TOKEN_PROBLEMS,
    allowed,
    grant,
    label,
    plan,
    predicate,
    step_of,
    use,
)

BOTH = ("acceptance_date", "project_stage")
HIDDEN = ("annual_spend", "planned_spend")
Case = dict[str, Any]
Changes = dict[str, Any]
Names = Sequence[str]


def corpus() -> Iterator[Case]:
    """Make the pinned cases."""
    yield from _allowed()
    yield from _caller()
    yield from _agreement()
    yield from _content()
    yield from _proved()
    yield from _not_proved()
    yield from _counted()
    yield from _not_counted()
    yield from _not_planned()
    yield from _tiers()
    yield from _malformed()


def _allowed() -> Iterator[Case]:
    duties = ["personal.protect", "receipt.countersign"]
    cases: list[tuple[str, Changes]] = [
        ("two fields, one personal, and two predicates", {}),
        ("the first second of the validity", {"agreement.valid_from": NOW}),
        ("the last second of the validity", {"agreement.valid_to": NOW + 1}),
        ("the last call of the hour", {"usage.calls_this_hour": 9}),
        ("as many rows as the agreement allows", {"request.customers": 50}),
        ("as many rows as the company allows", {"company.max_rows": 3}),
        ("the other purpose", {"request.purpose": "warranty"}),
        ("a field named twice", {"request.fields": [*BOTH, "project_stage"]}),
        ("as many conditions as agreed", {"usage.probes.annual_spend": 8}),
        ("no company rules", {"company.denied_fields": [], **_NO_PARTNERS}),
        (
            "a purpose in Chinese",
            {"request.purpose": "交付计划", "agreement.purposes": ["质保", "交付计划"]},
        ),
    ]
    for comment, changes in cases:
        yield _yes(comment, changes, predicate_fields=HIDDEN, obligations=duties)
    stage = {"request.fields": ["project_stage"]}
    yield _yes(
        "one field, not personal",
        stage | _asking(),
        fields=["project_stage"],
        obligations=["receipt.countersign"],
    )
    yield _yes("fields alone", _asking(), obligations=duties)


def _caller() -> Iterator[Case]:
    for code in TOKEN_PROBLEMS:
        yield _no(code, code, {"caller.problem": code})
    word = {"caller.problem": "token.strange"}
    yield _no("an unheard-of token problem", "token.malformed", word)
    yield _no("a nonce seen before", "nonce.replayed", {"usage.nonce_seen": True})
    cases: list[tuple[str, Changes]] = [
        ("somebody else's agreement", {"caller.did": STRANGER, **_NO_PARTNERS}),
        ("the provider itself calls", {"caller.did": PROVIDER}),
        ("an agreement of another provider", {"agreement.provider": STRANGER}),
        ("nobody calls", {"caller.did": "", "agreement.consumer": ""}),
    ]
    for comment, changes in cases:
        yield _no(comment, "agreement.not_party", changes)
    refused = {"company.denied_partners": [STRANGER, CONSUMER]}
    yield _no("a partner the company refuses", "partner.refused", refused)


def _agreement() -> Iterator[Case]:
    coded: list[tuple[str, str, Changes]] = [
        ("no such agreement", "unknown", {"agreement": {}}),
        ("another agreement", "unknown", {"agreement.id": "urn:uuid:2"}),
        ("suspended", "suspended", {"agreement.status": "suspended"}),
        ("revoked", "revoked", {"agreement.status": "revoked"}),
        ("a second early", "not_yet_valid", {"agreement.valid_from": NOW + 1}),
        ("a second late", "expired", {"agreement.valid_to": NOW}),
    ]
    for comment, code, changes in coded:
        yield _no(comment, f"agreement.{code}", changes)
    told: list[tuple[str, str, Changes]] = [
        ("another history", "stream.diverged", {"usage.stream.known": False}),
        ("a forgery", "countersignature.wrong", {"usage.stream.signed": False}),
        (
            "too many receipts not signed back",
            "receipts.unacknowledged",
            {"usage.stream.unacknowledged": 100},
        ),
        (
            "no receipt may be left unsigned",
            "receipts.unacknowledged",
            {"company.max_unacknowledged": 0},
        ),
    ]
    for comment, code, changes in told:
        yield _no(comment, code, changes)
    cases: list[tuple[str, Changes]] = [
        ("another dataset is asked", {"request.dataset": "others"}),
        ("another dataset is agreed", {"agreement.dataset": "others"}),
        ("the dataset is not published", {"dataset": {}}),
    ]
    for comment, changes in cases:
        yield _no(comment, "dataset.mismatch", changes)


def _content() -> Iterator[Case]:
    marketing = {"request.purpose": "marketing"}
    yield _no("off-purpose", "purpose.mismatch", marketing)
    yield _no("no purpose agreed", "purpose.mismatch", {"agreement.purposes": []})
    for field, comment, code in [
        ("notes", "a field not agreed", "field.not_granted"),
        ("gone", "a field nobody has", "field.not_granted"),
        ("contact_phone", "a field for predicates only", "field.mode"),
        ("region", "a field agreed in a mode its dataset lacks", "field.mode"),
        ("budget", "an important field in plain", "field.grade"),
        ("secret", "a core field", "field.grade"),
    ]:
        fields = {"request.fields": [*BOTH, field]}
        yield _no(comment, code, fields, denied=[field])
    never = {"agreement.fields.project_stage": "never"}
    yield _no("a field of mode never", "field.mode", never, denied=["project_stage"])
    core = {"dataset.fields.project_stage": label("core")}
    yield _no("a field graded up", "field.grade", core, denied=["project_stage"])
    withheld = {"company.denied_fields": ["project_stage"]}
    denied = ["project_stage"]
    yield _no(
        "a field the company withholds", "field.withheld", withheld, denied=denied
    )
    coded: list[tuple[str, str, Changes]] = [
        ("the hour is used up", "rate.exceeded", {"usage.calls_this_hour": 10}),
        ("no calls at all", "rate.exceeded", {"agreement.calls_per_hour": 0}),
        ("too many for the agreement", "rows.exceeded", {"request.customers": 51}),
        ("too many for the company", "rows.exceeded", {"company.max_rows": 2}),
        ("nothing asked", "request.malformed", {"request.fields": [], **_asking()}),
        ("no customers", "request.malformed", {"request.customers": 0}),
    ]
    for comment, code, changes in coded:
        yield _no(comment, code, changes)


def _proved() -> Iterator[Case]:
    """Requests that ask only for proof: no value is released."""
    one, two = [HIDDEN[0]], list(HIDDEN)
    ranges = [predicate(word, "annual_spend") for word in ("at_least", "at_most")]
    cases: list[tuple[str, Sequence[Changes], Names]] = [
        ("one predicate alone", [_SPEND], one),
        ("the same predicate twice", [_SPEND, _SPEND], one),
        ("two predicates of one field", ranges, one),
        ("a relation of two fields", [predicate("no_more_than", *HIDDEN)], two),
    ]
    duties = ["receipt.countersign"]
    for comment, asked, names in cases:
        changes = {"request.fields": [], **_asking(*asked)}
        yield _yes(
            comment, changes, fields=(), predicate_fields=names, obligations=duties
        )
    for word in ("after", "before", "between", "one_of", "equal", "sum_at_least"):
        names = two if word in {"equal", "sum_at_least"} else one
        changes = {"request.fields": [], **_asking(predicate(word, *names))}
        granted = {name: grant(word, probes=3) for name in names}
        changes["agreement.predicates"] = granted
        comment = f"the operator {word}"
        yield _yes(
            comment, changes, fields=(), predicate_fields=names, obligations=duties
        )
    personal = label("important", personal=True, modes=["predicate"])
    yield _yes(
        "a predicate of a personal field",
        {"request.fields": [], "dataset.fields.annual_spend": personal},
        fields=(),
        predicate_fields=two,
        obligations=["personal.protect", *duties],
    )


def _not_proved() -> Iterator[Case]:
    spend = ["annual_spend"]
    not_granted: list[tuple[str, Changes, Names]] = [
        ("a predicate of a field not agreed", _asking_one("notes"), ["notes"]),
        ("a predicate of a field nobody has", _asking_one("gone"), ["gone"]),
        ("a predicate of a plain field", _PLAIN, ["project_stage"]),
        ("a predicate of an aggregate field", _asking_one("volume"), ["volume"]),
        ("a field agreed without operators", _PHONE, ["contact_phone"]),
        ("a mode the dataset lacks", _HEADCOUNT, ["headcount"]),
        ("an operator not agreed", _asking(predicate("one_of", *spend)), spend),
        ("a second operator not agreed", _BOTH_WORDS, spend),
        ("a relation agreed on one side", _HALF, spend),
        ("a relation with a plain field", _MIXED, ["project_stage"]),
        ("no predicates agreed", {"agreement.predicates": {}}, HIDDEN),
        ("a field turned plain", {"agreement.fields.annual_spend": "plain"}, spend),
        ("a field turned never", {"agreement.fields.annual_spend": "never"}, spend),
    ]
    withheld: Changes = {"company.denied_fields": []}
    for comment, changes, denied in not_granted:
        yield _no(comment, "predicate.not_granted", withheld | changes, denied=denied)
    shown = {"request.fields": [*BOTH, *spend]}
    yield _no("a field shown and hidden", "field.mode", shown, denied=spend)
    core = {"dataset.fields.annual_spend": label("core", modes=["predicate"])}
    yield _no("a predicate of a core field", "field.grade", core, denied=spend)
    rules = {"company.denied_fields": ["annual_spend", "volume"]}
    yield _no("a hidden field withheld", "field.withheld", rules, denied=spend)
    off = predicate("no_more_than", *HIDDEN, on_grid=False)
    grid = _asking(_SPEND | {"on_grid": False}, predicate("no_more_than", *HIDDEN))
    yield _no("a bound off the grid", _GRANULARITY, grid, denied=spend)
    yield _no("a relation off the grid", _GRANULARITY, _asking(off), denied=HIDDEN)
    counted: list[tuple[str, Changes]] = [
        ("one condition too many", {"usage.probes.annual_spend": 9}),
        ("conditions that nobody counted", {"usage.probes.annual_spend": DELETE}),
        ("no conditions at all", {"agreement.predicates.annual_spend.probes": 0}),
    ]
    for comment, changes in counted:
        yield _no(comment, "predicate.exhausted", changes, denied=spend)


def _counted() -> Iterator[Case]:
    """Plans: nothing is shown and nothing proved, only figures are made."""
    listed = plan(kind="intersection", mode="list", matching="list", size=128)
    ring = plan(kind="ring-count", matching="count", parties=2, size=64)
    cases: list[tuple[str, Changes, Names]] = [
        ("a heat map of two fields", plan(), FIGURED),
        ("a heat map of one field", plan(_GROUP), ["fault"]),
        ("one field used twice", plan(_GROUP, use("fault", "filter")), ["fault"]),
        ("a count of all customers", plan(fields=[]), []),
        ("a list of shared customers", listed | {"fields": []}, []),
        ("a ring", ring | {"fields": [], "epsilon_micro": 0}, []),
        ("a joint sum", plan(_SUM, **_JOINT), FIGURED[1:]),
        ("a sum over three", plan(kind="federated-sum", parties=3), FIGURED),
        ("a plan that takes all that is left", plan(epsilon_micro=600_000), FIGURED),
        ("a plan that costs nothing", plan(epsilon_micro=0), FIGURED),
        ("more customers than the least", plan(k_min=11), FIGURED),
    ]
    for comment, asked, names in cases:
        yield _figures(comment, asked, names)
    yield _figures("the last plan of the day", plan(), FIGURED, _THIRD)
    own = {"company.denied_fields": ["city"]}
    yield _figures("other fields withheld", plan(), FIGURED, own)
    matching: Changes = {"agreement.allowance.counts": False}
    joint = plan(fields=[], **_JOINT)
    yield _figures("matching agreed, no counts", joint, [], matching)


def _not_counted() -> Iterator[Case]:
    """For each code the smallest plan that is refused for it, and nothing else."""
    group, cost = ["fault"], ["repair_cost"]
    not_granted: list[tuple[str, Changes, Names]] = [
        ("a use not agreed", plan(_GROUP | {"granted": False}), group),
        ("a second use not agreed", plan(_GROUP, _FILTER), group),
        ("a figure of a field not agreed", plan(use("notes", "group")), ["notes"]),
        ("a figure of a field nobody has", plan(use("gone", "group")), ["gone"]),
        ("a figure of a plain field", plan(use(*_STAGE)), ["project_stage"]),
        ("a figure of a hidden field", plan(use(*_HIDDEN)), ["annual_spend"]),
        ("a figure its dataset lacks", plan(use("city", "group")), ["city"]),
    ]
    for comment, asked, denied in not_granted:
        yield _stopped(comment, "aggregate.not_granted", asked, denied=denied)
    none = {"agreement.allowance.counts": False}
    comment = "a count where nothing may be counted"
    yield _stopped(comment, "aggregate.not_granted", plan(fields=[]), none)
    over = plan(_SUM | {"in_bound": False})
    yield _stopped("a sum cut off too high", "aggregate.bound", over, denied=cost)
    core = plan(use("secret_rate", "group"))
    denied = ["secret_rate"]
    yield _stopped("a figure of a core field", "field.grade", core, denied=denied)
    rules = {"company.denied_fields": ["fault", "volume"]}
    comment = "a figure of a field withheld"
    yield _stopped(comment, "field.withheld", plan(), rules, denied=group)
    count, listed = plan(fields=[], **_JOINT), plan(fields=[], **_LIST)
    agreed = "agreement.allowance.matching"
    coded: list[tuple[str, str, Changes, Changes]] = [
        ("values of another type", "plan.malformed", plan(well_formed=False), {}),
        ("a count not agreed", "matching.not_granted", count, {agreed: "none"}),
        ("a list not agreed", "matching.not_granted", listed, {agreed: "count"}),
        ("too long a list", "matching.size", count | {"size": 129}, {}),
        ("too few customers", "cohort.minimum", plan(k_min=9), {}),
        ("a sum over two", "parties.too_few", _OVER_TWO, {}),
        ("a sum over nobody", "parties.too_few", plan(parties=0), {}),
        ("too many plans", "plans.exceeded", plan(), {"usage.plans_today": 4}),
        ("more than is left", "budget.exhausted", plan(epsilon_micro=600_001), {}),
        (
            "more than a period has",
            "budget.exhausted",
            plan(epsilon_micro=1_000_001),
            {"usage.budget_left": 2_000_000},
        ),
        (
            "no calls left for it",
            "rate.exceeded",
            plan(),
            {"usage.calls_this_hour": 10},
        ),
    ]
    for comment, code, asked, changes in coded:
        yield _stopped(comment, code, asked, changes)
    nothing = "aggregate.not_granted budget.exhausted cohort.minimum plans.exceeded"
    unallowed: Changes = {"agreement.allowance": {}}
    yield _stopped("no allowance at all", nothing, plan(fields=[]), unallowed)


def _not_planned() -> Iterator[Case]:
    """Plans that say nothing of fields, as they are not for this call."""
    odd = use("notes", "group")
    yield _stopped("not signed", "plan.signature", plan(odd, signed=False))
    yield _stopped("another agreement's", "plan.mismatch", plan(odd, bound=False))
    yield _stopped("out of its time", "plan.expired", plan(odd, current=False))
    own: Changes = {"company.denied_partners": [CONSUMER]}
    yield _stopped("a partner that is refused", "partner.refused", plan(), own)
    unsigned = {"usage.stream.unacknowledged": 100}
    comment = "receipts of steps not signed back"
    yield _stopped(comment, "receipts.unacknowledged", plan(), unsigned)
    beside: list[tuple[str, Changes]] = [
        ("a field beside a plan", {"request.fields": ["project_stage"]}),
        ("a condition beside a plan", _asking(_SPEND)),
        ("customers beside a plan", {"request.customers": 1}),
    ]
    for comment, changes in beside:
        yield _stopped(comment, "request.malformed", plan(), changes)


def _tiers() -> Iterator[Case]:
    wrong = {"caller.did": STRANGER, "agreement.status": "revoked", "dataset": {}}
    token = wrong | {"caller.problem": "token.expired", "usage.nonce_seen": True}
    yield _no("a bad token learns nothing else", "token.expired", token)
    parties = "agreement.not_party partner.refused"
    yield _no("a stranger learns nothing of the agreement", parties, wrong)
    late = {"agreement.status": "suspended", "agreement.valid_to": 0, "dataset": {}}
    yield _no("two states", "agreement.expired agreement.suspended", late)
    everything = {
        "request.purpose": "marketing",
        "request.fields": ["budget", "contact_phone", "notes", "volume"],
        "request.predicates": [
            predicate("one_of", "headcount"),
            predicate("at_most", "annual_spend", on_grid=False),
        ],
        "usage.probes.annual_spend": 9,
        "request.customers": 1000,
        "usage.calls_this_hour": 1000,
    }
    codes = (
        "field.grade field.mode field.not_granted field.withheld"
        " predicate.exhausted predicate.granularity predicate.not_granted"
        " purpose.mismatch rate.exceeded rows.exceeded"
    )
    denied = ["annual_spend", "budget", "contact_phone", "headcount", "notes", "volume"]
    yield _no("all that is wrong with a request", codes, everything, denied=denied)


def _malformed() -> Iterator[Case]:
    for member in allowed():
        yield _bad(f"{member} is missing", {member: DELETE})
        yield _bad(f"{member} is null", {member: None})
    cases: list[tuple[str, Changes]] = [
        ("the time is text", {"now": str(NOW)}),
        ("the end is text", {"agreement.valid_to": "9999-12-31T23:59:59Z"}),
        ("the end is huge", {"agreement.valid_to": 2**53}),
        ("the start is missing", {"agreement.valid_from": DELETE}),
        ("the start is negative", {"agreement.valid_from": -1}),
        ("the cap on calls is text", {"agreement.calls_per_hour": "10"}),
        ("the cap on rows is true", {"agreement.rows_per_call": True}),
        ("the company's cap is null", {"company.max_rows": None}),
        ("the calls are a fraction", {"usage.calls_this_hour": 0.5}),
        ("the calls are missing", {"usage.calls_this_hour": DELETE}),
        ("the nonce is text", {"usage.nonce_seen": "false"}),
        ("the customers are a list", {"request.customers": ["a"]}),
        ("the fields are text", {"request.fields": "project_stage"}),
        ("the fields are an object", {"request.fields": {"a": "project_stage"}}),
        ("a field is a number", {"request.fields": ["project_stage", 7]}),
        ("a plan is not told", {"request.plan": DELETE}),
        ("a plan is false", {"request.plan": False}),
        ("a plan is empty", step_of({})),
        ("an unheard-of kind of plan", step_of(plan(kind="regression"))),
        ("the step is null", step_of(plan(step=None))),
        ("the fields of a plan are text", step_of(plan(fields="fault"))),
        ("a field of a plan is text", step_of(plan(fields=["fault"]))),
        ("an unheard-of use", step_of(plan(use("fault", "mean")))),
        ("a use granted by a word", step_of(plan(_GROUP | {"granted": "true"}))),
        ("a bound kept by a number", step_of(plan(_GROUP | {"in_bound": 1}))),
        ("a plan signed by a word", step_of(plan(signed="true"))),
        ("the price is a fraction", step_of(plan(epsilon_micro=0.5))),
        ("the least customers are text", step_of(plan(k_min="10"))),
        ("an unheard-of matching", step_of(plan(matching="all"))),
        ("the budget is text", {"usage.budget_left": "600000"}),
        ("the plans of the day are missing", {"usage.plans_today": DELETE}),
        ("the allowance is null", {"agreement.allowance": None}),
        ("the allowance is missing", {"agreement.allowance": DELETE}),
        ("counts are allowed by a word", {"agreement.allowance.counts": "true"}),
        ("the least cohort is text", {"agreement.allowance.k_min": "10"}),
        ("the predicates are an object", {"request.predicates": {}}),
        ("a predicate is text", {"request.predicates": ["annual_spend"]}),
        ("a predicate of no field", _asking(predicate("at_least"))),
        ("a bound on two fields", _asking(predicate("at_least", *HIDDEN))),
        ("a relation of one field", _asking(predicate("equal", "annual_spend"))),
        ("a field and itself", _asking(predicate("sum_at_least", *HIDDEN[:1] * 2))),
        ("an unheard-of operator", _asking(predicate("unlike", "annual_spend"))),
        ("no operator", _asking({"fields": ["annual_spend"], "on_grid": True})),
        ("the grid is text", _asking(_SPEND | {"on_grid": "true"})),
        ("the grid is not told", _asking({"fields": ["a"], "operator": "at_least"})),
        ("the field is text", _asking(_SPEND | {"fields": "annual_spend"})),
        ("the grants are text", {"agreement.predicates": "annual_spend"}),
        ("a grant is a list", {"agreement.predicates.annual_spend": ["at_least"]}),
        ("an operator nobody knows", {f"{_GRANT}.operators": ["at_least", "unlike"]}),
        ("the operators are text", {f"{_GRANT}.operators": "at_least"}),
        ("the cap on conditions is text", {f"{_GRANT}.probes": "8"}),
        ("the cap on conditions is missing", {f"{_GRANT}.probes": DELETE}),
        ("the conditions counted are a list", {"usage.probes": [2, 3]}),
        ("the count of conditions is text", {"usage.probes.annual_spend": "2"}),
        ("the count of conditions is huge", {"usage.probes.annual_spend": 2**53}),
        ("the stream is missing", {"usage.stream": DELETE}),
        ("the receipts left open are text", {"usage.stream.unacknowledged": "1"}),
        ("a history known by a number", {"usage.stream.known": 1}),
        ("the most left open is null", {"company.max_unacknowledged": None}),
        ("the problem is null", {"caller.problem": None}),
        ("an unheard-of status", {"agreement.status": "paused"}),
        ("the purposes are text", {"agreement.purposes": "delivery-planning"}),
        ("the grants are a list", {"agreement.fields": list(BOTH)}),
        ("an unheard-of mode", {"agreement.fields.project_stage": "all"}),
        ("an unheard-of grade", {"dataset.fields.secret.grade": "public"}),
        ("the modes are text", {"dataset.fields.secret.modes": "plain"}),
        ("personal is a number", {"dataset.fields.secret.personal": 0}),
        ("the company's list is null", {"company.denied_fields": None}),
        ("the company's list is an object", {"company.denied_partners": {}}),
    ]
    for comment, changes in cases:
        yield _bad(comment, changes)
    yield _bad("nothing at all", dict.fromkeys(allowed(), DELETE))


def _asking(*predicates: Changes) -> Changes:
    return {"request.predicates": list(predicates)}


def _asking_one(name: str, operator: str = "at_least") -> Changes:
    return _asking(predicate(operator, name))


def _figures(
    comment: str, asked: Changes, names: Names, changes: Changes | None = None
) -> Case:
    return _case(
        f"plan: {comment}",
        step_of(asked) | (changes or {}),
        allow=True,
        aggregate_fields=names,
        obligations=["receipt.countersign"],
    )


def _stopped(
    comment: str,
    codes: str,
    asked: Changes,
    changes: Changes | None = None,
    *,
    denied: Names = (),
) -> Case:
    whole = step_of(asked) | (changes or {})
    return _no(f"plan: {comment}", codes, whole, denied=denied)


FIGURED = ("fault", "repair_cost")
_GROUP, _SUM = use("fault", "group"), use("repair_cost", "sum")
_FILTER = use("fault", "filter", granted=False)
_STAGE, _HIDDEN = ("project_stage", "group"), ("annual_spend", "sum")
_THIRD: Changes = {"usage.plans_today": 3}
_JOINT: Changes = {"kind": "joint-sum", "matching": "count", "size": 128}
_LIST: Changes = {"kind": "intersection", "matching": "list", "size": 128}
_OVER_TWO = plan(kind="federated-sum", parties=2)
_NO_PARTNERS: Changes = {"company.denied_partners": []}
_GRANT = "agreement.predicates.annual_spend"
_GRANULARITY = "predicate.granularity"
_SPEND = predicate("at_least", "annual_spend")
_PLAIN = _asking_one("project_stage", "one_of") | {"request.fields": BOTH[:1]}
_PHONE = _asking_one("contact_phone", "one_of")
_HEADCOUNT = _asking_one("headcount", "between")
_BOTH_WORDS = _asking(_SPEND, predicate("between", "annual_spend"))
_HALF = _asking(predicate("sum_at_least", *HIDDEN))
_MIXED = _asking(predicate("no_more_than", "planned_spend", "project_stage"))


def _yes(
    comment: str, changes: Changes, *, fields: Names = BOTH, **names: Names
) -> Case:
    return _case(comment, changes, allow=True, fields=fields, **names)


def _no(comment: str, codes: str, changes: Changes, *, denied: Names = ()) -> Case:
    return _case(comment, changes, denials=codes.split(), denied_fields=denied)


def _bad(comment: str, changes: Changes) -> Case:
    return _no(f"malformed: {comment}", "request.malformed", changes)


def _case(
    comment: str, changes: Changes, *, allow: bool = False, **names: Names
) -> Case:
    return {
        "comment": comment,
        "set": {path: value for path, value in changes.items() if value is not DELETE},
        "remove": [path for path, value in changes.items() if value is DELETE],
        "expect": {"allow": allow} | {key: list(names.get(key, ())) for key in NAMES},
    }
