"""What was done, in search and in sum: `Client.observability`, `AsyncClient.observability`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
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

_ROOM = "observability"


class TraceFilters(TypedDict, total=False):
    """Which traces: all conditions that are given have to hold for one of a trace's jobs. `tag` is `NAME=VALUE`.

    `q` are words that have to be there, "words side by side", -words that must not, and beginnings*. `sort` by `cost`
    or `duration` has finished jobs alone.
    """

    q: str
    state: str | Sequence[str]
    stage: str
    model: str
    lane: str
    organization: str
    workspace: str
    user: str
    run_id: str
    trace_id: str
    deployment: str
    failure_class: str
    finding: str
    tag: str
    created_after: datetime | str
    created_before: datetime | str
    min_cost_usd: Decimal | str
    max_cost_usd: Decimal | str
    min_seconds: float
    max_seconds: float
    min_tokens: int
    max_tokens: int
    label: str
    min_score: float
    max_score: float
    sort: Literal["newest", "cost", "duration"]


class FeedbackFields(TypedDict, total=False):
    """What is said of a job; at least one of the first three. `source`: `human`, or the name of a program."""

    score: float
    label: str
    comment: str
    source: str


class MetricsFilters(TypedDict, total=False):
    """Which finished jobs, by when they finished and what they were."""

    since: datetime | str
    until: datetime | str
    organization: str
    workspace: str
    model: str
    deployment: str
    state: str
    failure_class: str
    stage: str
    limit: int


class ErrorFilters(TypedDict, total=False):
    """Which failures, by when their jobs finished and what they were."""

    since: datetime | str
    until: datetime | str
    organization: str
    failure_class: str
    deployment: str
    limit: int


class Observability:
    """Traces, metrics, errors and demand. The answers are the server's JSON objects."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config = config
        self._run = run

    def traces(self, *, page_size: int = 50, **filters: Unpack[TraceFilters]) -> Iterator[Json]:
        """The traces that have such a job, page by page; without a filter all of them, newest first."""
        return pages(lambda cursor: self._run(_traces(self._config, filters, page_size, cursor)), "traces")

    def export(self, trace_or_job_id: str, format: Literal["json", "otlp"] = "json") -> Json:
        """A trace for a file, or as OpenTelemetry's collectors take it."""
        return self._run(_export(self._config, trace_or_job_id, format))

    def give_feedback(self, job_id: str, **said: Unpack[FeedbackFields]) -> list[Json]:
        """Say something of a job; what the same source said under that label is replaced. All that was said of it."""
        found: list[Json] = self._run(configuring.post(self._config, ("jobs", job_id, "feedback"), said))["feedback"]
        return found

    def metrics(self, group_by: Sequence[str] = (), **filters: Unpack[MetricsFilters]) -> Json:
        """What finished jobs come to, by groups such as `model` and `hour`; of the last day, if no time is given."""
        return self._run(_metrics(self._config, group_by, filters))

    def errors(self, **filters: Unpack[ErrorFilters]) -> Json:
        """What went wrong, grouped; of the last day, if no time is given."""
        return self._run(configuring.read(self._config, (_ROOM, "errors"), filters))

    def demand(self, stage: str | None = None, lane: str | None = None) -> Json:
        """How much work is open, of all tenants."""
        return self._run(configuring.read(self._config, (_ROOM, "demand"), {"stage": stage, "lane": lane}))


class AsyncObservability:
    """The same for `AsyncClient`; see `Observability`."""

    def __init__(self, config: Config, run: AsyncRun) -> None:
        self._config = config
        self._run = run

    def traces(self, *, page_size: int = 50, **filters: Unpack[TraceFilters]) -> AsyncIterator[Json]:
        """The traces that have such a job; see `Observability.traces`."""
        return async_pages(lambda cursor: self._run(_traces(self._config, filters, page_size, cursor)), "traces")

    async def export(self, trace_or_job_id: str, format: Literal["json", "otlp"] = "json") -> Json:
        """A trace for a file, or as OpenTelemetry's collectors take it."""
        return await self._run(_export(self._config, trace_or_job_id, format))

    async def give_feedback(self, job_id: str, **said: Unpack[FeedbackFields]) -> list[Json]:
        """Say something of a job; see `Observability.give_feedback`."""
        answer = await self._run(configuring.post(self._config, ("jobs", job_id, "feedback"), said))
        found: list[Json] = answer["feedback"]
        return found

    async def metrics(self, group_by: Sequence[str] = (), **filters: Unpack[MetricsFilters]) -> Json:
        """What finished jobs come to; see `Observability.metrics`."""
        return await self._run(_metrics(self._config, group_by, filters))

    async def errors(self, **filters: Unpack[ErrorFilters]) -> Json:
        """What went wrong, grouped; of the last day, if no time is given."""
        return await self._run(configuring.read(self._config, (_ROOM, "errors"), filters))

    async def demand(self, stage: str | None = None, lane: str | None = None) -> Json:
        """How much work is open, of all tenants."""
        return await self._run(configuring.read(self._config, (_ROOM, "demand"), {"stage": stage, "lane": lane}))


def _traces(config: Config, filters: Mapping[str, Any], page_size: int, cursor: str | None) -> Operation[Json]:
    states = filters.get("state", ())
    params = [("state", str(state)) for state in ([states] if isinstance(states, str) else states)]
    rest = {**filters, "limit": page_size, "cursor": cursor}
    params += [(name, parameter(value)) for name, value in rest.items() if name != "state" and value is not None]
    call = Call("GET", f"{configuring.API}/{_ROOM}/traces", params=tuple(params))
    answer: Json = (yield from sending(call, config)).json()
    return answer


def _export(config: Config, trace_or_job_id: str, form: str) -> Operation[Json]:
    return configuring.read(config, (_ROOM, "traces", trace_or_job_id, "export"), {"format": form})


def _metrics(config: Config, group_by: Sequence[str], filters: Mapping[str, Any]) -> Operation[Json]:
    return configuring.read(config, (_ROOM, "metrics"), {"group_by": ",".join(group_by), **filters})
