"""`synthralos aliases`: names of one's own for models, in the database beside those of the catalog file."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from cli.configuring import Reason, Version, by, changed, configuration, kept, told_names, unless_outdated
from cli.exits import Exit
from cli.options import DatabaseUrl, Json, output, settings
from cli.tables import Column, Listing
from cli.texts import one_line

if TYPE_CHECKING:
    from synthralos.live_config import KeptConfig
    from synthralos.store.admin.configuration import Stored

app = typer.Typer(
    no_args_is_help=True,
    help="See, set and remove names that stand for models, deployments, tiers or other aliases, in the database of "
    "DATABASE_URL. They win over those of the catalog file, and are in force everywhere within two seconds.",
)

Name = Annotated[str, typer.Argument(help="What requests may ask for.")]
_COLUMNS = (Column("alias"), Column("stands for"), Column("deployments", cut=True), Column("source"), Column("version"))


@app.command("list")
def list_aliases(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List all aliases that are in force, with the deployments that each stands for."""
    with configuration(database_url) as stored:
        live = kept(settings(database_url=database_url), stored)
        live.read()
        held = stored.read()
    shown = [_view(live, held, name) for name in sorted(live.current.aliases)]
    output(context, as_json).show({"aliases": shown}, lambda: Listing(_COLUMNS, [_row(each) for each in shown]))


@app.command("set")
def set_alias(
    context: typer.Context,
    name: Name,
    targets: Annotated[
        list[str],
        typer.Argument(help="Models, deployments, other aliases, or tier: with a tier, such as tier:economy."),
    ],
    version: Version = None,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Have a name stand for these.

    Examples: `synthralos aliases set fast openai/gpt-5-mini anthropic/claude-haiku-4-5`;
    `synthralos aliases set cheap tier:economy`
    """
    with configuration(database_url) as stored:
        live = kept(settings(database_url=database_url), stored)
        live.read()
        with told_names(live, name):
            unless_outdated(stored.set_alias(name, targets, by(reason), version, live.check_names(name)))
    output(context, as_json).show(
        {"name": name, "targets": targets}, lambda: Text(f"{name} stands for {', '.join(targets)}")
    )


@app.command("delete")
def delete_alias(
    context: typer.Context,
    name: Name,
    version: Version = None,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Remove an alias that was set here; the catalog file's holds again, if it has one."""
    with configuration(database_url) as stored:
        live = kept(settings(database_url=database_url), stored)
        live.read()
        with told_names(live, name):
            removed = unless_outdated(stored.remove_alias(name, by(reason), version, live.check_names()))
    if not removed:
        typer.echo(f"synthralos: {name} was not set here: `synthralos aliases list` shows what is", err=True)
        raise typer.Exit(Exit.REFUSED)
    output(context, as_json).show({"name": name, "removed": True}, lambda: Text(f"{name} is removed"))


def _view(live: "KeptConfig", held: "Stored", name: str) -> dict[str, Any]:
    found, config = held.aliases.get(name), live.current
    return {
        "name": name,
        "targets": list(config.aliases[name]),
        "deployments": [deployment.id for deployment in config.catalog.matching(name)],
        "source": "file" if found is None else "database",
        "version": 0 if found is None else found.version,
        **changed(found),
    }


def _row(view: dict[str, Any]) -> list[str]:
    listed = (one_line(", ".join(view[name])) for name in ("targets", "deployments"))
    return [one_line(view["name"]), *listed, view["source"], str(view["version"])]
