"""Read: fetch the granted columns of the shared customers from the CRM.

Only customers that both sides know are looked up, only the granted columns are
selected, and only records that were published. A record whose values are no
longer those that its signature covers is published anew before it is shown.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.domain.agreement import Agreement
from node.domain.dataset import Value
from node.domain.disclosure import Request
from node.ports import Publication, Record, Sources, Store
from node.services.publish import Refresh


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRecord:
    """A published record and the values of it that will be shown."""

    record: Record
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one customer token leads to; no records when it is not shared."""

    customer: bytes
    shared: bool
    records: tuple[ShownRecord, ...]
