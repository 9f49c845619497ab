"""Finished jobs are taken out of the tables: all of them, or what they hold of texts. What they cost stays.

Which jobs is in a temporary table of the connection, so that every statement is about the same ones, however many.
Jobs come in the order of their ids, as everybody locks them.
"""

from typing import Any

import sqlalchemy as sa

from synthralos.domain.events import Thought
from synthralos.domain.retention import REMOVED_REQUEST
from synthralos.store.sql.types import Id, word
from synthralos.store.tables import (
    attempts,
    budget_holds,
    event_logs,
    export_backlog,
    export_set_aside,
    job_accounts,
    jobs,
    results,
    retention_left,
    stream_chunks,
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
"""What goes with a job. Its facts, its words in the index and its feedback go by triggers."""

_BOOKS: tuple[sa.Column[Any], ...] = (attempts.c.job_id, budget_holds.c.job_id)


def gather(connection: sa.Connection, chosen: "sa.Select[Any]") -> int:
    """Have the jobs of a SELECT of ids be those that are going; how many they are."""
    connection.exec_driver_sql(_MAKE[connection.dialect.name])
    connection.execute(sa.delete(going))
    insert = sa.insert(going).from_select(["job_id"], chosen).execution_options(preserve_rowcount=True)
    return connection.execute(insert).rowcount


def remove_jobs(connection: sa.Connection, books_from: str | None) -> None:
    """Remove those that are going. Of jobs from the id `books_from` on the books are kept; with None, of all."""
    for column in _BESIDE:
        connection.execute(_delete(column))
    for destination in destinations(connection):
        owed = export_backlog.c.destination == destination, export_backlog.c.job_id.in_(_GOING)
        connection.execute(sa.delete(export_backlog).where(*owed))
    kept = [] if books_from is None else [going.c.job_id >= sa.literal(books_from, Id)]
    _keep_books(connection, *kept)
    if books_from is not None:
        over = _GOING.where(going.c.job_id < sa.literal(books_from, Id))
        for column in _BOOKS:
            connection.execute(sa.delete(column.table).where(column.in_(over)))
    connection.execute(_delete(jobs.c.id))


def destinations(connection: sa.Connection) -> list[str]:
    """Those that are owed any trace: a look into the index for each."""
    owed = export_backlog.c.destination
    found = sa.select(sa.func.min(owed).label("name")).cte("owing", recursive=True)
    following = sa.select(sa.func.min(owed)).where(owed > found.c.name).scalar_subquery()
    found = found.union_all(sa.select(following).where(found.c.name.is_not(None)))
    return list(connection.execute(sa.select(found.c.name).where(found.c.name.is_not(None))).scalars())


def remove_books(connection: sa.Connection) -> None:
    """Remove what is on the books about those that are going."""
    for column in (*_BOOKS, job_accounts.c.id):
        connection.execute(_delete(column))


def remove_texts(connection: sa.Connection) -> None:
    """Remove what was asked of those that are going, what was answered, and what agents thought."""
    connection.execute(sa.update(jobs).where(jobs.c.id.in_(_GOING)).values(request=dict(REMOVED_REQUEST)))
    answered = results.c.job_id.in_(_GOING), results.c.result.is_not(None)
    connection.execute(sa.update(results).where(*answered).values(result=None))
    thoughts = event_logs.c.job_id.in_(_GOING), event_logs.c.kind == word(Thought.kind)
    connection.execute(sa.update(event_logs).where(*thoughts).values(data={"text": ""}))
    connection.execute(_delete(stream_chunks.c.job_id))


def _keep_books(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> None:
    """Whose the calls were, for the ledger; and of what failed, the kind but not the words."""
    names = [column.name for column in job_accounts.c]
    called = sa.exists().where(attempts.c.job_id == jobs.c.id)
    mine = sa.select(*(jobs.c[name] for name in names)).join(going, going.c.job_id == jobs.c.id)
    connection.execute(sa.insert(job_accounts).from_select(names, mine.where(called, *conditions)))
    wordless = _without_message(connection.dialect.name)
    failed = attempts.c.job_id.in_(_GOING.where(*conditions)), attempts.c.failure.is_not(None)
    connection.execute(sa.update(attempts).where(*failed).values(failure=wordless))


def _without_message(dialect: str) -> sa.ColumnElement[Any]:
    """A failure as JSON text, with an empty message."""
    said = sa.type_coerce(attempts.c.failure, sa.Text())
    if dialect == "sqlite":
        return sa.func.json_set(said, "$.message", "")
    emptied = sa.cast(said, sa.dialects.postgresql.JSONB).op("||")(sa.literal_column("""'{"message": ""}'::jsonb"""))
    return sa.cast(emptied, sa.Text)


def _delete(column: sa.Column[Any]) -> sa.Delete:
    assert isinstance(column.table, sa.Table)
    return sa.delete(column.table).where(column.in_(_GOING))
