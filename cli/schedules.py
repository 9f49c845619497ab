"""`synthralos schedules`: jobs that recur, over HTTP."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.clients import client_of
from cli.documents import read_document
from cli.options import Json, Url, output
from cli.output import local
from cli.tables import Column, Listing
from cli.texts import one_line

app = typer.Typer(
    no_args_is_help=True,
    help="Make, see, pause, run and fill in schedules. The server is SYNTHRALOS_URL (or --url), the key "
    "SYNTHRALOS_API_KEY.\n\nA schedule is a file in TOML or JSON: `name`, `job` (what `jobs submit` takes), `cron` or "
    "`interval_seconds`, and what else docs/schedules.md explains. The shortest one:\n\n"
    '`{"name": "nightly", "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "job": {"prompt": "…"}}`',
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The schedule's id.")]
File = Annotated[str, typer.Argument(help="TOML or JSON; - is stdin.")]
Reason = Annotated[str, typer.Option(help="Why; it goes on record.", show_default=False)]
_SCHEDULES = (
    Column("id"),
    Column("name"),
    Column("when"),
    Column("next"),
    Column("state"),
    Column("failures", right=True),
)
_FIRINGS = (
    Column("tick"),
    Column("outcome"),
    Column("late", right=True),
    Column("jobs"),
    Column("ended"),
    Column("reason", cut=True),
)


@app.callback()
def connection(url: Url = None) -> None:
    """Options for all of these commands."""


@app.command("list")
def list_schedules(context: typer.Context, as_json: Json = False) -> None:
    """List the schedules that the key may see."""
    with client_of(context) as client:
        found = list(client.schedules.list())
    output(context, as_json).show({"schedules": found}, lambda: Listing(_SCHEDULES, [_row(each) for each in found]))


@app.command()
def show(context: typer.Context, schedule_id: Id, as_json: Json = False) -> None:
    """Print one schedule and how it stands, as JSON."""
    with client_of(context) as client:
        _show(context, as_json, client.schedules.get(schedule_id))


@app.command("set")
def set_schedule(
    context: typer.Context,
    file: File,
    schedule_id: Annotated[
        str | None, typer.Option("--id", help="Replace this schedule; else a new one.", show_default=False)
    ] = None,
    version: Annotated[
        int | None, typer.Option("--if-version", help="Only where it is at this version.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a schedule, or replace what one says. Every mistake is told by its field.

    Examples: `synthralos schedules set nightly.toml`; `synthralos schedules set nightly.toml --id 0199… --if-version 3`
    """
    document = read_document(file)
    name = document.pop("name", "")
    with client_of(context) as client:
        if schedule_id is None:
            made = client.schedules.create(name, **document)
        else:
            made = client.schedules.replace(schedule_id, name, version=version, **document)
    output(context, as_json).show(made, lambda: Text(f"{made['id']} fires next at {_time(made['next_fire_at'])}"))


@app.command()
def remove(context: typer.Context, schedule_id: Id, reason: Reason = "", as_json: Json = False) -> None:
    """Remove a schedule. What waits is dropped, jobs that run go on."""
    with client_of(context) as client:
        removed = client.schedules.remove(schedule_id, reason=reason or None)
    output(context, as_json).show(removed, lambda: Text(f"{schedule_id} is removed"))


@app.command()
def pause(
    context: typer.Context,
    schedule_id: Id,
    note: Annotated[str, typer.Option(help="Why; shown with the schedule.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Have a schedule fire no more until it is resumed.

    Example: `synthralos schedules pause 0199… --note "the source is down"`
    """
    with client_of(context) as client:
        _show(context, as_json, client.schedules.pause(schedule_id, note=note))


@app.command()
def resume(context: typer.Context, schedule_id: Id, reason: Reason = "", as_json: Json = False) -> None:
    """Have a schedule fire again from now on; what fell into the pause was not missed."""
    with client_of(context) as client:
        _show(context, as_json, client.schedules.resume(schedule_id, reason=reason))


@app.command("run")
def run_schedule(context: typer.Context, schedule_id: Id, reason: Reason = "", as_json: Json = False) -> None:
    """Start a schedule's jobs now, beside its ticks; prints their ids, for `synthralos jobs wait -`."""
    with client_of(context) as client:
        started = client.schedules.run(schedule_id, reason=reason)
    output(context, as_json).show(started, lambda: Text("\n".join(started["job_ids"])))


@app.command("next")
def preview(
    context: typer.Context,
    schedule_id: Id,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=100, help="How many.")] = 10,
    as_json: Json = False,
) -> None:
    """List when a schedule fires next, by the clock of its zone, with marks where clocks are moved."""
    with client_of(context) as client:
        found = client.schedules.next(schedule_id, count=count)
    columns = (Column("local"), Column("UTC"), Column("clocks"))
    rows = [[each["local"], each["fire_at"], each["clock_change"] or ""] for each in found]
    output(context, as_json).show({"ticks": found}, lambda: Listing(columns, rows))


@app.command()
def firings(
    context: typer.Context,
    schedule_id: Id,
    outcome: Annotated[
        str | None, typer.Option(help="fired, waiting, skipped, missed or backfill.", show_default="all")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List what became of a schedule's ticks, newest first, with their jobs."""
    found: list[dict[str, Any]] = []
    with client_of(context) as client:
        for each in client.schedules.firings(schedule_id, outcome=outcome, page_size=min(limit, 200)):  # type: ignore[arg-type]
            found.append(each)
            if len(found) == limit:
                break
    output(context, as_json).show({"firings": found}, lambda: Listing(_FIRINGS, [_firing(each) for each in found]))


@app.command()
def backfill(
    context: typer.Context,
    schedule_id: Id,
    start: Annotated[datetime, typer.Argument(help="The first time (UTC).")],
    end: Annotated[datetime, typer.Argument(help="Before this time (UTC).")],
    overlap: Annotated[str, typer.Option(help="allow (all at once), queue_all (one by one) or skip.")] = "allow",
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Fire the ticks of a time that is over, those that did not fire.

    Example: `synthralos schedules backfill 0199… 2026-01-01 2026-02-01 --overlap queue_all`
    """
    with client_of(context) as client:
        made = client.schedules.backfill(
            schedule_id,
            start.replace(tzinfo=UTC),
            end.replace(tzinfo=UTC),
            overlap=overlap,  # type: ignore[arg-type]
            reason=reason,
        )
    output(context, as_json).show(made, lambda: Text(f"{made['ticks']} ticks: see `synthralos schedules backfills`"))


@app.command()
def backfills(context: typer.Context, schedule_id: Id, as_json: Json = False) -> None:
    """List a schedule's backfills, and how far they are."""
    with client_of(context) as client:
        found = client.schedules.backfills(schedule_id)
    columns = (Column("start"), Column("end"), Column("overlap"), Column("done", right=True), Column("of", right=True))
    rows = [[each["start"], each["end"], each["overlap"], str(each["handled"]), str(each["ticks"])] for each in found]
    output(context, as_json).show({"backfills": found}, lambda: Listing(columns, rows))


def _show(context: typer.Context, as_json: bool, found: dict[str, Any]) -> None:
    output(context, as_json).show(found, lambda: Text(json.dumps(found, indent=2, ensure_ascii=False)))


def _row(schedule: dict[str, Any]) -> list[str]:
    when = schedule["cron"] or f"every {schedule['interval_seconds']} s"
    over = "" if schedule["next_fire_at"] else "over"
    state = f"paused: {one_line(schedule['pause_note'])}".rstrip(": ") if schedule["paused"] else over
    name, failures = one_line(schedule["name"]), str(schedule["failures"] or "")
    return [schedule["id"], name, f"{when} {schedule['time_zone']}", _time(schedule["next_due_at"]), state, failures]


def _firing(firing: dict[str, Any]) -> list[str]:
    late = "" if firing["lateness_ms"] is None else f"{firing['lateness_ms'] / 1000:.2f} s"
    jobs = " ".join(firing["job_ids"])
    return [_time(firing["fire_at"]), firing["outcome"], late, jobs, firing["ended"] or "", one_line(firing["reason"])]


def _time(text: str | None) -> str:
    return "" if text is None else local(datetime.fromisoformat(text))
