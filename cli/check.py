"""`synthralos check`: whether a process of a kind is alive on this host; what containers ask as their health check."""

import socket
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from cli.exits import Exit
from cli.options import DatabaseUrl, Json, output, settings
from synthralos.config.settings import Settings
from synthralos_client import Client, ConnectError

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - an address to ask at, not to listen on
"""Where a process that listens on every address can be asked."""


def check(
    context: typer.Context,
    kind: Annotated[Literal["worker", "scheduler", "exporter", "api"], typer.Argument(help="Which kind of process.")],
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Exit with 0 while a process of this kind is alive on this host, with 1 otherwise.

    A worker, a scheduler or an exporter is alive while its heartbeat in the database is fresh, the API while it answers
    on HOST and PORT that it is ready.

    Example: `synthralos check worker`
    """
    chosen = settings(database_url=database_url)
    answer = _api(chosen) if kind == "api" else _heartbeats(kind, chosen)
    alive = "is alive" if answer["alive"] else "is not alive"
    output(context, as_json).show({"kind": kind, **answer}, lambda: Text(f"{kind} {alive} on {socket.gethostname()}"))
    if not answer["alive"]:
        raise typer.Exit(Exit.FAILED)


def _heartbeats(kind: str, chosen: Settings) -> dict[str, Any]:
    from synthralos.store.admin.processes import Processes  # noqa: PLC0415
    from synthralos.store.sql.database import Database  # noqa: PLC0415 - the database layer is slow to import

    database = Database(chosen.database_url)
    try:
        living = Processes(database).living(kind)
    finally:
        database.close()
    here = [p for p in living if p.host == socket.gethostname() and p.age < chosen.worker_lost_after]
    found = [{"id": p.id, "pid": p.pid, "state": p.state, "age": round(p.age, 3)} for p in here]
    return {"alive": bool(here), "processes": found}


def _api(chosen: Settings) -> dict[str, Any]:
    host = WILDCARDS.get(chosen.host, chosen.host)
    url = f"http://[{host}]:{chosen.port}" if ":" in host else f"http://{host}:{chosen.port}"
    try:
        with Client(url, timeout=5.0) as client:
            health = client.health()
    except ConnectError as error:
        return {"alive": False, "url": url, "reason": str(error)}
    return {"alive": health.ready, "url": url, "health": health.raw}
