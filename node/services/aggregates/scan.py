"""Scan: read a source once, row by row, for figures.

Only the columns that are needed are read. A row whose customer is none, or in which a
needed value does not fit its field, is left out and counted; what it holds is not told.
"""

import logging
from collections.abc import Callable
from typing import Final

from node.domain.cells import Gathering
from node.domain.customer import BadCustomer, normalise
from node.domain.dataset import Dataset
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
                values = {each.name: to_wire(each, row[each.column]) for each in needed}
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
