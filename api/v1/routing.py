"""Routing over HTTP: where a job would go, and why, without running it."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from api.documents import read_json
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import invalid_field, of_document
from api.room import Room, admit
from api.v1.submit import plans_of
from api.v1.views import FailureView, Usd, View
from pipelines.intake.errors import ForeignTenant, InvalidJob
from pipelines.intake.parse import build, parse, utc_now
from pipelines.intake.schema import JobIn
from pipelines.route.stage import Explanation
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Claim, Job, NewJob
from synthralos.domain.permissions import Permission
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.states import Stage

router = APIRouter(prefix="/api/v1/route", tags=["jobs"])


class StepView(View):
    """A deployment that would be tried, in this order."""

    deployment: str
    reason: str
    estimated_cost_usd: Annotated[Usd | None, Field(description="of one call; null: its price is unknown")]
    service_tier: Annotated[str, Field(description="the provider's tier that would be asked for")]


class ExclusionView(View):
    """A deployment that would not be tried."""

    deployment: str
    reason: str


class RouteView(View):
    """Where a job would go. Every deployment is there: as a step (at flex, as two), or as an exclusion."""

    account_plan: Annotated[str, Field(description="of the job's organization")]
    strategy: Annotated[str | None, Field(description="what ordered the steps; null: there are none")]
    prompt_tokens: Annotated[int, Field(description="what the estimates count with; exact where a window is near")]
    output_tokens: Annotated[int, Field(description="what the estimates count with")]
    steps: list[StepView]
    exclusions: list[ExclusionView]
    failure: Annotated[FailureView | None, Field(description="what the job would fail with, where it may go nowhere")]


@router.post(
    "/explain",
    **documented(RouteView, "Where it would go, and why", validated=True, body=True),
    openapi_extra=takes(JobIn, required=True),
)
async def explain_route(request: Request) -> Response:
    """Say where a job would go, and why not elsewhere. Nothing is stored, guarded, called or paid."""
    room, caller = await admit(request, Permission.SUBMIT_JOBS)
    job = await _job(room, caller, await read_json(request, room))
    explained = await room.write(lambda: room.planner(room.core.live.current).explain(job))
    return answer({"account_plan": job.tenant.account_plan, **explanation_view(explained)})


def explanation_view(explained: Explanation) -> dict[str, Any]:
    """An explanation as it is answered."""
    outcome = explained.outcome
    body = outcome.body() if isinstance(outcome, RoutingPlan) else {"strategy": None, "steps": []}
    return {
        **body,
        "steps": [{"service_tier": "standard", **step} for step in body["steps"]],
        "prompt_tokens": explained.tokens_in,
        "output_tokens": explained.tokens_out,
        "exclusions": [{"deployment": e.deployment, "reason": e.reason} for e in explained.exclusions],
        "failure": outcome.to_json() if isinstance(outcome, Failure) else None,
    }


async def _job(room: Room, caller: Caller, document: Any) -> Job:
    if not isinstance(document, dict):
        raise invalid_field("body", "must be one job", "send an object as POST /api/v1/jobs takes it, not an array")
    now = utc_now()
    try:
        parsed = parse(document, room.checks, now)
        [new] = build(parsed, caller.scope, await plans_of(room, parsed, caller.scope, caller.key.plan), None, now)
    except (InvalidJob, ForeignTenant) as error:
        raise of_document(error) from None
    return _as_routed(new, now)


def _as_routed(new: NewJob, now: datetime) -> Job:
    """The job as the route stage would see it; nobody claims it."""
    return Job(
        id=new.id, tenant=new.tenant, stage=Stage.ROUTE, lane=new.lane, trace_id=new.trace_id, request=new.request,
        constraints=new.constraints, claim=Claim("explain", 0, held=False), created_at=now,
    )  # fmt: skip
