"""`synthralos status`: what is open, and which processes are there, read from the database."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from cli.job_views import STATE_STYLES
from cli.options import DatabaseUrl, Json, opened, output, settings
from cli.tables import Column, Listing

if TYPE_CHECKING:
    from synthralos.store.admin.processes import ProcessRow
    from synthralos.store.read.overview import OpenCount, Overview

_JOBS = (Column("state"), Column("stage"), Column("lane"), Column("jobs", right=True))
_PROCESSES = (
    Column("kind"),
    Column("state"),
    Column("host", cut=True),
    Column("pid", right=True),
    Column("heartbeat", right=True),
    Column("release"),
    Column("stages", cut=True),
    Column("id"),
)


def status(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Show open jobs by state and stage, the oldest one, and the processes with their heartbeats.

    It costs the database a moment, however many jobs are open: at most 10,000 of each state, stage and lane are
    counted. Finished jobs are not.

    Examples: `synthralos status`; `synthralos status --json | jq .jobs`
    """
    chosen = settings(database_url=database_url)
    from synthralos.store.admin.processes import Processes  # noqa: PLC0415
    from synthralos.store.read.overview import read_overview  # noqa: PLC0415 - the database layer is slow to import

    with opened(database_url) as database:
        overview, living = read_overview(database), Processes(database).living()
    data = _data(overview, living)
    output(context, as_json).show(data, lambda: _view(overview, living, chosen.worker_lost_after))


def _data(overview: "Overview", living: list["ProcessRow"]) -> dict[str, Any]:
    return {
        "jobs": [asdict(count) for count in overview.counts],
        "oldest": None if overview.oldest is None else asdict(overview.oldest),
        "processes": [{**asdict(process), "leads": process.id == overview.leader} for process in living],
    }


def _view(overview: "Overview", living: list["ProcessRow"], lost_after: float) -> list[RenderableType | Listing]:
    rows: list[list[str | Text]] = [
        [Text(c.state, STATE_STYLES.get(c.state, "")), c.stage, c.lane, _count(c)] for c in overview.counts
    ]
    parts: list[RenderableType | Listing] = [Listing(_JOBS, rows) if rows else Text("No job is open.")]
    if (oldest := overview.oldest) is not None:
        parts.append(Text(f"\nOldest: {oldest.id}, {oldest.state} at {oldest.stage}, {_ago(oldest.age)} old"))
    parts.append(Text())
    parts.append(Listing(_PROCESSES, [_process(p, overview.leader, lost_after) for p in living]))
    if not any(process.kind == "scheduler" for process in living):
        parts.append(Text("No scheduler: parked jobs stay parked. Start one: synthralos scheduler", "yellow"))
    if not any(process.kind == "worker" for process in living):
        parts.append(Text("No worker: jobs wait. Start one: synthralos worker", "yellow"))
    return parts


def _count(count: "OpenCount") -> str:
    return f"{count.jobs:,}" + ("+" if count.more else "")


def _process(process: "ProcessRow", leader: str | None, lost_after: float) -> list[str | Text]:
    word = "leads" if process.id == leader else process.state
    silent = process.age > lost_after
    state = Text("silent", "red") if silent else Text(word)
    age = f"{_ago(process.age)} ago"
    release, stages = process.release or "", " ".join(process.stages)
    return [process.kind, state, process.host, str(process.pid), age, release, stages, process.id]


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
