"""Incidents: `Client.healing.incidents`, and the same of `AsyncClient`. The answers are the server's JSON objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from synthralos_client import configuring
from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.paging import async_pages, pages
from synthralos_client.sending import Call, Operation, parameter, sending

if TYPE_CHECKING:
    from typing_extensions import Unpack

Run = Callable[[Operation[Json]], Json]
AsyncRun = Callable[[Operation[Json]], Awaitable[Json]]

State = Literal["open", "repairing", "verifying", "escalated", "closed", "live"]


class IncidentFilters(TypedDict, total=False):
    """Which incidents: all conditions that are given have to hold. `live`: all but those that are closed.

    `subject` is `deployment:ID`, `organization:NAME` or `queue:STAGE/LANE`.
    """

    state: State | Sequence[State]
    kind: Literal["error_rate", "latency", "cost_per_token", "queue_age", "stuck_jobs"]
    subject: str
    organization: str
    changed_after: datetime | str


class Incidents:
    """What the monitor found."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config = config
        self._run = run

    def list(self, *, page_size: int = 200, **filters: Unpack[IncidentFilters]) -> Iterator[Json]:
        """Incidents, newest first, page by page; with `state="live"`, those that are not over."""
        return pages(lambda cursor: self._run(_page(self._config, filters, page_size, cursor)), "incidents")

    def get(self, incident_id: str) -> Json:
        """One incident, with its evidence and what was done about it."""
        return self._run(configuring.read(self._config, ("incidents", incident_id), {}))

    def resolve(self, incident_id: str, *, comment: str = "") -> Json:
        """Say that it is over; where it goes on, that is taken for usual. One that is closed stays as it is."""
        return self._run(_act(self._config, incident_id, "resolve", comment))

    def acknowledge(self, incident_id: str, *, comment: str = "") -> Json:
        """Say that somebody looks at it."""
        return self._run(_act(self._config, incident_id, "acknowledge", comment))


class AsyncIncidents:
    """The same for `AsyncClient`; `Incidents` documents the methods."""

    def __init__(self, config: Config, run: AsyncRun) -> None:
        self._config = config
        self._run = run

    def list(self, *, page_size: int = 200, **filters: Unpack[IncidentFilters]) -> AsyncIterator[Json]:
        """See `Incidents.list`."""
        return async_pages(lambda cursor: self._run(_page(self._config, filters, page_size, cursor)), "incidents")

    async def get(self, incident_id: str) -> Json:
        """See `Incidents.get`."""
        return await self._run(configuring.read(self._config, ("incidents", incident_id), {}))

    async def resolve(self, incident_id: str, *, comment: str = "") -> Json:
        """See `Incidents.resolve`."""
        return await self._run(_act(self._config, incident_id, "resolve", comment))

    async def acknowledge(self, incident_id: str, *, comment: str = "") -> Json:
        """See `Incidents.acknowledge`."""
        return await self._run(_act(self._config, incident_id, "acknowledge", comment))


def _page(config: Config, filters: Mapping[str, Any], page_size: int, cursor: str | None) -> Operation[Json]:
    states = filters.get("state", ())
    params = [("state", each) for each in ([states] if isinstance(states, str) else states)]
    rest = {**filters, "limit": page_size, "cursor": cursor, "state": None}
    params += [(name, parameter(value)) for name, value in rest.items() if value is not None]
    found: Json = (yield from sending(Call("GET", "/api/v1/incidents", params=tuple(params)), config)).json()
    return found


def _act(config: Config, incident_id: str, act: str, comment: str) -> Operation[Json]:
    return configuring.post(config, ("incidents", incident_id, act), {"comment": comment})
