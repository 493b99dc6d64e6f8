"""Heat maps of real breakdowns: New York's school buses, by reason, borough and week.

What comes back is what DuckDB computes from the same file: exactly before noise, and
within the told spread after it. The unit of privacy is a route: of each, one count in a
cell, however often its bus was late.
"""

import csv
import datetime
import re
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crypto import noise
from ledger.conditions import Condition
from ledger.plans import Group, Measure
from node.domain.dataset import (
    CustomerKey,
    Dataset,
    Field,
    FieldType,
    Grade,
    Mode,
    Source,
    Title,
)
from node.domain.noised import Shares
from tests.support import shared
from tests.support.heat_maps import Row, World
from tests.support.noise import NEVER

_DATA = "data/nyc-schoolbus-breakdowns"
_TYPES = {
    "reason": FieldType.TEXT,
    "borough": FieldType.TEXT,
    "company": FieldType.TEXT,
    "day": FieldType.DATE,
    "students": FieldType.INTEGER,
}


def breakdowns() -> list[Row]:
    """The rows, with days as a CRM has them; what is blank stays blank."""
    rows = []
    (file,) = shared(_DATA).glob("*.csv")
    with file.open(encoding="utf-8", newline="") as opened:
        for number, each in enumerate(csv.DictReader(opened)):
            month, day, year = map(int, each["Occurred_On"].split()[0].split("/"))
            rows.append(
                {
                    "id": str(number),
                    "route": each["Route_Number"],
                    "reason": each["Reason"],
                    "borough": each["Boro"],
                    "company": each["Bus_Company_Name"],
                    "day": datetime.date(year, month, day).isoformat(),
                    "students": each["Number_Of_Students_On_The_Bus"],
                }
            )
    return rows


def about(file: Path) -> Dataset:
    title = Title(en="A field", zh="字段")
    return Dataset(
        id="faults",
        title=title,
        source=Source(url=str(file), relation="", record="id"),
        customer=CustomerKey(column="route", rule="exact"),
        fields=tuple(
            Field(
                name=name,
                column=name,
                type=kind,
                title=title,
                grade=Grade.IMPORTANT,
                personal=False,
                modes=frozenset({Mode.AGGREGATE}),
            )
            for name, kind in _TYPES.items()
        ),
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, breakdowns(), about=about)


def most_common(rows: Sequence[Row], name: str, most: int) -> tuple[str, ...]:
    counted = Counter(row[name] for row in rows if row[name])
    return tuple(value for value, _ in counted.most_common(most))


def weeks(rows: Sequence[Row], most: int) -> tuple[str, ...]:
    """The Mondays of the last weeks there are."""
    days = {datetime.date.fromisoformat(row["day"]) for row in rows}
    mondays = {day - datetime.timedelta(days=day.weekday()) for day in days}
    return tuple(sorted(each.isoformat() for each in mondays))[-most:]


def groups(rows: Sequence[Row], **sizes: int) -> tuple[Group, ...]:
    return tuple(
        Group(field="day", grain="week", values=weeks(rows, size))
        if name == "day"
        else Group(field=name, grain="value", values=most_common(rows, name, size))
        for name, size in sizes.items()
    )


def queried(statement: str) -> list[Any]:
    with duckdb.connect() as database:
        return database.execute(statement).fetchall()


def in_plain(
    world: World,
    parts: Sequence[Group],
    figure: str = "count(DISTINCT trim(route))",
    where: str = "true",
) -> tuple[list[int], list[int]]:
    """Compute figures and routes of each cell by DuckDB, which knows nothing of us."""
    columns = [
        "CAST(CAST(date_trunc('week', CAST(day AS DATE)) AS DATE) AS VARCHAR)"
        if part.field == "day"
        else part.field
        for part in parts
    ]
    keys = ", ".join(columns)
    file = world.dataset.source.url or ""
    rows = queried(
        f"SELECT {keys}, {figure}, count(DISTINCT route) "  # noqa: S608  # our own
        f"FROM read_csv('{file}', header=true, all_varchar=true) "
        f"WHERE {where} AND route <> '' GROUP BY {keys}"
    )
    found = {tuple(row[:-2]): (int(row[-2]), int(row[-1])) for row in rows}
    cells = [
        found.get(each, (0, 0)) for each in product(*(part.values for part in parts))
    ]
    return [figure for figure, _ in cells], [count for _, count in cells]


def shown(found: tuple[list[int], list[int]], least: int) -> list[int | None]:
    figures, routes = found
    return [
        figure if count >= least else None
        for figure, count in zip(figures, routes, strict=True)
    ]


def plan(world: World, parts: tuple[Group, ...], **changes: Any) -> Any:
    return world.plan(groups=parts, contribution=50, **changes)


async def test_reason_by_borough_by_week_by_company_is_exact_before_noise(
    world: World,
) -> None:
    """Over fifty thousand cells, of which few hold five routes."""
    parts = groups(world.rows, reason=10, borough=11, day=23, company=20)
    result = await world.ask(plan(world, parts))
    wanted = shown(in_plain(world, parts), 5)
    assert len(wanted) > 30_000
    assert result["cells"] == wanted
    assert 20 < sum(cell is not None for cell in wanted) < 1000


async def test_reason_by_borough_by_week_is_exact_before_noise_with_weights(
    world: World,
) -> None:
    parts = groups(world.rows, reason=10, borough=11, day=20)
    weights = {"reason": {"Heavy Traffic": 3, "Mechanical Problem": -7}}
    result = await world.ask(plan(world, parts), {"weights": weights})
    figures, routes = in_plain(world, parts)
    factors = {"Heavy Traffic": 3, "Mechanical Problem": -7}
    labels = product(*(part.values for part in parts))
    weighed = [
        figure * factors.get(label[0], 0)
        for figure, label in zip(figures, labels, strict=True)
    ]
    assert result["cells"] == shown((weighed, routes), 5)


async def test_with_noise_every_cell_is_within_the_spread(tmp_path: Path) -> None:
    world = World(
        tmp_path, breakdowns(), about=about, laplace=noise.laplace, spread=noise.spread
    )
    parts = groups(world.rows, reason=5, borough=8)
    cells = {(row["route"], row["reason"], row["borough"]) for row in world.rows}
    assert max(Counter(route for route, *_ in cells if route).values()) <= 10
    asked = world.plan(groups=parts, contribution=10, epsilon_micro=6_000_000)
    result = await world.ask(asked)
    figures, _ = in_plain(world, parts)
    counts = Shares.of(asked.plan).counts
    within = noise.spread(10, counts, NEVER / len(result["cells"]))
    assert 0 < result["spread"] <= within
    # A cell below the least cohort that shows by chance counts as just below it.
    assert all(
        abs(cell - max(figure, 4)) <= within
        for cell, figure in zip(result["cells"], figures, strict=True)
        if cell is not None
    )
    assert sum(cell is not None for cell in result["cells"]) > 5


async def test_filtered_by_company_students_are_summed_and_clipped_by_route(
    world: World,
) -> None:
    for row in world.rows:  # as a CRM that takes whole numbers only would have them
        row["students"] = (
            row["students"] if re.fullmatch("[0-9]+", row["students"]) else ""
        )
    world = World(Path(world.dataset.source.url or "").parent, world.rows, about=about)
    parts = groups(world.rows, borough=6)
    companies = most_common(world.rows, "company", 12)
    measure = Measure(what="sum", field="students", bound=40)
    filters = (Condition.of("one_of", ["company"], companies),)
    asked = plan(world, parts, measure=measure, filters=filters)
    result = await world.ask(asked)
    names = ", ".join(f"'{name}'" for name in companies)
    file = world.dataset.source.url
    rows = queried(
        "SELECT borough, sum(least(total, 40)), count(*) FROM (SELECT borough, "  # noqa: S608
        "route, sum(CAST(students AS INTEGER)) AS total FROM "
        f"read_csv('{file}', header=true, all_varchar=true) WHERE company IN ({names}) "
        "AND students <> '' AND route <> '' GROUP BY borough, route) GROUP BY borough"
    )
    found = {row[0]: (int(row[1]), int(row[2])) for row in rows}
    cells = [found.get(value, (0, 0)) for value in parts[0].values]
    assert result["cells"] == [total if count >= 5 else None for total, count in cells]
    assert any(result["cells"])


async def test_flipped_and_over_rows_the_figures_are_the_same(world: World) -> None:
    parts = groups(world.rows, borough=6)
    table = await world.ask(plan(world, parts))
    flipped, key = world.flipped(groups=parts, totals=("borough",), contribution=50)
    assert (await world.ask(flipped, key))["cells"] == [
        cell or 0 for cell in table["cells"]
    ]
    routes = sorted({row["route"].strip() for row in world.rows} - {""})
    names = world.declare(routes, size=2048)
    first = [at for at, name in enumerate(names) if name and name < "M5"]
    second = [at for at, name in enumerate(names) if name and name >= "M5"]
    segmented, inputs = world.segmented(
        {"first": first, "second": second}, groups=parts, contribution=50
    )
    result = await world.ask(segmented, inputs)
    wanted = [
        *shown(in_plain(world, parts, where="route < 'M5'"), 5),
        *shown(in_plain(world, parts, where="route >= 'M5'"), 5),
    ]
    assert result["cells"] == wanted
