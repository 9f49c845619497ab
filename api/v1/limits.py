"""Limits over HTTP: those of the account plans, and those that single organizations have of their own."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller, require_everything
from api.http.openapi import documented, takes
from api.http.problems import invalid_field, not_found
from api.room import Room, admit
from api.v1.configuration_views import (
    LimitsIn,
    LimitsList,
    LimitsView,
    OrganizationLimitsView,
    ReasonQuery,
    changed,
)
from pipelines.intake.schema import Name
from synthralos.domain.account_plans import AccountPlan
from synthralos.domain.limits import DEFAULT_PLAN, LIMIT_NAMES, rates_of
from synthralos.domain.permissions import Permission
from synthralos.store.admin.audit import By
from synthralos.store.admin.configuration import Stored

router = APIRouter(prefix="/api/v1", tags=["configuration"])

Organization = Annotated[Name, Path(description="its name")]


@router.get("/limits", **documented(LimitsList, "The limits of each plan"))
async def list_limits(request: Request) -> Response:
    """List what the account plans allow."""
    room, _ = await admit(request, Permission.READ_LIMITS)
    stored = await room.read(room.configuration.read)
    return answer({"limits": [_limits(room, stored, plan) for plan in AccountPlan]})


@router.put(
    "/limits/{plan}",
    **documented(LimitsView, "The limits afterwards", validated=True, body=True),
    openapi_extra=takes(LimitsIn, required=True),
)
async def set_limits(request: Request, plan: AccountPlan) -> Response:
    """Set the limits of a plan. Every process goes by them within two seconds; what was used stays used."""
    room, caller = await _admit_to_all(request)
    limits, reason = await _wanted(request, room)
    await room.configure(lambda: room.configuration.set_limits(plan, limits, By(caller.actor, reason)))
    return answer(_limits(room, await room.read(room.configuration.read), plan))


@router.delete("/limits/{plan}", **documented(LimitsView, "The limits, at their default", validated=True))
async def reset_limits(request: Request, plan: AccountPlan, query: Annotated[ReasonQuery, Query()]) -> Response:
    """Set the limits of a plan back to their default."""
    room, caller = await _admit_to_all(request)
    await room.configure(lambda: room.configuration.reset_limits(plan, By(caller.actor, query.reason)))
    return answer(_limits(room, await room.read(room.configuration.read), plan))


@router.get(
    "/organizations/{name}/limits",
    **documented(OrganizationLimitsView, "What it may do", found=True, validated=True),
)
async def get_organization_limits(request: Request, name: Organization) -> Response:
    """What an organization may do: its own limits, and its plan's where it has none."""
    room, caller = await admit(request, Permission.READ_LIMITS)
    if caller.scope.organization not in (None, name):
        raise not_found("No such organization is this key's.")
    return await _organization(room, name)


@router.put(
    "/organizations/{name}/limits",
    **documented(OrganizationLimitsView, "What it may do afterwards", validated=True, body=True),
    openapi_extra=takes(LimitsIn, required=True),
)
async def set_organization_limits(request: Request, name: Organization) -> Response:
    """Give an organization limits of its own; what is left out is as its plan says. In force within two seconds."""
    room, caller = await _admit_to_all(request)
    limits, reason = await _wanted(request, room)
    await room.configure(lambda: room.configuration.set_own_limits(name, limits, By(caller.actor, reason)))
    return await _organization(room, name)


@router.delete(
    "/organizations/{name}/limits",
    **documented(OrganizationLimitsView, "What it may do, by its plan", validated=True),
)
async def reset_organization_limits(
    request: Request, name: Organization, query: Annotated[ReasonQuery, Query()]
) -> Response:
    """Have an organization's plan decide again."""
    room, caller = await _admit_to_all(request)
    await room.configure(lambda: room.configuration.reset_own_limits(name, By(caller.actor, query.reason)))
    return await _organization(room, name)


async def _admit_to_all(request: Request) -> tuple[Room, Caller]:
    room, caller = await admit(request, Permission.WRITE_LIMITS)
    require_everything(caller, "change limits")
    return room, caller


async def _wanted(request: Request, room: Room) -> tuple[dict[str, Any], str]:
    """The limits that the body sets, in their stored form, and the reason."""
    wanted = await read_document(request, room, LimitsIn)
    limits: dict[str, Any] = wanted.model_dump(mode="json", include=set(LIMIT_NAMES), exclude_none=True)
    try:
        rates_of(limits.get("rates", ()))
    except ValueError as error:
        raise invalid_field("rates", str(error), "name each of them once") from None
    return limits, wanted.reason


def _limits(room: Room, stored: Stored, plan: AccountPlan) -> dict[str, Any]:
    limits = room.core.live.current.limits_of(plan)
    return {"plan": plan, **limits.to_json(), **changed(stored.limits.get(plan))}


async def _organization(room: Room, name: str) -> Response:
    stored = await room.read(room.configuration.read)
    found = await room.read(lambda: room.organizations.all(name))
    plan = found[0].plan if found else DEFAULT_PLAN
    own = stored.own_limits.get(name)
    named: Mapping[str, Any] = {} if own is None else own.value
    limits = room.core.live.current.limits_for(name, plan)
    return answer({"organization": name, "plan": plan, **limits.to_json(), "own": sorted(named), **changed(own)})
