"""`synthralos migrate`: the schema of the database, up, down, and where it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.options import DatabaseUrl, Json, output, settings

if TYPE_CHECKING:
    from synthralos.store.sql.database import Database

app = typer.Typer(help="Bring the database of DATABASE_URL to the newest schema, or to another one.")

Revision = Annotated[str, typer.Option("--to", metavar="REVISION", help="The revision to go to.")]


@app.callback(invoke_without_command=True)
def default(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Bring the database to the newest schema, or see the commands below.

    Example: `DATABASE_URL=postgresql://… synthralos migrate`
    """
    if context.invoked_subcommand is None:
        up(context, "head", database_url, as_json)


@app.command()
def up(context: typer.Context, to: Revision = "head", database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Upgrade to the newest revision, or to another. Safe to run from several places at once."""
    from migrations.runner import upgrade  # noqa: PLC0415 - Alembic is slow to import

    with _database(_inherited(context, database_url)) as database:
        upgrade(database, to)
        _tell(context, as_json, database)


@app.command()
def down(
    context: typer.Context,
    to: Revision,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: data in removed tables and columns is lost.")] = False,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Downgrade to a revision; `base` removes everything.

    Example: `synthralos migrate down --to base --yes`
    """
    from migrations.runner import downgrade  # noqa: PLC0415 - Alembic is slow to import

    if not yes:
        typer.confirm(f"Data in the tables and columns that go is lost. Go down to {to}?", abort=True, err=True)
    with _database(_inherited(context, database_url)) as database:
        downgrade(database, to)
        _tell(context, as_json, database)


@app.command()
def current(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Show the revision that the database is at, and the newest one."""
    with _database(_inherited(context, database_url)) as database:
        _tell(context, as_json, database)


@contextmanager
def _database(url: str | None) -> Iterator["Database"]:
    from synthralos.store.sql.database import Database  # noqa: PLC0415 - the database layer is slow to import

    database = Database(settings(database_url=url).database_url)
    try:
        yield database
    finally:
        database.close()


def _inherited(context: typer.Context, database_url: str | None) -> str | None:
    """The option as it stands here, else before the subcommand."""
    before = context.parent.params.get("database_url") if context.parent else None
    return database_url or before


def _tell(context: typer.Context, as_json: bool, database: "Database") -> None:
    from migrations import schema  # noqa: PLC0415 - SQLAlchemy is slow to import

    answer = {"revision": schema.current(database), "newest": schema.head()}
    answer["schema"] = schema.schema_at(answer["revision"])
    output(context, as_json).show(answer, lambda: Text(_standing(answer)))


def _standing(answer: dict[str, str | None]) -> str:
    at, newest = answer["revision"] or "base", answer["newest"]
    match answer["schema"]:
        case "ok":
            return f"the database is at {at} (the newest)"
        case "newer":
            return f"the database is at {at}, newer than this release, which knows {newest} and works with it"
        case "foreign":
            return f"the database is at {at}, which is no revision of SynthralOS: does DATABASE_URL name another one's?"
        case _:
            return f"the database is at {at} (the newest is {newest})"
