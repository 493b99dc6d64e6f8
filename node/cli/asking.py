"""`ask`: a question to a partner, and what was made of the answer."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from crypto.errors import Malformed
from ledger.conditions import Condition, ordered, parse_condition
from node.cli.output import (
    AsJson,
    Exit,
    Management,
    SettingsFile,
    err,
    out,
    print_json,
    reported,
)
from node.domain.customer import BadCustomer, normalise, rule_problem
from node.domain.predicates import PredicateGrant
from node.domain.where import check_length, grant_in_words, in_words, parse_where

Rule = Annotated[str, typer.Option(help="The normalisation rule.")]

_STATES = {
    "anchored": "anchored",
    "not_yet_anchored": "not yet anchored",
    "older": "from an older snapshot",
    "unknown": "nobody said whether it is anchored",
}
_ABOUT_GRANTS = frozenset(
    {"predicate.not_granted", "predicate.granularity", "predicate.exhausted"}
)
"""Refusals that the grants of the fields explain."""


def ask(
    agreement_id: Annotated[str, typer.Argument(help="The agreement's id.")],
    customer: Annotated[list[str], typer.Argument(help="Identifiers of customers.")],
    settings_file: SettingsFile,
    purpose: Annotated[str, typer.Option(help="A purpose's id.")],
    field: Annotated[
        list[str] | None, typer.Option(help="A field to be shown; one or more.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="What to have proved of a field that stays hidden; one or more: "
            '"annual_spend >= 500000", "accepted_on before 2026-03-01", "spend between '
            '0 and 9999.99", "stage in [open, closed]", "paid <= ordered".'
        ),
    ] = None,
    rule: Rule = "exact",
    as_json: AsJson = False,
) -> None:
    """Ask a partner for fields of customers, or for proofs, and check the answer."""
    if not field and not where:
        message = "name a --field to be shown, or say in --where what to have proved"
        raise typer.BadParameter(message)
    api = Management.of(settings_file)
    grants = _grants(api, agreement_id) if where else []
    with reported():
        conditions = ordered(parse_where(text, grants) for text in where or ())
        check_length(conditions, grants)
    answer = api.post(
        "/management/ask",
        {
            "agreement": agreement_id,
            "purpose": purpose,
            "fields": sorted(set(field or ())),
            "customers": [key_of(rule, each) for each in customer],
            "where": [condition.to_json() for condition in conditions],
        },
    )
    print_json(answer) if as_json else _show_answer(answer, grants)
    if not answer["verified"]:
        raise typer.Exit(Exit.NOT_VERIFIED)
    if not answer["allowed"]:
        raise typer.Exit(Exit.DENIED)


def key_of(rule: str, identifier: str) -> str:
    """Return a customer's normalised key.

    Raises:
        BadParameter: There is no such rule, or the identifier does not fit it.
    """
    if problem := rule_problem(rule):
        raise typer.BadParameter(f"{rule} is no rule; {problem}")
    try:
        return normalise(rule, identifier)
    except BadCustomer as bad:
        message = f"{identifier} does not fit the rule {rule}: {bad.kind}"
        raise typer.BadParameter(message) from bad


def grants_of(item: Mapping[str, Any]) -> list[PredicateGrant]:
    """Return what may be asked under an agreement, as the node lists it."""
    with reported():
        return [PredicateGrant.from_json(each) for each in item["predicates"]]


def _grants(api: Management, agreement: str) -> list[PredicateGrant]:
    """Return what may be asked under an agreement; of an unknown one, nothing.

    The node then says that it is unknown.
    """
    items = api.get("/audit/agreements")["items"]
    found = next((each for each in items if each["id"] == agreement), None)
    if found is None:
        err.print("[red]✗ agreement.unknown[/red]")
        err.print(f"The node holds no agreement {agreement}.", markup=False)
        raise typer.Exit(Exit.ERROR)
    return grants_of(found)


def _show_answer(answer: Mapping[str, Any], grants: Sequence[PredicateGrant]) -> None:
    word = "✓ verified" if answer["verified"] else "✗ not verified"
    out.print(f"{word} · receipt {answer['receipt']}")
    for check in answer["checks"]:
        if check["state"] == "failed":
            out.print(f"✗ {check['words']['en']} {check['detail']}", markup=False)
    conditions = [_condition(each) for each in answer["where"]]
    named = {name for condition in conditions for name in condition.fields}
    for each in answer["denials"]:
        out.print(f"✗ {each['code']}: {each['message']} {each['mend']}", markup=False)
        if each["code"] in _ABOUT_GRANTS:
            _show_grants([grant for grant in grants if grant.field in named])
    proofs = [in_words(condition, grants) for condition in conditions]
    for name, records in answer["customers"].items():
        if not records:
            out.print(f"{name}: {'not shared' if records is None else 'no record'}")
        for record in records or ():
            out.print(f"{name}: {_record(record, proofs)}", markup=False)
    if answer["snapshot"]:
        out.print(_snapshot(answer["snapshot"]))


def _show_grants(grants: Sequence[PredicateGrant]) -> None:
    for grant in grants:
        out.print(f"  {grant_in_words(grant)}", markup=False)


def _condition(value: Any) -> Condition:
    try:
        return parse_condition(value)
    except Malformed as error:
        err.print("[red]✗ where.form[/red]")
        err.print(f"The node told a condition that does not parse: {error}.")
        raise typer.Exit(Exit.ERROR) from error


def _record(record: Mapping[str, Any], proofs: Sequence[str]) -> str:
    """Say what was shown and proved of a record.

    Of several conditions nobody learns which one does not hold.
    """
    if not record["proved"]:
        together = "not proved" if len(proofs) == 1 else "not proved together"
        return f"{'; '.join(proofs)}: {together}"
    shown = [f"{key} = {value}" for key, value in record["fields"].items()]
    proved = [f"{proof}: proved, value not shown" for proof in proofs]
    return ", ".join(shown + proved)


def _snapshot(told: Mapping[str, Any]) -> str:
    """Say which version of the records this is, and since when it is fixed."""
    state = _STATES.get(told["state"], told["state"])
    since = f" since {told['anchored_at']}" if told.get("anchored_at") else ""
    return f"version {told['version']} of the records · {state}{since}"
