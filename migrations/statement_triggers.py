"""What goes with a job that is deleted, on PostgreSQL: once a statement instead of once a row.

A thousand jobs that are deleted together cost three statements then. SQLite knows triggers by row alone.
"""

import sqlalchemy as sa

from migrations.trace_texts import drop_trigger, trigger

_GOES = {
    "trace_facts_of_deleted": (
        "DELETE FROM trace_texts AS t USING trace_facts AS f, gone WHERE f.job_id = gone.id AND t.seq = f.seq; "
        "DELETE FROM trace_facts AS f USING gone WHERE f.job_id = gone.id;",
        "DELETE FROM trace_texts WHERE seq IN (SELECT seq FROM trace_facts WHERE job_id = OLD.id); "
        "DELETE FROM trace_facts WHERE job_id = OLD.id;",
    ),
    "feedback_of_deleted": (
        "DELETE FROM feedback AS f USING gone WHERE f.job_id = gone.id;",
        "DELETE FROM feedback WHERE job_id = OLD.id;",
    ),
}
"""Triggers on deleted jobs: their statements over all rows, and those for each."""


def by_statement(connection: sa.Connection) -> None:
    """Have them run once a statement."""
    if connection.dialect.name != "postgresql":
        return
    for name, (body, _) in _GOES.items():
        drop_trigger(connection, name, "jobs")
        connection.exec_driver_sql(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$"
        )
        connection.exec_driver_sql(
            f"CREATE TRIGGER {name} AFTER DELETE ON jobs REFERENCING OLD TABLE AS gone"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        )


_UNLESS = "IF coalesce(current_setting('synthralos.removed_by_hand', true), '') <> 'on' THEN {body} END IF;"


def unless_done(connection: sa.Connection) -> None:
    """Have them do nothing where a transaction says that it has. The triggers stay: no lock on `jobs`."""
    _redefine(connection, _UNLESS)


def always(connection: sa.Connection) -> None:
    """Have them do it every time, as before."""
    _redefine(connection, "{body}")


def _redefine(connection: sa.Connection, form: str) -> None:
    if connection.dialect.name != "postgresql":
        return
    for name, (body, _) in _GOES.items():
        done = form.format(body=body)
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql"
            f" AS $$ BEGIN {done} RETURN NULL; END $$"
        )


def by_row(connection: sa.Connection) -> None:
    """Have them run once a row, as before."""
    if connection.dialect.name != "postgresql":
        return
    for name, (_, body) in _GOES.items():
        drop_trigger(connection, name, "jobs")
        trigger(connection, name, "DELETE ON jobs", body)
