"""Titles of datasets, fields and purposes, and units, as the node states them.

Names of partners are not among them: those come from the pinned registry.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

from markupsafe import Markup

from dashboard import proofs
from dashboard.figures import epsilon
from dashboard.i18n import Speech
from dashboard.statements import Agreement, Call, Names, Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What a reader is shown in place of a wire name.

    Attributes:
        agreements: Where the units of what is proved are from.
    """

    datasets: Mapping[str, Names]
    fields: Mapping[str, Names]
    purposes: Mapping[str, Names]
    agreements: tuple[Agreement, ...]

    @classmethod
    def of(cls, summary: Summary, agreements: Iterable[Agreement] = ()) -> Self:
        """Take the titles out of a summary, and keep the agreements."""
        datasets = summary.matrix.datasets
        return cls(
            datasets={each.id: each.title for each in datasets},
            fields={each.name: each.title for it in datasets for each in it.fields},
            purposes={each.id: each.title for each in summary.purposes},
            agreements=tuple(agreements),
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

    def step_name(self, speech: Speech, step: str) -> Markup:
        """Return what a step is called, or its name on the wire if nothing else."""
        key = f"step.{step}"
        return speech.say(key) if speech.knows(key) else Markup.escape(step)

    def step(self, speech: Speech, call: Call) -> Markup:
        """Say which step of a plan a call was, and what of privacy it has spent."""
        told = {
            "step": self.step_name(speech, call.step or ""),
            "epsilon": epsilon(call.spent or 0),
        }
        return speech.say("calls.step.spent" if call.spent else "calls.step", **told)

    def asked(self, speech: Speech, call: Call, most: int | None = None) -> Markup:
        """Say the first conditions of a call, or all of them."""
        grants = proofs.grants_of(self.agreements, call.agreement)
        name = partial(self.field, speech)
        return proofs.asked(speech, call.where[:most], grants, name)
