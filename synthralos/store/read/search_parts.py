"""Parts of a search: the conditions on facts, and the jobs that are in no index yet."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.ids import id_at
from synthralos.domain.scope import Scope
from synthralos.domain.trace_queries import Range, Wanted
from synthralos.store.read.finished import Finished
from synthralos.store.read.jobs import CLOCKS
from synthralos.store.read.texts import document, text_columns
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import Id, id_text
from synthralos.store.tables import all_jobs, feedback, open_jobs, trace_facts

MOST_OPEN = 5_000
"""Open jobs that are gone through, the newest first."""

MOST_DIRECT = 300
"""Jobs of each kind whose words are compared as they are."""

FACTS = (
    id_text(trace_facts.c.job_id), trace_facts.c.trace_id, trace_facts.c.cost_picousd, trace_facts.c.seconds,
)  # fmt: skip

_EQUAL = {
    "model": "model", "lane": "lane", "organization": "organization", "workspace": "workspace", "user": "user_id",
    "run_id": "run_id",
}  # fmt: skip

_job = all_jobs.c
_CANDIDATE = (
    *text_columns(_job, _job), _job.workspace, _job.user_id, _job.given_trace_id.label("trace_id"), _job.run_id,
    _job.model, _job.lane, _job.state, _job.stage, _job.created_at, _job.finished_at,
)  # fmt: skip


def facts_where(wanted: Wanted, scope: Scope) -> list[sa.ColumnElement[bool]]:
    """The conditions on facts, but for the words and for the page."""
    fact = trace_facts.c
    conditions = [*_same(wanted, trace_facts), *within(scope, trace_facts)]
    if wanted.state:
        conditions.append(fact.state.in_(wanted.state))
    conditions += _times(wanted, trace_facts, fact.job_id)
    if told := said(wanted):
        conditions.append(sa.exists().where(feedback.c.job_id == fact.job_id, *told))
    conditions += cost_and_seconds(wanted)
    conditions += _between(fact.input_tokens + fact.output_tokens, wanted.tokens)
    return conditions


class Candidates:
    """Finds the jobs that no index has: the open ones, what is not digested, and what has no words in the index."""

    def __init__(self, dialect: str) -> None:
        self._finished = Finished(dialect)

    def look(
        self,
        connection: sa.Connection,
        wanted: Wanted,
        scope: Scope,
        digested_at: datetime | None,
        texts_seq: int | None,
    ) -> tuple[Sequence[Mapping[str, Any]], dict[str, list[Any]], bool]:
        """Their rows and those of their calls; whether that is all of them. `texts_seq`: where the words end."""
        ids, complete = self._ids(connection, wanted, scope, digested_at, texts_seq)
        if not ids:
            return [], {}, complete
        found = connection.execute(sa.select(*_CANDIDATE).where(_job.id.in_(sorted(ids)))).mappings()
        rows = [dict(row) for row in found]
        return rows, self._finished.calls(connection, ids), complete

    @staticmethod
    def document(row: Mapping[str, Any], calls: Sequence[Any]) -> str:
        """The words of one of them."""
        return document(row, calls)

    def _ids(
        self,
        connection: sa.Connection,
        wanted: Wanted,
        scope: Scope,
        digested_at: datetime | None,
        texts_seq: int | None,
    ) -> tuple[set[str], bool]:
        opened, complete = _open(connection, wanted, scope)
        fresh, whole = self._finished.fresh(connection, digested_at, MOST_DIRECT, scope)
        ids = {*opened, *(fact.job_id for fact in fresh)}
        complete = complete and whole
        if texts_seq is not None:
            query = sa.select(id_text(trace_facts.c.job_id)).where(trace_facts.c.seq > texts_seq)
            query = query.where(*facts_where(wanted, scope)).order_by(trace_facts.c.seq.desc())
            wordless = list(connection.execute(query.limit(MOST_DIRECT)).scalars())
            ids.update(wordless)
            complete = complete and len(wordless) < MOST_DIRECT
        if wanted.after is not None:
            ids = {job_id for job_id in ids if job_id < wanted.after[1]}
        return _that_were_judged(connection, wanted, ids), complete


def _open(connection: sa.Connection, wanted: Wanted, scope: Scope) -> tuple[list[str], bool]:
    """The newest open jobs that the plain conditions admit; whether there are no more."""
    newest = sa.select(open_jobs.c.id)
    if wanted.after is not None:
        newest = newest.where(open_jobs.c.id < wanted.after[1])
    newest = newest.order_by(open_jobs.c.id.desc()).limit(MOST_OPEN)
    looked_at = list(connection.execute(newest.with_only_columns(id_text(open_jobs.c.id))).scalars())
    if not looked_at:
        return [], True
    conditions = [*_same(wanted, all_jobs), *within(scope, all_jobs), *_times(wanted, all_jobs, _job.id)]
    if wanted.state:
        conditions.append(_job.state.in_(wanted.state))
    if wanted.stage is not None:
        conditions.append(_job.stage == wanted.stage)
    query = sa.select(id_text(_job.id)).join_from(all_jobs, open_jobs, open_jobs.c.id == _job.id)
    query = query.where(*conditions, open_jobs.c.id >= looked_at[-1], open_jobs.c.id <= looked_at[0])
    found = list(connection.execute(query.order_by(open_jobs.c.id.desc()).limit(MOST_DIRECT)).scalars())
    return found, len(looked_at) < MOST_OPEN and len(found) < MOST_DIRECT


def _that_were_judged(connection: sa.Connection, wanted: Wanted, ids: set[str]) -> set[str]:
    told = said(wanted)
    if not told or not ids:
        return ids
    query = sa.select(id_text(feedback.c.job_id)).where(feedback.c.job_id.in_(sorted(ids)), *told)
    return set(connection.execute(query).scalars())


def said(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """The conditions on one piece of feedback."""
    conditions = _between(feedback.c.score, wanted.score)
    return conditions if wanted.label is None else [*conditions, feedback.c.label == wanted.label]


def _same(wanted: Wanted, table: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    values = {column: getattr(wanted, name) for name, column in _EQUAL.items()}
    return [table.c[column] == value for column, value in values.items() if value is not None]


def _times(wanted: Wanted, table: sa.FromClause, job_id: Any) -> list[sa.ColumnElement[bool]]:
    conditions = times_of_ids(wanted, job_id)
    if wanted.created_after is not None:
        conditions.append(table.c.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(table.c.created_at < wanted.created_before)
    return conditions


def times_of_ids(wanted: Wanted, job_id: Any) -> list[sa.ColumnElement[bool]]:
    """Bounds of ids: they hold the time at which they were made, and have the index."""
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.created_after is not None:
        conditions.append(job_id >= sa.literal(id_at(wanted.created_after - CLOCKS), Id))
    if wanted.created_before is not None:
        conditions.append(job_id < sa.literal(id_at(wanted.created_before + CLOCKS), Id))
    return conditions


def cost_and_seconds(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """The bounds of what facts can be sorted by."""
    fact = trace_facts.c
    return [*_between(fact.cost_picousd, wanted.cost), *_between(fact.seconds, wanted.seconds)]


def _between(column: Any, bounds: Range) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if bounds.least is not None:
        conditions.append(column >= bounds.least)
    if bounds.most is not None:
        conditions.append(column <= bounds.most)
    return conditions
