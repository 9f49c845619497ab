"""`GET /api/v1/observability/traces/tail`: jobs as they end, as a stream, by the filters of the search."""

from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.http.openapi import event_stream
from api.room import admit
from api.v1.feed import restricted_event
from api.v1.feed_stream import cursor_of, feed_stream
from api.v1.queries import Text
from api.v1.trace_queries import Seconds, Usd
from synthralos.domain.failures import FailureClass
from synthralos.domain.feed import END, Item, Wanted
from synthralos.domain.permissions import Permission, Role
from synthralos.domain.states import TERMINAL, State
from synthralos.domain.trace_queries import Range

router = APIRouter(prefix="/api/v1/observability/traces", tags=["observability"])

_ENDS = frozenset(END + state for state in TERMINAL)


class TailQuery(BaseModel):
    """Which jobs: all of the conditions that are given."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    state: Annotated[list[State], Field(max_length=20, description="any of these states")] = []
    model: Annotated[Text | None, Field(description="as it was asked for")] = None
    deployment: Annotated[Text | None, Field(description="that was called last")] = None
    organization: Text | None = None
    workspace: Text | None = None
    user: Text | None = None
    run_id: Text | None = None
    failure_class: Annotated[FailureClass | None, Field(description="of the job")] = None
    min_cost_usd: Usd | None = None
    max_cost_usd: Usd | None = None
    min_seconds: Annotated[Seconds | None, Field(description="from acceptance to end")] = None
    max_seconds: Seconds | None = None

    def admits(self, item: Item) -> bool:
        """Whether a job's end is wanted."""
        data = item.data
        same = {"model": data["model"], "deployment": data["deployment"], "organization": item.organization,
                "workspace": item.workspace, "user": item.user, "run_id": item.run_id,
                "failure_class": data["failure_class"]}  # fmt: skip
        return (
            all(getattr(self, name) in (None, value) for name, value in same.items())
            and (not self.state or data["state"] in self.state)
            and Range(self.min_cost_usd, self.max_cost_usd).has(Decimal(data["cost"]["usd"]))
            and Range(self.min_seconds, self.max_seconds).has(data["seconds"])
        )


@router.get("/tail", **event_stream("trace", validated=True, gone=True))
async def tail(request: Request, query: Annotated[TailQuery, Query()]) -> Response:
    """Follow jobs as they end: one `trace` entry each, some seconds after the end at most while there is little to do.

    A reader who comes back with `Last-Event-ID` gets what ended meanwhile. A key with the role `viewer` does not see
    deployments that did not answer.
    """
    room, caller = await admit(request, Permission.READ_JOBS)
    last = request.headers.get("last-event-id")
    start = cursor_of(room, caller.scope.organization, last, "header.Last-Event-ID") if last else None
    wanted = Wanted(caller.scope)
    restricted = caller.key.role is Role.VIEWER
    shown = _without_deployment if restricted and query.deployment else query.admits

    def wants(item: Item) -> bool:
        return item.type in _ENDS and wanted.admits(item) and query.admits(item) and shown(item)

    def render(item: Item) -> tuple[str, dict[str, Any]]:
        return "trace", _view(restricted_event(item) if restricted else item.to_json())

    organization = caller.scope.organization or query.organization
    return await feed_stream(room, caller, wants, start, organization, render)


def _without_deployment(item: Item) -> bool:
    """A viewer does not learn by a filter which deployments did not answer."""
    return bool(item.data["state"] == State.SUCCEEDED)


def _view(event: dict[str, Any]) -> dict[str, Any]:
    names = ("job_id", "organization", "workspace", "user", "run_id")
    return {**{name: event[name] for name in names}, "finished_at": event["at"], **event["data"]}
