"""What an answer does to the job that waits for it, within the caller's transaction.

The job's row is locked before its wait's, by everybody: who answers, who wakes, who cancels.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.events import Event, WaitAnswered
from synthralos.domain.findings import Decision, Finding, Verdict, with_finding
from synthralos.domain.jobs import Constraints
from synthralos.domain.spans import Span
from synthralos.domain.states import Transition, target
from synthralos.domain.waits import WAITS, Answer, Grant, Wait, WaitKind, WaitState
from synthralos.store.queue.appended import EVENTS, event_row
from synthralos.store.queue.ending import end_jobs
from synthralos.store.queue.spans import span_line
from synthralos.store.sql.recordset import encode_rows
from synthralos.store.sql.types import asked_at, id_text, utcnow, word
from synthralos.store.tables import jobs, open_jobs, waits

SYSTEM = "system"
"""Who answers where nobody did."""

_IS_OPEN = waits.c.state == word(WaitState.OPEN)

_JOB = (
    id_text(open_jobs.c.id), open_jobs.c.state, open_jobs.c.stage, open_jobs.c.lane, open_jobs.c.verdict,
    open_jobs.c.attempts, open_jobs.c.spans, jobs.c.organization,
    sa.func.coalesce(open_jobs.c.constraints, jobs.c.constraints).label("constraints"),
)  # fmt: skip


class WaitAnswers:
    """Writes answers. Within the caller's transaction; the job's row is locked."""

    def __init__(self, dialect: str) -> None:
        self._insert_events = EVENTS.insert(dialect)

    def answer(
        self, connection: sa.Connection, wait_id: str, state: WaitState, answer: Answer | None, by: str, comment: str
    ) -> Wait:
        """Write the answer of an open wait whose row is locked, and let its job go on or end; the wait afterwards."""
        values = {
            "state": str(state), "answer": None if answer is None else dict(answer), "answered_by": by,
            "comment": comment, "answered_at": utcnow(),
        }  # fmt: skip
        written = sa.update(waits).where(waits.c.id == wait_id).values(values).returning(*waits.c)
        wait = wait_of(connection.execute(written).one())
        if wait.job_id is not None:
            self._resolve(connection, wait, locked_job(connection, wait.job_id))
        return wait

    def time_out(self, connection: sa.Connection, job_ids: Sequence[str]) -> set[str]:
        """Of jobs that were woken because their time has come: those that are over, by the default of their wait."""
        if not job_ids:
            return set()
        query = sa.select(id_text(waits.c.id), waits.c.default_answer).where(waits.c.job_id.in_(job_ids), _IS_OPEN)
        found = connection.execute(query.order_by(waits.c.job_id).with_for_update()).all()
        ended = [self.answer(connection, r.id, WaitState.TIMED_OUT, r.default_answer, SYSTEM, "") for r in found]
        return {wait.job_id for wait in ended if wait.job_id is not None and not wait.lets_go_on}

    def time_out_jobless(self, connection: sa.Connection, limit: int) -> list[str]:
        """Let the default hold for waits without a job whose deadline has passed, and that nobody else has locked."""
        late = sa.select(waits.c.id).where(
            _IS_OPEN, waits.c.job_id.is_(None), waits.c.deadline <= asked_at(sa.literal(0.0))
        )
        picked = late.order_by(waits.c.deadline).limit(limit).with_for_update(skip_locked=True).cte("picked")
        values = {
            "state": str(WaitState.TIMED_OUT), "answer": waits.c.default_answer, "answered_by": SYSTEM,
            "answered_at": utcnow(),
        }  # fmt: skip
        statement = sa.update(waits).where(waits.c.id == picked.c.id).values(values).returning(id_text(waits.c.id))
        return list(connection.execute(statement).scalars())

    def _resolve(self, connection: sa.Connection, wait: Wait, job: Any) -> None:
        """The job goes on where it stopped, let through what was granted; or it is denied, with who and why."""
        values: dict[str, Any] = {"spans": _with_span(job.spans, wait), "run_at": None}
        if wait.lets_go_on:
            values |= {"state": target(Transition.WAKE), "notified_at": utcnow(), "rings": 0}
            values["constraints"] = _granting(job.constraints, wait)
        else:
            values["verdict"] = _denying(job.verdict, wait)
        connection.execute(sa.update(open_jobs).where(open_jobs.c.id == wait.job_id).values(values))
        if not wait.lets_go_on:
            end_jobs(connection, [job.id], target(Transition.DECLINE))
        said = WaitAnswered(
            wait_id=wait.id, wait_kind=wait.kind, name=wait.name, state=wait.state, comment=wait.comment,
            answer=None if wait.answer is None else dict(wait.answer), attempts=job.attempts,
        )  # fmt: skip
        event = event_row(job.id, job.organization, Event.of(said, wait.answered_by or SYSTEM))
        connection.execute(self._insert_events, {"rows": encode_rows([event])})


def locked_job(connection: sa.Connection, job_id: str) -> Any:
    """The open job, locked; None where it has ended."""
    joined = open_jobs.join(jobs, jobs.c.id == open_jobs.c.id)
    query = sa.select(*_JOB).select_from(joined).where(open_jobs.c.id == job_id)
    return connection.execute(query.with_for_update(of=open_jobs)).one_or_none()


def wait_of(row: Any) -> Wait:
    """A row of `waits`."""
    return Wait(
        row.id, row.organization, row.workspace, row.user_id, row.job_id, row.run_id, WaitKind(row.kind), row.name,
        row.prompt, WaitState(row.state), row.default_answer, row.answer, tuple(row.grants), row.comment,
        row.answered_by, row.opened_at, row.deadline, row.answered_at,
    )  # fmt: skip


def _granting(constraints: dict[str, Any] | None, wait: Wait) -> dict[str, Any]:
    """The job's constraints with what it is let through."""
    before = Constraints().to_json() if constraints is None else constraints
    granted = [Grant(what, wait.id, wait.answered_by or SYSTEM).to_json() for what in wait.grants]
    return {**before, "granted": [*before.get("granted", ()), *granted]}


def _denying(verdict: dict[str, Any] | None, wait: Wait) -> dict[str, Any]:
    signals = {"wait": wait.id, "kind": wait.kind, "by": wait.answered_by, "comment": wait.comment}
    finding = Finding(WAITS, Decision.DENY, wait.told, signals=signals)
    return with_finding(None if verdict is None else Verdict.from_json(verdict), finding).to_json()


def _with_span(lines: str | None, wait: Wait) -> str:
    """The job's spans with the one of its waiting."""
    said = {
        "wait": wait.id, "kind": wait.kind, "name": wait.name, "state": wait.state, "answer": wait.answer,
        "by": wait.answered_by,
    }  # fmt: skip
    ended = wait.answered_at or wait.opened_at
    line = span_line([Span("wait", wait.opened_at, ended, "ok" if wait.lets_go_on else "error", said)])
    return line if lines is None else f"{lines}\n{line}"
