"""How exports fare: `Client.exports`, `AsyncClient.exports`. The answers are the server's JSON objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Literal

from synthralos_client import configuring
from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.paging import async_pages, pages
from synthralos_client.sending import Operation

_ROOM = "exports"

Kind = Literal["refused", "withheld"]


class Exports:
    """Destinations of traces, and what is set aside. For keys that see everything."""

    def __init__(self, config: Config, run: Callable[[Operation[Json]], Json]) -> None:
        self._config, self._run = config, run

    def list(self) -> list[Json]:
        """How each destination fares."""
        found: list[Json] = self._run(configuring.read(self._config, (_ROOM,), {}))["destinations"]
        return found

    def get(self, destination: str) -> Json:
        """How one of them fares."""
        return self._run(configuring.read(self._config, (_ROOM, destination), {}))

    def resume(self, destination: str, *, reason: str = "") -> Json:
        """Have one that rests or is stopped tried again within seconds."""
        return self._run(configuring.post(self._config, (_ROOM, destination, "resume"), {"reason": reason}))

    def set_aside(self, destination: str, *, kind: Kind | None = None, page_size: int = 200) -> Iterator[Json]:
        """Traces that come no more by themselves, and why; newest jobs first, page by page."""
        return pages(lambda cursor: self._run(_page(self._config, destination, kind, page_size, cursor)), "traces")

    def retry(self, destination: str, jobs: Sequence[str] | None = None, *, reason: str = "") -> int:
        """Have traces that are set aside shipped again: these jobs', or the oldest 1,000; how many it was."""
        return int(self._run(_move(self._config, destination, "retry", jobs, reason))["traces"])

    def drop(self, destination: str, jobs: Sequence[str] | None = None, *, reason: str = "") -> int:
        """Forget traces that are set aside, as `retry`; how many it was."""
        return int(self._run(_move(self._config, destination, "drop", jobs, reason))["traces"])


class AsyncExports:
    """See `Exports`."""

    def __init__(self, config: Config, run: Callable[[Operation[Json]], Awaitable[Json]]) -> None:
        self._config, self._run = config, run

    async def list(self) -> list[Json]:
        """See `Exports.list`."""
        found: list[Json] = (await self._run(configuring.read(self._config, (_ROOM,), {})))["destinations"]
        return found

    async def get(self, destination: str) -> Json:
        """See `Exports.get`."""
        return await self._run(configuring.read(self._config, (_ROOM, destination), {}))

    async def resume(self, destination: str, *, reason: str = "") -> Json:
        """See `Exports.resume`."""
        return await self._run(configuring.post(self._config, (_ROOM, destination, "resume"), {"reason": reason}))

    def set_aside(self, destination: str, *, kind: Kind | None = None, page_size: int = 200) -> AsyncIterator[Json]:
        """See `Exports.set_aside`."""
        return async_pages(
            lambda cursor: self._run(_page(self._config, destination, kind, page_size, cursor)), "traces"
        )

    async def retry(self, destination: str, jobs: Sequence[str] | None = None, *, reason: str = "") -> int:
        """See `Exports.retry`."""
        return int((await self._run(_move(self._config, destination, "retry", jobs, reason)))["traces"])

    async def drop(self, destination: str, jobs: Sequence[str] | None = None, *, reason: str = "") -> int:
        """See `Exports.drop`."""
        return int((await self._run(_move(self._config, destination, "drop", jobs, reason)))["traces"])


def _page(config: Config, destination: str, kind: Kind | None, limit: int, cursor: str | None) -> Operation[Json]:
    return configuring.read(config, (_ROOM, destination, "set-aside"), {"kind": kind, "limit": limit, "cursor": cursor})


def _move(config: Config, destination: str, act: str, jobs: Sequence[str] | None, reason: str) -> Operation[Json]:
    body: dict[str, Any] = {"reason": reason, **({} if jobs is None else {"jobs": [*jobs]})}
    return configuring.post(config, (_ROOM, destination, "set-aside", act), body)
