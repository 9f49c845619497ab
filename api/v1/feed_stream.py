"""The feed as server-sent events: from where the reader stopped, then live."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api.http.auth import Caller
from api.http.problems import Problem, invalid_field, unavailable
from api.live.feed import Listener, TooManyListeners
from api.room import Room
from synthralos.domain.feed import Cursor, Item
from synthralos.domain.retention import Kind
from synthralos.store.sql.errors import StoreError

HEARTBEAT_SECONDS = 15.0
SEND_SECONDS = 30.0
"""For so long a reader may take nothing before its connection is closed."""

_PAGE = 500

Render = Callable[[Item], tuple[str, dict[str, Any]]]
"""The event's name, and its data."""


class BoundedStream(StreamingResponse):
    """A stream whose reader has to read: else it is closed after `SEND_SECONDS`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""

        async def bounded(message: Message) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)

        with suppress(TimeoutError):
            await super().__call__(scope, receive, bounded)


def events_kept(room: Room, organization: str | None) -> timedelta:
    """For how long everything that happened to an organization, or to all of them, can be read."""
    retention = room.core.live.current.retention
    return min(retention.age(kind, organization) for kind in (Kind.JOBS, Kind.EVENTS, Kind.HAPPENINGS))


def cursor_of(room: Room, organization: str | None, text: str, field: str) -> Cursor:
    """A cursor that a reader sent; raises a 422 for what is none, and a 410 for one that is too old."""
    try:
        cursor = Cursor.decode(text)
    except ValueError:
        raise invalid_field(field, "is no cursor of the event stream", "send the `id` of an event, or `next`") from None
    kept = events_kept(room, organization)
    if cursor.at < datetime.now(UTC) - kept:
        raise Problem(
            410,
            "cursor-too-old",
            "Events after that cursor may be gone",
            f"Events are kept for {kept / timedelta(days=1):g} days: begin anew with `since`, or without a cursor.",
        )
    return cursor


async def feed_stream(
    room: Room,
    caller: Caller,
    wants: Callable[[Item], bool],
    start: Cursor | None,
    organization: str | None,
    render: Render,
) -> Response:
    """Follow the feed from `start` on, else from now on. Raises a 503 where too many listen."""
    try:
        listener = await room.feed_hub.join(wants)
    except TooManyListeners:
        raise unavailable("Too many follow the event stream of this process: try again.") from None
    frames = _frames(room, caller, listener, start, organization, render)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return BoundedStream(frames, 200, headers, "text/event-stream")


async def _frames(
    room: Room, caller: Caller, listener: Listener, start: Cursor | None, organization: str | None, render: Render
) -> AsyncIterator[bytes]:
    try:
        yield _mark(start or listener.position)
        async for piece in _missed(room, listener, start, organization, render):
            yield piece
        while not listener.cut:
            yield b"".join(_frame(item, render) for item in listener.take()) or _mark(_place(room, listener))
            await listener.wait(HEARTBEAT_SECONDS)
            if listener.cut or not await room.auth.still_works(caller):
                return
    except (Problem, StoreError):
        return  # the reader comes back with the last id
    finally:
        room.feed_hub.leave(listener)


async def _missed(
    room: Room, listener: Listener, start: Cursor | None, organization: str | None, render: Render
) -> AsyncIterator[bytes]:
    """What lies between the reader's place and that from which on it hears of everything."""
    cursor, more = start, start is not None
    while more and cursor is not None and not listener.cut:
        here = cursor
        page = await room.read(
            lambda: room.feed.since(here, organization=organization, until=listener.position, limit=_PAGE)  # noqa: B023
        )
        cursor, more = page.cursor, page.more
        yield b"".join(_frame(item, render) for item in page.items if listener.wants(item)) or _mark(cursor)


def _place(room: Room, listener: Listener) -> Cursor:
    """Where a reader has come to who was told everything that fits."""
    return listener.position if listener.queue else room.feed_hub.position or listener.position


def _frame(item: Item, render: Render) -> bytes:
    name, data = render(item)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (item.cursor.encode().encode(), name.encode(), orjson.dumps(data))


def _mark(cursor: Cursor) -> bytes:
    """A heartbeat, which moves the place to go on from where nothing is told."""
    return b": still here\nid: %b\n\n" % cursor.encode().encode()
