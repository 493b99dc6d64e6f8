"""A sound declaration, to be broken in one place at a time."""

import json
from typing import Any

TITLE = {"en": "Title", "zh": "题"}

SOUND: dict[str, Any] = {
    "dataset": "projects",
    "title": TITLE,
    "source": {"env": "CRM_URL", "table": "crm.projects", "record": "project_id"},
    "customer": {"column": "credit_code", "rule": "uscc"},
    "fields": {
        "project_stage": {
            "column": "stage",
            "type": "text",
            "title": TITLE,
            "grade": "general",
            "personal": False,
            "modes": ["plain", "predicate"],
            "values": ["bid", "won"],
        },
        "acceptance": {
            "column": "accepted",
            "type": "date",
            "title": TITLE,
            "grade": "general",
            "personal": False,
            "modes": ["plain"],
        },
        "annual_spend": {
            "column": "spend",
            "type": "money",
            "unit": "CNY",
            "scale": 2,
            "title": TITLE,
            "grade": "important",
            "personal": False,
            "modes": ["aggregate"],
        },
        "staff": {
            "column": "staff",
            "type": "integer",
            "unit": "人",
            "title": TITLE,
            "grade": "important",
            "personal": False,
            "modes": ["predicate", "aggregate"],
        },
        "phone": {
            "column": "phone",
            "type": "text",
            "title": TITLE,
            "grade": "core",
            "personal": True,
            "modes": ["never"],
        },
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the declaration with one member set, or removed (by `...`)."""
    out: dict[str, Any] = json.loads(json.dumps(SOUND))
    here = out
    *above, last = path.split(".")
    for step in above:
        here = here[step]
    if value is ...:
        del here[last]
    else:
        here[last] = value
    return out
