"""`synthralos flags`: feature flags, in the database itself."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from cli.configuring import Reason, by, changed, configuration, kept
from cli.exits import Exit
from cli.options import DatabaseUrl, Json, output, settings
from cli.output import local
from cli.tables import Column, Listing

if TYPE_CHECKING:
    from synthralos.domain.flags import Flag

app = typer.Typer(
    no_args_is_help=True,
    help="See and set feature flags, in the database of DATABASE_URL. Every process goes by them within two seconds; "
    "an environment variable of a flag's name in capitals (on or off) wins over the database in its process.",
)

Name = Annotated[str, typer.Argument(metavar="FLAG", help="As `synthralos flags list` shows it.")]
Switch = Annotated[Literal["on", "off"], typer.Argument(help="Whether it is on at all.")]
_COLUMNS = (
    Column("flag"),
    Column("state"),
    Column("by"),
    Column("waits for"),
    Column("changed"),
    Column("changed by"),
    Column("where it is off", cut=True),
)


@app.command("list")
def list_flags(
    context: typer.Context,
    organization: Annotated[
        str | None, typer.Option(help="Say of each whether this organization has it.", show_default=False)
    ] = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """List the flags: how each stands, who decides, and what happens where it is off.

    Example: `synthralos flags list --organization acme`
    """
    found = _views(database_url, organization)
    output(context, as_json).show({"flags": found}, lambda: _table(found))


@app.command("set")
def set_flag(
    context: typer.Context,
    name: Name,
    state: Switch,
    percentage: Annotated[
        int, typer.Option(min=0, max=100, help="Share of the organizations that have it, by a hash that stays.")
    ] = 100,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Set a flag, for all organizations or for a share of them.

    Examples: `synthralos flags set track_model_costs off`; `synthralos flags set enable_stackstorm on --percentage 5`
    """
    from synthralos.domain.flags import FlagState  # noqa: PLC0415

    flag = _flag(name)
    with configuration(database_url) as stored:
        stored.set_flag(flag, FlagState(state == "on", percentage), by(reason))
    _show(context, as_json, database_url, flag)


@app.command()
def reset(
    context: typer.Context, name: Name, reason: Reason = "", database_url: DatabaseUrl = None, as_json: Json = False
) -> None:
    """Set a flag back to its default."""
    flag = _flag(name)
    with configuration(database_url) as stored:
        stored.reset_flag(flag, by(reason))
    _show(context, as_json, database_url, flag)


def _flag(name: str) -> "Flag":
    from pipelines.suggestions import Names  # noqa: PLC0415
    from synthralos.domain.flags import Flag  # noqa: PLC0415

    try:
        return Flag(name.lower())
    except ValueError:
        near = Names(Flag).near(name.lower())
        hint = f"did you mean {' or '.join(near)}?" if near else "see `synthralos flags list`"
        typer.echo(f"synthralos: there is no flag {name}: {hint}", err=True)
        raise typer.Exit(Exit.USAGE) from None


def _views(database_url: str | None, organization: str | None = None) -> list[dict[str, Any]]:
    from synthralos.domain.flags import Flag  # noqa: PLC0415

    with configuration(database_url) as stored:
        live, found = kept(settings(database_url=database_url), stored), stored.read()
        live.read()
        flags = live.current.flags
        return [
            {
                **flags.view(flag, organization, stored=flag in found.flags),
                **changed(found.flags.get(flag)),
            }
            for flag in Flag
        ]


def _show(context: typer.Context, as_json: bool, database_url: str | None, flag: "Flag") -> None:
    [view] = [view for view in _views(database_url) if view["name"] == flag]
    output(context, as_json).show(view, lambda: Text(f"{flag} is {_state(view)} ({view['source']})"))


def _state(view: dict[str, Any]) -> str:
    if not view["enabled"] or view["percentage"] == 0:
        return "off"
    share = "on" if view["percentage"] == 100 else f"on for {view['percentage']} %"
    return share if view["has"] is None else f"{share}: {'yes' if view['has'] else 'no'}"


def _table(flags: list[dict[str, Any]]) -> Listing:
    return Listing(
        _COLUMNS,
        [
            [
                str(view["name"]),
                Text(_state(view), "green" if view["enabled"] else "yellow"),
                view["source"],
                view["waits_for"] or "",
                local(view["changed_at"]),
                view["changed_by"] or "",
                view["off"],
            ]
            for view in flags
        ],
    )
