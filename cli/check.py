"""`synthralos check`: whether a process of a kind lives on this host; what containers ask as their health check."""

import socket
from typing import Annotated, Literal

import typer
from rich.text import Text

from cli.exits import Exit
from cli.options import DatabaseUrl, Json, output, settings


def check(
    context: typer.Context,
    kind: Annotated[Literal["worker", "scheduler", "api"], typer.Argument(help="Which kind of process.")],
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Exit with 0 while a process of this kind runs on this host and its heartbeat is fresh, with 1 otherwise.

    Example: `synthralos check worker`
    """
    chosen = settings(database_url=database_url)
    from synthralos.store.database import Database  # noqa: PLC0415 - the database layer is slow to import
    from synthralos.store.processes import Processes  # noqa: PLC0415

    database = Database(chosen.database_url)
    try:
        living = Processes(database).living(kind)
    finally:
        database.close()
    host = socket.gethostname()
    fresh = [p for p in living if p.host == host and p.age < chosen.worker_lost_after]
    found = [{"id": p.id, "pid": p.pid, "state": p.state, "age": round(p.age, 3)} for p in fresh]
    answer = {"kind": kind, "host": host, "alive": bool(fresh), "processes": found}
    count = f"{len(fresh)} {kind} process{'' if len(fresh) == 1 else 'es'}"
    output(context, as_json).show(answer, lambda: Text(f"{count} alive on {host}"))
    if not fresh:
        raise typer.Exit(Exit.FAILED)
