"""Repairs by StackStorm: `Client.repairs`, `AsyncClient.repairs`. The answers are the server's JSON objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from synthralos_client import configuring
from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.paging import async_pages, pages
from synthralos_client.sending import Operation

if TYPE_CHECKING:
    from typing_extensions import Unpack

Run = Callable[[Operation[Json]], Json]
AsyncRun = Callable[[Operation[Json]], Awaitable[Json]]

Kind = Literal["retry", "reroute", "recover", "incident"]

Outcome = Literal["acted", "nothing_to_do", "failed"]


class RepairFilters(TypedDict, total=False):
    """Which repairs: all conditions that are given have to hold."""

    state: Literal["proposed", "asked", "started", "succeeded", "failed", "fell_back", "cancelled"]
    kind: Kind
    job: str
    run: str


class RepairOptions(TypedDict, total=False):
    """What is asked for: `pin` and `exclude` belong to `reroute`; `recover` is about the job's run."""

    kind: Literal["retry", "reroute", "recover"]
    reason: str
    pin: str
    exclude: Sequence[str]


class Repairs:
    """What StackStorm was asked to repair, and what came of it."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config = config
        self._run = run

    def list(self, *, page_size: int = 200, **filters: Unpack[RepairFilters]) -> Iterator[Json]:
        """Repairs, newest first, page by page."""
        return pages(lambda cursor: self._run(_page(self._config, filters, page_size, cursor)), "repairs")

    def get(self, repair_id: str) -> Json:
        """One repair."""
        return self._run(configuring.read(self._config, ("repairs", repair_id), {}))

    def ask(self, job_id: str, **options: Unpack[RepairOptions]) -> Json:
        """Ask StackStorm to repair a job; while a repair of it is open, that one."""
        return self._run(_ask(self._config, job_id, options))

    def report(self, repair_id: str, outcome: Outcome, *, detail: str = "", reason: str = "") -> Json:
        """Say what was done about the incident of a repair; `acted`: whether that helps is watched."""
        return self._run(_report(self._config, repair_id, outcome, detail, reason))


class AsyncRepairs:
    """The same for `AsyncClient`; `Repairs` documents the methods."""

    def __init__(self, config: Config, run: AsyncRun) -> None:
        self._config = config
        self._run = run

    def list(self, *, page_size: int = 200, **filters: Unpack[RepairFilters]) -> AsyncIterator[Json]:
        """See `Repairs.list`."""
        return async_pages(lambda cursor: self._run(_page(self._config, filters, page_size, cursor)), "repairs")

    async def get(self, repair_id: str) -> Json:
        """See `Repairs.get`."""
        return await self._run(configuring.read(self._config, ("repairs", repair_id), {}))

    async def ask(self, job_id: str, **options: Unpack[RepairOptions]) -> Json:
        """See `Repairs.ask`."""
        return await self._run(_ask(self._config, job_id, options))

    async def report(self, repair_id: str, outcome: Outcome, *, detail: str = "", reason: str = "") -> Json:
        """See `Repairs.report`."""
        return await self._run(_report(self._config, repair_id, outcome, detail, reason))


def _page(config: Config, filters: Mapping[str, Any], page_size: int, cursor: str | None) -> Operation[Json]:
    return configuring.read(config, ("repairs",), {**filters, "limit": page_size, "cursor": cursor})


def _ask(config: Config, job_id: str, options: Mapping[str, Any]) -> Operation[Json]:
    return configuring.post(config, ("jobs", job_id, "repair"), options)


def _report(config: Config, repair_id: str, outcome: str, detail: str, reason: str) -> Operation[Json]:
    said = {"outcome": outcome, "detail": detail, "reason": reason}
    return configuring.post(config, ("repairs", repair_id, "report"), said)
