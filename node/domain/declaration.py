"""Declarations: what a person writes to offer a dataset, and how it is checked.

    dataset: projects
    title: {en: Projects, zh: 项目}
    source: {env: CRM_URL, table: projects, record: project_id, timeout_s: 5}
    customer: {column: credit_code, rule: uscc}
    fields:
      annual_spend:
        {column: spend, type: money, unit: CNY, scale: 2, grade: important,
         personal: false, modes: [aggregate], title: {en: Spend, zh: 年采购额}}

`source` names its place by `url`, by `env` (a variable that holds the URL or
path) or by `file`, and what to read there by `table` or `query`. A declaration
holds no password: it is stored, shown and sent about.

A declaration is plain data, whatever brought it: a YAML file, the body of a
management call, a row of the node's own store. All go through one check, which
answers with every mistake at once.

The floor under the modes is the consortium's baseline policy: core data never
leave, important data leave as proofs or aggregates only. The policy enforces it
on every call; here it is refused early, while somebody is there to mend it.
"""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from crypto.typed import MOST_FIELDS
from node.domain.checking import InvalidDeclaration, Part, Problem, Where
from node.domain.customer import rule_problem
from node.domain.dataset import (
    CustomerKey,
    Dataset,
    Field,
    FieldType,
    Grade,
    Mode,
    Source,
    Title,
    committed,
)

FLOOR: Final[Mapping[Grade, frozenset[Mode]]] = {
    Grade.CORE: frozenset({Mode.NEVER}),
    Grade.IMPORTANT: frozenset({Mode.PREDICATE, Mode.AGGREGATE, Mode.NEVER}),
    Grade.GENERAL: frozenset(Mode),
}
"""The modes that the consortium's baseline leaves to each grade."""

FILES: Final = (".csv", ".parquet")
"""The kinds of file that can be a source."""

_DATASET: Final = "[a-z][a-z0-9_-]{0,63}"
_FIELD: Final = "[a-z][a-z0-9_]{0,63}"
_TABLE: Final = r"[^.()]+(\.[^.()]+)?"
_SOURCE: Final = "url env file table query timeout_s"
_GOES_WITH: Final = {
    "unit": (FieldType.MONEY, FieldType.INTEGER),
    "scale": (FieldType.MONEY,),
    "values": (FieldType.TEXT,),
}


def dataset_from_json(
    declaration: object,
    *,
    where: Where = lambda _path, _at_key: None,
    base: Path | None = None,
    name: str = "",
) -> Dataset:
    """Check a declaration and return its dataset.

    Args:
        declaration: Parsed JSON or YAML.
        where: Finds lines, for the messages.
        base: Folder that relative paths start from; without it they are refused.
        name: File name, for the messages.

    Raises:
        InvalidDeclaration: Something is wrong; it names everything that is.
    """
    problems: list[Problem] = []
    keys = "dataset title source customer fields"
    top = Part(declaration, keys, where=where, problems=problems)
    if top.data.get("fields") == {}:
        top.note("fields", "has no field", "declare at least one")
    dataset = Dataset(
        id=top.text("dataset", _DATASET, "lower-case letters, digits, _ and -"),
        title=_title(top),
        source=_source(top.part("source", "record", _SOURCE), base),
        customer=_customer(top.part("customer", "column rule")),
        fields=_fields(top.part("fields", "", None)),
    )
    if problems:
        raise InvalidDeclaration(problems, name)
    return dataset


def _title(holder: Part) -> Title:
    part = holder.part("title", "en zh")
    return Title(en=part.text("en"), zh=part.text("zh"))


def _customer(part: Part) -> CustomerKey:
    rule = part.text("rule")
    if rule and (problem := rule_problem(rule)):
        part.note("rule", f"`{rule}` is not a rule", problem)
    return CustomerKey(column=part.text("column"), rule=rule)


def _source(part: Part, base: Path | None) -> Source:
    place = part.one_of("url", "env", "file", needed=bool(part.data))
    what = part.one_of("table", "query", needed=place == "url")
    if place == "file" and what:
        part.note(what, "does not go with a file", f"leave out `{what}`", at_key=True)
    return Source(
        url=_url(part, base) if place == "url" else _file(part, base),
        env=part.text("env", "[A-Za-z_][A-Za-z0-9_]*", "a name, as in CRM_URL") or None,
        relation=_relation(part),
        record=part.text("record"),
        timeout_s=part.number("timeout_s", 5.0, above=0, most=60),
    )


def _url(part: Part, base: Path | None) -> str:
    url = part.text("url", r"[a-z0-9+]+://.*", "an SQLAlchemy URL: sqlite:///crm.db")
    if _has_password(url):
        mend = "put the URL into an environment variable and name that: `env: CRM_URL`"
        part.note("url", "holds a password", mend)
    scheme, slashes, file = url.partition(":///")
    if slashes and scheme.startswith("sqlite"):
        return f"{scheme}:///{_absolute(part, 'url', file, base)}"
    return url


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
        secret = parts.password
    except ValueError:  # does not parse, so there is no saying that it holds none
        return True
    names = (name.casefold() for name, _ in parse_qsl(parts.query))
    return secret is not None or any("pass" in name for name in names)


def _file(part: Part, base: Path | None) -> str | None:
    file = part.text("file")
    if not file:
        return None
    if Path(file).suffix.lower() not in FILES:
        part.note("file", "is not a file we read", f"allowed: {', '.join(FILES)}")
    return _absolute(part, "file", file, base)


def _absolute(part: Part, key: str, file: str, base: Path | None) -> str:
    if base is None and not Path(file).is_absolute():
        part.note(key, "is a relative path", "write the whole path")
    return str((base or Path("/")) / file)


def _relation(part: Part) -> str:
    query = part.text("query").strip()
    if query and not re.match(r"(select|with)\b", query, re.IGNORECASE):
        part.note("query", "is not a query", "start with SELECT or WITH")
    if ";" in query:
        part.note("query", "holds a semicolon", "write one statement, without `;`")
    table = part.text("table", _TABLE, "`table` or `schema.table`")
    return f"({query})" if query else table


def _fields(part: Part) -> tuple[Field, ...]:
    owners: dict[str, str] = {}
    fields = tuple(_field(part, name, owners) for name in part.data)
    if (count := len(committed(fields))) > MOST_FIELDS:
        message = f"has {count} fields that can be shown or proved"
        mend = f"leave at most {MOST_FIELDS}, or publish a second dataset"
        part.note(None, message, mend)
    return fields


def _field(holder: Part, name: str, owners: dict[str, str]) -> Field:
    if not re.fullmatch(_FIELD, name):
        mend = "use lower-case letters, digits and _, a letter first"
        holder.note(name, "is not a field name", mend, at_key=True)
    required = "column type title grade personal modes"
    part = holder.part(name, required, "unit scale values")
    type_, grade = part.choice("type", FieldType), part.choice("grade", Grade)
    _check_type(part, type_)
    column = part.text("column")
    if (owner := owners.setdefault(column.casefold(), name)) != name and column:
        # Two names for one column could carry two different sets of modes.
        message = f"is also the column of `{owner}`"
        part.note("column", message, "declare each column once")
    money = type_ is FieldType.MONEY
    form = "an ISO 4217 code, as in CNY" if money else "a symbol, as in kWh or 台"
    symbol = "[A-Z]{3}" if money else r"[^\s\x00-\x1f\x7f\ud800-\udfff]{1,32}"
    unit = unicodedata.normalize("NFC", part.text("unit", symbol, form))
    values = part.list("values")
    if not all(isinstance(value, str) for value in values):
        part.note("values", "holds something else than text", "put it into quotes")
    return Field(
        name=name,
        column=column,
        type=type_ or FieldType.TEXT,
        title=_title(part),
        grade=grade or Grade.CORE,
        personal=part.flag("personal"),
        modes=_modes(part, grade),
        unit=unit or None,
        scale=int(part.number("scale", 0, above=-1, most=6)),
        values=tuple(str(value) for value in values),
    )


def _check_type(part: Part, type_: FieldType | None) -> None:
    """Check that a member goes with the type, and that money is complete."""
    for key, types in _GOES_WITH.items():
        if type_ and type_ not in types and key in part.data:
            mend = f"leave it out; it goes with {' and '.join(types)}"
            part.note(key, f"does not go with {type_}", mend, at_key=True)
    if type_ is FieldType.MONEY:
        for key, example in (("unit", "CNY"), ("scale", "2")):
            if key not in part.data:
                part.note(key, "is missing", f"money needs it: `{key}: {example}`")
        if not isinstance(part.data.get("scale", 0), int):
            part.note("scale", "is not a whole number", "write 0 to 6")


def _modes(part: Part, grade: Grade | None) -> frozenset[Mode]:
    modes = part.choices("modes", Mode)
    if Mode.NEVER in modes and len(modes) > 1:
        part.note("modes", "`never` stands alone", "write [never], or leave it out")
    if grade and (above := modes - FLOOR[grade]):
        allowed = ", ".join(mode for mode in Mode if mode in FLOOR[grade])
        message = f"{', '.join(sorted(above))} is too open for {grade} data"
        part.note("modes", message, f"allowed: {allowed}")
    return modes


def dataset_to_json(dataset: Dataset) -> dict[str, Any]:
    """Return the declaration of a dataset; `dataset_from_json` reads it back."""
    customer = dataset.customer
    return {
        "dataset": dataset.id,
        "title": {"en": dataset.title.en, "zh": dataset.title.zh},
        "source": _source_to_json(dataset.source),
        "customer": {"column": customer.column, "rule": customer.rule},
        "fields": {field.name: _field_to_json(field) for field in dataset.fields},
    }


def _source_to_json(source: Source) -> dict[str, Any]:
    out: dict[str, Any] = {"record": source.record, "timeout_s": source.timeout_s}
    if source.env:
        out["env"] = source.env
    else:
        out["url" if source.relation else "file"] = source.url
    if source.relation.startswith("("):
        out["query"] = source.relation[1:-1]
    elif source.relation:
        out["table"] = source.relation
    return out


def _field_to_json(field: Field) -> dict[str, Any]:
    out: dict[str, Any] = {
        "column": field.column,
        "type": str(field.type),
        "title": {"en": field.title.en, "zh": field.title.zh},
        "grade": str(field.grade),
        "personal": field.personal,
        "modes": [str(mode) for mode in Mode if mode in field.modes],
    }
    if field.unit:
        out["unit"] = field.unit
    if field.type is FieldType.MONEY:
        out["scale"] = field.scale
    if field.values:
        out["values"] = list(field.values)
    return out
