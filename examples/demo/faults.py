"""Synthetic vehicles and their faults, the same on every machine.

    maker      vehicles    0 to 639     their faults, in its CRM
    supplier   vehicles  320 to 799     have battery packs of its make

So 320 of the supplier's vehicles are the car maker's. Nothing here belongs to anybody:
vehicle numbers begin with 0, which is no region of the world (ISO 3780), and telephone
numbers with 12, as `customers` says.
"""

import contextlib
import datetime
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from examples.demo.customers import choose

DECLARATION: Final = Path(__file__).with_name("faults.yaml")
REGIONS: Final = ("North", "South")
CODES: Final = ("P0A1F", "P0A7F", "P0A80", "P0AA6", "U0293")
WEEKS: Final = tuple(
    (datetime.date(2026, 10, 5) + datetime.timedelta(weeks=week)).isoformat()
    for week in range(4)
)
"""The Mondays on which they begin."""
MAKERS: Final = range(640)
SUPPLIERS: Final = range(320, 800)
_LETTERS: Final = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
_OFTEN: Final = {
    "North": "P0A1F P0A7F P0A7F P0A80 P0AA6 P0AA6 P0AA6 U0293",
    "South": "P0A1F P0A7F P0A80 P0A80 P0A80 P0A80 P0AA6 U0293",
}
"""Codes as often as they come: it is warm in the south."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A row of the CRM.

    Attributes:
        cost: In fen.
    """

    number: str
    vin: str
    region: str
    code: str
    reported_on: str
    cost: int
    phone: str

    @property
    def week(self) -> str:
        """Return the Monday of the week in which it was reported."""
        day = datetime.date.fromisoformat(self.reported_on)
        return (day - datetime.timedelta(days=day.weekday())).isoformat()

    @property
    def yuan(self) -> str:
        """Return the cost as the CRM has it."""
        return f"{self.cost // 100}.{self.cost % 100:02d}"


def vin(number: int) -> str:
    """Return the number of a vehicle, of 17 characters, as everybody knows it."""
    letters = (choose(len(_LETTERS), "vin", number, at) for at in range(8))
    return f"0FP{''.join(_LETTERS[each] for each in letters)}{number:06d}"


@cache
def faults() -> tuple[Fault, ...]:
    """Return the rows of the CRM: one or two of each vehicle of the car maker."""
    return tuple(
        _fault(number, again)
        for number in MAKERS
        for again in range(1 + choose(2, "faults", number))
    )


def packs() -> list[str]:
    """Return the vehicles that have packs of the supplier's make."""
    return [vin(number) for number in SUPPLIERS]


def write(crm: Path) -> None:
    """Write the faults into the car maker's CRM, a SQLite file."""
    with contextlib.closing(sqlite3.connect(crm)) as file, file:
        file.execute(
            "CREATE TABLE faults "
            "(fault_no, vin, region, code, reported_on, cost, phone)"
        )
        rows = [
            (it.number, it.vin, it.region, it.code, it.reported_on, it.yuan, it.phone)
            for it in faults()
        ]
        file.executemany("INSERT INTO faults VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def values(company: str) -> Iterator[str]:
    """Return what nobody may find in what a company sent.

    Costs are in quotes, as in JSON: without them they are seven octets, which some
    ciphertext or other holds by chance, once in millions of runs.

    Args:
        company: Its short name. The supplier's list of vehicles is secret, too.
    """
    if company == "supplier":
        yield from packs()
    if company == "maker":
        for each in faults():
            yield from (each.number, each.vin, json.dumps(each.yuan), each.phone)


def _fault(number: int, again: int) -> Fault:
    def pick(what: str, count: int) -> int:
        return choose(count, "fault", what, number, again)

    region = REGIONS[choose(2, "region", number)]
    codes = _OFTEN[region].split()
    first = datetime.date.fromisoformat(WEEKS[0])
    # The later, the more.
    week = max(pick("week", len(WEEKS)), pick("again", len(WEEKS)))
    day = first + datetime.timedelta(weeks=week, days=pick("day", 7))
    return Fault(
        number=f"FAULT-{number:05d}-{again}",
        vin=vin(number),
        region=region,
        code=codes[pick("code", len(codes))],
        reported_on=day.isoformat(),
        cost=1000_00 + pick("cost", 3000_00),
        phone=f"12{choose(10**9, 'owner', number):09d}",
    )
