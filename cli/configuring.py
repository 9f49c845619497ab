"""What the commands share that show or change the configuration, in the database itself."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Exit
from cli.options import opened, settings, sqlite_file

if TYPE_CHECKING:
    from synthralos.config.settings import Settings
    from synthralos.live_config import KeptConfig
    from synthralos.store.admin.audit import By
    from synthralos.store.admin.configuration import Configuration, Set

Version = Annotated[
    int | None,
    typer.Option("--if-version", help="Only where it is at this version; 0: it was not set.", show_default=False),
]
Reason = Annotated[str, typer.Option(help="Why; it goes on record: see `synthralos audit`.", show_default=False)]


@contextmanager
def configuration(database_url: str | None) -> Iterator["Configuration"]:
    """What is set in the database of the option, else of DATABASE_URL."""
    from synthralos.store.admin.configuration import Configuration  # noqa: PLC0415 - the database layer is slow to import

    with opened(database_url) as database:
        yield Configuration(database)


def kept(chosen: "Settings", stored: "Configuration") -> "KeptConfig":
    """The configuration as a process with these settings has it, with what is set in the database left out so far."""
    from pipelines.providers.table import check_deployment  # noqa: PLC0415 - imports the adapters
    from synthralos.live_config import KeptConfig  # noqa: PLC0415

    return KeptConfig(chosen, os.environ, stored, check_deployment)


@contextmanager
def in_force(database_url: str | None) -> Iterator["KeptConfig"]:
    """The configuration that is in force; without what is set in the database where that cannot be asked."""
    chosen = settings(database_url=database_url)
    from synthralos.store.sql.errors import StoreError  # noqa: PLC0415

    with configuration(database_url) as stored:
        live = kept(chosen, stored)
        file = sqlite_file(chosen)
        if file is None or file.exists():
            with suppress(StoreError):
                live.read()
        yield live


def changed(found: "Set[Any] | None") -> dict[str, Any]:
    """When and by whom a value was set; None for both where it is at its default."""
    at, who = (None, None) if found is None else (found.changed_at, found.changed_by)
    return {"changed_at": at, "changed_by": who}


@contextmanager
def told_names(live: "KeptConfig", name: str, field: str = "name") -> Iterator[None]:
    """Tell why a change of aliases or deployments is refused, and end the command."""
    from pipelines.intake.alias_errors import alias_error, left_without  # noqa: PLC0415
    from synthralos.domain.aliases import AliasError  # noqa: PLC0415

    try:
        yield
    except AliasError as error:
        own = error.alias == name
        told = alias_error(error, live.current.catalog, field) if own else left_without(error, field)
        typer.echo(f"synthralos: {told.field}: {told.problem}: {told.remedy}", err=True)
        raise typer.Exit(Exit.REFUSED) from None


def unless_outdated(outcome: Any) -> Any:
    """What a change answered; ends the command where somebody has changed it meanwhile."""
    from synthralos.store.admin.policies import Outdated  # noqa: PLC0415

    if not isinstance(outcome, Outdated):
        return outcome
    typer.echo(f"synthralos: somebody has changed it meanwhile: it is at version {outcome.version} now", err=True)
    raise typer.Exit(Exit.REFUSED)


def by(reason: str = "") -> "By":
    """Who changes something on this command line, as the audit log names it."""
    from synthralos.store.admin.audit import By  # noqa: PLC0415

    return By(f"cli:{getpass.getuser()}", reason)
