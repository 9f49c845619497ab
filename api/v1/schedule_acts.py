"""What is done with schedules over HTTP: paused, resumed, run, filled in afterwards; and what became of their ticks."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.openapi import documented, takes
from api.http.problems import not_found, of_document
from api.room import Room, admit
from api.v1.idempotency import once
from api.v1.schedule_views import (
    BackfillIn,
    BackfillList,
    BackfillView,
    FiringList,
    FiringQuery,
    NextQuery,
    PauseIn,
    ScheduleView,
    StartedView,
    TickList,
    decode_time_cursor,
    encode_time_cursor,
    firing_view,
)
from api.v1.schedules import Id, found_schedule, no_schedule, written
from pipelines.intake.errors import InvalidJob
from pipelines.intake.parse import utc_now
from pipelines.intake.schedules import backfill_ticks, new_jobs, previewed
from pipelines.intake.schema import ReasonIn
from synthralos.control.ringing import ring_for
from synthralos.domain.firings import Outcome
from synthralos.domain.permissions import Permission
from synthralos.domain.schedules import Overlap
from synthralos.domain.states import Stage
from synthralos.store.admin.audit import By
from synthralos.store.admin.schedules import StoredSchedule
from synthralos.store.queue.firings import NewFiring

router = APIRouter(prefix="/api/v1/schedules", tags=["schedules"])

_STANDS = documented(ScheduleView, "The schedule afterwards", found=True, validated=True, body=True)


@router.post("/{schedule_id}/pause", **_STANDS, openapi_extra=takes(PauseIn, required=False))
async def pause_schedule(request: Request, schedule_id: Id) -> Response:
    """Have a schedule fire no more, with a note why. Jobs that run go on."""
    room, caller = await admit(request, Permission.WRITE_SCHEDULES)
    wanted = await read_document(request, room, PauseIn, optional=True)
    await found_schedule(room, caller, schedule_id)
    by = By(caller.actor, wanted.reason or wanted.note)
    paused = await written(room, schedule_id, lambda: room.schedules.pause(schedule_id, caller.scope, wanted.note, by))
    return _stands(paused)


@router.post("/{schedule_id}/resume", **_STANDS, openapi_extra=takes(ReasonIn, required=False))
async def resume_schedule(request: Request, schedule_id: Id) -> Response:
    """Have a schedule fire again from now on; what fell into the pause was not missed."""
    room, caller = await admit(request, Permission.WRITE_SCHEDULES)
    wanted = await read_document(request, room, ReasonIn, optional=True)
    await found_schedule(room, caller, schedule_id)
    by = By(caller.actor, wanted.reason)
    resumed = await written(room, schedule_id, lambda: room.schedules.resume(schedule_id, caller.scope, by))
    return _stands(resumed)


@router.post(
    "/{schedule_id}/run",
    **documented(StartedView, "What was started", found=True, validated=True, body=True, status=202),
    openapi_extra=takes(ReasonIn, required=False, keyed=True),
)
async def run_schedule(request: Request, schedule_id: Id) -> Response:
    """Start a schedule's jobs now, beside its ticks, whatever runs, and also while it is paused."""
    room, caller = await admit(request, Permission.WRITE_SCHEDULES)
    wanted = await read_document(request, room, ReasonIn, optional=True)
    stored = await found_schedule(room, caller, schedule_id)
    plan = await room.plan_of(stored.schedule.organization)

    async def make(by: By) -> Response:
        firing = await written(room, schedule_id, lambda: _run(room, stored, plan, by))
        return _started(firing.fire_at, [job.id for job in firing.jobs], firing.run_id)

    async def again(made: str) -> Response:
        at = datetime.fromisoformat(made)
        found = await room.read(lambda: room.firings.page(schedule_id, at + timedelta(microseconds=1), 1))
        if not found or found[0]["fire_at"] != at:
            raise not_found("What this key started is not on record any more.")
        return _started(at, found[0]["job_ids"], found[0]["run_id"])

    return await once(request, room, caller, wanted, make, again)


@router.get("/{schedule_id}/next", **documented(TickList, "The next ticks", found=True, validated=True))
async def preview_schedule(request: Request, schedule_id: Id, query: Annotated[NextQuery, Query()]) -> Response:
    """When a schedule fires next, with marks where clocks are moved; also while it is paused."""
    room, caller = await admit(request, Permission.READ_SCHEDULES)
    schedule = (await found_schedule(room, caller, schedule_id)).schedule
    return answer({"ticks": await room.write(lambda: previewed(schedule, utc_now(), query.count))})


@router.get("/{schedule_id}/firings", **documented(FiringList, "What became of its ticks", found=True, validated=True))
async def list_firings(request: Request, schedule_id: Id, query: Annotated[FiringQuery, Query()]) -> Response:
    """What became of a schedule's ticks, newest first, with their jobs."""
    room, caller = await admit(request, Permission.READ_SCHEDULES)
    before = None if query.cursor is None else decode_time_cursor(query.cursor)
    await found_schedule(room, caller, schedule_id)
    found = await room.read(lambda: room.firings.page(schedule_id, before, query.limit + 1, query.outcome))
    shown = found[: query.limit]
    following = encode_time_cursor(shown[-1]["fire_at"]) if len(found) > query.limit else None
    return answer({"firings": [firing_view(row) for row in shown], "next": following})


@router.post(
    "/{schedule_id}/backfill",
    **documented(BackfillView, "The backfill", found=True, validated=True, body=True, status=202),
    openapi_extra=takes(BackfillIn, required=True, keyed=True),
)
async def start_backfill(request: Request, schedule_id: Id) -> Response:
    """Fire the ticks of a time that is over, those that did not fire; 10,000 at most."""
    room, caller = await admit(request, Permission.WRITE_SCHEDULES)
    wanted = await read_document(request, room, BackfillIn)
    schedule = (await found_schedule(room, caller, schedule_id)).schedule
    start, end, overlap = wanted.start, wanted.end, Overlap(wanted.overlap)

    async def make(by: By) -> Response:
        try:
            total = await room.write(lambda: backfill_ticks(schedule, start, end, utc_now()))
        except InvalidJob as error:
            raise of_document(error) from None
        made = await written(room, schedule_id, lambda: room.backfills.create(schedule, start, end, overlap, total, by))
        return answer(made.to_json(), 202)

    async def again(made: str) -> Response:
        found = [each for each in await room.read(lambda: room.backfills.of(schedule_id)) if each.id == made]
        if not found:
            raise not_found("The backfill that this key started is not on record any more.")
        return answer(found[0].to_json(), 202)

    return await once(request, room, caller, wanted, make, again)


@router.get("/{schedule_id}/backfill", **documented(BackfillList, "Its backfills, newest first", found=True))
async def list_backfills(request: Request, schedule_id: Id) -> Response:
    """A schedule's backfills, and how far they are."""
    room, caller = await admit(request, Permission.READ_SCHEDULES)
    await found_schedule(room, caller, schedule_id)
    found = await room.read(lambda: room.backfills.of(schedule_id))
    return answer({"backfills": [each.to_json() for each in found]})


def _started(fire_at: datetime, job_ids: Sequence[str], run_id: str | None) -> Response:
    return answer({"fire_at": fire_at.isoformat(), "job_ids": list(job_ids), "run_id": run_id}, 202)


def _run(room: Room, stored: StoredSchedule, plan: str, by: By) -> NewFiring:
    schedule, now = stored.schedule, utc_now()
    try:
        jobs, run_id = new_jobs(schedule, _no_tick(now), plan, now, room.checks.unclassified)
    except InvalidJob as error:
        raise of_document(error) from None
    firing = NewFiring(
        schedule.id,
        _no_tick(now),
        schedule.organization,
        Outcome.FIRED,
        f"run by {by.actor}",
        jobs,
        run_id,
        lateness=0.0,
    )
    while not room.firings.run_now(stored, firing, by):
        firing = firing._replace(fire_at=firing.fire_at + timedelta(microseconds=1))
    room.counts.accepted(job.lane for job in jobs)
    ring_for(room.core.doorbell, ((Stage.GUARD, job.lane, job.id) for job in jobs))
    return firing


def _no_tick(now: datetime) -> datetime:
    """A time at which no tick is: those of cron are whole seconds."""
    return now if now.microsecond else now.replace(microsecond=1)


def _stands(stored: StoredSchedule | None) -> Response:
    if stored is None:
        raise no_schedule()
    return answer(stored.to_json(), 200, {"ETag": f'"{stored.version}"'})
