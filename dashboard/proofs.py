"""In words: what a partner wanted proved, and of how many records it was.

A receipt holds conditions in wire form; here they become a sentence. The browser
says the same sentence of a receipt that it has checked itself
(`web/src/proofs.js`), and the end-to-end tests hold the two to each other.

A condition does not say what its number counts. The agreement does, and what the
node says of the agreement is the node's word: so is the unit in a sentence.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from markupsafe import Markup

from dashboard.i18n import Speech
from dashboard.statements import Agreement, Provable
from ledger.conditions import Condition, Operator, Value

Grants: TypeAlias = Mapping[str, Provable]
"""What one agreement says of fields of which something may be proved, by name."""

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_UNBROKEN: Final = Markup('<span class="nowrap">{}</span>')
_NUMBER: Final = re.compile(r"(-?)(\d+)((?:\.\d+)?)")


def grants_of(agreements: Iterable[Agreement], agreement: str | None) -> Grants:
    """Return the grants of the agreement with this id; none if it is not there."""
    return {
        grant.field: grant
        for each in agreements
        if each.id == agreement
        for grant in each.predicates
    }


def asked(
    speech: Speech,
    conditions: Iterable[Condition],
    grants: Grants,
    name: Callable[[str], object] = str,
) -> Markup:
    """Say conditions: `annual_spend is at least 500,000.00 EUR, and …`.

    Args:
        speech: The language to say it in.
        conditions: What was to be proved.
        grants: Where the units are from.
        name: What the sentence calls a field.
    """
    said = [_condition(speech, each, grants, name) for each in conditions]
    return speech.say("where.and").join(said)


def proved(speech: Speech, records: int, withheld: int) -> Markup:
    """Say of how many records all of it was proved, and of how many it was not."""
    if not records and not withheld:
        return speech.say("proved.nothing")
    kind = "some" if records and withheld else "all" if records else "none"
    return speech.say(f"proved.{kind}", n=records or withheld, withheld=withheld)


def sentence(speech: Speech, said: Markup, records: int, withheld: int) -> Markup:
    """Say what was asked and what came of it, in one sentence."""
    outcome = proved(speech, records, withheld)
    return speech.say("where.outcome", asked=said, outcome=outcome)


def _condition(
    speech: Speech,
    condition: Condition,
    grants: Grants,
    name: Callable[[str], object],
) -> Markup:
    grant = grants.get(condition.fields[0])
    values = [_value(speech, value, condition, grant) for value in condition.values]
    if values and grant and grant.unit:
        values[-1] += f" {grant.unit}"
    if condition.operator == Operator.ONE_OF:
        values = [speech.say("list.comma").join(values)]
    else:
        values = [_UNBROKEN.format(value) for value in values]
    key = f"where.{condition.operator}"
    if _is_date(condition, grant) and speech.knows(f"{key}.date"):
        key += ".date"
    names = zip("ab", map(name, condition.fields), strict=False)
    return speech.say(key, **dict(names), **dict(zip("xy", values, strict=False)))


def _value(
    speech: Speech, value: Value, condition: Condition, grant: Provable | None
) -> Markup:
    if isinstance(value, bool):
        return speech.say(f"where.{str(value).lower()}")
    if condition.operator == Operator.ONE_OF and _is_text(value, grant):
        return speech.say("where.text", x=value)
    text = str(value)
    if number := _NUMBER.fullmatch(text):
        sign, whole, rest = number.groups()
        text = f"{sign}{speech.number(int(whole))}{rest}"
    return Markup.escape(text)


def _is_date(condition: Condition, grant: Provable | None) -> bool:
    if grant is not None:
        return grant.type == "date"
    return any(_DATE.fullmatch(str(value)) for value in condition.values)


def _is_text(value: Value, grant: Provable | None) -> bool:
    if grant is not None:
        return grant.type == "text"
    return isinstance(value, str) and not _DATE.fullmatch(value)
