"""`POST /api/v1/jobs`: the hot path. Durable first, then made known (`arrivals`), then 202."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.acceptance import LARGE_BODY
from api.call import Call
from api.http.answers import JsonAnswer
from api.http.auth import Caller
from api.http.bodies import parse_json, read_body, require_json, without_mark
from api.http.paths import JOBS_PATH
from api.http.problems import Problem, invalid, of_document, unavailable
from api.room import Room
from api.v1.idempotency import checked_key, fingerprint, reused
from api.v1.run_caps import bind
from pipelines.intake.errors import FieldError, ForeignTenant, InvalidJob
from pipelines.intake.parse import DEFAULT_ORGANIZATION, Parsed, build, parse, utc_now
from synthralos.domain.ids import trace_id_of
from synthralos.domain.jobs import DEFAULT_WORKSPACE, NewJob
from synthralos.domain.permissions import Permission
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.spans import parse_traceparent
from synthralos.store.queue.submissions import Idempotency, KeyReused, Submission
from synthralos.store.sql.errors import StoreBusy, StoreUnavailable
from synthralos.telemetry.context import note

Result = TypeVar("Result")


async def submit(request: Request) -> Response:
    """The route of `submit_jobs` in the framework."""
    return await submit_jobs(Call.of(request))


async def submit_jobs(call: Call) -> Response:
    """Accept one job, or an array of them: all or none."""
    room, caller = call.room, await call.admit(Permission.SUBMIT_JOBS)
    key = checked_key(call.header(b"idempotency-key"))
    require_json(call)
    with room.bodies.place() as place:
        raw = await read_body(call, room.core.settings.max_body_bytes, room.bodies, place)
        return await _submit(call, caller, key, raw)


async def _submit(call: Call, caller: Caller, key: str | None, raw: bytes) -> Response:
    room, now = call.room, utc_now()
    document, parsed = await _in_thread_if_large(room, raw, lambda: _understand(room, raw, now))
    if isinstance(parsed, InvalidJob):
        return await _replay_invalid(room, caller, key, document, parsed)
    plans = await plans_of(room, parsed, caller.scope, caller.key.plan)
    trace = parse_traceparent(call.header(b"traceparent") or "")

    def prepare() -> Submission:
        try:
            jobs = build(parsed, caller.scope, plans, trace, now)
        except ForeignTenant as error:
            raise of_document(error) from None
        for job in jobs:
            job.api_key_id = caller.key.id
        bind(room.core.live.current, jobs, now, many=parsed.many)
        return Submission(jobs, None if key is None else _idempotency(key, caller.scope, document, jobs))

    try:
        submission = await _in_thread_if_large(room, raw, prepare)
    except InvalidJob as late:
        return await _replay_invalid(room, caller, key, document, late)
    note(trace_id=submission.jobs[0].trace_id)
    return await _store(room, submission, len(raw), many=parsed.many)


async def _replay_invalid(room: Room, caller: Caller, key: str | None, document: Any, error: InvalidJob) -> Response:
    """What is not valid now may have been when it was handed in first, under the same key: raises where it was not."""
    earlier = None if key is None else await _earlier(room, key, caller.scope, document)
    if earlier is None:
        raise of_document(error) from None
    return await _replay(room, earlier, many=isinstance(document, list))


def _understand(room: Room, raw: bytes, now: datetime) -> tuple[Any, Parsed | InvalidJob]:
    document = parse_json(raw, room.core.settings.max_depth, "jobs" if _is_list(raw) else "")
    try:
        return document, parse(document, room.checks, now)
    except InvalidJob as error:
        return document, error


async def _earlier(room: Room, key: str, scope: Scope, document: Any) -> list[str] | None:
    """The jobs of an earlier submission of the very same document under the key.

    What was valid then need not be valid now: its deadline has passed, its model has left the catalog.
    """
    first = document[0] if isinstance(document, list) and document else document
    if not isinstance(first, dict):
        return None
    organization = scope.organization or first.get("organization") or DEFAULT_ORGANIZATION
    workspace = scope.workspace or first.get("workspace") or DEFAULT_WORKSPACE
    if not isinstance(organization, str) or not isinstance(workspace, str):
        return None
    used = Idempotency(_own(key, scope), fingerprint(document))
    return await room.read(lambda: room.submissions.earlier(organization, workspace, used))


def _is_list(raw: bytes) -> bool:
    return without_mark(raw[:64]).lstrip().startswith(b"[")


async def _in_thread_if_large(room: Room, raw: bytes, work: Callable[[], Result]) -> Result:
    if len(raw) < LARGE_BODY:
        return work()
    return await asyncio.get_running_loop().run_in_executor(room.threads, work)


async def plans_of(room: Room, parsed: Parsed, scope: Scope, plan: str | None) -> dict[str, str]:
    """The account plan of each organization that the jobs are of; `plan` is that of the key's own, if it has one."""
    if scope.organization is not None and plan is not None:
        return {scope.organization: plan}
    return {name: await room.plan_of(name) for name in parsed.organizations(scope)}


async def _store(room: Room, submission: Submission, size: int, *, many: bool) -> Response:
    try:
        answer = await room.accept(submission, size)
    except StoreBusy:
        raise unavailable("Too many submissions wait to be stored, and this one was refused. Send it again.") from None
    except StoreUnavailable:
        raise _not_accepted(submission.idempotency is not None) from None
    if isinstance(answer, KeyReused):
        raise reused()
    if answer.replayed:
        return await _replay(room, answer.job_ids, many=many)
    return _accepted([_receipt(job.id, job.trace_id, "queued") for job in submission.jobs], [], many=many)


async def _replay(room: Room, job_ids: list[str], *, many: bool) -> Response:
    """The answer to a key that was used before. The key belongs to the caller's tenant, and so do its jobs."""
    rows = await room.read(lambda: room.reader.jobs(job_ids, EVERYTHING))
    receipts = [
        _receipt(i, rows[i]["trace_id"], rows[i]["state"]) if i in rows else _receipt(i, trace_id_of(i), None)
        for i in job_ids
    ]
    return _accepted(receipts, [(b"idempotent-replayed", b"true")], many=many)


def _receipt(job_id: str, trace_id: str, state: str | None) -> dict[str, str | None]:
    return {"id": job_id, "state": state, "trace_id": trace_id, "url": f"{JOBS_PATH}/{job_id}"}


def _accepted(receipts: list[dict[str, str | None]], headers: list[tuple[bytes, bytes]], *, many: bool) -> Response:
    if many:
        return JsonAnswer(orjson.dumps({"jobs": receipts}), 202, headers)
    [receipt] = receipts
    return JsonAnswer(orjson.dumps(receipt), 202, [*headers, (b"location", f"{receipt['url']}".encode())])


def _idempotency(key: str, scope: Scope, document: Any, jobs: list[NewJob]) -> Idempotency:
    """The key is the tenant's own: that of a user where the caller is bound to one, else of the workspace."""
    first = jobs[0].tenant
    errors = [
        FieldError(f"jobs[{number}].workspace", "differs from the first job's", "send each workspace's jobs apart")
        for number, job in enumerate(jobs)
        if (job.tenant.organization, job.tenant.workspace) != (first.organization, first.workspace)
    ]
    if errors:
        raise invalid(errors)
    return Idempotency(_own(key, scope), fingerprint(document))


def _own(key: str, scope: Scope) -> str:
    """The key as it is stored. No key holds a line feed, so that the two forms cannot be mistaken for each other."""
    return key if scope.user is None else f"{scope.user}\n{key}"


def _not_accepted(repeatable: bool) -> Problem:
    advice = "Send it again." if repeatable else "Look for it before you send it again, or use an Idempotency-Key."
    return unavailable(f"The database did not confirm in time, so nothing is promised. {advice}")
