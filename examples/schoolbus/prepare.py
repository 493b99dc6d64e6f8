"""Prepare the school buses' breakdowns: one clean CSV file, as an operator would have.

    python -m examples.schoolbus.prepare FOLDER breakdowns.csv

FOLDER holds the city's export, a CSV file. It has times like `09/13/2016 02:30:00 PM`
and like `07/01/2016 7:49`; of them days come out, as `2016-07-01`. Each row gets a
number, and blanks around names are taken off. Nothing is left out: what is blank stays
blank.
"""

import csv
import datetime
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

COLUMNS: Final = ("number", "route", "reason", "borough", "company", "kind", "day")


def prepared(rows: Iterator[Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """Give the rows of the export as they are published.

    Raises:
        ValueError: A time does not begin with a day like `09/13/2016`.
    """
    for number, row in enumerate(rows, start=1):
        month, day, year = map(int, row["Occurred_On"].split()[0].split("/"))
        yield {
            "number": str(number),
            "route": row["Route_Number"].strip(),
            "reason": row["Reason"].strip(),
            "borough": row["Boro"].strip(),
            "company": row["Bus_Company_Name"].strip(),
            "kind": row["Breakdown_or_Running_Late"].strip(),
            "day": datetime.date(year, month, day).isoformat(),
        }


def main(folder: str, target: str) -> int:
    """Write the file; return how many rows it has."""
    (export,) = Path(folder).glob("*.csv")
    with export.open(encoding="utf-8", newline="") as source:
        found = list(prepared(csv.DictReader(source)))
    with Path(target).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(found)
    return len(found)


if __name__ == "__main__":
    _, place, name = sys.argv
    sys.stdout.write(f"{name}: {main(place, name):,} rows\n")
