"""The Maven data as two companies' CRM databases."""

import csv
import datetime
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from tests.support import shared

OFFICES: Final = ("Central", "East")

_TYPES: Final[dict[str, sa.types.TypeEngine[Any]]] = {
    "opportunity_id": sa.String(8),
    "sales_agent": sa.String(60),
    "product": sa.String(40),
    "account": sa.String(60),
    "deal_stage": sa.String(20),
    "engage_date": sa.Date(),
    "close_date": sa.Date(),
    "close_value": sa.Numeric(12, 2),
}


def pipeline(office: str) -> list[dict[str, Any]]:
    """Return an office's opportunities; an empty cell is None."""
    file = shared(f"data/maven-crm/sales_pipeline_{office}.csv")
    with file.open(encoding="utf-8", newline="") as stream:
        return [
            {name: _typed(name, text) for name, text in row.items()}
            for row in csv.DictReader(stream)
        ]


def _typed(name: str, text: str) -> Any:
    if not text:
        return None
    if name.endswith("_date"):
        return datetime.date.fromisoformat(text)
    return Decimal(text) if name == "close_value" else text


def load(office: str, url: str, *, schema: str | None = None) -> None:
    """Write an office's opportunities into a table `sales_pipeline`."""
    columns = [
        sa.Column(name, type_, primary_key=name == "opportunity_id")
        for name, type_ in _TYPES.items()
    ]
    table = sa.Table("sales_pipeline", sa.MetaData(schema=schema), *columns)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(table.insert(), pipeline(office))
