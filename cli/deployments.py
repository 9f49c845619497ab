"""`synthralos deployments`: entries of the catalog that are kept in the database, beside the catalog file's."""

from typing import Annotated

import typer
from rich.text import Text

from cli.configuring import Reason, Version, by, configuration, kept, told_names, unless_outdated
from cli.documents import read_document
from cli.exits import Exit
from cli.options import DatabaseUrl, Json, output, settings

app = typer.Typer(
    no_args_is_help=True,
    help="Add, override and remove deployments while everything runs, in the database of DATABASE_URL. "
    "`synthralos models` lists all that are in force.",
)

Id = Annotated[str, typer.Argument(metavar="PROVIDER/MODEL@REGION", help="The deployment's id.")]


@app.command("set")
def set_deployment(
    context: typer.Context,
    deployment: Id,
    file: Annotated[
        str, typer.Option("--file", "-f", help="TOML or JSON: the members of a [[deployment]] table; - is stdin.")
    ],
    version: Version = None,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Add a deployment, or have an entry in place of the catalog file's. In force everywhere within two seconds.

    Example: `synthralos deployments set openai/gpt-5-mini@eu -f gpt-5-mini-eu.toml`, where the file has
    `context_window = 400000`, `max_output = 128000` and a `price`
    """
    from synthralos.config.left_open import left_open  # noqa: PLC0415 - the command line imports little

    entry = read_document(file)
    with configuration(database_url) as stored:
        live = kept(settings(database_url=database_url), stored)
        warnings = left_open(live.checked(deployment, entry))
        with told_names(live, "", "deployment"):
            unless_outdated(stored.set_deployment(deployment, entry, by(reason), version, live.check_names()))
    out = output(context, as_json)
    shown = {"id": deployment, "entry": entry, "warnings": warnings}
    out.show(shown, lambda: Text(f"{deployment} is in the catalog"))
    if not out.as_json:
        for warning in warnings:
            out.warn(f"synthralos: {warning}")


@app.command()
def remove(
    context: typer.Context,
    deployment: Id,
    version: Version = None,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Remove an entry; the catalog file's holds again, if it has one."""
    with configuration(database_url) as stored:
        live = kept(settings(database_url=database_url), stored)
        with told_names(live, "", "deployment"):
            removed = unless_outdated(stored.remove_deployment(deployment, by(reason), version, live.check_names()))
    if not removed:
        typer.echo(f"synthralos: {deployment} was not set here: `synthralos models` shows what is", err=True)
        raise typer.Exit(Exit.REFUSED)
    output(context, as_json).show({"id": deployment, "removed": True}, lambda: Text(f"{deployment} is removed"))
