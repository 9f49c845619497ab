"""Wait points: opened for runs, read, and answered. Those of jobs are opened with what parks the job (`appended`)."""

from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Tenant
from synthralos.domain.scope import Scope
from synthralos.domain.states import Lane, Stage, State, Transition, sources
from synthralos.domain.waits import Answer, Wait, WaitKind, WaitState
from synthralos.domain.work_items import WorkItem
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.queue.idempotency import make_once
from synthralos.store.queue.wait_answers import WaitAnswers, locked_job, wait_of
from synthralos.store.sql.database import Database
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import utc_in, utcnow, word
from synthralos.store.tables import waits

MOST_OPEN = 1_000
"""Open waits of one run: an agent that goes round opens no more."""


class WaitFilter(NamedTuple):
    """Which waits are wanted: all conditions that are given have to hold. `before`: the last id of the page before."""

    state: WaitState | None = None
    kind: WaitKind | None = None
    name: str | None = None
    job_id: str | None = None
    run_id: str | None = None
    before: str | None = None


class AskedOfRun(NamedTuple):
    """What an agent asks for a run, for so many seconds."""

    run_id: str
    kind: WaitKind
    name: str
    prompt: str
    seconds: float
    default: Answer | None = None


class Answered(NamedTuple):
    """The wait, answered now. `work_item` says where its job has work, if it has one; `over`: the job was denied."""

    wait: Wait
    work_item: WorkItem | None
    over: bool


class Closed(NamedTuple):
    """The wait was not open any more, or its job is not parked at this moment (`job_state`)."""

    wait: Wait
    job_state: State | None = None


class Waits:
    """Blocks; raises what the store raises. Within the caller's scope, always."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._answers = WaitAnswers(database.dialect)

    def page(self, wanted: WaitFilter, scope: Scope, limit: int) -> list[Wait]:
        """At most `limit` waits, newest first."""
        query = sa.select(waits).where(*_conditions(wanted), *within(scope, waits))
        with self._database.snapshot() as connection:
            return [wait_of(row) for row in connection.execute(query.order_by(waits.c.id.desc()).limit(limit))]

    def get(self, wait_id: str, scope: Scope, run_id: str | None = None) -> Wait | None:
        """One wait, where it is that run's if one is given."""
        query = sa.select(waits).where(waits.c.id == wait_id, *within(scope, waits))
        if run_id is not None:
            query = query.where(waits.c.run_id == run_id)
        with self._database.snapshot() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else wait_of(row)

    def open(self, asked: AskedOfRun, tenant: Tenant, by: By) -> Wait | None:
        """Open a wait for a run; None where the run has `MOST_OPEN` open ones.

        Raises `MadeBeforeError` or `KeyReusedError` where `by.once` was used before.
        """
        wait_id = new_id()
        with self._database.transaction() as connection:
            if self._is_full(connection, asked.run_id, tenant.organization):
                return None
            make_once(connection, by.once, wait_id)
            return self._opened(connection, wait_id, asked, tenant, by)

    @staticmethod
    def _is_full(connection: sa.Connection, run_id: str, organization: str) -> bool:
        mine = (waits.c.run_id == run_id, waits.c.organization == organization, _is(WaitState.OPEN))
        return len(connection.execute(sa.select(waits.c.id).where(*mine).limit(MOST_OPEN)).all()) >= MOST_OPEN

    @staticmethod
    def _opened(connection: sa.Connection, wait_id: str, asked: AskedOfRun, tenant: Tenant, by: By) -> Wait:
        row: dict[str, Any] = {
            "id": wait_id, "organization": tenant.organization, "workspace": tenant.workspace,
            "user_id": tenant.user, "job_id": None, "run_id": asked.run_id, "kind": str(asked.kind),
            "name": asked.name, "prompt": asked.prompt, "state": str(WaitState.OPEN),
            "default_answer": None if asked.default is None else dict(asked.default), "answer": None, "grants": [],
            "comment": "", "answered_by": None, "opened_at": utcnow(), "deadline": utc_in(sa.literal(asked.seconds)),
            "answered_at": None,
        }  # fmt: skip
        wait = wait_of(connection.execute(sa.insert(waits).values(row).returning(*waits.c)).one())
        said = {"run_id": asked.run_id, "kind": str(asked.kind), "name": asked.name, "prompt": asked.prompt}
        record(connection, by, Change(Act.OPEN_WAIT, f"wait:{wait.id}", None, said, wait.organization))
        return wait

    def answer(self, wait_id: str, scope: Scope, answer: Answer, by: By) -> Answered | Closed | None:
        """Answer an open wait, in one transaction with its job; None where there is no such wait within the scope."""
        mine = sa.select(waits).where(waits.c.id == wait_id, *within(scope, waits))
        with self._database.transaction() as connection:
            found = connection.execute(mine).one_or_none()
            if found is None:
                return None
            job = None if found.job_id is None else locked_job(connection, found.job_id)
            wait = wait_of(connection.execute(mine.with_for_update()).one())
            if wait.state is not WaitState.OPEN:
                return Closed(wait)
            if job is not None and State(job.state) not in sources(Transition.DECLINE):
                return Closed(wait, State(job.state))
            after = self._answers.answer(connection, wait_id, WaitState.ANSWERED, answer, by.actor, by.reason)
            states = {"state": str(wait.state)}, {"state": str(after.state), **answer}
            record(connection, by, Change(Act.ANSWER_WAIT, f"wait:{wait_id}", *states, wait.organization))
        if job is None:
            return Answered(after, None, over=False)
        stage = Stage(job.stage) if after.lets_go_on else Stage.ANALYZE
        return Answered(after, WorkItem(job.id, stage, Lane(job.lane)), over=not after.lets_go_on)


def _is(state: WaitState) -> sa.ColumnElement[bool]:
    """Written out, so that the index of open ones fits."""
    return waits.c.state == word(state)


def _conditions(wanted: WaitFilter) -> list[sa.ColumnElement[bool]]:
    equal = {"kind": wanted.kind, "name": wanted.name, "job_id": wanted.job_id, "run_id": wanted.run_id}
    conditions: list[sa.ColumnElement[bool]] = [
        waits.c[name] == str(value) for name, value in equal.items() if value is not None
    ]
    if wanted.state is not None:
        conditions.append(_is(wanted.state))
    if wanted.before is not None:
        conditions.append(waits.c.id < wanted.before)
    return conditions
