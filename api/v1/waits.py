"""Wait points over HTTP: what waits for an approval or a signal, and answering it. Agents open their own for runs."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import conflict, invalid_field, not_found, of_document
from api.room import Room, admit
from api.v1.idempotency import once
from api.v1.queries import encode_cursor
from api.v1.wait_views import (
    AnswerIn,
    AnswerQuery,
    RunWaitIn,
    WaitList,
    WaitsQuery,
    WaitView,
    wait_view,
)
from pipelines.intake.errors import FieldError, ForeignTenant
from pipelines.intake.parse import DEFAULT_ORGANIZATION
from synthralos.bus.protocol import POLL_SECONDS
from synthralos.control.operator import Actor
from synthralos.domain.ids import is_id
from synthralos.domain.jobs import DEFAULT_WORKSPACE, Tenant
from synthralos.domain.permissions import Permission
from synthralos.domain.waits import Answer, Wait, WaitKind, WaitState
from synthralos.store.admin.audit import By
from synthralos.store.queue.waits import MOST_OPEN, Answered, AskedOfRun, Closed

router = APIRouter(prefix="/api/v1", tags=["waits"])

WaitId = Annotated[str, Path(min_length=1, max_length=64)]
RunId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$", description="the `run_id`")]

_ANSWERED = documented(WaitView, "It afterwards", found=True, validated=True, conflicting=True, body=True)
_OPENED = documented(WaitView, "It", validated=True, conflicting=True, body=True, status=201)


@router.get("/waits", **documented(WaitList, "A page of wait points, newest first", validated=True))
async def list_waits(request: Request, query: Annotated[WaitsQuery, Query()]) -> Response:
    """List wait points, newest first; with `state=open`, those that somebody has to answer."""
    room, caller = await admit(request, Permission.READ_JOBS)
    wanted = query.wanted()
    found = await room.read(lambda: room.wait_points.page(wanted, caller.scope, query.limit + 1))
    shown = found[: query.limit]
    following = encode_cursor(shown[-1].id) if len(found) > query.limit else None
    return answer({"waits": [wait_view(each) for each in shown], "next": following})


@router.get("/waits/{wait_id}", **documented(WaitView, "It", found=True, validated=True))
async def get_wait(request: Request, wait_id: WaitId, query: Annotated[AnswerQuery, Query()]) -> Response:
    """One wait point; with `wait`, as soon as it is answered or the time is over."""
    room, caller = await admit(request, Permission.READ_JOBS)
    return answer(wait_view(await _when_answered(room, caller, wait_id, None, query.wait)))


@router.post("/waits/{wait_id}", **_ANSWERED, openapi_extra=takes(AnswerIn, required=True))
async def answer_wait(request: Request, wait_id: WaitId) -> Response:
    """Answer a wait point. Its job goes on where it stopped, or is denied; the same answer again changes nothing."""
    room, caller = await admit(request, Permission.ANSWER_WAITS)
    said = await read_document(request, room, AnswerIn)
    found = await _found(room, caller, wait_id)
    given = _answer_to(found, said)
    actor = Actor(caller.actor, caller.scope, said.comment)
    outcome = await room.write(lambda: room.answering.answer(found.id, given, actor))
    if isinstance(outcome, Closed):
        return _closed(outcome, given)
    return answer(wait_view(outcome.wait if isinstance(outcome, Answered) else found))


@router.post("/runs/{run_id}/waits", **_OPENED, openapi_extra=takes(RunWaitIn, required=True, keyed=True))
async def open_run_wait(request: Request, run_id: RunId) -> Response:
    """Ask for an approval or a signal for a run. With an Idempotency-Key, asking again gives the same wait point."""
    room, caller = await admit(request, Permission.SUBMIT_JOBS)
    wanted = await read_document(request, room, RunWaitIn)
    tenant = _tenant(caller, wanted)
    asked = AskedOfRun(
        run_id, wanted.kind, wanted.name, wanted.prompt, wanted.within_seconds, wanted.default_answer
    )  # fmt: skip

    async def make(by: By) -> Response:
        opened = await room.write(lambda: room.wait_points.open(asked, tenant, by))
        if opened is None:
            raise conflict(f"The run has {MOST_OPEN:,} open waits: have some answered first.")
        return answer(wait_view(opened), 201)

    async def again(made: str) -> Response:
        return answer(wait_view(await _found(room, caller, made, run_id)), 201)

    return await once(request, room, caller, wanted, make, again)


@router.get("/runs/{run_id}/waits/{wait_id}", **documented(WaitView, "It", found=True, validated=True))
async def get_run_wait(
    request: Request, run_id: RunId, wait_id: WaitId, query: Annotated[AnswerQuery, Query()]
) -> Response:
    """One wait point of a run; with `wait`, as soon as it is answered or the time is over."""
    room, caller = await admit(request, Permission.READ_JOBS)
    return answer(wait_view(await _when_answered(room, caller, wait_id, run_id, query.wait)))


async def _when_answered(room: Room, caller: Caller, wait_id: str, run_id: str | None, seconds: float) -> Wait:
    """The wait point as it is when it is answered, or after so many seconds.

    Who waits hears of an answer by the bus, and looks by itself once a second, because the bus may lose it.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while True:
        with room.waiters.watching(wait_id.lower()) as heard:
            found = await _found(room, caller, wait_id, run_id)
            left = until - clock()
            if found.state is not WaitState.OPEN or left <= 0 or room.waiters.released:
                return found
            await heard(min(left, POLL_SECONDS))


async def _found(room: Room, caller: Caller, wait_id: str, run_id: str | None = None) -> Wait:
    found = None
    if is_id(wait_id):
        found = await room.read(lambda: room.wait_points.get(wait_id.lower(), caller.scope, run_id))
    if found is None:
        raise not_found("There is no such wait point, or none that this key may see.")
    return found


def _answer_to(wait: Wait, said: AnswerIn) -> Answer:
    if wait.kind is WaitKind.APPROVAL:
        if said.answer is None or said.payload is not None:
            raise invalid_field("answer", "is what an approval wants, alone", "send approve or deny")
        return {"answer": said.answer}
    if said.payload is None or said.answer is not None:
        raise invalid_field(
            "payload", "is what a signal wants, alone", "send an object; {} where there is no more to say"
        )
    return {"payload": said.payload}


def _closed(closed: Closed, given: Answer) -> Response:
    """The same answer once more changes nothing; any other is refused, with who answered."""
    wait = closed.wait
    if closed.job_state is not None:
        raise conflict(f"The job is {closed.job_state} at this moment: look again.")
    if wait.state is WaitState.ANSWERED and wait.answer == given:
        return answer(wait_view(wait))
    at = "" if wait.answered_at is None else f" at {wait.answered_at.isoformat(timespec='seconds')}"
    raise conflict(f"It is not open any more: {wait.told}{at}.")


def _tenant(caller: Caller, wanted: RunWaitIn) -> Tenant:
    scope = caller.scope
    for name, given, bound in (
        ("organization", wanted.organization, scope.organization), ("workspace", wanted.workspace, scope.workspace)
    ):  # fmt: skip
        if bound is not None and given is not None and given != bound:
            foreign = FieldError(name, "is not the key's", "leave it out, or use another key")
            raise of_document(ForeignTenant([foreign]))
    organization = scope.organization or wanted.organization or DEFAULT_ORGANIZATION
    return Tenant(organization, scope.workspace or wanted.workspace or DEFAULT_WORKSPACE, scope.user)
