"""The index of jobs' words, and what takes a job's words out of it when its request or result is erased.

The triggers cost the hot path nothing: it writes a request and a result once, and changes neither.
"""

import sqlalchemy as sa

_TABLE = {
    "postgresql": (
        "CREATE TABLE trace_texts (seq bigint PRIMARY KEY, document tsvector NOT NULL)",
        "CREATE INDEX trace_texts_by_word ON trace_texts USING gin (document)",
    ),
    "sqlite": (
        "CREATE VIRTUAL TABLE trace_texts USING fts5(document, tokenize = 'unicode61 remove_diacritics 0')",
        # Fewer, larger pieces: a word is looked for in each of them.
        "INSERT INTO trace_texts (trace_texts, rank) VALUES ('automerge', 4)",
    ),
}

_ERASED = {
    "trace_texts_of_request": ("UPDATE OF request, metadata ON jobs", "id"),
    "trace_texts_of_result": ("UPDATE OF result, failure ON results", "job_id"),
}
"""What is erased in place: the words go, the figures stay."""

_DELETED = "trace_facts_of_deleted"
"""A job that is deleted takes everything along."""

_WORDS_GO = "DELETE FROM trace_texts WHERE {kind} IN (SELECT seq FROM trace_facts WHERE job_id = OLD.{key}); "
_FACTS_GO = "DELETE FROM trace_facts WHERE job_id = OLD.id;"


def create(connection: sa.Connection) -> None:
    """Make the table and the triggers."""
    kind = "rowid" if connection.dialect.name == "sqlite" else "seq"
    for statement in _TABLE[connection.dialect.name]:
        connection.exec_driver_sql(statement)
    for name, (when, key) in _ERASED.items():
        trigger(connection, name, when, _WORDS_GO.format(kind=kind, key=key))
    trigger(connection, _DELETED, "DELETE ON jobs", _WORDS_GO.format(kind=kind, key="id") + _FACTS_GO)


def drop(connection: sa.Connection) -> None:
    """Remove them."""
    tables = {name: when.rpartition(" ")[2] for name, (when, _) in _ERASED.items()} | {_DELETED: "jobs"}
    for name, table in tables.items():
        drop_trigger(connection, name, table)
    connection.exec_driver_sql("DROP TABLE trace_texts")


def drop_trigger(connection: sa.Connection, name: str, table: str) -> None:
    """Remove a trigger that `trigger` made."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
        return
    connection.exec_driver_sql(f"DROP TRIGGER {name} ON {table}")
    connection.exec_driver_sql(f"DROP FUNCTION {name}")


def trigger(connection: sa.Connection, name: str, when: str, body: str) -> None:
    """Make a trigger, such as for `DELETE ON jobs`, that does something after each row."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"CREATE TRIGGER {name} AFTER {when} FOR EACH ROW BEGIN {body} END")
        return
    connection.exec_driver_sql(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$"
    )
    connection.exec_driver_sql(f"CREATE TRIGGER {name} AFTER {when} FOR EACH ROW EXECUTE FUNCTION {name}()")
