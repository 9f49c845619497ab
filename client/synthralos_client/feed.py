"""Everything that happens: `Client.feed`, `AsyncClient.feed`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict

from synthralos_client.config import Config
from synthralos_client.events import EventReader
from synthralos_client.models import Event, Json
from synthralos_client.sending import Call, Operation, parameter, sending

if TYPE_CHECKING:
    from typing_extensions import Unpack

Run = Callable[[Operation[Json]], Json]
AsyncRun = Callable[[Operation[Json]], Awaitable[Json]]
Follow = Callable[[EventReader], Iterator[Event]]
AsyncFollow = Callable[[EventReader], AsyncIterator[Event]]

EVENTS, TAIL = "/api/v1/events", "/api/v1/observability/traces/tail"


class EventFilters(TypedDict, total=False):
    """Which events: all conditions that are given have to hold. `type`: of these, or beginnings such as `job.*`.

    `since`: from that time on; else from now on.
    """

    type: str | Sequence[str]
    job_id: str
    run_id: str
    organization: str
    since: datetime | str


class TailFilters(TypedDict, total=False):
    """Which jobs that end: all conditions that are given have to hold."""

    state: str | Sequence[str]
    model: str
    deployment: str
    organization: str
    workspace: str
    user: str
    run_id: str
    failure_class: str
    min_cost_usd: Decimal | str
    max_cost_usd: Decimal | str
    min_seconds: float
    max_seconds: float


class Feed:
    """What happens, as the server's JSON objects: `docs/events.md` has the types."""

    def __init__(self, config: Config, run: Run, follow: Follow) -> None:
        self._config, self._run, self._follow = config, run, follow

    def page(self, *, cursor: str | None = None, limit: int = 100, **filters: Unpack[EventFilters]) -> Json:
        """Events after a cursor, oldest first; `next` of the answer leads on, `more` says whether there is more now."""
        return self._run(_page(self._config, {**filters, "cursor": cursor, "limit": limit}))

    def events(self, *, cursor: str | None = None, **filters: Unpack[EventFilters]) -> Iterator[Event]:
        """What happens, while it happens, without an end. A broken stream is resumed where it broke.

        The `id` of each event is the cursor to go on from; `data` is the event.
        """
        return self._follow(FeedReader(EVENTS, self._config, _params(filters), cursor))

    def traces(self, *, cursor: str | None = None, **filters: Unpack[TailFilters]) -> Iterator[Event]:
        """Jobs as they end, without an end; see `events`."""
        return self._follow(FeedReader(TAIL, self._config, _params(filters), cursor))


class AsyncFeed:
    """`Feed` documents the methods, which are the same."""

    def __init__(self, config: Config, run: AsyncRun, follow: AsyncFollow) -> None:
        self._config, self._run, self._follow = config, run, follow

    async def page(self, *, cursor: str | None = None, limit: int = 100, **filters: Unpack[EventFilters]) -> Json:
        """See `Feed.page`."""
        return await self._run(_page(self._config, {**filters, "cursor": cursor, "limit": limit}))

    def events(self, *, cursor: str | None = None, **filters: Unpack[EventFilters]) -> AsyncIterator[Event]:
        """See `Feed.events`."""
        return self._follow(FeedReader(EVENTS, self._config, _params(filters), cursor))

    def traces(self, *, cursor: str | None = None, **filters: Unpack[TailFilters]) -> AsyncIterator[Event]:
        """See `Feed.traces`."""
        return self._follow(FeedReader(TAIL, self._config, _params(filters), cursor))


class FeedReader(EventReader):
    """Follows a stream that has no end."""

    def __init__(self, path: str, config: Config, params: tuple[tuple[str, str], ...], cursor: str | None) -> None:
        super().__init__("", config, cursor)
        self._path, self._params = path, params

    def call(self) -> Call:
        """See `EventReader.call`."""
        return self._call(self._path, self._params)

    @property
    def _about(self) -> str:
        return "the event stream"

    def _ends(self, event: Event) -> bool:
        return False


def _page(config: Config, filters: Mapping[str, Any]) -> Operation[Json]:
    answer: Json = (yield from sending(Call("GET", EVENTS, params=_params(filters)), config)).json()
    return answer


def _params(filters: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, parameter(value))
        for name, given in filters.items()
        if given is not None
        for value in (given if isinstance(given, list | tuple) else (given,))
    )
