"""What several commands take: options, and the settings with them on top."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import Output
from synthralos.config.settings import Settings, load_settings

if TYPE_CHECKING:
    from synthralos.store.sql.database import Database

Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, everything else on standard error.")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; else DATABASE_URL.", show_default=False),
]
Url = Annotated[str | None, typer.Option(help="Where the server is; else SYNTHRALOS_URL.", show_default=False)]
Timeout = Annotated[float | None, typer.Option(help="Seconds to wait at most.", show_default=False)]
Host = Annotated[str | None, typer.Option(help="Address to listen on; else HOST.", show_default=False)]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one; else PORT.", show_default=False)]


def output(context: typer.Context, as_json: bool) -> Output:
    """The output of a command: JSON where the command or the whole line asks for it."""
    return Output(as_json or bool(context.find_root().params.get("as_json")))


def settings(**overrides: object) -> Settings:
    """The settings, with the options that were given on top; raises `SettingsError`."""
    return load_settings(**{name: value for name, value in overrides.items() if value is not None})


def utc(time: datetime | None) -> datetime | None:
    """A time of an option: without an offset it is in UTC."""
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def sqlite_file(chosen: Settings) -> Path | None:
    """The file of a SQLite database; None for another one."""
    if not chosen.database_url.startswith("sqlite"):
        return None
    return Path(chosen.database_url.partition("///")[2].partition("?")[0]).absolute()


@contextmanager
def opened(database_url: str | None) -> Iterator["Database"]:
    """The database of the option, else of DATABASE_URL; its connections are given back at the end."""
    from synthralos.store.sql.database import Database  # noqa: PLC0415 - the database layer is slow to import

    database = Database(settings(database_url=database_url).database_url)
    try:
        yield database
    finally:
        database.close()
