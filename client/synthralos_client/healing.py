"""How the installation heals itself: `Client.healing`, `AsyncClient.healing`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from synthralos_client import configuring
from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.sending import Operation

Run = Callable[[Operation[Json]], Json]
AsyncRun = Callable[[Operation[Json]], Awaitable[Json]]


class Healing:
    """Circuit breakers. The answers are the server's JSON objects."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config = config
        self._run = run

    def breakers(self) -> list[Json]:
        """All circuit breakers, with their state."""
        found: list[Json] = self._run(configuring.read(self._config, ("breakers",), {}))["breakers"]
        return found

    def breaker(self, name: str) -> Json:
        """One of them; `name` is a deployment's id, or `credential:` and the variable that holds the key."""
        return self._run(configuring.read(self._config, ("breakers", name), {}))

    def reset_breaker(self, name: str, *, reason: str = "") -> Json:
        """Have it closed at once, whatever was seen."""
        return self._run(configuring.post(self._config, ("breakers", name, "reset"), {"reason": reason}))

    def breaker_changes(self, name: str | None = None, *, page_size: int = 200) -> Iterator[Json]:
        """When breakers opened, were probed and closed, and why; newest first, page by page."""
        cursor: str | None = None
        while True:
            params = {"name": name, "limit": page_size, "cursor": cursor}
            page = self._run(configuring.read(self._config, ("breaker-changes",), params))
            yield from page["changes"]
            cursor = page["next"]
            if cursor is None:
                return


class AsyncHealing:
    """`Healing` documents the methods, which are the same."""

    def __init__(self, config: Config, run: AsyncRun) -> None:
        self._config = config
        self._run = run

    async def breakers(self) -> list[Json]:
        """See `Healing.breakers`."""
        found: list[Json] = (await self._run(configuring.read(self._config, ("breakers",), {})))["breakers"]
        return found

    async def breaker(self, name: str) -> Json:
        """See `Healing.breaker`."""
        return await self._run(configuring.read(self._config, ("breakers", name), {}))

    async def reset_breaker(self, name: str, *, reason: str = "") -> Json:
        """See `Healing.reset_breaker`."""
        return await self._run(configuring.post(self._config, ("breakers", name, "reset"), {"reason": reason}))

    async def breaker_changes(self, name: str | None = None, *, page_size: int = 200) -> AsyncIterator[Json]:
        """See `Healing.breaker_changes`."""
        cursor: str | None = None
        while True:
            params = {"name": name, "limit": page_size, "cursor": cursor}
            page = await self._run(configuring.read(self._config, ("breaker-changes",), params))
            for change in page["changes"]:
                yield change
            cursor = page["next"]
            if cursor is None:
                return
