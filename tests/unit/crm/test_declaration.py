"""Declarations: what is refused, where, and with which mend."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.adapters.crm.declaration import (
    load_declaration,
    located,
    parse_declaration,
)
from node.domain.checking import InvalidDeclaration
from node.domain.dataset import Dataset, FieldType, Grade, Mode
from node.domain.declaration import FLOOR, dataset_from_json, dataset_to_json
from node.domain.publication import SourceReport, check_columns
from tests.unit.crm.declarations import SOUND, TITLE, changed

FIELD = SOUND["fields"]["staff"] | {"column": "other"}


def problems(declaration: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidDeclaration) as caught:
        dataset_from_json(declaration)
    return [
        (each.path, f"{each.message}; {each.mend}") for each in caught.value.problems
    ]


def test_a_sound_declaration_becomes_a_dataset_and_comes_back() -> None:
    dataset = dataset_from_json(SOUND)
    assert [field.name for field in dataset.fields] == list(SOUND["fields"])
    assert dataset.source.env == "CRM_URL"
    assert dataset.source.timeout_s == 5
    spend = dataset.field("annual_spend")
    assert spend is not None
    assert (spend.type, spend.unit, spend.scale) == (FieldType.MONEY, "CNY", 2)
    stored = json.loads(json.dumps(dataset_to_json(dataset), ensure_ascii=False))
    assert dataset_from_json(stored) == dataset


def test_the_node_may_read_no_column_of_a_field_that_never_leaves() -> None:
    dataset = dataset_from_json(SOUND)
    assert dataset.columns == (
        "project_id",
        "credit_code",
        "stage",
        "accepted",
        "spend",
        "staff",
    )
    assert [each.name for each in dataset.committed] == [
        "project_stage",
        "acceptance",
        "staff",
    ]


MISTAKES = [
    ("dataset", "Big Projects", "lower-case letters"),
    ("dataset", 7, "is not text"),
    ("dataset", ..., "is missing; add `dataset: …`"),
    ("owner", "me", "is not known here; allowed: dataset, title"),
    ("titles", TITLE, "did you mean `title`?"),
    ("title.zh", ..., "is missing"),
    ("title.zh", "  ", "has the wrong form"),
    ("title", "Projects", "is not a mapping"),
    ("title.en", None, "is empty"),
    ("source", [], "is not a mapping"),
    ("source.record", ..., "is missing"),
    ("source.timeout_s", 0, "a number above 0 and up to 60"),
    ("source.timeout_s", "5", "a number above 0 and up to 60"),
    ("source.timeout_s", True, "a number above 0 and up to 60"),
    ("source.timeout_s", float("nan"), "a number above 0 and up to 60"),
    ("source.env", "postgresql://x", "a name, as in CRM_URL"),
    ("source.table", "a.b.c", "`table` or `schema.table`"),
    ("source.table", "f(x)", "`table` or `schema.table`"),
    ("customer.rule", "usc", "did you mean uscc?"),
    ("customer.rule", "e164:cn", "write the region as an ISO 3166 code in capitals"),
    ("customer.rule", "uscc:CN", "write uscc"),
    ("customer.column", "", "has the wrong form"),
    ("customer.column", "a\x00b", "has the wrong form"),
    ("fields", {}, "has no field; declare at least one"),
    ("fields.Stage", FIELD, "use lower-case letters, digits and _, a letter first"),
    ("fields.project_stage", "text", "is not a mapping"),
    ("fields.project_stage.type", "txt", "did you mean `text`? allowed: text, integer"),
    ("fields.project_stage.type", ["text"], "is not allowed"),
    ("fields.project_stage.grade", "General", "did you mean `general`?"),
    ("fields.project_stage.personal", "no", "write true or false"),
    ("fields.project_stage.modes", "plain", "write `[first, second]`"),
    ("fields.project_stage.modes", [], "write `[first, second]`"),
    ("fields.project_stage.modes", ["plane"], "did you mean `plain`?"),
    ("fields.project_stage.modes", ["plain", "never"], "`never` stands alone"),
    ("fields.project_stage.unit", "CNY", "does not go with text; leave it out"),
    ("fields.project_stage.scale", 2, "does not go with text; leave it out"),
    ("fields.project_stage.values", [1], "put it into quotes"),
    ("fields.staff.values", ["1"], "does not go with integer"),
    ("fields.annual_spend.unit", ..., "money needs it: `unit: CNY`"),
    ("fields.annual_spend.unit", "yuan", "an ISO 4217 code, as in CNY"),
    ("fields.annual_spend.scale", ..., "money needs it: `scale: 2`"),
    ("fields.annual_spend.scale", 7, "is not in range"),
    ("fields.annual_spend.scale", 1.5, "is not a whole number"),
    ("fields.annual_spend.modes", ["plain"], "allowed: predicate, aggregate, never"),
    ("fields.phone.modes", ["aggregate"], "too open for core data; allowed: never"),
    ("fields.phone.column", "Stage", "is also the column of `project_stage`"),
]


@pytest.mark.parametrize(("path", "value", "words"), MISTAKES)
def test_a_mistake_is_named_with_its_place_and_mend(
    path: str, value: Any, words: str
) -> None:
    found = problems(changed(path, value))
    assert len(found) == 1
    assert found[0][0] == path
    assert words in found[0][1]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"url": "sqlite:////x.db"}, "give one of table, query"),
        ({"url": "sqlite:////x.db", "table": "a", "query": "select 1"}, "table, query"),
        ({"url": "sqlite:////x.db", "env": "X", "table": "a"}, "url, env, file"),
        ({"table": "a"}, "nothing given; give one of url, env, file"),
        ({"url": "sqlite:///x.db", "table": "a"}, "write the whole path"),
        ({"url": "x.db", "table": "a"}, "an SQLAlchemy URL"),
        ({"file": "/x.csv", "table": "a"}, "does not go with a file"),
        ({"file": "/x.xlsx"}, "allowed: .csv, .parquet"),
        ({"file": "x.csv"}, "write the whole path"),
        ({"url": "mysql://u@h/d", "query": "delete from a"}, "start with SELECT"),
        ({"url": "mysql://u@h/d", "query": "select 1; drop table a"}, "without `;`"),
        ({"url": "mysql://u:hunter2@h/d", "table": "a"}, "`env: CRM_URL`"),
        ({"url": "mysql://h/d?password=hunter2", "table": "a"}, "`env: CRM_URL`"),
        ({"url": "mysql://u:hunter2@[h/d", "table": "a"}, "`env: CRM_URL`"),
    ],
)
def test_a_wrong_source_is_named_with_its_mend_and_without_its_password(
    source: dict[str, Any], words: str
) -> None:
    found = problems(changed("source", {"record": "id", **source}))
    assert len(found) == 1
    assert words in found[0][1]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("grade", Grade)
@pytest.mark.parametrize("mode", Mode)
def test_each_grade_has_a_floor(grade: Grade, mode: Mode) -> None:
    declaration = changed("fields.project_stage.grade", str(grade))
    declaration["fields"]["project_stage"]["modes"] = [str(mode)]
    if mode in FLOOR[grade]:
        assert dataset_from_json(declaration).fields[0].grade is grade
    else:
        assert [path for path, _ in problems(declaration)] == [
            "fields.project_stage.modes"
        ]


def test_a_record_has_as_many_fields_as_can_be_committed_to() -> None:
    """62; fields that are never shown or proved do not count."""
    stage = SOUND["fields"]["project_stage"]
    hidden = {"modes": ["aggregate"], "grade": "important"}

    def declared(count: int) -> dict[str, Any]:
        shown = {f"f{n}": stage | {"column": f"c{n}"} for n in range(count)}
        others = {f"g{n}": stage | hidden | {"column": f"d{n}"} for n in range(9)}
        return {**SOUND, "fields": shown | others}

    assert len(dataset_from_json(declared(62)).committed) == 62
    with pytest.raises(InvalidDeclaration, match=r"has 63 fields.*at most 62"):
        dataset_from_json(declared(63))


def test_every_mistake_is_reported_at_once() -> None:
    declaration = changed("customer.rule", "usc")
    declaration["fields"]["annual_spend"].pop("unit")
    declaration["fields"]["phone"]["modes"] = ["plain"]
    del declaration["title"]
    assert [path for path, _ in problems(declaration)] == [
        "title",
        "customer.rule",
        "fields.annual_spend.unit",
        "fields.phone.modes",
    ]


@pytest.mark.parametrize("nonsense", [None, 1, "text", [], [SOUND]])
def test_what_is_no_mapping_is_no_declaration(nonsense: Any) -> None:
    assert problems(nonsense)[0] == ("", "is not a mapping; write `key: value` lines")


_leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_anything = st.recursive(
    _leaves,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["en", "zh", "column", "type", "modes", "url", "x", "scale"]
            )
            | st.text(max_size=3),
            below,
            max_size=4,
        )
    ),
    max_leaves=8,
)
_paths = st.sampled_from([path for path, _, _ in MISTAKES])


@given(path=_paths, value=_anything)
@settings(max_examples=300, deadline=None)
def test_any_data_is_a_dataset_that_comes_back_or_is_refused(
    path: str, value: Any
) -> None:
    try:
        dataset = dataset_from_json(changed(path, value))
    except InvalidDeclaration as error:
        found = error.problems
    else:
        assert dataset_from_json(dataset_to_json(dataset)) == dataset
        return
    assert found
    assert all(each.message and each.mend for each in found)


YAML = """\
dataset: projects
title: {en: Projects, zh: 项目}
source:
  file: data/projects.csv
  record: id
customer: {column: account, rule: name}
fields:
  stage: {column: deal_stage, type: text, grade: general, personal: false,
          modes: [plain], title: {en: Stage, zh: 阶段}}
  spend:
    column: spend
    type: money
    grade: important
    personal: false
    modes: [plain]
    title: {en: Spend, zh: 支出}
"""


def refused(text: str) -> list[str]:
    with pytest.raises(InvalidDeclaration) as caught:
        parse_declaration(text, name="crm.yaml", base=Path("/crm"))
    return caught.value.detail.splitlines()


def test_a_yaml_mistake_names_file_line_column_path_and_mend() -> None:
    assert refused(YAML) == [
        "crm.yaml:10:3: fields.spend.unit: is missing; money needs it: `unit: CNY`",
        "crm.yaml:10:3: fields.spend.scale: is missing; money needs it: `scale: 2`",
        "crm.yaml:15:5: fields.spend.modes: plain is too open for important data; allowed: predicate, aggregate, never",
    ]
    assert refused(YAML.replace("deal_stage, type: text", "x, typ: text"))[:2] == [
        "crm.yaml:8:3: fields.stage.type: is missing; add `type: …`",
        "crm.yaml:8:22: fields.stage.typ: is not known here; did you mean `type`? allowed: column, type, title, grade, personal, modes, unit, scale, values",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1", "crm.yaml:1:6: is not YAML: "),
        ("a: 1\na: 2", "crm.yaml:2:1: has a key twice; keep one of the two"),
        ("a: 1\n---\nb: 2", "crm.yaml:2:1: is not YAML: "),
        ("a: \x01", "crm.yaml:is not YAML; remove characters"),
        ("", "crm.yaml:1:1: is not a mapping"),
        ("!!python/object/apply:os.system [ls]", "crm.yaml:1:1: is not a mapping"),
        ("? [a]\n: b", "crm.yaml:1:"),
    ],
)
def test_what_is_not_yaml_is_refused_at_its_line(text: str, line: str) -> None:
    assert refused(text)[0].startswith(line)


def sound(text: str = YAML) -> str:
    return text.replace(
        "grade: important", "grade: general\n    unit: CNY\n    scale: 2"
    )


def test_a_relative_path_starts_from_the_folder_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "crm.yaml"
    file.write_text(sound(), encoding="utf-8-sig")
    assert load_declaration(file).source.url == str(tmp_path / "data/projects.csv")
    place = "url: sqlite:///crm.db\n  table: projects"
    file.write_text(sound().replace("file: data/projects.csv", place))
    dataset: Dataset = load_declaration(file)
    assert dataset.source.url == f"sqlite:///{tmp_path}/crm.db"
    assert dataset_from_json(dataset_to_json(dataset)) == dataset


def test_anchors_and_merges_are_read_and_their_mistakes_placed() -> None:
    text = sound().replace("spend:\n    column: spend", "spend:\n    column: s")
    text += "  more:\n    <<: &x {type: text, grade: general, personal: false}\n"
    text += "    column: more\n    modes: [plain]\n    title: &t {en: More}\n"
    assert refused(text) == [
        "crm.yaml:23:5: fields.more.title.zh: is missing; add `zh: …`"
    ]


def test_a_column_that_the_source_lacks_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "crm.yaml"
    file.write_text(sound())
    source = SourceReport(
        kind="csv", columns=("id", "account", "Spend"), read_only=True
    )
    with pytest.raises(InvalidDeclaration) as caught:
        check_columns(load_declaration(file), source)
    assert located(caught.value, file).detail.splitlines() == [
        f"{file}:8:19: fields.stage.column: the source has no column `deal_stage`; allowed: id, account, Spend",
        f"{file}:11:13: fields.spend.column: the source has no column `spend`; did you mean `Spend`? allowed: id, account, Spend",
    ]


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidDeclaration, match="cannot be read"):
        load_declaration(tmp_path / "none.yaml")
    (tmp_path / "gbk.yaml").write_bytes("title: 项目".encode("gbk"))
    with pytest.raises(InvalidDeclaration, match="name a file in UTF-8"):
        load_declaration(tmp_path / "gbk.yaml")
    (tmp_path / "large.yaml").write_text(sound() + "#" * (1 << 20))
    with pytest.raises(InvalidDeclaration, match="larger than 1 MiB"):
        load_declaration(tmp_path / "large.yaml")
