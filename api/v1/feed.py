"""`GET /api/v1/events`: everything that happens within the key's scope, page by page or as a stream."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, streamed_too
from api.http.problems import forbidden, invalid_field
from api.room import Room, admit
from api.v1.feed_stream import cursor_of, feed_stream
from api.v1.queries import Text
from api.v1.views import View
from pipelines.intake.schema import Time
from synthralos.domain.feed import Cursor, Item, Wanted
from synthralos.domain.feed_types import FEED_TYPES, FeedEvent, unknown_types
from synthralos.domain.permissions import PERMISSIONS, Permission, Role
from synthralos.domain.states import State

router = APIRouter(prefix="/api/v1/events", tags=["events"])

MOST_READS = 10
"""Reads of the feed that one page takes at most; it may then hold less than asked for, and says that there is more."""

_SEEN_OF_ENDS = frozenset(
    {"state", "model", "lane", "failure_class", "seconds", "wait_seconds", "calls", "input_tokens", "output_tokens",
     "cost", "trace_id"}
)  # fmt: skip
Types = Annotated[
    list[Annotated[str, Field(max_length=100)]],
    Field(max_length=50, description="any of these types, or of these beginnings, such as `job.*`"),
]


class EventsQuery(BaseModel):
    """Which events: all of the conditions that are given."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: Types = []
    job_id: Text | None = None
    run_id: Text | None = None
    organization: Text | None = None
    since: Annotated[Time | None, Field(description="from this time on, where there is no cursor")] = None
    cursor: Annotated[
        str | None, Field(max_length=200, description="`next` of a page, or the `id` of a streamed event")
    ] = None
    limit: Annotated[int, Field(ge=1, le=1_000, description="how many at most; a stream has no end")] = 100


class EventPage(View):
    """Events, oldest first. `next` leads on, also where there is no more yet."""

    events: list[FeedEvent]
    next: str
    more: Annotated[bool, Field(description="whether there is more now")]


@router.get(
    "", **documented(EventPage, "Events, oldest first", validated=True, gone=True), openapi_extra=streamed_too()
)
async def events(request: Request, query: Annotated[EventsQuery, Query()]) -> Response:
    """Read what happens: as a page, or with `Accept: text/event-stream` as a stream.

    Nothing is skipped, and who reads on from a cursor gets nothing twice. What concerns the whole installation is for
    its operators alone; a key with the role `viewer` does not see what was decided inside.
    """
    room, caller = await admit(request, Permission.READ_JOBS)
    wanted = _wanted(query, caller)
    organization = caller.scope.organization or query.organization
    if "text/event-stream" in request.headers.get("accept", ""):
        start = await _start(room, organization, query, request.headers.get("last-event-id"))
        render = _rendered(caller)
        return await feed_stream(
            room, caller, wanted.admits, start, organization, lambda item: (item.type, render(item))
        )
    return answer(await _page(room, caller, query, wanted, organization))


async def _page(
    room: Room, caller: Caller, query: EventsQuery, wanted: Wanted, organization: str | None
) -> dict[str, Any]:
    cursor = await _start(room, organization, query, None) or Cursor(datetime.now(UTC))
    head = await room.read(room.feed.head)
    found: list[Item] = []
    more = True
    for _ in range(MOST_READS):
        here, room_left = cursor, query.limit - len(found)
        page = await room.read(lambda: room.feed.since(here, organization=organization, until=head))  # noqa: B023
        fitting = [item for item in page.items if wanted.admits(item)]
        found += fitting[:room_left]
        cursor, more = page.cursor, page.more
        if len(fitting) > room_left:
            cursor, more = found[-1].cursor, True
        if len(found) == query.limit or not more:
            break
    render = _rendered(caller)
    return {"events": [render(item) for item in found], "next": cursor.encode(), "more": more}


def _wanted(query: EventsQuery, caller: Caller) -> Wanted:
    check_types(query.type, "query.type")
    scope = caller.scope
    if scope.organization is not None and query.organization not in (None, scope.organization):
        raise forbidden("The key is bound to another organization.")
    operator = Permission.READ_AUDIT in PERMISSIONS[caller.key.role]
    installation = operator and query.organization is None
    return Wanted(scope, frozenset(query.type), query.job_id, query.run_id, installation, query.organization)


def check_types(types: list[str], field: str) -> None:
    """Raises a 422 where one is no type that there is: it would never come."""
    if unknown := unknown_types(types):
        remedy = f"choose from {', '.join(FEED_TYPES)}, or a beginning such as job.*"
        raise invalid_field(field, f"{unknown[0]} is no type of event", remedy)


async def _start(room: Room, organization: str | None, query: EventsQuery, last_event_id: str | None) -> Cursor | None:
    """Where to begin; None where nothing is said of it."""
    if last_event_id:
        return cursor_of(room, organization, last_event_id, "header.Last-Event-ID")
    if query.cursor is not None:
        return cursor_of(room, organization, query.cursor, "query.cursor")
    if query.since is None:
        return None
    since = query.since
    return await room.read(lambda: room.feed.at(since))


def _rendered(caller: Caller) -> Any:
    return restricted_event if caller.key.role is Role.VIEWER else Item.to_json


def restricted_event(item: Item) -> dict[str, Any]:
    """An event for those who only look: that it happened, and of a job's end its figures."""
    seen = {name: value for name, value in item.data.items() if name in _SEEN_OF_ENDS and item.type.startswith("job.")}
    if seen.get("state") == State.SUCCEEDED:
        seen["deployment"] = item.data.get("deployment")
    return {**item.to_json(), "actor": "", "data": seen if "state" in item.data else {}}
