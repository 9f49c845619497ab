"""`POST /api/v1/policies/simulate`: a draft of a policy set on recorded jobs, told line by line while it goes on."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Request
from pydantic import Field, JsonValue
from starlette.responses import Response, StreamingResponse

from api.documents import read_document
from api.http.auth import Caller
from api.http.openapi import line_stream, takes
from api.http.problems import forbidden, invalid_field, too_many, unavailable
from api.room import Room, admit
from api.simulations import Run, TurnLost
from api.v1.policy_documents import draft_set, found_set, found_version
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.closed import Closed
from pipelines.intake.schema import Name, Time
from synthralos.domain.permissions import Permission
from synthralos.domain.policies import PolicySet
from synthralos.store.read.recorded import Recorded
from synthralos.store.sql.errors import StoreError

router = APIRouter(prefix="/api/v1/policies", tags=["policies"])

MOST_JOBS, USUAL_JOBS = 1_000_000, 10_000
_EVERY = 0.25
"""Seconds between two lines, at least."""


class SimulateIn(Closed):
    """What to try, and on which jobs: the newest `last` of those from `since` until before `until`."""

    draft: Annotated[dict[str, JsonValue] | None, Field(description="a policy set; it counts as enforced")] = None
    policy_id: Annotated[
        str | None, Field(description="a stored set: tried as it is, or replaced by the draft while it is tried")
    ] = None
    version: Annotated[int | None, Field(ge=1, description="of the stored set; else its present one")] = None
    last: Annotated[int, Field(ge=1, le=MOST_JOBS)] = USUAL_JOBS
    since: Time | None = None
    until: Time | None = None
    organization: Annotated[Name | None, Field(description="jobs of this one alone")] = None


class ChangeView(View):
    """Jobs that fare the same before and after. Of deployments, null: none may do the job."""

    before: str | None
    after: str | None
    jobs: int
    sample_job_ids: Annotated[list[str], Field(max_length=20, description="the newest ones")]


class UseView(View):
    """How many jobs go to a deployment first."""

    deployment: str
    before: int
    after: int


class SumView(View):
    """What the jobs are estimated to cost at their first deployment; `unknown` jobs have no known price."""

    usd: str
    unknown: int


class CostView(View):
    """Before and after."""

    before: SumView
    after: SumView


class RuleMatchesView(View):
    """The jobs that a rule of the draft matched; of `errors` it could not be asked."""

    rule: str
    errors: int
    jobs: int
    sample_job_ids: list[str]


class ProgressView(View):
    """A line while it goes on. `of`: jobs at most; `reached`: how far back in time it is."""

    event: Literal["progress"]
    jobs: int
    of: int
    changed: int
    reached: str | None
    seconds: float


class FailedView(View):
    """The last line where it could not go on: a problem document."""

    event: Literal["error"]
    problem: dict[str, Any]


class SimulationView(View):
    """The last line: what the draft would change."""

    event: Literal["result"]
    jobs: int
    stopped_by_guards: Annotated[int, Field(description="jobs that policies are never asked about")]
    changed: Annotated[int, Field(description="jobs with another decision or another first deployment")]
    stopped: Annotated[int, Field(description="jobs that reach a provider now, and no longer would")]
    stopped_percent: Annotated[float, Field(description="of those that reach a provider now")]
    newest_at: str | None
    oldest_at: str | None
    decisions: list[ChangeView]
    deployments: list[UseView]
    moves: list[ChangeView]
    cost: CostView
    rules: list[RuleMatchesView]
    seconds: float


@router.post(
    "/simulate",
    **line_stream("ProgressView", "SimulationView", "FailedView"),
    openapi_extra=takes(SimulateIn, required=True),
)
async def simulate(request: Request) -> Response:
    """Try a policy set on recorded jobs: `progress` lines, and a `result`. Closing the connection calls it off."""
    room, caller = await admit(request, Permission.READ_POLICIES)
    wanted = await read_document(request, room, SimulateIn)
    draft, jobs = await _draft(room, caller, wanted), _jobs(caller, wanted)
    busy = "Wait for its end, or close its connection, and send this again."
    if room.simulations.room.locked():
        raise too_many(f"This process has as many simulations under way as it runs at once. {busy}")
    config = room.core.live.current
    run = await room.write(lambda: room.simulations.begin(config, draft, jobs, caller.scope))
    if run is None:
        raise too_many(f"Another simulation of the organization is under way, and there is one at a time. {busy}")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(room, caller, run, jobs.last), 200, headers, "application/x-ndjson")


async def _lines(room: Room, caller: Caller, run: Run, most: int) -> AsyncIterator[bytes]:
    told = -_EVERY
    try:
        async with room.simulations.room:
            while await room.write(run.step):
                if run.seconds - told < _EVERY:
                    continue
                told = run.seconds
                if room.waiters.released or not await room.auth.still_works(caller):
                    yield _line("error", {"problem": unavailable("The server stops: try again.").to_json()})
                    return
                yield _line("progress", _progress(run, most))
        # Before the last line: who has read it may begin the next one.
        await room.write(run.end)
        yield _line("result", _result(run))
    except (StoreError, TurnLost):
        yield _line("error", {"problem": unavailable().to_json()})
    finally:
        if not run.ended:  # not awaited: where the connection was closed, nothing can be
            with suppress(RuntimeError):  # the server has stopped, and the turn ends by itself
                room.threads.submit(run.end)


def _line(event: str, data: dict[str, Any]) -> bytes:
    return orjson.dumps({"event": event, **data}, option=orjson.OPT_APPEND_NEWLINE)


def _progress(run: Run, most: int) -> dict[str, Any]:
    found = run.simulation
    reached = None if found.oldest is None else rfc3339(found.oldest)
    return {
        "jobs": found.jobs,
        "of": most,
        "changed": found.changed,
        "reached": reached,
        "seconds": round(run.seconds, 3),
    }


def _result(run: Run) -> dict[str, Any]:
    report = run.simulation.report()
    times = {name: None if report[name] is None else rfc3339(report[name]) for name in ("newest_at", "oldest_at")}
    return {**report, **times, "seconds": round(run.seconds, 3)}


async def _draft(room: Room, caller: Caller, wanted: SimulateIn) -> PolicySet:
    """The set to try; raises 403, 404 and 422."""
    if wanted.draft is None and wanted.policy_id is None:
        raise invalid_field("draft", "is missing", "send a policy set, or the policy_id of a stored one")
    if wanted.version is not None and (wanted.policy_id is None or wanted.draft is not None):
        raise invalid_field("version", "belongs to a stored set that is tried as it is", "send policy_id and no draft")
    if wanted.draft is None:
        assert wanted.policy_id is not None
        if wanted.version is None:
            return await found_set(room, caller, wanted.policy_id)
        return await found_version(room, caller, wanted.policy_id, wanted.version, "version")
    return await draft_set(room, caller, wanted.draft, wanted.policy_id)


def _jobs(caller: Caller, wanted: SimulateIn) -> Recorded:
    if wanted.since is not None and wanted.until is not None and wanted.since >= wanted.until:
        raise invalid_field("until", "is not after since", "give a later time")
    own = caller.scope.organization
    if own is not None and wanted.organization not in (None, own):
        raise forbidden("The key is bound to another organization.")
    return Recorded(wanted.last, wanted.since, wanted.until, wanted.organization)
