"""Scan: read a source once, row by row, for figures.

Only the columns that are needed are read. A row whose customer is none, or in which a
value that the plan names does not fit its field, is left out and counted; what it holds
is not told. Where that is so of a field which only an earlier plan names, the row was
left out of that one, and is in this one.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from node.domain.cells import Gathering
from node.domain.customer import BadCustomer, normalise
from node.domain.dataset import Dataset, Field, Value
from node.domain.values import BadValue, to_wire
from node.ports import Clock, RecordSource

_log = logging.getLogger("fieldpact.tally")
_TELL_MS: Final = 500.0


def scan(
    source: RecordSource,
    dataset: Dataset,
    gathering: Gathering,
    clock: Clock,
    tell: Callable[[int], None],
) -> None:
    """Have every sound row gathered. Runs in a thread.

    Args:
        tell: Called with the rows read so far, twice a second and at the end.

    Raises:
        Unavailable: The source does not answer, or not in time.
    """
    key, fields = dataset.customer, dataset.fields
    needed = [each for each in fields if each.name in gathering.fields]
    done = left_out = 0
    told = clock.elapsed_ms()
    for rows in source.scan(sorted({key.column, *(each.column for each in needed)})):
        for row in rows:
            try:
                customer = normalise(key.rule, row[key.column])
                values = _values(needed, row, gathering.own)
            except (BadCustomer, BadValue):
                left_out += 1
            else:
                gathering.take(customer, values)
        done += len(rows)
        if clock.elapsed_ms() - told >= _TELL_MS:
            told = clock.elapsed_ms()
            tell(done)
    tell(done)
    _log.info("%s: %d rows read, %d left out", dataset.id, done, left_out)


def _values(
    needed: Sequence[Field], row: Mapping[str, Any], own: frozenset[str]
) -> dict[str, Value]:
    """Return the values of a row. Raises `BadValue` for one that the plan names."""
    values: dict[str, Value] = {}
    for each in needed:
        try:
            values[each.name] = to_wire(each, row[each.column])
        except BadValue:
            if each.name in own:
                raise
            values[each.name] = None  # it meets no condition
    return values
