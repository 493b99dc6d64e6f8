"""Examinations: every row is accounted for, and what is odd is said."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.checking import InvalidDeclaration
from node.domain.dataset import Mode
from node.domain.declaration import dataset_from_json
from node.domain.preview import preview
from node.domain.publication import (
    BadRow,
    Examination,
    SourceReport,
    check_columns,
    examine,
    sound_record,
)
from node.domain.report import Finding, Report
from tests.unit.crm.declarations import SOUND, changed

DATASET = dataset_from_json(changed("customer.rule", "name"))
GOOD = {
    "project_id": "P-1",
    "credit_code": "Acme",
    "stage": "won",
    "accepted": "2026-01-02",
    "spend": "10.00",
    "staff": 7,
}


class Rows:
    """A source in memory; keeps what columns it was asked for."""

    def __init__(self, *rows: Mapping[str, Any]) -> None:
        self.rows = rows
        self.asked: list[tuple[str, ...]] = []

    def scan(
        self, columns: Sequence[str], batch: int = 1000
    ) -> Iterator[list[Mapping[str, Any]]]:
        self.asked.append(tuple(columns))
        for start in range(0, len(self.rows), batch):
            part = self.rows[start : start + batch]
            yield [{column: row[column] for column in columns} for row in part]


def row(number: int, **changes: Any) -> dict[str, Any]:
    return GOOD | {"project_id": f"P-{number}"} | changes


def finding(report: Report, code: str, field: str | None = None) -> Finding:
    return next(
        each for each in report.findings if (each.code, each.field) == (code, field)
    )


def test_a_row_is_rejected_once_and_each_of_its_defects_is_counted() -> None:
    report = examine(
        DATASET,
        Rows(
            row(1),
            row(2, credit_code=None, spend="n/a"),
            row(3, credit_code="  ", accepted="soon"),
            row(4, spend="9.999"),
            row(5, spend="9.999", staff="many"),
            row(6, project_id=None),
        ),
    )
    assert (report.rows, report.publishable, report.rejected) == (6, 1, 5)
    assert finding(report, "customer.empty").count == 2
    assert finding(report, "customer.empty").rejected == 2
    assert finding(report, "customer.empty").examples == ("P-2", "P-3")
    assert finding(report, "value.not_money", "annual_spend").rejected == 0
    assert finding(report, "value.not_money", "annual_spend").count == 1
    assert finding(report, "value.not_a_date", "acceptance").rejected == 0
    assert finding(report, "value.too_precise", "annual_spend").rejected == 2
    assert finding(report, "value.not_an_integer", "staff").count == 1
    assert finding(report, "record.unusable").examples == ("row 6",)
    assert report.findings[0].rejected == 2


def test_all_rows_of_an_ambiguous_key_are_rejected() -> None:
    rows = [row(1, staff=1), row(2), row(1, staff=2), row(3), row(1, staff=3)]
    examination = Examination(DATASET, Rows(*rows), batch=2)
    assert [each.key for each in examination.records()] == ["P-2", "P-3"]
    report = examination.report()
    assert finding(report, "record.duplicate").rejected == 3
    assert report.rows == report.publishable + report.rejected == 5


def test_a_key_that_appears_twice_while_reading_is_published_once() -> None:
    class Growing(Rows):
        def scan(
            self, columns: Sequence[str], batch: int = 1000
        ) -> Iterator[list[Mapping[str, Any]]]:
            yield from super().scan(columns, batch)
            self.rows = (row(1), row(1), row(2))

    report = examine(DATASET, Growing(row(1)))
    assert (report.rows, report.publishable, report.rejected) == (3, 2, 1)


def test_columns_that_may_never_leave_are_not_asked_for() -> None:
    source = Rows(row(1))
    examine(DATASET, source)
    assert source.asked == [("project_id",), DATASET.columns]
    assert "phone" not in DATASET.columns


def test_missing_values_are_counted_and_reject_nothing() -> None:
    rows = [row(1, accepted=None), row(2, accepted=""), row(3), row(4, staff=None)]
    report = examine(DATASET, Rows(*rows))
    assert report.publishable == 4
    missing = finding(report, "value.missing", "acceptance")
    assert (missing.count, missing.rejected) == (2, 0)
    assert finding(report, "value.missing", "staff").count == 1


def test_customers_are_counted_by_their_key() -> None:
    rows = [row(1), row(2, credit_code=" ACME "), row(3, credit_code="Other")]
    report = examine(DATASET, Rows(*rows))
    assert (report.publishable, report.customers) == (3, 2)


def test_spellings_that_differ_in_case_or_spacing_are_shown_together() -> None:
    stages = ["won", "WON", "bid", "bi d", "ｂid", "lost", "Lost", "lost"]
    report = examine(DATASET, Rows(*(row(n, stage=s) for n, s in enumerate(stages))))
    shown = [each for each in report.findings if each.code == "value.spelling"]
    assert [each.spellings for each in shown] == [
        (("bid", 1), ("bi d", 1), ("ｂid", 1)),
        (("won", 1), ("WON", 1)),
        (("lost", 2), ("Lost", 1)),
    ]
    assert [each.count for each in shown] == [2, 1, 1]
    assert shown[0].examples == ("P-3", "P-4")
    assert report.publishable == len(stages)


def test_values_outside_the_declared_ones_are_shown() -> None:
    rows = [row(1), row(2, stage="lost"), row(3, stage="open"), row(4, stage="lost")]
    odd = finding(examine(DATASET, Rows(*rows)), "value.undeclared", "project_stage")
    assert (odd.count, odd.rejected) == (3, 0)
    assert odd.spellings == (("lost", 2), ("open", 1))


def test_a_field_of_many_values_is_no_list_of_names() -> None:
    dataset = dataset_from_json(
        changed("customer.rule", "name")
        | {
            "fields": {
                "note": SOUND["fields"]["project_stage"] | {"values": ["a"]},
                "free": SOUND["fields"]["project_stage"]
                | {"values": ["a"], "column": "staff"},
            }
        }
    )
    rows = [row(n, stage=f"value {n}", staff="a") for n in range(1000)]
    report = examine(dataset, Rows(*rows))
    assert finding(report, "value.undeclared", "note").count == 1000
    assert len(report.findings) == 1


def test_spellings_of_personal_fields_are_never_shown() -> None:
    dataset = dataset_from_json(
        changed("customer.rule", "name")
        | {"fields": {"n": SOUND["fields"]["project_stage"] | {"personal": True}}}
    )
    report = examine(dataset, Rows(row(1, stage="Li"), row(2, stage="li")))
    assert report.findings == ()


def test_a_doubtful_check_digit_is_reported_and_rejects_nothing() -> None:
    dataset = dataset_from_json(changed("customer.rule", "vin"))
    report = examine(dataset, Rows(row(1, credit_code="1M8GDM9A1KP042788")))
    assert report.publishable == 1
    assert finding(report, "customer.doubtful").count == 1


def test_progress_is_told_after_each_batch() -> None:
    seen: list[int] = []
    source = Rows(*(row(n) for n in range(5)))
    list(Examination(DATASET, source, batch=2, progress=seen.append).records())
    assert seen == [2, 4, 5]


_cells = st.none() | st.text(max_size=3) | st.integers(0, 3) | st.floats()


@given(
    st.lists(st.fixed_dictionaries(dict.fromkeys(DATASET.columns, _cells)), max_size=12)
)
def test_no_row_is_ever_lost(rows: list[dict[str, Any]]) -> None:
    examination = Examination(DATASET, Rows(*rows), batch=5)
    records = list(examination.records())
    report = examination.report()
    assert report.rows == len(rows) == report.publishable + report.rejected
    assert len(records) == report.publishable
    assert len({each.key for each in records}) == len(records)
    assert all(each.rejected <= each.count <= len(rows) for each in report.findings)
    assert report.to_json()["rejected"] == report.rejected


def test_one_row_is_read_as_an_examination_reads_it() -> None:
    record = sound_record(DATASET, GOOD)
    assert record.customer == "acme"
    assert record.values == {
        "project_stage": "won",
        "acceptance": "2026-01-02",
        "annual_spend": "10.00",
        "staff": 7,
    }
    with pytest.raises(BadRow) as caught:
        sound_record(DATASET, row(1, credit_code="", staff="hunter2"))
    assert caught.value.defects == (
        ("customer.empty", None),
        ("value.not_an_integer", "staff"),
    )
    assert "hunter2" not in str(caught.value)


def test_a_column_that_the_source_lacks_is_named_with_a_similar_one() -> None:
    columns = ("project_id", "credit_code", "Stage", "accepted", "spend", "staff")
    source = SourceReport(kind="csv", columns=columns, read_only=True)
    with pytest.raises(InvalidDeclaration) as caught:
        check_columns(DATASET, source)
    assert [each.path for each in caught.value.problems] == [
        "fields.project_stage.column",
        "fields.phone.column",
    ]
    assert "did you mean `Stage`?" in caught.value.detail


def test_a_partner_sees_the_granted_fields_and_no_identifier() -> None:
    report = examine(DATASET, Rows(row(1), row(2, credit_code="Secret Ltd")))
    granted = {
        "project_stage": "plain",
        "staff": "predicate",
        "annual_spend": "plain",
        "phone": "never",
        "salary": "plain",
    }
    shown = preview(DATASET, report, granted)
    assert shown["partner"][0] == {
        "project_stage": {"state": "shown", "value": "won"},
        "acceptance": {"state": "hidden"},
        "annual_spend": {"state": "hidden"},
        "staff": {"state": "proof"},
        "phone": {"state": "hidden"},
    }
    assert [
        (each["name"], each["granted"], each["why"]) for each in shown["fields"]
    ] == [
        ("project_stage", "plain", None),
        ("acceptance", None, "field.not_granted"),
        ("annual_spend", None, "field.mode"),
        ("staff", "predicate", None),
        ("phone", None, "field.mode"),
    ]
    assert shown["unknown"] == ["salary"]
    assert shown["published"][1]["customer"] == "secret ltd"
    assert list(shown["published"][0]["values"]) == [
        field.name for field in DATASET.committed
    ]
    assert "secret" not in str(shown["partner"]).lower()


def test_without_an_agreement_a_partner_sees_nothing() -> None:
    shown = preview(DATASET, examine(DATASET, Rows(row(1))))
    assert {cell["state"] for cell in shown["partner"][0].values()} == {"hidden"}
    assert preview(DATASET, examine(DATASET, Rows(row(1))), {"staff": Mode.AGGREGATE})[
        "partner"
    ][0]["staff"] == {"state": "aggregate"}


def test_a_report_shows_no_sample_in_its_repr() -> None:
    report = examine(DATASET, Rows(row(1, stage="hunter2")))
    assert report.sample
    assert "hunter2" not in repr(report.to_json()["rows"]) + repr(report.sample == ())
    assert "sample" not in repr(report)
