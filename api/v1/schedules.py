"""Schedules over HTTP: made, read, changed, removed. What is done with them is `schedule_acts`'."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from api.documents import read_json
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import forbidden, invalid_field, not_found, of_document, outdated
from api.room import Room, admit
from api.v1.configuration_views import ReasonQuery
from api.v1.idempotency import once
from api.v1.queries import decode_cursor, encode_cursor
from api.v1.schedule_views import PageQuery, ScheduleList, ScheduleView
from pipelines.intake.errors import InvalidJob
from pipelines.intake.parse import DEFAULT_ORGANIZATION, utc_now
from pipelines.intake.schedules import ScheduleIn, make_schedule, read_schedule
from synthralos.bus.protocol import Topic
from synthralos.domain.ids import is_id, new_id
from synthralos.domain.jobs import DEFAULT_WORKSPACE, Tenant
from synthralos.domain.permissions import Permission
from synthralos.domain.schedules import Schedule
from synthralos.store.admin.audit import By
from synthralos.store.admin.policies import Outdated
from synthralos.store.admin.schedules import StoredSchedule

router = APIRouter(prefix="/api/v1/schedules", tags=["schedules"])

Id = Annotated[str, Path(description="of the schedule")]
IfMatch = Annotated[
    str | None, Header(max_length=100, description='the version that the change was made of: `"3"`, as ETag gave it')
]


@router.get("", **documented(ScheduleList, "The schedules, oldest first", validated=True))
async def list_schedules(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """List the schedules that the key may see."""
    room, caller = await admit(request, Permission.READ_SCHEDULES)
    after = None if query.cursor is None else decode_cursor(query.cursor)
    found = await room.read(lambda: room.schedules.page(caller.scope, after, query.limit + 1))
    shown = found[: query.limit]
    following = encode_cursor(shown[-1].id) if len(found) > query.limit else None
    return answer({"schedules": [each.to_json() for each in shown], "next": following})


@router.post(
    "",
    **documented(ScheduleView, "The new schedule", validated=True, body=True, status=201),
    openapi_extra=takes(ScheduleIn, required=True, keyed=True),
)
async def create_schedule(request: Request) -> Response:
    """Make a schedule. Its jobs are checked now as if they were handed in; it fires from now on."""
    room, caller = await admit(request, Permission.WRITE_SCHEDULES)
    wanted = await _wanted(request, room)
    schedule = _made(wanted, new_id(), _tenant(wanted, caller), room)

    async def make(by: By) -> Response:
        return _answered(await written(room, schedule.id, lambda: room.schedules.create(schedule, by)), 201)

    async def again(made: str) -> Response:
        return _answered(await found_schedule(room, caller, made), 201)

    return await once(request, room, caller, wanted, make, again)


@router.get("/{schedule_id}", **documented(ScheduleView, "The schedule", found=True))
async def get_schedule(request: Request, schedule_id: Id) -> Response:
    """One schedule and how it stands, with its version as ETag."""
    room, caller = await admit(request, Permission.READ_SCHEDULES)
    return _answered(await found_schedule(room, caller, schedule_id))


@router.put(
    "/{schedule_id}",
    **documented(ScheduleView, "The schedule afterwards", found=True, validated=True, versioned=True, body=True),
    openapi_extra=takes(ScheduleIn, required=True),
)
async def replace_schedule(request: Request, schedule_id: Id, if_match: IfMatch = None) -> Response:
    """Replace what a schedule says; whose it is stays, and so does its next tick where times are not changed."""
    room, caller = await admit(request, Permission.WRITE_SCHEDULES)
    wanted, expected = await _wanted(request, room), expected_version(if_match)
    before = (await found_schedule(room, caller, schedule_id)).schedule
    for name in ("organization", "workspace", "user"):
        if getattr(wanted, name) not in (None, getattr(before, name)):
            raise invalid_field(name, "cannot be changed", "leave it out, or make another schedule")
    made = _made(wanted, before.id, Tenant(before.organization, before.workspace, before.user), room)
    by = By(caller.actor, wanted.reason)
    return _settled(await written(room, made.id, lambda: room.schedules.replace(made, by, expected)))


@router.delete(
    "/{schedule_id}", **documented(ScheduleView, "It, as it was", found=True, validated=True, versioned=True)
)
async def remove_schedule(
    request: Request, schedule_id: Id, query: Annotated[ReasonQuery, Query()], if_match: IfMatch = None
) -> Response:
    """Remove a schedule. What waits is dropped, jobs that run go on."""
    room, caller = await admit(request, Permission.WRITE_SCHEDULES)
    await found_schedule(room, caller, schedule_id)
    by, expected = By(caller.actor, query.reason), expected_version(if_match)
    return _settled(
        await written(room, schedule_id, lambda: room.schedules.remove(schedule_id, caller.scope, by, expected))
    )


async def written(room: Room, schedule_id: str, act: Any) -> Any:
    """What `act` returns; the leader hears of it."""

    def telling() -> Any:
        done = act()
        room.core.bus.publish(Topic.SCHEDULES, [schedule_id])
        return done

    return await room.write(telling)


async def found_schedule(room: Room, caller: Caller, schedule_id: str) -> StoredSchedule:
    """The schedule; raises a 404 where there is none that the caller may see."""
    found = await room.read(lambda: room.schedules.get(schedule_id, caller.scope)) if is_id(schedule_id) else None
    if found is None:
        raise no_schedule()
    return found


def no_schedule() -> Exception:
    """404."""
    return not_found("There is no such schedule, or none that this key may see.")


async def _wanted(request: Request, room: Room) -> ScheduleIn:
    document = await read_json(request, room)
    try:
        return read_schedule(document)
    except InvalidJob as error:
        raise of_document(error) from None


def _made(wanted: ScheduleIn, schedule_id: str, tenant: Tenant, room: Room) -> Schedule:
    try:
        return make_schedule(wanted, schedule_id, tenant, room.checks, utc_now())
    except InvalidJob as error:
        raise of_document(error) from None


def _tenant(wanted: ScheduleIn, caller: Caller) -> Tenant:
    for name in ("organization", "workspace", "user"):
        bound, named = getattr(caller.scope, name), getattr(wanted, name)
        if bound is not None and named not in (None, bound):
            raise forbidden(f"The key is bound to another {name}.")
    scope = caller.scope
    return Tenant(
        scope.organization or wanted.organization or DEFAULT_ORGANIZATION,
        scope.workspace or wanted.workspace or DEFAULT_WORKSPACE,
        scope.user or wanted.user,
    )


def _settled(outcome: StoredSchedule | Outdated | None) -> Response:
    if outcome is None:
        raise no_schedule()
    if isinstance(outcome, Outdated):
        raise outdated(f"The schedule is at version {outcome.version} now: read it again, and send that in If-Match.")
    return _answered(outcome)


def _answered(stored: StoredSchedule, status: int = 200) -> Response:
    return answer(stored.to_json(), status, {"ETag": f'"{stored.version}"'})


def expected_version(if_match: str | None) -> int | None:
    """The version in If-Match; None: any. Raises a 422."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise invalid_field("header.If-Match", "is no version", 'send the ETag that came with it, such as "3"')
    return int(text)
