"""`synthralos exports`: how destinations of traces fare, and what is set aside, from the database itself."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

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

    from synthralos.domain.exports import SetAside, Standing
    from synthralos.store.exports.operating import ExportOperations
    from synthralos.store.sql.database import Database

app = typer.Typer(
    no_args_is_help=True,
    help="See how the destinations of traces fare (Langfuse, OpenTelemetry, the file …), and retry or drop what is set "
    "aside, in the database of DATABASE_URL. What a destination does not take waits, and loses nothing.",
)

Name = Annotated[str, typer.Argument(metavar="DESTINATION", help="As `synthralos exports list` names it.")]
Jobs = Annotated[
    list[str] | None, typer.Option("--job", help="This job's trace; may be repeated. Else the oldest 1,000.")
]


@app.command("list")
def list_exports(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the destinations: what each is owed, took and refused, how far it lags, and what it said last."""
    with opened(database_url) as database:
        found = _operations(database).standings()
    output(context, as_json).show({"destinations": [asdict(each) for each in found]}, lambda: _table(found))


@app.command("set-aside")
def set_aside(
    context: typer.Context,
    destination: Name,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """List the traces that a destination refuses for good, or whose data may not go there, newest jobs first."""
    with opened(database_url) as database:
        found = _operations(database).set_aside(destination, limit=limit)
    output(context, as_json).show({"traces": [each._asdict() for each in found]}, lambda: _asides(found))


@app.command()
def retry(
    context: typer.Context,
    destination: Name,
    job: Jobs = None,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Have traces that are set aside shipped again.

    Example: `synthralos exports retry langfuse --reason 'LANGFUSE_RESIDENCY is declared now'`
    """
    with opened(database_url) as database:
        number = _operations(database).retry(destination, job, by(reason))
    output(context, as_json).show({"traces": number}, lambda: Text(f"{number} traces are owed to {destination} again"))


@app.command()
def drop(
    context: typer.Context,
    destination: Name,
    job: Jobs = None,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Forget traces that are set aside: the destination never gets them; the jobs stay."""
    with opened(database_url) as database:
        number = _operations(database).drop(destination, job, by(reason))
    output(context, as_json).show({"traces": number}, lambda: Text(f"{number} traces were dropped"))


@app.command()
def resume(
    context: typer.Context,
    destination: Name,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Have a destination that rests or is stopped tried again within seconds, as when its key was mended."""
    with opened(database_url) as database:
        found = _operations(database).resume(destination, by(reason))
    if not found:
        typer.echo(f"synthralos: nothing was ever shipped to {destination}: see `synthralos exports list`", err=True)
        raise typer.Exit(Exit.REFUSED)
    output(context, as_json).show({"resumed": destination}, lambda: Text(f"{destination} is tried again"))


def _operations(database: "Database") -> "ExportOperations":
    from synthralos.store.exports.operating import ExportOperations  # noqa: PLC0415 - slow to import

    return ExportOperations(database)


def _table(found: "Sequence[Standing]") -> Listing:
    counts = ("pending", "sent", "failed", "refused", "withheld", "dropped")
    columns = (
        Column("destination"),
        Column("state"),
        *(Column(name, right=True) for name in counts),
        Column("lag", right=True),
        Column("last error", cut=True),
    )
    rows = [
        [
            each.name,
            _state(each),
            *(str(getattr(each, name)) for name in counts),
            f"{each.lag:.0f} s",
            one_line(each.last_error or ""),
        ]
        for each in found
    ]
    return Listing(columns, rows)


def _state(found: "Standing") -> str:
    if found.stopped:
        return "stopped"
    return f"rests for {found.resting:.0f} s" if found.resting else "draining" if found.pending else "idle"


def _asides(found: "Sequence[SetAside]") -> Listing:
    columns = (Column("job"), Column("organization"), Column("kind"), Column("at"), Column("reason", cut=True))
    rows = [
        [each.job_id, one_line(each.organization or ""), str(each.kind), local(each.at), one_line(each.reason)]
        for each in found
    ]
    return Listing(columns, rows)
