"""The receipts of a plan's steps, found among those of its time.

The node lists calls by time and agreement, not by plan. So the pages of the time in
which a job ran are read, as many as there may be of one job, and what names the plan
is taken. Where there were more calls than that, the page says that some may be missing.
"""

import datetime
from dataclasses import dataclass
from typing import Final

from dashboard.aggregates import Step, WholeJob
from dashboard.client import AuditClient, rfc3339

MOST_PAGES: Final = 5
_PAGE: Final = 200
_AROUND: Final = datetime.timedelta(minutes=2)
"""How far the clocks of two nodes may be apart, and a little more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What was found.

    Attributes:
        items: The oldest first.
        whole: Whether all calls of the time were looked at.
    """

    items: tuple[Step, ...]
    whole: bool


async def steps_of(client: AuditClient, job: WholeJob, plan: str) -> Steps:
    """Find the receipts that name a plan.

    Args:
        client: Asks the node.
        job: Of the plan.
        plan: Its hash, computed here.

    Raises:
        NodeError: No usable answer.
    """
    start = job.created_at - _AROUND
    answers = job.role == "provider"
    query = {"limit": str(_PAGE)}
    if answers:
        until = job.updated_at + _AROUND
        query |= {"from": rfc3339(start), "to": rfc3339(until)}
        query |= {"agreement": job.agreement} if job.agreement else {}
    found: list[Step] = []
    for _ in range(MOST_PAGES):
        page = await client.steps("calls" if answers else "received", query)
        found += (each for each in page.items if each.plan == plan)
        earlier = not page.items or page.items[-1].at < start
        if page.older is None or earlier:
            return Steps(items=tuple(reversed(found)), whole=True)
        query["before"] = str(page.older)
    return Steps(items=tuple(reversed(found)), whole=False)
