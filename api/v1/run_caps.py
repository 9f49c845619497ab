"""Caps of agent runs over HTTP: set, removed, and bound to what is handed in."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import conflict, forbidden, invalid_field, not_found
from api.room import Room, admit
from api.v1.configuration_views import ReasonQuery
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.closed import Closed
from pipelines.intake.errors import FieldError, InvalidJob
from pipelines.intake.parse import DEFAULT_ORGANIZATION
from pipelines.intake.schema import MOST_SECONDS, Name, Reason, Time, Usd
from synthralos.config.config import Config
from synthralos.domain.budgets import MOST_USD
from synthralos.domain.jobs import NewJob
from synthralos.domain.permissions import Permission
from synthralos.domain.run_caps import DEFAULT_REPEATS, MOST_CALLS, MOST_CAPPED, MOST_REPEATS, CapsUse, RunCaps
from synthralos.store.admin.audit import By

router = APIRouter(prefix="/api/v1/runs", tags=["healing"])

RunId = Annotated[
    str, Path(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$", description="the `run_id` of its jobs")
]


class RunCapsIn(Closed):
    """Caps of one run. They take the place of those that it had. docs/healing.md explains them."""

    max_calls: Annotated[
        int | None, Field(ge=0, le=MOST_CALLS, description="calls to providers, those before the caps included")
    ] = None
    max_cost_usd: Annotated[
        Usd | None, Field(description="USD as decimal text or a number, what was spent before included")
    ] = None
    deadline: Annotated[Time | None, Field(description="no call of the run starts after it")] = None
    max_seconds: Annotated[
        float | None, Field(gt=0, le=MOST_SECONDS, description="instead of deadline: seconds from now")
    ] = None
    max_repeats: Annotated[
        int,
        Field(
            ge=1,
            le=MOST_REPEATS,
            description="a step with the same input that was answered the same so often in a row is not asked again",
        ),
    ] = DEFAULT_REPEATS
    organization: Annotated[Name | None, Field(description="whose run it is; for keys that are bound to none")] = None
    reason: Reason = ""


class RunCapsView(View):
    """The caps of a run, and what was used of them."""

    organization: str
    run_id: str
    max_calls: int | None
    max_cost_usd: str | None
    deadline: AwareDatetime | None
    max_repeats: int
    calls: Annotated[int, Field(description="that have begun")]
    spent_usd: Annotated[str | None, Field(description="with what may have been billed; null without max_cost_usd")]
    held_usd: Annotated[str | None, Field(description="reserved for calls under way; null without max_cost_usd")]
    refused_reason: Annotated[str | None, Field(description="why a call was last refused since the caps were set")]
    refused_at: AwareDatetime | None


class OrganizationQuery(ReasonQuery):
    """Whose run it is."""

    organization: Annotated[Name | None, Field(description="for keys that are bound to none")] = None


@router.put(
    "/{run_id}",
    **documented(RunCapsView, "The caps of the run", validated=True, conflicting=True, body=True),
    openapi_extra=takes(RunCapsIn, required=True),
)
async def cap_run(request: Request, run_id: RunId) -> Response:
    """Set the caps of a run, before its first job or at any time; in force in every process within two seconds.

    Calls that have no room fail with a reason, and `recover` sends them through again once a cap is raised.
    """
    room, caller = await admit(request, Permission.CAP_RUNS)
    wanted = await read_document(request, room, RunCapsIn)
    caps, by = _caps(caller, run_id, wanted), By(caller.actor, wanted.reason)
    done = await room.configure(lambda: room.run_caps.put(caps, wanted.max_seconds, by))
    if done is None:
        raise conflict(f"{MOST_CAPPED:,} runs have caps: remove those of runs that are over first.")
    return answer(caps_view(done))


@router.delete("/{run_id}/caps", **documented(RunCapsView, "They, as they were", found=True, validated=True))
async def uncap_run(request: Request, run_id: RunId, query: Annotated[OrganizationQuery, Query()]) -> Response:
    """Remove the caps of a run; its open jobs go back to their own deadlines."""
    room, caller = await admit(request, Permission.CAP_RUNS)
    organization = _organization(caller, query.organization)
    before = await room.read(lambda: room.run_caps.of_run(run_id, organization))
    by = By(caller.actor, query.reason)
    removed = await room.configure(lambda: room.run_caps.remove(run_id, organization, by))
    if removed is None or not before:
        raise not_found("The run has no caps, or none that this key may see.")
    return answer(caps_view(before[0]))


async def caps_of(room: Room, caller: Caller, run_id: str) -> list[dict[str, Any]]:
    """The caps of the run in each organization that the caller sees."""
    found = await room.read(lambda: room.run_caps.of_run(run_id, caller.scope.organization))
    return [caps_view(use) for use in found]


def bind(config: Config, jobs: Iterable[NewJob], now: datetime, *, many: bool) -> None:
    """Give jobs of capped runs the deadline of their run; raises `InvalidJob` where that has passed."""
    if not config.run_caps:
        return
    errors: list[FieldError] = []
    for number, job in enumerate(jobs):
        caps = config.caps_of(job)
        if caps is None or caps.deadline is None:
            continue
        if caps.deadline <= now:
            field = f"jobs[{number}].run_id" if many else "run_id"
            remedy = f"raise it by PUT /api/v1/runs/{job.run_id}, or begin another run"
            errors.append(FieldError(field, f"names a run whose deadline passed at {rfc3339(caps.deadline)}", remedy))
        job.deadline = caps.deadline if job.deadline is None else min(job.deadline, caps.deadline)
    if errors:
        raise InvalidJob(errors)


def caps_view(use: CapsUse) -> dict[str, Any]:
    """The published form."""
    counted = use.caps.max_cost is not None
    return {
        "organization": use.caps.organization,
        "run_id": use.caps.run_id,
        **use.caps.to_json(),
        "calls": use.calls,
        "spent_usd": format(use.spent, "f") if counted else None,
        "held_usd": format(use.held, "f") if counted else None,
        "refused_reason": use.refused_reason,
        "refused_at": rfc3339(use.refused_at),
    }


def _caps(caller: Caller, run_id: str, wanted: RunCapsIn) -> RunCaps:
    """Raises a 422 for what no caps can be."""
    if wanted.deadline is not None and wanted.max_seconds is not None:
        raise invalid_field("max_seconds", "is given beside deadline", "send one of the two")
    if wanted.max_cost_usd is not None and wanted.max_cost_usd > MOST_USD:
        raise invalid_field("max_cost_usd", f"is more than {MOST_USD:,}", "send a smaller sum")
    organization = _organization(caller, wanted.organization)
    return RunCaps(
        organization, run_id, wanted.max_calls, wanted.deadline, wanted.max_repeats, max_cost=wanted.max_cost_usd
    )


def _organization(caller: Caller, named: str | None) -> str:
    """Raises a 403 for a key that sees only a part of the organization's runs, or none of that one's."""
    scope = caller.scope
    if scope.workspace is not None or scope.user is not None:
        raise forbidden("A run may reach over workspaces and users: only a key of the whole organization may cap it.")
    if scope.organization is not None and named not in (None, scope.organization):
        foreign = FieldError("organization", "is not the key's", "leave it out, or use another key")
        raise forbidden("The key is bound to one tenant, and organization names another.", [foreign])
    return scope.organization or named or DEFAULT_ORGANIZATION
