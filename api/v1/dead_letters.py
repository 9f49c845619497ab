"""Dead letters over HTTP: jobs that failed for good, what they failed of, and operations on many of them."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import conflict, invalid, invalid_field, not_found
from api.room import Room, admit
from api.v1.dead_letter_views import (
    CauseList,
    Change,
    DeadLetterQuery,
    FilterQuery,
    OperationIn,
    OperationList,
    OperationsQuery,
    OperationView,
    cause_view,
    operation_view,
)
from api.v1.idempotency import once
from api.v1.operations import constraint_changes
from api.v1.queries import encode_cursor
from api.v1.views import JobPage
from pipelines.analyze.restricted import restricted_job
from pipelines.analyze.trace import job_view
from pipelines.intake.errors import FieldError
from pipelines.intake.schema import ReasonIn
from synthralos.bus.protocol import Topic
from synthralos.domain.bulk import BulkAct, BulkOperation, BulkState
from synthralos.domain.ids import is_id
from synthralos.domain.permissions import Permission
from synthralos.store.admin.audit import By

router = APIRouter(prefix="/api/v1/dead-letters", tags=["healing"])

_MADE = documented(OperationView, "The operation, running", found=True, validated=True, body=True, status=202)


@router.get("", **documented(JobPage, "A page of dead letters, newest first", validated=True))
async def list_dead_letters(request: Request, query: Annotated[DeadLetterQuery, Query()]) -> Response:
    """List the jobs that failed for good, newest first, without their requests."""
    room, caller = await admit(request, Permission.READ_JOBS)
    before = OperationsQuery(cursor=query.cursor).before
    found = await room.read(lambda: room.dead_letters.page(query.wanted(), caller.scope, query.limit + 1, before))
    shown = found[: query.limit]
    rows = await room.read(lambda: room.reader.summaries(shown))
    following = encode_cursor(shown[-1]) if len(found) > query.limit else None
    jobs = [job_view(rows[i], detail=False) for i in shown if i in rows]
    return answer({"jobs": [*map(restricted_job, jobs)] if caller.restricted else jobs, "next": following})


@router.get("/causes", **documented(CauseList, "What they failed of", validated=True))
async def list_causes(request: Request, query: Annotated[FilterQuery, Query()]) -> Response:
    """Group dead letters by failure class, provider's code and status: how many, since when, and some of them."""
    room, caller = await admit(request, Permission.READ_JOBS)
    causes, more = await room.read(lambda: room.dead_letters.causes(query.wanted(), caller.scope))
    return answer({"causes": [cause_view(cause) for cause in causes], "more": more})


@router.get("/operations", **documented(OperationList, "A page of operations, newest first", validated=True))
async def list_operations(request: Request, query: Annotated[OperationsQuery, Query()]) -> Response:
    """List the operations on dead letters, newest first."""
    room, caller = await admit(request, Permission.READ_JOBS)
    found = await room.read(lambda: room.bulk.page(caller.scope, query.limit + 1, query.before))
    shown = found[: query.limit]
    following = encode_cursor(shown[-1].id) if len(found) > query.limit else None
    return answer({"operations": [operation_view(each) for each in shown], "next": following})


@router.post("/operations", **_MADE, openapi_extra=takes(OperationIn, required=True, keyed=True))
async def operate(request: Request) -> Response:
    """Retry or reroute all dead letters that fit a filter, in the background. It goes on whatever process dies.

    With an Idempotency-Key, the same call again gives the same operation.
    """
    room, caller = await admit(request, Permission.RETRY_JOBS)
    wanted = await read_document(request, room, OperationIn)
    if wanted.act is BulkAct.REROUTE:
        await admit(request, Permission.REROUTE_JOBS)
    changes = _changes(room, wanted)
    act, wanted_ones, scope = wanted.act, wanted.filter.wanted(), caller.scope
    more: dict[str, Any] = {"name": wanted.name, "changes": changes, "per_second": wanted.per_second}
    return await _made(request, room, caller, wanted, lambda by: room.bulk.create(act, wanted_ones, scope, by, **more))


@router.get("/operations/{operation_id}", **documented(OperationView, "It", found=True))
async def get_operation(request: Request, operation_id: str) -> Response:
    """One operation, with how far it is."""
    room, caller = await admit(request, Permission.READ_JOBS)
    return answer(operation_view(await _found(room, caller, operation_id)))


@router.post("/operations/{operation_id}/repeat", **_MADE, openapi_extra=takes(ReasonIn, required=False, keyed=True))
async def repeat_operation(request: Request, operation_id: str) -> Response:
    """Do the same to the dead letters that there are now."""
    room, caller = await admit(request, Permission.RETRY_JOBS)
    body = await read_document(request, room, ReasonIn, optional=True)
    old = await _found(room, caller, operation_id)
    if old.act is BulkAct.REROUTE:
        await admit(request, Permission.REROUTE_JOBS)
    more: dict[str, Any] = {"name": old.name, "changes": old.changes, "per_second": old.per_second, "repeats": old.id}

    def create(by: By) -> BulkOperation:
        return room.bulk.create(old.act, old.filter, old.scope, by._replace(reason=by.reason or old.reason), **more)

    return await _made(request, room, caller, body, create)


@router.post(
    "/operations/{operation_id}/{change}",
    **documented(OperationView, "It afterwards", found=True, validated=True, conflicting=True, body=True),
    openapi_extra=takes(ReasonIn, required=False),
)
async def change_operation(request: Request, operation_id: str, change: Change) -> Response:
    """Pause, resume or cancel an operation. What it did stays done."""
    room, caller = await admit(request, Permission.RETRY_JOBS)
    body = await read_document(request, room, ReasonIn, optional=True)
    found = await _found(room, caller, operation_id)
    by = By(caller.actor, body.reason)
    after = await room.write(lambda: room.bulk.change(found.id, change, caller.scope, by))
    await room.tell(Topic.OPERATIONS, [found.id])
    if isinstance(after, BulkState):
        raise conflict(f"Cannot {change} an operation that is {after}.")
    return answer(operation_view(after or found))


async def _made(
    request: Request, room: Room, caller: Caller, wanted: BaseModel, create: Callable[[By], BulkOperation]
) -> Response:
    """The operation that is made now, of which the leader hears, or was made under the key before."""

    async def make(by: By) -> Response:
        made = await room.write(lambda: create(by))
        await room.tell(Topic.OPERATIONS, [made.id])
        return answer(operation_view(made), 202)

    async def again(made: str) -> Response:
        return answer(operation_view(await _found(room, caller, made)), 202)

    return await once(request, room, caller, wanted, make, again)


def _changes(room: Room, wanted: OperationIn) -> dict[str, Any]:
    if wanted.changes is None:
        return {}
    if wanted.act is not BulkAct.REROUTE:
        raise invalid_field("changes", "is for reroutes alone", "leave it out, or set act to reroute")
    errors = list(room.checks.check_constraints(wanted.changes, "changes."))
    if errors:
        raise invalid([FieldError(*error) if isinstance(error, tuple) else error for error in errors])
    return constraint_changes(wanted.changes)


async def _found(room: Room, caller: Caller, operation_id: str) -> BulkOperation:
    found = None
    if is_id(operation_id):
        found = await room.read(lambda: room.bulk.get(operation_id.lower(), caller.scope))
    if found is None:
        raise not_found("There is no such operation, or none that this key may see.")
    return found
