"""The calls of the story: each made, compared with what it should be, and kept.

What an answer should hold is read from the provider's CRM, where the node was
never asked; so an answer that is proved and wrong would be noticed too.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx

from examples.demo.consortium import Member
from examples.demo.narration import Teller
from ledger.conditions import Condition
from ledger.receipts import parse_signed_receipt


class Unexpected(Exception):
    """Something did not go as it must."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that was made, and its receipt.

    Attributes:
        asker: Whose node holds the receipt; None if nobody's does, and `body`
            is what came back.
    """

    provider: Member
    receipt: str
    asker: Member | None = None
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Calls:
    """Makes calls, and keeps what is needed to check them later.

    Attributes:
        made: In order.
        plans: Hashes of those that were answered.
        authorised: By company, how often each value was allowed to leave it.
    """

    tell: Teller
    made: list[Call] = field(default_factory=list)
    plans: list[str] = field(default_factory=list)
    authorised: dict[str, Counter[str]] = field(default_factory=dict)

    def ask(
        self,
        asker: Member,
        provider: Member,
        customers: Sequence[str],
        *,
        fields: Sequence[str] | None = None,
        at_least: str = "",
        purpose: str = "joint-delivery",
        agreement: str,
        expect: str = "",
        brief: bool = False,
    ) -> dict[str, Any]:
        """Ask through the asker's own node.

        Args:
            fields: Those that the provider shares, if not told.
            at_least: Have it proved of the provider's amounts that they are no less.
            expect: The denial code it must be refused with; none for an answer.
            brief: Leave it to the caller to tell what was answered.

        Returns:
            What came back.

        Raises:
            Unexpected: It came out otherwise.
        """
        fields = provider.company.fields if fields is None else fields
        hidden = provider.company.amount_field
        where = [Condition.of("at_least", [hidden], [at_least])] if at_least else []
        began = time.perf_counter()
        answer = asker.desk.ask(agreement, customers, fields, purpose, where)
        took_ms = (time.perf_counter() - began) * 1000
        if not answer["verified"]:
            raise Unexpected(f"the answer is not proved: {answer['checks']}")
        call = Call(provider=provider, receipt=answer["receipt"], asker=asker)
        self.made.append(call)
        codes = {each["code"]: each["message"] for each in answer["denials"]}
        if expect:
            self._refused(call, codes, expect, took_ms)
            return answer
        truth = _truth(asker, provider, customers, fields, at_least)
        if codes or answer["customers"] != truth:
            raise Unexpected(f"not what the CRM holds: {codes or answer['customers']}")
        self._count(provider, answer["customers"])
        if not brief:
            self.tell.good("allowed, and proved", _aside(call, took_ms))
            proved = (f"{hidden} ≥ {Decimal(at_least):,}",) if at_least else ()
            self._show(asker, (*fields, *proved), answer["customers"])
        return answer

    def send(
        self, provider: Member, token: str, body: bytes, *, expect: str
    ) -> dict[str, Any]:
        """Send a call past any node, as somebody would who has a token and a cable.

        Args:
            token: The `Authorization` header.
            expect: As for `ask`; such a call is never answered.

        Returns:
            What came back.

        Raises:
            Unexpected: It came out otherwise.
        """
        url = f"{provider.desk.settings.url}/views/{provider.company.dataset}/query"
        headers = {"Authorization": token, "Content-Type": "application/json"}
        began = time.perf_counter()
        with httpx.Client(timeout=120, trust_env=False) as client:
            response = client.post(url, content=body, headers=headers)
        took_ms = (time.perf_counter() - began) * 1000
        answer: dict[str, Any] = response.json()
        call = Call(
            provider=provider,
            receipt=parse_signed_receipt(answer).receipt.receipt_id,
            body=answer,
        )
        self.made.append(call)
        codes = {each["code"]: each["message"] for each in answer.get("denials", ())}
        self._refused(call, codes, expect, took_ms)
        return answer

    def _refused(
        self, call: Call, codes: dict[str, str], expect: str, took_ms: float
    ) -> None:
        if expect not in codes:
            raise Unexpected(f"not refused with {expect}: {codes}")
        self.tell.refused(f"refused: {' '.join(codes)}", _aside(call, took_ms))
        self.tell.more(codes[expect])

    def _count(self, provider: Member, customers: dict[str, Any]) -> None:
        told = self.authorised.setdefault(provider.key, Counter())
        for records in customers.values():
            for each in records or ():
                told.update(json.dumps(value) for value in each["fields"].values())

    def _show(
        self, asker: Member, columns: Sequence[str], customers: dict[str, Any]
    ) -> None:
        rows = []
        for code, records in customers.items():
            known = asker.company.records.get(code)
            name = known.customer.name_zh if known else code
            rows += [(name, *_cells(columns, each)) for each in records or [None]]
        self.tell.table(("customer", *columns), *rows)


def _cells(columns: Sequence[str], record: Mapping[str, Any] | None) -> list[str]:
    """Return what is told of a record; its values, then whether the rest is proved."""
    if record is None:
        return ["not shared" for _ in columns]
    if not record["proved"]:
        return [*("-" for _ in columns[1:]), "not proved"]
    return [record["fields"].get(name, "proved, not shown") for name in columns]


def _truth(
    asker: Member,
    provider: Member,
    customers: Sequence[str],
    fields: Sequence[str],
    at_least: str,
) -> dict[str, Any]:
    """Return what an answer must hold, from the provider's CRM."""
    company = provider.company
    answer: dict[str, Any] = {}
    for code in customers:
        answer[code] = None
        if code in company.records and code in asker.company.records:
            known = company.records[code]
            values = {company.stage_field: known.stage, company.due_field: known.due}
            holds = Decimal(known.amount) >= Decimal(at_least or 0)
            told = {name: values[name] for name in fields} if holds else {}
            answer[code] = [{"fields": told, "proved": holds}]
    return answer


def _aside(call: Call, took_ms: float) -> str:
    return f"receipt {call.receipt[:12]} · {took_ms:.0f} ms"
