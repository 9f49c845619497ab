"""Accepting jobs: one transaction for whatever arrived while the last one was being committed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.expression import FromClause

from synthralos.domain.ids import trace_id_of
from synthralos.domain.jobs import UNCONSTRAINED, NewJob
from synthralos.domain.states import Stage, State
from synthralos.domain.turns import line_name
from synthralos.store.queue.lines import unrung
from synthralos.store.sql.database import Database
from synthralos.store.sql.notices import Notice, encode_notices, tell
from synthralos.store.sql.prepared import Prepared
from synthralos.store.sql.recordset import Columns, encode_rows, insert_ignoring, recordset
from synthralos.store.sql.types import Id, Json, UtcTime, encode_json, encode_time, id_text, utcnow, word
from synthralos.store.tables import idempotency_keys, jobs, open_jobs

_JOB_COLUMNS: Columns = {
    "id": Id,
    "organization": sa.Text(),
    "workspace": sa.Text(),
    "user_id": sa.Text(),
    "account_plan": sa.Text(),
    "lane": sa.Text(),
    "trace_id": sa.Text(),
    "parent_span_id": sa.Text(),
    "run_id": sa.Text(),
    "model": sa.Text(),
    "request": sa.Text(),
    "constraints": sa.Text(),
    "metadata": sa.Text(),
    "deadline": UtcTime(),
    "api_key_id": Id,
}
_OPENED: Columns = {
    "id": Id,
    "lane": sa.Text(),
    "deadline": UtcTime(),
    "line": sa.Text(),
    "line_tokens": sa.Integer(),
}
_KEY_COLUMNS: Columns = {
    "organization": sa.Text(),
    "workspace": sa.Text(),
    "key": sa.Text(),
    "fingerprint": sa.Text(),
    "job_ids": Json,
}


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The sender's `Idempotency-Key` and the fingerprint of what was sent under it."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Submission:
    """What one call handed in: all of it is accepted, or none. The jobs share one tenant's workspace."""

    jobs: Sequence[NewJob]
    idempotency: Idempotency | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The jobs are durable. `replayed`: they were accepted by an earlier call with the same key."""

    job_ids: list[str]
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The idempotency key was used before, with another body. Nothing was stored."""

    key: str


class Submissions:
    """Writes accepted jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tells = database.dialect == "postgresql"
        self._whole = {told: _prepared_accept(told) for told in (False, True)} if self._tells else None
        self._insert_jobs = insert_jobs(database.dialect).returning(id_text(jobs.c.id))
        self._open = open_for_work(database.dialect)
        self._insert_keys = _insert_keys(database.dialect)

    def accept(self, submissions: Sequence[Submission], notices: Sequence[Notice] = ()) -> list[Accepted | KeyReused]:
        """Store all submissions in one transaction; one answer each, in order. Safe to repeat as it is.

        `notices` are said with the commit, on PostgreSQL alone; also about jobs that turn out to be replayed.
        """
        told = {"notices": encode_notices(notices)} if notices else {}
        if self._whole is not None and all(_is_plain(submission) for submission in submissions):
            rows = [_job_row(job) for submission in submissions for job in submission.jobs]
            self._whole[bool(notices)].run(self._database, {"rows": encode_rows(rows), **told})
            return [Accepted([job.id for job in submission.jobs]) for submission in submissions]
        with self._database.transaction() as connection:
            earlier = self._take_keys(connection, submissions)
            answers = [_answer(submission, earlier) for submission in submissions]
            new = [s for s, a in zip(submissions, answers, strict=True) if _is_new(a)]
            self.insert(connection, [job for submission in new for job in submission.jobs])
            if told and self._tells:
                connection.execute(tell(), told)
        return answers

    def earlier(self, organization: str, workspace: str, used: Idempotency) -> list[str] | None:
        """The ids of the jobs that were accepted under the key with the same fingerprint; None where there are none."""
        table = idempotency_keys.c
        query = sa.select(table.fingerprint, table.job_ids).where(
            table.organization == organization, table.workspace == workspace, table.key == used.key
        )
        with self._database.snapshot() as connection:
            found = connection.execute(query).one_or_none()
        return list(found.job_ids) if found is not None and found.fingerprint == used.fingerprint else None

    def insert(self, connection: sa.Connection, accepted: Sequence[NewJob]) -> None:
        """Store jobs within the caller's transaction. Those that are there already stay as they are.

        A write is repeated where its commit is in doubt.
        """
        rows = [_job_row(job) for job in accepted]
        new = set(connection.execute(self._insert_jobs, {"rows": encode_rows(rows)}).scalars()) if rows else set()
        opened = [{name: row.get(name) for name in _OPENED} for row in rows if row["id"] in new]
        if opened:
            connection.execute(self._open, {"rows": encode_rows(opened)})

    def _take_keys(self, connection: sa.Connection, submissions: Sequence[Submission]) -> "_Keys":
        """Who holds each idempotency key of this batch: the first to have come, now or earlier."""
        rows: dict[tuple[str, str, str], dict[str, Any]] = {}
        for submission in submissions:
            if submission.idempotency is not None:
                rows.setdefault(_key_of(submission), _key_row(submission))
        if not rows:
            return {}
        # In one order everywhere, so that two processes with the same keys cannot wait for each other.
        connection.execute(self._insert_keys, {"rows": encode_rows(rows[key] for key in sorted(rows))})
        table = idempotency_keys.c
        wanted = sa.tuple_(table.organization, table.workspace, table.key).in_(list(rows))
        found = connection.execute(
            sa.select(table.organization, table.workspace, table.key, table.fingerprint, table.job_ids).where(wanted)
        )
        return {(o, w, k): (fingerprint, job_ids) for o, w, k, fingerprint, job_ids in found}


_Keys = dict[tuple[str, str, str], tuple[str, list[str]]]


def _key_of(submission: Submission) -> tuple[str, str, str]:
    assert submission.idempotency is not None
    tenant = submission.jobs[0].tenant
    return tenant.organization, tenant.workspace, submission.idempotency.key


def _key_row(submission: Submission) -> dict[str, Any]:
    assert submission.idempotency is not None
    organization, workspace, key = _key_of(submission)
    return {
        "organization": organization,
        "workspace": workspace,
        "key": key,
        "fingerprint": submission.idempotency.fingerprint,
        "job_ids": [job.id for job in submission.jobs],
    }


def _answer(submission: Submission, holders: _Keys) -> Accepted | KeyReused:
    ids = [job.id for job in submission.jobs]
    if submission.idempotency is None:
        return Accepted(ids)
    fingerprint, holder_ids = holders[_key_of(submission)]
    if fingerprint != submission.idempotency.fingerprint:
        return KeyReused(submission.idempotency.key)
    return Accepted(holder_ids, replayed=holder_ids != ids)


def _job_row(job: NewJob) -> dict[str, Any]:
    """What is NULL is left out: every field costs the database something."""
    tenant = job.tenant
    row: dict[str, Any] = {
        "id": job.id,
        "organization": tenant.organization,
        "workspace": tenant.workspace,
        "account_plan": tenant.account_plan,
        "lane": job.lane,
        "model": job.request.model,
        "request": encode_json({"body": job.request.body, "provider_options": job.request.provider_options}),
    }
    if tenant.user is not None:
        row["user_id"] = tenant.user
    if job.trace_id != trace_id_of(job.id):
        row["trace_id"] = job.trace_id
    if job.parent_span_id is not None:
        row["parent_span_id"] = job.parent_span_id
    if job.run_id is not None:
        row["run_id"] = job.run_id
    if job.constraints != UNCONSTRAINED:
        row["constraints"] = encode_json(job.constraints.to_json())
    if job.metadata:
        row["metadata"] = encode_json(job.metadata)
    if job.deadline is not None:
        row["deadline"] = encode_time(job.deadline)
    if job.api_key_id is not None:
        row["api_key_id"] = job.api_key_id
    if job.line_tokens is not None:
        user = tenant.user if job.user_bound else None
        row |= {"line": line_name(tenant.organization, tenant.workspace, user), "line_tokens": job.line_tokens}
    return row


def _is_new(answer: Accepted | KeyReused) -> bool:
    return isinstance(answer, Accepted) and not answer.replayed


def _is_plain(submission: Submission) -> bool:
    """Whether it has no idempotency key, and none of its jobs is to wait in line."""
    return submission.idempotency is None and all(job.line_tokens is None for job in submission.jobs)


@cache
def _prepared_accept(told: bool) -> Prepared:
    return Prepared(_accept(told))


def _accept(told: bool) -> Any:
    """Both tables in one statement: only jobs that were not there before are opened. `told`: it says notices too."""
    rows = recordset("postgresql", "rows", _JOB_COLUMNS)
    stored = insert_jobs("postgresql", rows).returning(jobs.c.id, jobs.c.lane, jobs.c.deadline).cte("stored")
    opened = open_for_work("postgresql", stored).cte("opened")
    return (tell() if told else sa.select(stored.c.id)).add_cte(stored, opened)


def insert_jobs(dialect: str, rows: FromClause | None = None) -> Any:
    """What was handed in."""
    rows = recordset(dialect, "rows", _JOB_COLUMNS) if rows is None else rows
    select = sa.select(*(rows.c[name] for name in _JOB_COLUMNS), utcnow())
    return insert_ignoring(dialect, jobs, [*_JOB_COLUMNS, "created_at"], select)


def open_for_work(dialect: str, rows: FromClause | None = None) -> sa.Insert:
    """Where the jobs wait for a worker."""
    rows = recordset(dialect, "rows", _OPENED) if rows is None else rows
    zero: Any = sa.literal_column("0")
    values: dict[str, Any] = {
        "id": rows.c.id,
        "state": word(State.QUEUED),
        "stage": word(Stage.GUARD),
        "lane": rows.c.lane,
        **dict.fromkeys(("claim_no", "attempts", "retry_base", "losses", "rings"), zero),
        "in_flight": sa.false(),
        "notified_at": utcnow(),
        "deadline": rows.c.deadline,
    }
    if "line" in rows.c:
        rung = sa.case((rows.c.line.is_(None), utcnow()), else_=unrung())
        values |= {"line": rows.c.line, "line_tokens": rows.c.line_tokens, "notified_at": rung}
    return insert_ignoring(dialect, open_jobs, list(values), sa.select(*values.values()))


def _insert_keys(dialect: str) -> sa.Insert:
    rows = recordset(dialect, "rows", _KEY_COLUMNS)
    select = sa.select(*(rows.c[name] for name in _KEY_COLUMNS), utcnow())
    return insert_ignoring(dialect, idempotency_keys, [*_KEY_COLUMNS, "created_at"], select)
