"""What migrations promise: up and down on both databases, the schema that the code expects, several starts at once."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from migrations.runner import downgrade, upgrade
from migrations.schema import Schema, current, head, schema_at
from synthralos.store.sql.database import Database
from synthralos.store.tables import metadata
from tests.fakes.children import child

OPTIONS = {"compare_type": True, "include_name": lambda name, kind, parents: not is_of_index(name)}


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database that nobody migrated."""
    with closing(Database(request.getfixturevalue(f"{request.param}_database"))) as database:
        yield database


def tables(database: Database) -> set[str]:
    found = set(sa.inspect(database.read).get_table_names()) - {"alembic_version"}
    return {name for name in found if not is_of_index(name)}


def is_of_index(name: str | None) -> bool:
    """Whether it is the full-text index, which is another thing on each database, or one of its tables."""
    return name is not None and name.startswith("trace_texts")


def test_up_down_and_up_again(empty: Database) -> None:
    assert current(empty) is None
    upgrade(empty)
    assert current(empty) == head()
    assert tables(empty) == set(metadata.tables)
    downgrade(empty, "base")
    assert current(empty) is None
    assert tables(empty) == set()
    upgrade(empty)
    assert tables(empty) == set(metadata.tables)


def test_to_upgrade_again_changes_nothing(empty: Database) -> None:
    upgrade(empty)
    upgrade(empty)
    assert current(empty) == head()


def test_the_migrations_make_what_the_code_expects(empty: Database) -> None:
    upgrade(empty)
    with empty.write.connect() as connection:
        context = MigrationContext.configure(connection, opts=OPTIONS)
        assert compare_metadata(context, metadata) == []


def test_every_index_has_the_condition_that_the_code_expects(empty: Database) -> None:
    """Alembic compares the columns of partial indexes, not their conditions."""
    upgrade(empty)
    fresh = sa.create_mock_engine(empty.url, lambda *_: None)
    expected = {
        index.name: str(sa.schema.CreateIndex(index).compile(dialect=fresh.dialect))
        for table in metadata.tables.values()
        for index in table.indexes
    }
    source = "SELECT indexname, indexdef FROM pg_indexes" if empty.dialect == "postgresql" else (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    )  # fmt: skip
    with empty.snapshot() as connection:
        made = {name: text for name, text in connection.execute(sa.text(source)).all() if name in expected}
    assert set(made) == set(expected)
    assert {n: condition(text) for n, text in made.items()} == {n: condition(text) for n, text in expected.items()}


def condition(statement: str) -> str:
    """What stands after WHERE, without the parentheses and casts that databases add."""
    return statement.upper().partition("WHERE")[2].replace("(", "").replace(")", "").replace("::TEXT", "").strip()


def test_several_processes_may_migrate_at_once(empty: Database) -> None:
    code = """
import sys
from migrations.runner import upgrade
from synthralos.store.sql.database import Database
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
upgrade(database)
"""
    url = empty.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", code, url]
    with ExitStack() as stack:
        starting = [
            stack.enter_context(child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)) for _ in range(3)
        ]
        for process in starting:
            assert process.stdout is not None
            process.stdout.readline()
        for process in starting:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in starting:
            process.communicate()
    assert [process.returncode for process in starting] == [0, 0, 0]
    assert current(empty) == head()
    assert tables(empty) == set(metadata.tables)


@pytest.mark.parametrize(
    ("revision", "schema"),
    [
        (None, Schema.OUTDATED), ("0001", Schema.OUTDATED), (head(), Schema.OK), ("9999", Schema.NEWER),
        ("3f2a9c", Schema.FOREIGN), ("zz", Schema.FOREIGN), ("00010", Schema.FOREIGN),
    ],
)  # fmt: skip
def test_a_revision_says_how_the_schema_stands_to_this_release(revision: str | None, schema: Schema) -> None:
    assert schema_at(revision) is schema


def test_a_newer_schema_is_left_alone(empty: Database) -> None:
    upgrade(empty)
    with empty.transaction() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    upgrade(empty)
    assert current(empty) == "9999"
