"""Health: whether the process lives, and whether it can accept jobs. Open to anybody, so it says little."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.http.answers import answer
from api.http.openapi import problem
from api.room import Room, room_of
from api.v1.views import Live, Ready
from migrations.schema import current, schema_at
from synthralos.store.admin.processes import Processes
from synthralos.store.sql import outage
from synthralos.store.sql.errors import StoreError
from synthralos.telemetry.outages import DATABASE

router = APIRouter(prefix="/health", tags=["health"])


@router.head("/live", include_in_schema=False)
@router.get("/live", responses={200: {"model": Live, "description": "It does"}, 500: problem(500)})
async def live() -> Response:
    """Whether the process answers at all."""
    return answer({"status": "ok"})


@router.head("/ready", include_in_schema=False)
@router.get(
    "/ready",
    responses={
        200: {"model": Ready, "description": "Jobs are accepted"},
        503: {"model": Ready, "description": "Jobs cannot be accepted now"},
        500: problem(500),
    },
)
async def ready(request: Request) -> Response:
    """Whether jobs can be accepted: the database answers and has a schema that this release works with."""
    room = room_of(request)
    report = await room.reports.get("ready", lambda: room.write(lambda: examine(room)))
    return answer(report, 200 if report["status"] == "ready" else 503)


def examine(room: Room) -> dict[str, Any]:
    """The report; takes as long as the database takes to answer or to be found missing."""
    checks: dict[str, Any] = {"database": "unreachable", "schema": "unknown", "workers": None, "scheduler": "unknown"}
    usable = False
    try:
        schema = schema_at(current(room.core.database))
        checks |= {"database": "ok", "schema": schema}
        usable = schema.usable
        room.core.outages.works(DATABASE)
        if usable:
            checks |= _processes(room)
    except StoreError as error:
        outage.tell(room.core.outages, error)
    checks["broker"] = "ok" if room.core.doorbell.healthy else "degraded"
    return {"status": "ready" if usable else "unready", "checks": checks}


def _processes(room: Room) -> dict[str, Any]:
    silent_after = room.core.settings.worker_lost_after
    living = [p for p in Processes(room.core.database).living() if p.age < silent_after]
    workers = sum(p.kind == "worker" for p in living)
    return {"workers": workers, "scheduler": "ok" if any(p.kind == "scheduler" for p in living) else "missing"}
