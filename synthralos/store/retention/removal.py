"""Finished jobs are taken out of the tables: all of them, or what they hold of texts. What they cost stays.

Which jobs is in a temporary table of the connection, so that every statement is about the same ones, however many.
Jobs come in the order of their ids, as everybody locks them.
"""

from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.events import Thought
from synthralos.domain.retention import REMOVED_REQUEST
from synthralos.store.sql.types import Id, id_text, word
from synthralos.store.tables import (
    attempts,
    budget_holds,
    event_logs,
    export_backlog,
    export_set_aside,
    feedback,
    job_accounts,
    jobs,
    results,
    retention_left,
    stream_chunks,
    trace_facts,
    trace_texts,
    waits,
)

going = sa.Table("jobs_going", sa.MetaData(), sa.Column("job_id", Id, nullable=False))
"""The jobs that this transaction is about."""

_GOING = sa.select(going.c.job_id)
_MAKE = {
    "postgresql": "CREATE TEMPORARY TABLE IF NOT EXISTS jobs_going (job_id uuid NOT NULL) ON COMMIT DELETE ROWS",
    "sqlite": "CREATE TEMPORARY TABLE IF NOT EXISTS jobs_going (job_id text NOT NULL)",
}
_BESIDE: tuple[sa.Column[Any], ...] = (
    event_logs.c.job_id,
    waits.c.job_id,
    stream_chunks.c.job_id,
    retention_left.c.job_id,
    export_set_aside.c.job_id,
    results.c.job_id,
)
"""What goes with a job. On SQLite its facts, its words in the index and its feedback go by triggers."""

_BOOKS: tuple[sa.Column[Any], ...] = (attempts.c.job_id, budget_holds.c.job_id)

_FEW = 200
"""So few jobs are found one by one, however PostgreSQL looks for them."""


class Gathered(NamedTuple):
    """The jobs that are going: how many, and on PostgreSQL the first and the last of their ids."""

    total: int
    first: str | None = None
    last: str | None = None

    def holds(self, column: sa.Column[Any], which: "sa.Select[Any]" = _GOING) -> sa.ColumnElement[bool]:
        """That a column has one of them. Bounds let PostgreSQL go along an index, instead of into it for each."""
        chosen: sa.ColumnElement[bool] = column.in_(which)
        if self.first is None:
            return chosen
        return sa.and_(column >= sa.literal(self.first, Id), column <= sa.literal(self.last, Id), chosen)


def gather(connection: sa.Connection, chosen: "sa.Select[Any]") -> Gathered:
    """Have the jobs of a SELECT of ids be those that are going."""
    connection.exec_driver_sql(_MAKE[connection.dialect.name])
    connection.execute(sa.delete(going))
    insert = sa.insert(going).from_select(["job_id"], chosen).execution_options(preserve_rowcount=True)
    count = connection.execute(insert).rowcount
    if connection.dialect.name == "sqlite" or count < _FEW:
        return Gathered(count)
    connection.exec_driver_sql("ANALYZE jobs_going")  # else it is taken for a table of 200 rows
    order = going.c.job_id.asc(), going.c.job_id.desc()
    ends = [sa.select(id_text(going.c.job_id)).order_by(each).limit(1).scalar_subquery() for each in order]
    return Gathered(count, *connection.execute(sa.select(*ends)).one())


def remove_jobs(connection: sa.Connection, gone: Gathered, books_from: str | None) -> None:
    """Remove those that are going. Of jobs from the id `books_from` on the books are kept; with None, of all."""
    for column in _BESIDE:
        _delete(connection, gone, column)
    for destination in destinations(connection):
        owed = export_backlog.c.destination == destination, gone.holds(export_backlog.c.job_id)
        connection.execute(sa.delete(export_backlog).where(*owed))
    kept = [] if books_from is None else [going.c.job_id >= sa.literal(books_from, Id)]
    if books_from is None or gone.last is None or gone.last >= books_from:
        _keep_books(connection, gone, *kept)
    if books_from is not None and (gone.first is None or gone.first < books_from):
        over = _GOING.where(going.c.job_id < sa.literal(books_from, Id))
        for column in _BOOKS:
            connection.execute(sa.delete(column.table).where(gone.holds(column, over)))
    if connection.dialect.name == "postgresql":
        _remove_observed(connection, gone)
    _delete(connection, gone, jobs.c.id)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT set_config('{BY_HAND}', '', true)")


BY_HAND = "synthralos.removed_by_hand"
"""A setting of PostgreSQL's: `on` where what triggers would delete with jobs was deleted before."""


def _remove_observed(connection: sa.Connection, gone: Gathered) -> None:
    """Facts, words and feedback, as triggers would, which know neither how many jobs are gone nor where they are."""
    _remove_words(connection, gone)
    _delete(connection, gone, trace_facts.c.job_id)
    _delete(connection, gone, feedback.c.job_id)
    connection.exec_driver_sql(f"SELECT set_config('{BY_HAND}', 'on', true)")


def _remove_words(connection: sa.Connection, gone: Gathered) -> None:
    """Their words, which are in the order in which jobs finished; with bounds, as `Gathered.holds`."""
    theirs = sa.select(trace_facts.c.seq).where(gone.holds(trace_facts.c.job_id))
    found = theirs.subquery()
    ends = sa.select(sa.func.min(found.c.seq), sa.func.max(found.c.seq), sa.func.count())
    first, last, count = connection.execute(ends).one()
    if not count:
        return
    seq = trace_texts.c.seq
    chosen = seq >= first, seq <= last, *([] if last - first == count - 1 else [seq.in_(theirs)])
    connection.execute(sa.delete(trace_texts).where(*chosen))


def destinations(connection: sa.Connection) -> list[str]:
    """Those that are owed any trace: a look into the index for each."""
    owed = export_backlog.c.destination
    found = sa.select(sa.func.min(owed).label("name")).cte("owing", recursive=True)
    following = sa.select(sa.func.min(owed)).where(owed > found.c.name).scalar_subquery()
    found = found.union_all(sa.select(following).where(found.c.name.is_not(None)))
    return list(connection.execute(sa.select(found.c.name).where(found.c.name.is_not(None))).scalars())


def remove_books(connection: sa.Connection, gone: Gathered) -> None:
    """Remove what is on the books about those that are going."""
    for column in (*_BOOKS, job_accounts.c.id):
        _delete(connection, gone, column)


def remove_texts(connection: sa.Connection, gone: Gathered) -> None:
    """Remove what was asked of those that are going, what was answered, and what agents thought."""
    connection.execute(sa.update(jobs).where(gone.holds(jobs.c.id)).values(request=dict(REMOVED_REQUEST)))
    answered = gone.holds(results.c.job_id), results.c.result.is_not(None)
    connection.execute(sa.update(results).where(*answered).values(result=None))
    thoughts = gone.holds(event_logs.c.job_id), event_logs.c.kind == word(Thought.kind)
    connection.execute(sa.update(event_logs).where(*thoughts).values(data={"text": ""}))
    _delete(connection, gone, stream_chunks.c.job_id)


def _keep_books(connection: sa.Connection, gone: Gathered, *conditions: sa.ColumnElement[bool]) -> None:
    """Whose the calls were, for the ledger; and of what failed, the kind but not the words."""
    names = [column.name for column in job_accounts.c]
    called = sa.exists().where(attempts.c.job_id == jobs.c.id)
    mine = sa.select(*(jobs.c[name] for name in names)).join(going, going.c.job_id == jobs.c.id)
    connection.execute(sa.insert(job_accounts).from_select(names, mine.where(called, *conditions)))
    wordless = _without_message(connection.dialect.name)
    failed = gone.holds(attempts.c.job_id, _GOING.where(*conditions)), attempts.c.failure.is_not(None)
    connection.execute(sa.update(attempts).where(*failed).values(failure=wordless))


def _without_message(dialect: str) -> sa.ColumnElement[Any]:
    """A failure as JSON text, with an empty message."""
    said = sa.type_coerce(attempts.c.failure, sa.Text())
    if dialect == "sqlite":
        return sa.func.json_set(said, "$.message", "")
    emptied = sa.cast(said, sa.dialects.postgresql.JSONB).op("||")(sa.literal_column("""'{"message": ""}'::jsonb"""))
    return sa.cast(emptied, sa.Text)


def _delete(connection: sa.Connection, gone: Gathered, column: sa.Column[Any]) -> None:
    assert isinstance(column.table, sa.Table)
    connection.execute(sa.delete(column.table).where(gone.holds(column)))
