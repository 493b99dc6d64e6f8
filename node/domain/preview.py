"""What a dataset would publish, and what a partner would see of it.

Shown to the company before it publishes or agrees. A partner is never shown a
record key or a customer's identifier: customers travel as tokens.
"""

from collections.abc import Mapping
from typing import Any

from node.domain.dataset import Dataset, Field, Mode
from node.domain.report import Report, SoundRecord


def preview(
    dataset: Dataset, report: Report, agreement: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return plain data that shows the first records as others would see them.

    Args:
        dataset: The dataset.
        report: Its examination, with a sample.
        agreement: Mode that an agreement grants, by field name; or None.

    Returns:
        `report`; `fields`, each with what it is and what is `granted` (a mode,
        or None with a denial code as `why`); `published`, the first records as
        they would be signed; and `partner`, the same as the partner would see
        them: per field `{"state": "shown", "value": ...}`, or the state `proof`,
        `aggregate` or `hidden`. `unknown` lists fields that only the agreement
        names.
    """
    grants = agreement or {}
    return {
        "dataset": dataset.id,
        "title": {"en": dataset.title.en, "zh": dataset.title.zh},
        "report": report.to_json(),
        "fields": [_field(field, grants.get(field.name)) for field in dataset.fields],
        "published": [_published(dataset, record) for record in report.sample],
        "partner": [
            {field.name: _seen(field, grants, record) for field in dataset.fields}
            for record in report.sample
        ],
        "unknown": sorted(name for name in grants if dataset.field(name) is None),
    }


def _field(field: Field, grant: str | None) -> dict[str, Any]:
    why = _refusal(field, grant)
    return {
        "name": field.name,
        "title": {"en": field.title.en, "zh": field.title.zh},
        "type": str(field.type),
        "unit": field.unit,
        "grade": str(field.grade),
        "personal": field.personal,
        "modes": [str(mode) for mode in Mode if mode in field.modes],
        "granted": None if why else grant,
        "why": why,
    }


def _refusal(field: Field, grant: str | None) -> str | None:
    """Return the denial code that the field would be refused with, or None."""
    if grant is None:
        return "field.not_granted"
    return None if grant in field.modes and grant != Mode.NEVER else "field.mode"


def _published(dataset: Dataset, record: SoundRecord) -> dict[str, Any]:
    values = {field.name: record.values[field.name] for field in dataset.committed}
    return {"record": record.key, "customer": record.customer, "values": values}


def _seen(
    field: Field, grants: Mapping[str, str], record: SoundRecord
) -> dict[str, Any]:
    grant = grants.get(field.name)
    if _refusal(field, grant):
        return {"state": "hidden"}
    if grant == Mode.PLAIN:
        return {"state": "shown", "value": record.values[field.name]}
    return {"state": "proof" if grant == Mode.PREDICATE else "aggregate"}
