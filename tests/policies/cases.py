"""The pinned cases, written down by hand: what is asked, and what must be decided.

A case is a comment, what is set or removed in a question that is allowed, and the
outcome. `generate` writes them to `policies/corpus.json`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

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
    predicate,
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
    keys = ("fields", "predicate_fields", "denials", "denied_fields", "obligations")
    return {
        "comment": comment,
        "set": {path: value for path, value in changes.items() if value is not DELETE},
        "remove": [path for path, value in changes.items() if value is DELETE],
        "expect": {"allow": allow} | {key: list(names.get(key, ())) for key in keys},
    }
