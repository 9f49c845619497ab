"""Jobs that recur: `Client.schedules`, `AsyncClient.schedules`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.paging import async_pages, pages
from synthralos_client.scheduling import act, read, remove, replace
from synthralos_client.sending import Operation

if TYPE_CHECKING:
    from typing_extensions import Unpack

Run = Callable[[Operation[Json]], Json]
AsyncRun = Callable[[Operation[Json]], Awaitable[Json]]
Outcome = Literal["fired", "waiting", "skipped", "missed", "backfill"]


class ScheduleOptions(TypedDict, total=False):
    """What a schedule may say beside its name; `docs/schedules.md` explains each. Times are RFC 3339 or aware."""

    job: Mapping[str, Any]
    steps: list[Mapping[str, Any]]
    cron: str
    interval_seconds: int
    time_zone: str
    start: datetime | str
    end: datetime | str
    jitter_seconds: int
    exclusions: Mapping[str, Any]
    catch_up_seconds: int
    misfire: Literal["skip", "last", "all"]
    most_caught_up: int
    overlap: Literal["skip", "queue_one", "queue_all", "replace", "cancel", "allow"]
    pause_after: int | None
    backoff: Mapping[str, Any]
    organization: str
    workspace: str
    user: str
    reason: str


class Schedules:
    """Schedules, and what became of their ticks. The answers are the server's JSON objects."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config = config
        self._run = run

    def list(self, *, page_size: int = 200) -> Iterator[Json]:
        """The schedules that the key may see, oldest first, page by page."""
        return pages(lambda cursor: self._read((), limit=page_size, cursor=cursor), "schedules")

    def get(self, schedule_id: str) -> Json:
        """One schedule and how it stands; its `version` is for `replace`."""
        return self._read((schedule_id,))

    def create(self, name: str, **options: Unpack[ScheduleOptions]) -> Json:
        """Make a schedule. Not repeated where the answer is lost: look whether it is there."""
        return self._act((), {"name": name, **options})

    def replace(
        self, schedule_id: str, name: str, *, version: int | None = None, **options: Unpack[ScheduleOptions]
    ) -> Json:
        """Replace what a schedule says; with `version` only where it is still at that one (else a 412)."""
        return self._run(replace(self._config, schedule_id, {"name": name, **options}, version))

    def remove(self, schedule_id: str, *, reason: str | None = None) -> Json:
        """Remove a schedule; jobs that run go on."""
        return self._run(remove(self._config, schedule_id, reason))

    def pause(self, schedule_id: str, *, note: str = "") -> Json:
        """Have it fire no more."""
        return self._act((schedule_id, "pause"), {"note": note})

    def resume(self, schedule_id: str, *, reason: str = "") -> Json:
        """Have it fire again, from now on."""
        return self._act((schedule_id, "resume"), {"reason": reason})

    def run(self, schedule_id: str, *, reason: str = "") -> Json:
        """Start its jobs now; the answer has their `job_ids`."""
        return self._act((schedule_id, "run"), {"reason": reason})

    def next(self, schedule_id: str, *, count: int = 10) -> Any:
        """Its next ticks, with marks where clocks are moved."""
        return self._read((schedule_id, "next"), count=count)["ticks"]

    def firings(self, schedule_id: str, *, outcome: Outcome | None = None, page_size: int = 200) -> Iterator[Json]:
        """What became of its ticks, newest first, page by page."""
        return pages(
            lambda cursor: self._read((schedule_id, "firings"), outcome=outcome, limit=page_size, cursor=cursor),
            "firings",
        )

    def backfill(
        self,
        schedule_id: str,
        start: datetime | str,
        end: datetime | str,
        *,
        overlap: Literal["allow", "queue_all", "skip"] = "allow",
        reason: str = "",
    ) -> Json:
        """Fire the ticks from `start` to before `end` that did not fire."""
        body = {"start": start, "end": end, "overlap": overlap, "reason": reason}
        return self._act((schedule_id, "backfill"), body)

    def backfills(self, schedule_id: str) -> Any:
        """Its backfills, newest first: of their `ticks`, `handled` are decided about."""
        return self._read((schedule_id, "backfill"))["backfills"]

    def _read(self, path: tuple[str, ...], **params: Any) -> Json:
        return self._run(read(self._config, path, params))

    def _act(self, path: tuple[str, ...], body: Mapping[str, Any]) -> Json:
        return self._run(act(self._config, path, body))


class AsyncSchedules:
    """`Schedules` documents the methods, which are the same."""

    def __init__(self, config: Config, run: AsyncRun) -> None:
        self._config = config
        self._run = run

    def list(self, *, page_size: int = 200) -> AsyncIterator[Json]:
        """See `Schedules.list`."""
        return async_pages(lambda cursor: self._read((), limit=page_size, cursor=cursor), "schedules")

    async def get(self, schedule_id: str) -> Json:
        """See `Schedules.get`."""
        return await self._read((schedule_id,))

    async def create(self, name: str, **options: Unpack[ScheduleOptions]) -> Json:
        """See `Schedules.create`."""
        return await self._act((), {"name": name, **options})

    async def replace(
        self, schedule_id: str, name: str, *, version: int | None = None, **options: Unpack[ScheduleOptions]
    ) -> Json:
        """See `Schedules.replace`."""
        return await self._run(replace(self._config, schedule_id, {"name": name, **options}, version))

    async def remove(self, schedule_id: str, *, reason: str | None = None) -> Json:
        """See `Schedules.remove`."""
        return await self._run(remove(self._config, schedule_id, reason))

    async def pause(self, schedule_id: str, *, note: str = "") -> Json:
        """See `Schedules.pause`."""
        return await self._act((schedule_id, "pause"), {"note": note})

    async def resume(self, schedule_id: str, *, reason: str = "") -> Json:
        """See `Schedules.resume`."""
        return await self._act((schedule_id, "resume"), {"reason": reason})

    async def run(self, schedule_id: str, *, reason: str = "") -> Json:
        """See `Schedules.run`."""
        return await self._act((schedule_id, "run"), {"reason": reason})

    async def next(self, schedule_id: str, *, count: int = 10) -> Any:
        """See `Schedules.next`."""
        return (await self._read((schedule_id, "next"), count=count))["ticks"]

    def firings(self, schedule_id: str, *, outcome: Outcome | None = None, page_size: int = 200) -> AsyncIterator[Json]:
        """See `Schedules.firings`."""
        return async_pages(
            lambda cursor: self._read((schedule_id, "firings"), outcome=outcome, limit=page_size, cursor=cursor),
            "firings",
        )

    async def backfill(
        self,
        schedule_id: str,
        start: datetime | str,
        end: datetime | str,
        *,
        overlap: Literal["allow", "queue_all", "skip"] = "allow",
        reason: str = "",
    ) -> Json:
        """See `Schedules.backfill`."""
        body = {"start": start, "end": end, "overlap": overlap, "reason": reason}
        return await self._act((schedule_id, "backfill"), body)

    async def backfills(self, schedule_id: str) -> Any:
        """See `Schedules.backfills`."""
        return (await self._read((schedule_id, "backfill")))["backfills"]

    def _read(self, path: tuple[str, ...], **params: Any) -> Awaitable[Json]:
        return self._run(read(self._config, path, params))

    def _act(self, path: tuple[str, ...], body: Mapping[str, Any]) -> Awaitable[Json]:
        return self._run(act(self._config, path, body))
