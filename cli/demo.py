"""`synthralos demo`: 200 prompts through every stage, some with trouble on the way, and what came of it."""

import time
from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json, output
from cli.output import command_name
from cli.signals import stop_requested


def demo(
    context: typer.Context,
    database: Annotated[Path, typer.Option(help="SQLite file that keeps the jobs.")] = Path("synthralos-demo.db"),
    count: Annotated[int | None, typer.Option("--prompts", min=1, help="Only the first so many.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the API; 0 picks a free one.")] = 0,
    keep_running: Annotated[bool, typer.Option("--keep-running", help="Serve on until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Send about 200 prompts through guard, route, execute, heal and analyze, offline, and show what happened.

    It starts everything embedded, with the sandbox provider alone, whatever keys the environment holds: it costs
    nothing. The jobs stay in the database, and the end of the report says how to go on with them.

    Examples: `synthralos demo`; `synthralos demo --keep-running`; `synthralos --json demo --prompts 30`
    """
    from demo import report, run  # noqa: PLC0415 - imports every part of the system
    from demo.summary import summarize  # noqa: PLC0415

    out = output(context, as_json)
    url = f"sqlite:///{database}"
    with run.stage(url, port) as stage:
        with out.progress("jobs done", count or 0) as advance:
            summary = summarize(run.perform(stage, count, advance, time.monotonic))
        where = {"url": stage.url, "api_key": stage.key, "database": str(database)}
        out.show({**report.data(summary), **where}, lambda: report.view(summary))
        if keep_running:
            out.say(report.how_to_go_on(stage.url, stage.key, summary, up=None))
            with stop_requested() as stop:
                stop.wait()
    if not keep_running:
        up = f"{command_name()} up --database-url {url}"
        out.say(report.how_to_go_on("http://127.0.0.1:8080", stage.key, summary, up))
