"""Routing over HTTP: where a job would go, and why, without running it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from api.documents import read_json
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import forbidden, invalid, invalid_field, of_document
from api.observations import Observation
from api.room import Room, admit
from api.v1.policy_documents import draft_set
from api.v1.route_knowledge import held_up_view, knowledge_view
from api.v1.route_views import ExplainIn, RouteView, TriedPolicies
from api.v1.submit import plans_of
from pipelines.flow.explaining import Explained
from pipelines.intake.errors import ForeignTenant, InvalidJob
from pipelines.intake.parse import build, parse, utc_now
from pipelines.intake.validation import field_errors
from synthralos.config.config import Config
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Claim, Job, NewJob
from synthralos.domain.overlays import NO_DEMANDS, Overlay
from synthralos.domain.permissions import PERMISSIONS, Permission
from synthralos.domain.plans import RoutingPlan, published
from synthralos.domain.policies import PolicySet, Reason
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Stage

router = APIRouter(prefix="/api/v1/route", tags=["jobs"])


_NOTHING = NO_DEMANDS.to_json()


@router.post(
    "/explain",
    **documented(RouteView, "Where it would go, and why", validated=True, body=True),
    openapi_extra=takes(ExplainIn, required=True),
)
async def explain_route(request: Request) -> Response:
    """Say where a job would go, and why not elsewhere, policies included. Nothing is stored, guarded or paid."""
    room, caller = await admit(request, Permission.SUBMIT_JOBS)
    document = await read_json(request, room)
    job, now = await _job(room, caller, _without_policies(document)), utc_now()
    draft = await _draft(room, caller, document.get("policies"))
    seen, config = await room.observations.now(), room.core.live.current
    explainer = room.explainer(config)
    explained = await room.write(lambda: explainer.explain(job, now, draft))
    view = explanation_view(explained, _hidden_from(caller, config.policies))
    return answer({"account_plan": job.tenant.account_plan, **view, **_as_seen(view, seen, config, caller)})


def _as_seen(view: dict[str, Any], seen: Observation, config: Config, caller: Caller) -> dict[str, Any]:
    """What the view says of what workers see: the steps with what holds them up, and where it is known from."""
    steps = [{**step, "held_up": _held_up(step["deployment"], seen, config, caller)} for step in view["steps"]]
    first = next((step["deployment"] for step in steps if step["held_up"] is None), None)
    shown = {each["deployment"] for each in (*steps, *view["exclusions"])}
    return {"steps": steps, "first_call": first, "knowledge": knowledge_view(seen, shown)}


def _held_up(deployment_id: str, seen: Observation, config: Config, caller: Caller) -> dict[str, Any] | None:
    deployment = config.catalog.get(deployment_id)
    if deployment is None:
        return None
    found = seen.gatehouse.held_up(deployment, config.credentials.names_for(deployment))
    return held_up_view(found, open_to_all=caller.scope == EVERYTHING)


def explanation_view(explained: Explained, hidden: frozenset[str] | None) -> dict[str, Any]:
    """An explanation as it is answered, without the rules of sets that are `hidden`; None: without any rules."""
    outcome = explained.explanation.outcome
    body = published(outcome.body()) if isinstance(outcome, RoutingPlan) else {"strategy": None, "steps": []}
    return {
        **body,
        "steps": [{"service_tier": "standard", "prompt_cache": None, **step} for step in body["steps"]],
        "prompt_tokens": explained.explanation.tokens_in,
        "output_tokens": explained.explanation.tokens_out,
        "exclusions": [
            {
                "deployment": each.deployment,
                "rule": each.cause.rule,
                "details": each.cause.details,
                "reason": each.reason,
                "rules": [_name(reason) for reason in explained.kept_away.get(each.deployment, ())],
            }
            for each in explained.explanation.exclusions
        ],
        "policies": _policies_view(explained, hidden),
        "failure": outcome.to_json() if isinstance(outcome, Failure) else None,
    }


def _policies_view(explained: Explained, hidden: frozenset[str] | None) -> dict[str, Any]:
    ruling = explained.ruling
    matched = [_match(reason, explained.demands, shadow=False) for reason in ruling.reasons]
    for shadow in ruling.shadows:
        matched += [_match(reason, explained.demands, shadow=True) for reason in shadow.reasons]
    return {
        "asked": explained.asked,
        "decision": str(ruling.decision),
        "reason": ruling.reason,
        "demands": _said(ruling.overlay),
        "matched": matched,
        "rules": None if hidden is None else [each for each in explained.rules if each["set_id"] not in hidden],
    }


def _match(reason: Reason, demands: Mapping[tuple[str, str], Overlay], *, shadow: bool) -> dict[str, Any]:
    return {
        **_name(reason),
        "shadow": shadow,
        "decision": str(reason.decision),
        "reason": reason.text,
        "actions": list(reason.actions),
        "demands": _said(demands.get((reason.set_id, reason.rule), NO_DEMANDS)),
        "error": reason.error,
    }


def _name(reason: Reason) -> dict[str, Any]:
    return {"set_id": reason.set_id, "set_name": reason.set_name, "version": reason.version, "rule": reason.rule}


def _said(overlay: Overlay) -> dict[str, Any]:
    """The demands without those that demand nothing."""
    return {name: value for name, value in overlay.to_json().items() if value != _NOTHING[name]}


def _hidden_from(caller: Caller, policies: Sequence[PolicySet]) -> frozenset[str] | None:
    """The sets whose conditions the key may not read; None: it may read none at all."""
    if not _reads_policies(caller):
        return None
    bound = caller.scope.organization is not None
    return frozenset(each.id for each in policies if bound and each.organization is None)


def _reads_policies(caller: Caller) -> bool:
    return Permission.READ_POLICIES in PERMISSIONS[caller.key.role]


def _without_policies(document: Any) -> Any:
    if not isinstance(document, dict):
        return document
    return {name: value for name, value in document.items() if name != "policies"}


async def _draft(room: Room, caller: Caller, tried: Any) -> PolicySet | None:
    if tried is None:
        return None
    if not _reads_policies(caller):
        raise forbidden("Trying policies needs the permission policies:read.")
    try:
        wanted = TriedPolicies.model_validate(tried)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise invalid(field_errors(details, tried, "policies")) from None
    return await draft_set(room, caller, wanted.draft, wanted.policy_id, "policies.draft.")


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
        constraints=new.constraints, claim=Claim("explain", 0, held=False), created_at=now, deadline=new.deadline,
        run_id=new.run_id, metadata=new.metadata,
    )  # fmt: skip
