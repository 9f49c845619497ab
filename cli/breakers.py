"""`synthralos breakers`: which deployments and keys get no calls now, from the database itself."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from cli.configuring import Reason, by
from cli.exits import Exit
from cli.options import DatabaseUrl, Json, opened, output
from cli.output import local
from cli.tables import Column, Listing
from cli.texts import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synthralos.domain.breakers import Breaker
    from synthralos.store.admin.breakers import BreakerChange

app = typer.Typer(
    no_args_is_help=True,
    help="See circuit breakers, and have one closed, in the database of DATABASE_URL. What is open gets no calls; "
    "half open, a few probes.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A deployment's id, or credential:NAME.")]


@app.command("list")
def list_breakers(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the breakers that were ever open. All others are closed."""
    from synthralos.store.admin.breakers import BreakerStore  # noqa: PLC0415 - the database layer is slow to import

    with opened(database_url) as database:
        found = BreakerStore(database).all()
    output(context, as_json).show({"breakers": [_plain(each) for each in found]}, lambda: _table(found))


@app.command()
def changes(
    context: typer.Context,
    name: Annotated[str | None, typer.Option(help="Of this breaker.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """List when breakers opened, were probed and closed, and why; newest first."""
    from synthralos.store.admin.breakers import BreakerStore  # noqa: PLC0415 - the database layer is slow to import

    with opened(database_url) as database:
        found = BreakerStore(database).changes(name, limit)
    output(context, as_json).show({"changes": [_plain(each) for each in found]}, lambda: _history(found))


@app.command()
def reset(
    context: typer.Context,
    name: Name,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Have a breaker closed, whatever was seen: workers call again within a second.

    Example: `synthralos breakers reset openai/gpt-5-mini@eu --reason 'the provider says it is mended'`
    """
    from synthralos.store.admin.breakers import BreakerStore  # noqa: PLC0415 - the database layer is slow to import

    with opened(database_url) as database:
        after = BreakerStore(database).reset(name, by(reason))
    if after is None:
        typer.echo(f"synthralos: {name} was never open: `synthralos breakers list` shows those that were", err=True)
        raise typer.Exit(Exit.REFUSED)
    output(context, as_json).show(_plain(after), lambda: Text(f"{name} is {after.state}"))


def _plain(found: "Breaker | BreakerChange") -> dict[str, Any]:
    return asdict(found)


def _table(found: "Sequence[Breaker]") -> Listing:
    columns = (Column("name"), Column("state"), Column("since"), Column("next probe"), Column("reason", cut=True))
    rows = [
        [each.name, str(each.state), local(each.since), local(each.until) if each.until else "", one_line(each.reason)]
        for each in found
    ]
    return Listing(columns, rows)


def _history(found: "Sequence[BreakerChange]") -> Listing:
    columns = (
        Column("at"),
        Column("name"),
        Column("before"),
        Column("after"),
        Column("by"),
        Column("reason", cut=True),
    )
    return Listing(
        columns,
        [[local(e.at), e.name, str(e.before), str(e.after), e.actor, one_line(e.reason)] for e in found],
    )
