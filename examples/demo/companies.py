"""The three companies, and the CRM of each: 2,000 customers, some shared.

    maker      customers    0 to 1,999     SQLite
    supplier   customers 1,200 to 3,199    SQLite
    operator   customers 1,600 to 1,999
               and       2,800 to 4,399    CSV

So the car maker shares 800 customers with its battery supplier and 400 with the
charging operator, and those two share 800. The car maker's CRM also holds what its
vehicles reported: `faults`.
"""

import contextlib
import csv
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Final

from examples.demo import faults
from examples.demo.customers import Customer, Record, record

_HERE: Final = Path(__file__).parent
_COLUMNS: Final = (
    "record_no",
    "credit_code",
    "customer_zh",
    "customer_en",
    "stage",
    "due_on",
    "amount",
    "contact_name",
    "contact_phone",
)


@dataclass(frozen=True)
class Company:
    """A company of the story.

    Attributes:
        key: Its short name; also of its folder and its declaration.
        name: By language.
        dataset: What it shares.
        stage_field: Name under which it shares the state of an order.
        due_field: Name under which it shares a date.
        amount_field: Name of the value of an order, which nobody is shown.
        stages: The words it has for the state.
        customers: Their numbers.
        file: Name of its CRM.
        port: Where its node is, if nobody else is there.
    """

    key: str
    name: dict[str, str]
    dataset: str
    stage_field: str
    due_field: str
    amount_field: str
    stages: tuple[str, ...]
    customers: tuple[int, ...]
    file: str
    port: int

    @property
    def fields(self) -> tuple[str, str]:
        """Return the fields that it shares in plain."""
        return self.stage_field, self.due_field

    @property
    def declaration(self) -> Path:
        """Return the file that declares its dataset; the source is `$CRM`."""
        return _HERE / f"{self.key}.yaml"

    @cached_property
    def records(self) -> dict[str, Record]:
        """Return what it knows about its customers, by credit code."""
        found = (record(self.key, number, self.stages) for number in self.customers)
        return {each.customer.code: each for each in found}

    def write_crm(self, folder: Path) -> str:
        """Write the CRM; return its place, as a declaration names it."""
        file = folder / self.file
        rows = (_row(each) for each in self.records.values())
        if file.suffix == ".csv":
            with file.open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows(chain([_COLUMNS], rows))
            return str(file)
        with contextlib.closing(sqlite3.connect(file)) as crm, crm:
            crm.execute(f"CREATE TABLE orders ({', '.join(_COLUMNS)})")
            marks = ", ".join("?" * len(_COLUMNS))
            crm.executemany(f"INSERT INTO orders VALUES ({marks})", rows)  # noqa: S608
        if self.key == "maker":
            faults.write(file)
        return f"sqlite:///{file}"

    def values(self) -> Iterator[str]:
        """Return every value of the CRM as it would look in JSON or in text.

        Of faults, those that are about one vehicle; codes and weeks are words.

        States and dates are in quotes, as in JSON: without them they are words
        that anybody may use.
        """
        for each in self.records.values():
            yield from (each.key, each.amount, each.contact, each.phone)
            yield from _names(each.customer)
            yield from (json.dumps(each.stage), json.dumps(each.due))
        yield from faults.values(self.key)


def _names(customer: Customer) -> tuple[str, str, str]:
    return customer.code, customer.name_zh, customer.name_en


def _row(each: Record) -> tuple[str, ...]:
    rest = each.stage, each.due, each.amount, each.contact, each.phone
    return each.key, *_names(each.customer), *rest


MAKER: Final = Company(
    key="maker",
    name={"en": "Example Motors", "zh": "示例汽车"},
    dataset="projects",
    stage_field="project_stage",
    due_field="expected_acceptance_date",
    amount_field="contract_value",
    stages=("quotation", "prototype", "sample approval", "pilot run", "series"),
    customers=tuple(range(2000)),
    file="maker.sqlite",
    port=8101,
)
SUPPLIER: Final = Company(
    key="supplier",
    name={"en": "Example Cells", "zh": "示例电池"},
    dataset="pack_orders",
    stage_field="pack_status",
    due_field="next_delivery_date",
    amount_field="order_value",
    stages=("ordered", "cells reserved", "in assembly", "delivered"),
    customers=tuple(range(1200, 3200)),
    file="supplier.sqlite",
    port=8102,
)
OPERATOR: Final = Company(
    key="operator",
    name={"en": "Example Charging", "zh": "示例充电"},
    dataset="charging_sites",
    stage_field="site_stage",
    due_field="power_on_date",
    amount_field="contract_value",
    stages=("survey", "permit", "construction", "grid connection", "in operation"),
    customers=(*range(1600, 2000), *range(2800, 4400)),
    file="operator.csv",
    port=8103,
)
COMPANIES: Final = (MAKER, SUPPLIER, OPERATOR)
