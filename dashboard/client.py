"""The dashboard's only way to the node: its audit API over HTTP.

Each method is one question of the API. Whatever goes wrong is translated here,
once, into the error of the actor at fault (`dashboard.errors`); a caller never
sees an `httpx` exception. The client also remembers when the node last
answered, so that a page can say how old its knowledge is.
"""

import datetime
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from dashboard.aggregates import BudgetReport, JobList, WholeJob
from dashboard.errors import (
    Gone,
    NodeFailed,
    NodeNonsense,
    NodeRefused,
    NodeUnreachable,
    NotFound,
)
from dashboard.statements import (
    AgreementList,
    AlarmList,
    CallPage,
    FaultList,
    StreamList,
    Summary,
)
from dashboard.system import Clock

_Answer = TypeVar("_Answer", bound=BaseModel)
_MAX_BYTES = 16 * 1024 * 1024


class AuditClient:
    """Asks one node's audit API. One instance per process; safe to share."""

    def __init__(self, http: httpx.AsyncClient, clock: Clock) -> None:
        """Use `http`, which carries the node's base URL, token and timeout."""
        self._http = http
        self._clock = clock
        self.last_answer_at: datetime.datetime | None = None

    @property
    def node_url(self) -> str:
        """Return the address of the node that is asked."""
        return str(self._http.base_url).rstrip("/")

    async def summary(
        self, start: datetime.datetime, end: datetime.datetime
    ) -> Summary:
        """Return the figures of a stretch of time.

        Raises:
            NodeError: No usable answer.
        """
        window = {"from": rfc3339(start), "to": rfc3339(end)}
        return await self._ask("/audit/summary", Summary, window)

    async def calls(self, query: Mapping[str, str]) -> CallPage:
        """Return one page of the call log; `query` as in the API.

        Raises:
            NodeError: No usable answer.
        """
        return await self._ask("/audit/calls", CallPage, query)

    async def agreements(self) -> AgreementList:
        """Return every agreement the company is a party of.

        Raises:
            NodeError: No usable answer.
        """
        return await self._ask("/audit/agreements", AgreementList, {})

    async def alarms(self) -> AlarmList:
        """Return what a person must look at.

        Raises:
            NodeError: No usable answer.
        """
        return await self._ask("/audit/alarms", AlarmList, {})

    async def faults(self) -> FaultList:
        """Return which proofs of others' faults the node keeps.

        Raises:
            NodeError: No usable answer.
        """
        return await self._ask("/audit/faults", FaultList, {})

    async def streams(self) -> StreamList:
        """Return how the stream of each agreement stands.

        Raises:
            NodeError: No usable answer.
        """
        return await self._ask("/audit/streams", StreamList, {})

    async def jobs(self, plan: str | None = None) -> JobList:
        """Return the aggregates that are or were under way, newest first.

        Args:
            plan: Hash of the plan whose job is wanted; None for all.

        Raises:
            NodeError: No usable answer.
        """
        return await self._ask("/audit/jobs", JobList, {"plan": plan} if plan else {})

    async def job(self, job_id: str) -> WholeJob:
        """Return one of them, with its plan and what came out.

        Args:
            job_id: 32 lower-case hex digits.

        Raises:
            NotFound: The node knows no such job.
            NodeError: No usable answer.
        """
        return await self._ask(f"/audit/jobs/{job_id}", WholeJob, {})

    async def budget(self) -> BudgetReport:
        """Return how much privacy may be spent, and how much was.

        Raises:
            NodeError: No usable answer.
        """
        return await self._ask("/audit/budget", BudgetReport, {})

    async def fault(self, fault_id: str) -> dict[str, Any]:
        """Return one proof of a fault, unchecked.

        Args:
            fault_id: 64 lower-case hex digits.

        Raises:
            NotFound: The node knows no such proof.
            NodeError: No usable answer.
        """
        return await self._object(f"/audit/faults/{fault_id}")

    async def evidence(self, receipt_id: str) -> dict[str, Any]:
        """Return what the node hands out for a receipt, unchecked.

        Args:
            receipt_id: 64 lower-case hex digits.

        Raises:
            NotFound: The node knows no such receipt.
            Gone: The node has erased what it said.
            NodeError: No usable answer.
        """
        return await self._object(f"/audit/receipts/{receipt_id}")

    async def _object(self, path: str) -> dict[str, Any]:
        body = await self._get(path, {})
        try:
            value = json.loads(body)
        except ValueError as error:
            raise NodeNonsense("what is to be handed on is not JSON") from error
        if not isinstance(value, dict):
            raise NodeNonsense("what is to be handed on is not an object")
        return value

    async def _ask(
        self, path: str, form: type[_Answer], query: Mapping[str, str]
    ) -> _Answer:
        body = await self._get(path, query)
        try:
            return form.model_validate_json(body)
        except ValidationError as error:
            where = error.errors(include_url=False, include_input=False)[0]["loc"]
            message = f"{path}: {'.'.join(str(part) for part in where)}"
            raise NodeNonsense(message) from error

    async def _get(self, path: str, query: Mapping[str, str]) -> bytes:
        try:
            response = await self._http.get(path, params=dict(query))
        except httpx.HTTPError as error:
            raise NodeUnreachable(type(error).__name__) from error
        if response.status_code in {401, 403}:
            raise NodeRefused(str(response.status_code))
        if response.status_code == 404:
            raise NotFound(path)
        if response.status_code == 410:
            raise Gone(path)
        if response.status_code >= 500:
            raise NodeFailed(f"{path}: HTTP {response.status_code}")
        if response.status_code != 200 or len(response.content) > _MAX_BYTES:
            raise NodeNonsense(f"{path}: HTTP {response.status_code}")
        self.last_answer_at = self._clock.now()
        return response.content


def rfc3339(instant: datetime.datetime) -> str:
    """Write an instant as the API has it: UTC, seconds, `Z`."""
    return instant.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
