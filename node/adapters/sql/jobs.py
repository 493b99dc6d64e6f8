"""Jobs, and what their stages have made, in SQL."""

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from node.adapters.sql import tables as t
from node.domain.negotiation import Role
from node.ports.aggregates import JobState, KeptJob

_j, _p = t.jobs.c, t.job_parts.c


class SqlJobs:
    """Implements `node.ports.aggregates.Jobs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        alone = connection.dialect.name == "sqlite"
        self._upsert = sqlite.insert if alone else postgresql.insert

    def open(self, job: KeptJob) -> KeptJob:
        """Keep a job; return it, or the one that there is of its plan and role."""
        put = self._upsert(t.jobs).values(
            id=job.id,
            kind=job.kind,
            role=job.role.value,
            plan=job.plan,
            partner=job.partner,
            core=job.core,
            created_at=int(job.created_at.timestamp()),
            **_progress(job),
        )
        self._connection.execute(
            put.on_conflict_do_nothing(index_elements=["plan", "role"])
        )
        return self._one(_of(job.plan, job.role)) or job

    def get(self, job_id: str) -> KeptJob | None:
        """Return a job, or None."""
        return self._one(_j.id == job_id)

    def of(self, plan: str, role: Role) -> KeptJob | None:
        """Return the job of a plan in a role, or None."""
        return self._one(_of(plan, role))

    def all(self, most: int) -> Sequence[KeptJob]:
        """Return jobs, newest first."""
        rows = self._connection.execute(
            sa.select(t.jobs).order_by(_j.row.desc()).limit(most)
        )
        return [_job(row) for row in rows]

    def running(self) -> Sequence[KeptJob]:
        """Return jobs that are neither done nor ended, oldest first."""
        rows = self._connection.execute(
            sa.select(t.jobs).where(_j.state == JobState.RUNNING.value).order_by(_j.row)
        )
        return [_job(row) for row in rows]

    def tell(self, job: KeptJob) -> bool:
        """Replace state, stage, counts and times; False where it was cancelled."""
        final = {JobState.CANCELLED, JobState.DONE} - {job.state}
        told = (
            sa.update(t.jobs)
            .where(_j.id == job.id, _j.state.not_in([*map(str, final)]))
            .values(**_progress(job))
            .returning(_j.id)
        )
        return self._connection.execute(told).one_or_none() is not None

    def fix(self, job_id: str, before: str, plan: str, core: str) -> bool:
        """Replace a job's plan by the one that its preparation has led to."""
        fixed = (
            sa.update(t.jobs)
            .where(_j.id == job_id, _j.plan == before)
            .values(plan=plan, core=core)
            .returning(_j.id)
        )
        return self._connection.execute(fixed).one_or_none() is not None

    def keep(self, job_id: str, stage: str, part: int, octets: bytes) -> bytes:
        """Keep what a part of a stage made; return what is kept: the first stays."""
        put = self._upsert(t.job_parts).values(
            job=job_id, stage=stage, part=part, octets=octets
        )
        made = put.on_conflict_do_nothing(
            index_elements=["job", "stage", "part"]
        ).returning(_p.part)
        if self._connection.execute(made).one_or_none() is not None:
            return octets
        kept = sa.select(_p.octets).where(_stage(job_id, stage), _p.part == part)
        return bytes(self._connection.execute(kept).scalar_one())

    def kept(self, job_id: str, stage: str) -> Mapping[int, bytes]:
        """Return what the parts of a stage made, by part."""
        rows = self._connection.execute(
            sa.select(_p.part, _p.octets).where(_stage(job_id, stage)).order_by(_p.part)
        )
        return {row.part: bytes(row.octets) for row in rows}

    def forget(self, before: datetime.datetime) -> int:
        """Drop the stages of jobs that ended before; return how many jobs."""
        ended = (
            sa.select(_j.id)
            .where(_j.state != JobState.RUNNING.value)
            .where(_j.updated_at < int(before.timestamp()))
        )
        old = _p.job.in_(ended)
        count = sa.select(sa.func.count(_p.job.distinct())).where(old)
        jobs = self._connection.scalar(count) or 0
        self._connection.execute(sa.delete(t.job_parts).where(old))
        return jobs

    def _one(self, which: sa.ColumnElement[bool]) -> KeptJob | None:
        row = self._connection.execute(sa.select(t.jobs).where(which)).one_or_none()
        return _job(row) if row else None


def _of(plan: str, role: Role) -> sa.ColumnElement[bool]:
    return sa.and_(_j.plan == plan, _j.role == role.value)


def _stage(job_id: str, stage: str) -> sa.ColumnElement[bool]:
    return sa.and_(_p.job == job_id, _p.stage == stage)


def _progress(job: KeptJob) -> dict[str, Any]:
    """Return the columns that change while a job runs."""
    return {
        "state": job.state.value,
        "stage": job.stage,
        "done": job.done,
        "total": job.total,
        "updated_at": int(job.updated_at.timestamp()),
        "began_at": job.began_at,
        "told": json.dumps(dict(job.told), ensure_ascii=False),
    }


def _job(row: sa.Row[Any]) -> KeptJob:
    return KeptJob(
        id=row.id,
        kind=row.kind,
        role=Role(row.role),
        plan=row.plan,
        partner=row.partner,
        core=row.core,
        state=JobState(row.state),
        stage=row.stage,
        done=row.done,
        total=row.total,
        created_at=_instant(row.created_at),
        updated_at=_instant(row.updated_at),
        began_at=row.began_at,
        told=json.loads(row.told),
    )


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
