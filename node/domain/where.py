"""Conditions as people write them: `annual_spend >= 500000`.

    annual_spend >= 500000             also <=, <, >; a unit may follow, and is checked
    annual_spend between 100000 and 199999.99
    accepted_on before 2026-03-01      also after; and <=, <, >=, >
    stage in [delivered, "on hold"]
    paid <= ordered                    two hidden fields; also paid = ordered
    ordered + rented >= 500000

What is written is turned into the form of the wire by the type that the agreement
names for the field, and refused when it has no exact form. `in_words` writes the
same language back, so what a person is shown can be asked again.

Numbers have marks: `<` is "at most one unit of the last decimal less". So each
question has one form, and counts once.
"""

import datetime
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NoReturn

from crypto.errors import Malformed
from crypto.predicates.statement import MAX_BITS
from ledger.conditions import Condition, Value
from node.domain.checking import did_you_mean
from node.domain.dataset import FieldType
from node.domain.predicates import PredicateGrant
from node.domain.values import BadValue, to_wire
from node.errors import BadRequest

_FIELD: Final = r"([a-z][a-z0-9_]*)"
_COMPARED: Final = re.compile(rf"{_FIELD}\s*(>=|<=|≥|≤|==|=|<|>)\s*(.+)")
_SUM: Final = re.compile(rf"{_FIELD}\s*\+\s*{_FIELD}\s*(>=|≥|>)\s*(.+)")
_SET: Final = re.compile(rf"{_FIELD}\s+in\s*\[(.*)\]")
_BETWEEN: Final = re.compile(rf"{_FIELD}\s+between\s+(.+?)\s+and\s+(.+)")
_DATED: Final = re.compile(rf"{_FIELD}\s+(before|after)\s+(.+)")
_NUMBER: Final = re.compile(
    r"(-?(?:0|[1-9][0-9]{0,2}(?:,[0-9]{3})+|[1-9][0-9]*)(?:\.[0-9]+)?)"
    r"(?:\s+(\S+)|([^\s0-9.,-]\S*))?"
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MEMBER: Final = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|[^",\[\]]+)\s*(?:,|$)""")
_SIGNS: Final = {"≥": ">=", "≤": "<=", "==": "="}
_LONGEST: Final = 10_000

_MEASURED: Final = (FieldType.MONEY, FieldType.INTEGER)
_SYMBOLS: Final = {"at_least": "≥", "at_most": "≤", "no_more_than": "≤", "equal": "="}


def parse_where(text: str, grants: Iterable[PredicateGrant]) -> Condition:
    """Read one condition.

    Args:
        text: In the language above.
        grants: What the agreement lets be asked; they tell the types.

    Raises:
        BadRequest: `where.form`, `where.field`, `where.operator`, `where.value` or
            `where.unit`, with the mend.
    """
    known = {grant.field: grant for grant in grants}
    written = text.strip()
    if len(written) > _LONGEST:
        _refuse("form", f"Write a condition in at most {_LONGEST:,} characters.")
    if found := _SUM.fullmatch(written):
        condition = _sum(known, *found.groups())
    elif found := _SET.fullmatch(written):
        condition = _set(known, *found.groups())
    elif found := _BETWEEN.fullmatch(written):
        condition = _between(known, *found.groups())
    elif found := _DATED.fullmatch(written):
        name, word, bound = found.groups()
        condition = _dated(
            _grant(known, name), {"before": "<", "after": ">"}[word], bound
        )
    elif found := _COMPARED.fullmatch(written):
        name, sign, other = found.groups()
        condition = _compared(known, name, _SIGNS.get(sign, sign), other)
    else:
        _refuse("form", 'Write it as in "annual_spend >= 500000", or see `ask --help`.')
    return _checked(condition, known)


def check_length(
    conditions: Sequence[Condition], grants: Iterable[PredicateGrant]
) -> None:
    """Check that one presentation can prove all these conditions.

    Raises:
        BadRequest: `where.many`: they are longer than any node proves at once.
    """
    schema = tuple(grant.typed for grant in grants)
    lengths = (len(each.predicate(schema).weights) for each in conditions)
    if (bits := sum(lengths)) > MAX_BITS:
        detail = f"These conditions take {bits} bits to prove, and {MAX_BITS} fit"
        _refuse("many", f"{detail}. Ask fewer at once, or `between` for `>=`.")


def in_words(condition: Condition, grants: Iterable[PredicateGrant] = ()) -> str:
    """Write a condition so that people read it and `parse_where` reads it back."""
    known = {grant.field: grant for grant in grants}
    first, *rest = condition.fields
    values = [_shown(known.get(first), value) for value in condition.values]
    match condition.operator:
        case "one_of":
            listed = (json.dumps(each, ensure_ascii=False) for each in condition.values)
            return f"{first} in [{', '.join(listed)}]"
        case "between":
            return f"{first} between {values[0]} and {values[1]}"
        case "before" | "after":
            return f"{first} {condition.operator} {values[0]}"
        case "sum_at_least":
            return f"{first} + {rest[0]} ≥ {values[0]}"
        case operator:
            return f"{first} {_SYMBOLS[operator]} {[*values, *rest][0]}"


def grant_in_words(grant: PredicateGrant) -> str:
    """Say what may be asked of a field, on which grid, and how often."""
    if grant.step is None:
        grid = "any bound"
    elif grant.type is FieldType.DATE:
        grid = f"every {grant.step}"
    else:
        grid = f"every {_shown(grant, grant.step)}"
    count = f"{grant.probes:,} for each customer"
    return f"{grant.field}: {', '.join(grant.operators)} · {grid} · {count}"


def _checked(condition: Condition, known: Mapping[str, PredicateGrant]) -> Condition:
    """Return a condition that can be met by some number of this type."""
    schema = tuple(grant.typed for grant in known.values())
    try:
        condition.predicate(schema)
    except Malformed as error:
        _refuse("value", f"This cannot be asked: {error}.")
    return condition


def _of(operator: str, names: Sequence[str], values: Iterable[Value]) -> Condition:
    try:
        return Condition.of(operator, names, values)
    except Malformed as error:
        _refuse("value", f"This cannot be asked: {error}.")


def _sum(
    known: Mapping[str, PredicateGrant], name: str, other: str, sign: str, bound: str
) -> Condition:
    first, second = _alike(known, name, other)
    if first.type not in _MEASURED:
        _refuse("operator", f"{name} is {first.type}: only amounts are added.")
    least = _amount(first, bound, by=1 if sign == ">" else 0)
    return _of("sum_at_least", (first.field, second.field), (least,))


def _set(known: Mapping[str, PredicateGrant], name: str, listed: str) -> Condition:
    grant = _grant(known, name)
    values = [_member(grant, text) for text in _members(listed)]
    if len(set(values)) < 2:
        _refuse("value", f"Name 2 to 64 values of {name}: one would tell it.")
    return _of("one_of", (name,), values)


def _members(listed: str) -> list[str]:
    """Split a list; what stands in quotes keeps them."""
    found, at = [], 0
    while at < len(listed):
        member = _MEMBER.match(listed, at)
        if member is None:
            _refuse("form", 'Write sets as in `stage in [delivered, "on hold"]`.')
        found.append(member.group(1).strip())
        at = member.end()
    return found


def _member(grant: PredicateGrant, text: str) -> Value:
    """Return one value of a set."""
    if grant.type is FieldType.DATE:
        return _day(grant, _unquoted(text))
    if grant.type in _MEASURED:
        return _amount(grant, _unquoted(text))
    if grant.type is FieldType.BOOLEAN:
        if text not in {"true", "false"}:
            _refuse("value", f"{grant.field} is true or false.")
        return text == "true"
    try:
        value = to_wire(grant, _unquoted(text))
    except BadValue:
        value = None
    if value is None:
        _refuse("value", f"{grant.field} holds text; put it in double quotes.")
    return value


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        _refuse("form", 'Within quotes, write \\" for a quote and \\\\ for \\.')


def _between(
    known: Mapping[str, PredicateGrant], name: str, low: str, high: str
) -> Condition:
    grant = _grant(known, name)
    _ordered(grant)
    read = _day if grant.type is FieldType.DATE else _amount
    bounds = read(grant, low), read(grant, high)
    if bounds[0] == bounds[1]:
        _refuse("value", f"Name two bounds of {name} that differ: one would tell it.")
    return _of("between", (name,), bounds)


def _compared(
    known: Mapping[str, PredicateGrant], name: str, sign: str, other: str
) -> Condition:
    if re.fullmatch(_FIELD, other) and (other in known or sign != "="):
        return _related(*_alike(known, name, other), sign)
    grant = _grant(known, name)
    if sign == "=":
        detail = "`=` compares two hidden fields; a value would be told by the answer"
        _refuse("operator", f"{detail}. Name more: {name} in [first, second].")
    _ordered(grant)
    if grant.type is FieldType.DATE:
        return _dated(grant, sign, other)
    if sign in {">=", ">"}:
        return _of("at_least", (name,), (_amount(grant, other, by=int(sign == ">")),))
    return _of("at_most", (name,), (_amount(grant, other, by=-int(sign == "<")),))


def _related(first: PredicateGrant, second: PredicateGrant, sign: str) -> Condition:
    names = first.field, second.field
    if sign == "=":
        return _of("equal", names, ())
    _ordered(first)
    if sign in {"<", ">"}:
        _refuse("operator", f"Two fields compare by <=, >= and =, not by {sign}.")
    return _of("no_more_than", names if sign == "<=" else names[::-1], ())


def _dated(grant: PredicateGrant, sign: str, bound: str) -> Condition:
    """Return before or after: they leave their day out, `<=` and `>=` do not."""
    if grant.type is not FieldType.DATE:
        _refuse("operator", f"{grant.field} is {grant.type}: only dates have a before.")
    shift = {"<": 0, "<=": 1, ">": 0, ">=": -1}[sign]
    operator = "before" if sign.startswith("<") else "after"
    return _of(operator, (grant.field,), (_day(grant, bound, by=shift),))


def _grant(known: Mapping[str, PredicateGrant], name: str) -> PredicateGrant:
    if name not in known:
        detail = f"The agreement lets nothing be asked about {name}"
        allowed = did_you_mean(name, known) if known else "it grants no predicates"
        _refuse("field", f"{detail}; {allowed}.")
    return known[name]


def _alike(
    known: Mapping[str, PredicateGrant], name: str, other: str
) -> tuple[PredicateGrant, PredicateGrant]:
    first, second = _grant(known, name), _grant(known, other)
    if (first.type, first.unit, first.scale) != (
        second.type,
        second.unit,
        second.scale,
    ):
        detail = f"{name} and {other} have different types, units or decimals"
        _refuse("operator", f"{detail}: they do not compare.")
    return first, second


def _ordered(grant: PredicateGrant) -> None:
    if grant.type not in {*_MEASURED, FieldType.DATE}:
        detail = f"{grant.field} is {grant.type}, which has no order"
        _refuse(
            "operator",
            f"{detail}; name a set, as in `{grant.field} in [first, second]`.",
        )


def _day(grant: PredicateGrant, text: str, by: int = 0) -> str:
    """Return a date, so many days later."""
    try:
        day = datetime.date.fromisoformat(text if _DATE.fullmatch(text) else "")
        return (day + datetime.timedelta(days=by)).isoformat()
    except (ValueError, OverflowError):
        _refuse("value", f"{grant.field} is a date: write it as in 2026-03-01.")


def _amount(grant: PredicateGrant, text: str, by: int = 0) -> Value:
    """Return a number in wire form, so many units of its last decimal more."""
    found = _NUMBER.fullmatch(text)
    if not found:
        _refuse("value", f"{grant.field} is {grant.type}: write it as in 500000.")
    number, *written = found.groups()
    unit = written[0] or written[1]
    if unit not in {None, grant.unit}:
        right = f"is in {grant.unit}" if grant.unit else "has no unit"
        _refuse("unit", f"{grant.field} {right}: leave out {unit}, or convert.")
    number = number.replace(",", "")
    try:
        exact = Decimal(str(to_wire(grant, number)))
        return to_wire(grant, exact + Decimal(by).scaleb(-grant.scale))
    except BadValue:
        mend = f"at most {grant.scale} decimals, and less than 2^53 of the last"
        _refuse("value", f"{grant.field} does not hold {number}: {mend}.")


def _shown(grant: PredicateGrant | None, value: Value) -> str:
    """Write a bound with its unit, and thousands apart."""
    if grant is None or grant.type not in _MEASURED:
        return str(value)
    return f"{Decimal(str(value)):,f} {grant.unit or ''}".rstrip()


def _refuse(code: str, mend: str) -> NoReturn:
    raise BadRequest(f"where.{code}", mend)
