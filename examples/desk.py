"""A company's node, used as the company's own people would.

What the command line does (`fieldpact dataset publish`, `offer`, `accept`,
`align`, `ask`), for programs: through the management API.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from ledger.conditions import Condition
from node import offline
from node.config import Settings
from node.domain.agreement import render_instant


class Refused(Exception):
    """A node answered its own people with a problem document."""


def instant(seconds: float = 0.0) -> str:
    """Return the instant that lies so many seconds from now, as agreements say it."""
    ahead = datetime.timedelta(seconds=seconds)
    return render_instant(datetime.datetime.now(datetime.UTC) + ahead)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one company offers another.

    Attributes:
        fields: To be shown.
        predicates: What may be proved of fields that are never shown: objects with
            `field`, `operators`, `step` (or none) and `probes`.
        aggregates: What fields that are never shown may be used for in figures:
            objects with `field`, `uses`, and where they go with them `bound` and
            `grains`.
        allowance: How much may be counted and matched: an object with
            `epsilon_micro`, `period`, `k_min`, `plans_per_day`, and for matching
            `matching` and `match_size`.
    """

    dataset: str
    fields: Sequence[str] = ()
    predicates: Sequence[Mapping[str, Any]] = ()
    aggregates: Sequence[Mapping[str, Any]] = ()
    allowance: Mapping[str, Any] | None = None
    purposes: Sequence[str] = ("joint-delivery",)
    valid_to: str = ""
    calls_per_hour: int = 600
    rows_per_call: int = 1000

    def to_json(self, partner: str) -> dict[str, Any]:
        """Return the offer as the management API takes it; half a year if not told."""
        hidden = [each["field"] for each in self.predicates]
        counted = [each["field"] for each in self.aggregates]
        return {
            "partner": partner,
            "dataset": self.dataset,
            "fields": dict.fromkeys(self.fields, "plain")
            | dict.fromkeys(hidden, "predicate")
            | dict.fromkeys(counted, "aggregate"),
            "predicates": [dict(each) for each in self.predicates],
            "aggregates": [dict(each) for each in self.aggregates],
            "allowance": self.allowance and dict(self.allowance),
            "purposes": list(self.purposes),
            "valid_from": instant(-60),
            "valid_to": self.valid_to or instant(180 * 86400),
            "calls_per_hour": self.calls_per_hour,
            "rows_per_call": self.rows_per_call,
        }


class Desk:
    """Where a company's own people talk to their node."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        token = settings.operators[0].token.read_text().strip()
        self._client = httpx.Client(
            base_url=f"http://{settings.listen}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=120,
            trust_env=False,
        )

    @property
    def did(self) -> str:
        """Return the company's DID."""
        return self.settings.did

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str) -> Any:
        """Get JSON. Raises `Refused`."""
        return _answer(self._client.get(path))

    def post(self, path: str, body: Any) -> Any:
        """Post JSON. Raises `Refused`."""
        return _answer(self._client.post(path, json=body))

    def is_ready(self) -> bool:
        """Tell whether the node answers that it is."""
        try:
            return self._client.get("/health/ready", timeout=30).status_code == 200
        except httpx.HTTPError:
            return False

    def publish(self, file: Path) -> dict[str, Any]:
        """Publish a declared dataset; return the report."""
        declaration = offline.read_declaration(file)
        answer = self.post("/management/datasets", declaration)
        report: dict[str, Any] = answer["report"]
        return report

    def agree(self, consumer: "Desk", terms: Terms) -> str:
        """Offer terms to a partner, which accepts; return the agreement's id."""
        offered = self.post("/management/offers", terms.to_json(consumer.did))
        path = f"/management/negotiations/{offered['consumerPid']}/accept"
        return str(consumer.post(path, {})["agreement"]["@id"])

    def declare(self, agreement: str, customers: Iterable[str]) -> int:
        """Declare our customers under an agreement; return how many tokens went."""
        path = f"/management/agreements/{agreement}/customers"
        return int(self.post(path, {"customers": sorted(customers)})["sent"])

    def progress(self, dataset: str) -> list[dict[str, Any]]:
        """Return how far the records of a dataset are committed to, by agreement."""
        answer = self.get(f"/management/datasets/{dataset}/progress")
        return list(answer["agreements"])

    def ask(
        self,
        agreement: str,
        customers: Sequence[str],
        fields: Sequence[str] = (),
        purpose: str = "joint-delivery",
        where: Sequence[Condition] = (),
    ) -> dict[str, Any]:
        """Ask a partner about customers; return what our node made of the answer.

        Args:
            agreement: Its id.
            customers: Normalised keys.
            fields: To be shown.
            purpose: From the consortium's registry.
            where: To be proved of fields that stay hidden.
        """
        question = {
            "agreement": agreement,
            "purpose": purpose,
            "fields": sorted(fields),
            "customers": list(customers),
            "where": [condition.to_json() for condition in where],
        }
        answer: dict[str, Any] = self.post("/management/ask", question)
        return answer


def _answer(response: httpx.Response) -> Any:
    body = response.json()
    if response.status_code >= 400:
        raise Refused(f"{body.get('code')}: {body.get('detail')}")
    return body
