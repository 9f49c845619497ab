"""Budgets over HTTP: set, raised for a time, removed, and what was used of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller, require_everything
from api.http.openapi import documented, takes
from api.http.problems import invalid_field, not_found
from api.room import Room, admit
from api.v1.configuration_views import ReasonQuery
from api.v1.idempotency import once
from api.v1.queries import KeyId
from api.v1.views import View
from pipelines.intake.closed import Closed
from pipelines.intake.parse import utc_now
from pipelines.intake.schema import Name, Reason, Time, Usd
from synthralos.domain.budgets import DEFAULT_ALERTS, MOST_USD, AtLimit, Budget, Per, Period, Raised, Use
from synthralos.domain.ids import is_id, new_id
from synthralos.domain.permissions import Permission
from synthralos.store.admin.audit import By

router = APIRouter(prefix="/api/v1/budgets", tags=["configuration"])

Id = Annotated[str, Path(description="of the budget")]
Limit = Annotated[Usd, Field(description="USD a period, as decimal text or a number")]
_CHANGE = "change budgets"


class BudgetIn(Closed):
    """So much money for each `per` in each `period`. docs/budgets.md explains it."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
    per: Annotated[
        Literal["organization", "workspace", "user", "run", "job", "api_key"],
        Field(description="whose spending counts together"),
    ]
    period: Annotated[Literal["hour", "day", "month", "total"], Field(description="calendar time in UTC")]
    limit_usd: Limit
    at_limit: Annotated[
        Literal["park", "deny", "cheaper"],
        Field(description="wait for the next period, fail, or go to a cheaper model of the plan"),
    ] = "deny"
    organization: Annotated[Name | None, Field(description="for this one alone; else for each")] = None
    workspace: Annotated[Name | None, Field(description="for this one alone; with its organization")] = None
    user: Annotated[Name | None, Field(description="for this one alone; with its organization")] = None
    api_key: Annotated[
        KeyId | None, Field(description="for the jobs that were submitted with the API key of this id alone")
    ] = None
    alerts: Annotated[
        list[Annotated[int, Field(ge=1, le=1000)]],
        Field(
            default_factory=lambda: list(DEFAULT_ALERTS),
            max_length=10,
            description="percentages of the limit that are told of, once a period; [80, 100] where left out",
        ),
    ]
    reason: Reason = ""


class RaiseIn(Closed):
    """Another limit until a time, and why."""

    limit_usd: Limit
    until: Time
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$", description="goes on record")]


class RaisedView(View):
    """Another limit for a time."""

    limit_usd: str
    until: AwareDatetime
    by: str
    reason: str


class UseView(View):
    """What was used in the present period. Held: reserved for calls under way. Maybe: of calls whose end nobody saw."""

    subject: Annotated[str, Field(description="the organization, organization/workspace, organization/user …")]
    since: AwareDatetime
    held_usd: str
    spent_maybe_usd: str
    spent_usd: str


class BudgetView(View):
    """A budget. `uses`: in the present period, those who spent most first, 1,000 at most; null in lists."""

    id: str
    name: str
    organization: str | None
    workspace: str | None
    user: str | None
    api_key: str | None
    per: str
    period: str
    limit_usd: str
    at_limit: str
    alerts: list[int]
    raised: RaisedView | None
    uses: list[UseView] | None


class BudgetList(View):
    """Budgets, oldest first."""

    budgets: list[BudgetView]


_ONE = documented(BudgetView, "The budget", found=True)
_CHANGED = documented(BudgetView, "The budget afterwards", found=True, validated=True, body=True)


@router.get("", **documented(BudgetList, "The budgets"))
async def list_budgets(request: Request) -> Response:
    """List the budgets of the key's tenant."""
    room, caller = await admit(request, Permission.READ_BUDGETS)
    found = await room.read(lambda: room.budgets.all(caller.scope))
    return answer({"budgets": [_view(budget) for budget in found]})


@router.post(
    "",
    **documented(BudgetView, "The new budget", validated=True, body=True, status=201),
    openapi_extra=takes(BudgetIn, required=True, keyed=True),
)
async def create_budget(request: Request) -> Response:
    """Make a budget. It holds calls that start from then on, in every process within two seconds."""
    room, caller = await admit(request, Permission.WRITE_BUDGETS)
    require_everything(caller, _CHANGE)
    wanted = await read_document(request, room, BudgetIn)
    budget = _budget(new_id(), wanted)

    async def make(by: By) -> Response:
        return answer(_view(await room.configure(lambda: room.budgets.create(budget, by)), []), 201)

    async def again(made: str) -> Response:
        return answer(_view(await _found(room, caller, made), []), 201)

    return await once(request, room, caller, wanted, make, again)


@router.get("/{budget_id}", **_ONE)
async def get_budget(request: Request, budget_id: Id) -> Response:
    """One budget, and what was used of it in the present period."""
    room, caller = await admit(request, Permission.READ_BUDGETS)
    return await _answered(room, await _found(room, caller, budget_id))


@router.put("/{budget_id}", **_CHANGED, openapi_extra=takes(BudgetIn, required=True))
async def replace_budget(request: Request, budget_id: Id) -> Response:
    """Replace a budget; what was used of it stays, and so does another limit that it has for a time."""
    room, caller = await admit(request, Permission.WRITE_BUDGETS)
    require_everything(caller, _CHANGE)
    wanted = await read_document(request, room, BudgetIn)
    before = await _found(room, caller, budget_id)
    budget = replace(_budget(before.id, wanted), raised=before.raised)
    by = By(caller.actor, wanted.reason)
    return await _settled(room, await room.configure(lambda: room.budgets.replace(budget, by)))


@router.post("/{budget_id}/raise", **_CHANGED, openapi_extra=takes(RaiseIn, required=True))
async def raise_budget(request: Request, budget_id: Id) -> Response:
    """Give a budget another limit until a time; jobs that wait for it look again within ten minutes."""
    room, caller = await admit(request, Permission.WRITE_BUDGETS)
    require_everything(caller, _CHANGE)
    wanted = await read_document(request, room, RaiseIn)
    budget = await _found(room, caller, budget_id)
    if wanted.until <= utc_now():
        raise invalid_field("until", "is in the past", "send a time to come")
    _require_sum("limit_usd", wanted.limit_usd)
    raised = Raised(wanted.limit_usd, wanted.until, caller.actor, wanted.reason)
    by = By(caller.actor, wanted.reason)
    return await _settled(room, await room.configure(lambda: room.budgets.raise_limit(budget, raised, by)))


@router.delete("/{budget_id}", **documented(BudgetView, "It, as it was", found=True, validated=True))
async def remove_budget(request: Request, budget_id: Id, query: Annotated[ReasonQuery, Query()]) -> Response:
    """Remove a budget, and what was counted for it."""
    room, caller = await admit(request, Permission.WRITE_BUDGETS)
    require_everything(caller, _CHANGE)
    budget, by = await _found(room, caller, budget_id), By(caller.actor, query.reason)
    removed = await room.configure(lambda: room.budgets.remove(budget.id, by))
    if removed is None:
        raise _none()
    return answer(_view(removed))


async def _found(room: Room, caller: Caller, budget_id: str) -> Budget:
    found = await room.read(lambda: room.budgets.get(budget_id.lower(), caller.scope)) if is_id(budget_id) else None
    if found is None:
        raise _none()
    return found


async def _settled(room: Room, budget: Budget | None) -> Response:
    if budget is None:
        raise _none()
    return await _answered(room, budget)


async def _answered(room: Room, budget: Budget) -> Response:
    uses = await room.read(lambda: room.budgets.uses(budget))
    return answer(_view(budget, uses))


def _budget(budget_id: str, wanted: BudgetIn) -> Budget:
    """Raises a 422 for what no budget can be."""
    _require_sum("limit_usd", wanted.limit_usd)
    if wanted.organization is None:
        for name in ("workspace", "user"):
            if getattr(wanted, name) is not None:
                raise invalid_field(name, "stands without its organization", "name the organization, too")
    if wanted.period == "total" and wanted.at_limit == "park":
        raise invalid_field("at_limit", "has nothing to wait for: `total` has no next period", "send deny or cheaper")
    return Budget(
        budget_id,
        wanted.name,
        Per(wanted.per),
        Period(wanted.period),
        wanted.limit_usd,
        AtLimit(wanted.at_limit),
        wanted.organization,
        wanted.workspace,
        wanted.user,
        tuple(sorted(set(wanted.alerts))),
        api_key=wanted.api_key,
    )


def _require_sum(field: str, amount: Any) -> None:
    if amount > MOST_USD:
        raise invalid_field(field, f"is more than {MOST_USD:,}", "send a smaller sum")


def _view(budget: Budget, uses: list[Use] | None = None) -> Mapping[str, Any]:
    return {**budget.to_json(), "uses": None if uses is None else [use.to_json() for use in uses]}


def _none() -> Exception:
    return not_found("There is no such budget, or none that this key may see.")
