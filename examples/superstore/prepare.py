"""Prepare a shop's orders: as three companies with common customers would have them.

    python -m examples.superstore.prepare FOLDER .

FOLDER holds the shop's order lines, a CSV file. What comes of it are furniture.csv,
supplies.csv and technology.csv: each an order in each row, with what was ordered of one
category. Amounts are rounded to cents line by line. `last_days` stands at the newest
order of a customer only: from ordering to shipping, in days.
"""

import csv
import datetime
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

COMPANIES: Final = {
    "Furniture": "furniture",
    "Office Supplies": "supplies",
    "Technology": "technology",
}
"""Category, and the company that sells it."""
COLUMNS: Final = ("order", "customer", "region", "ordered_on", "sales", "last_days")

_Orders = dict[str, dict[str, str]]


def prepared(rows: Iterable[Mapping[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Return the orders of each company, by its name."""
    found: dict[str, _Orders] = {name: {} for name in COMPANIES.values()}
    lines: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        name, order = COMPANIES[row["Category"]], row["Order ID"]
        lines[name, order] += round(Decimal(row["Sales"]), 2)
        found[name][order] = {
            "order": order,
            "customer": row["Customer ID"],
            "region": row["Region"],
            "ordered_on": row["Order Date"],
            "sales": f"{lines[name, order]:.2f}",
            "last_days": str(_days(row["Order Date"], row["Ship Date"])),
        }
    return {name: _newest_only(orders) for name, orders in found.items()}


def _days(ordered: str, shipped: str) -> int:
    first, last = map(datetime.date.fromisoformat, (ordered, shipped))
    return (last - first).days


def _newest_only(orders: _Orders) -> list[dict[str, str]]:
    """Take `last_days` off every order but the newest of each customer."""
    newest: dict[str, str] = {}
    in_order = sorted(
        orders.values(), key=lambda row: (row["ordered_on"], row["order"])
    )
    for row in in_order:
        newest[row["customer"]] = row["order"]
    return [
        row if newest[row["customer"]] == row["order"] else row | {"last_days": ""}
        for row in in_order
    ]


def main(folder: str, target: str) -> dict[str, int]:
    """Write the files; return how many orders each has."""
    (shop,) = Path(folder).glob("*.csv")
    with shop.open(encoding="utf-8", newline="") as source:
        found = prepared(csv.DictReader(source))
    for name, orders in found.items():
        with (Path(target) / f"{name}.csv").open(
            "w", encoding="utf-8", newline=""
        ) as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(orders)
    return {name: len(orders) for name, orders in found.items()}


if __name__ == "__main__":
    _, place, into = sys.argv
    for company, count in main(place, into).items():
        sys.stdout.write(f"{company}.csv: {count:,} orders\n")
