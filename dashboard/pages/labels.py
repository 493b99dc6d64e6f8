"""Titles of datasets, fields and purposes, as the node's catalogue states them.

Names of partners are not among them: those come from the pinned registry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from markupsafe import Markup

from dashboard.i18n import Speech
from dashboard.statements import Names, Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What a reader is shown in place of a wire name."""

    datasets: Mapping[str, Names]
    fields: Mapping[str, Names]
    purposes: Mapping[str, Names]

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """Take the titles out of a summary."""
        datasets = summary.matrix.datasets
        return cls(
            datasets={each.id: each.title for each in datasets},
            fields={each.name: each.title for it in datasets for each in it.fields},
            purposes={each.id: each.title for each in summary.purposes},
        )

    def dataset(self, speech: Speech, name: str | None) -> Markup:
        """Return a dataset's title, or its id when nobody titled it."""
        return speech.name(self.datasets.get(name or "", {}), name or "–")

    def field(self, speech: Speech, name: str) -> Markup:
        """Return a field's title, or its name when nobody titled it."""
        return speech.name(self.fields.get(name, {}), name)

    def purpose(self, speech: Speech, name: str | None) -> Markup:
        """Return a purpose's title, or its id when nobody titled it."""
        return speech.name(self.purposes.get(name or "", {}), name or "–")
