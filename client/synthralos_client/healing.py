"""How the installation heals, and what people heal: `Client.healing`, `AsyncClient.healing`."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import aclosing, closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from synthralos_client import configuring
from synthralos_client import dead_letters as letters
from synthralos_client.config import Config
from synthralos_client.incidents import AsyncIncidents, Incidents
from synthralos_client.models import Json
from synthralos_client.operations import keyed_post
from synthralos_client.paging import async_pages, pages
from synthralos_client.runs import AsyncRuns, Runs
from synthralos_client.sending import Call, Operation

if TYPE_CHECKING:
    from typing_extensions import Unpack

Stream = Callable[[Call], Generator[bytes, None, None]]
AsyncStream = Callable[[Call], AsyncGenerator[bytes, None]]


class DeadLetterFilter(TypedDict, total=False):
    """Which dead letters: all conditions that are given have to hold. Times are when the job failed."""

    failure_class: str
    model: str
    deployment: str
    workspace: str
    user: str
    run_id: str
    failed_after: datetime | str
    failed_before: datetime | str


class Healing(Runs):
    """Circuit breakers, quotas of providers, dead letters, agent runs, `incidents`. Answers are the server's JSON."""

    def __init__(self, config: Config, run: Callable[[Operation[Json]], Json], stream: Stream) -> None:
        super().__init__(config, run)
        self._stream = stream
        self.incidents = Incidents(config, run)

    def breakers(self) -> list[Json]:
        """All circuit breakers, with their state."""
        found: list[Json] = self._run(configuring.read(self._config, ("breakers",), {}))["breakers"]
        return found

    def breaker(self, name: str) -> Json:
        """One of them; `name` is a deployment's id, or `credential:` and the name of a provider key."""
        return self._run(configuring.read(self._config, ("breakers", name), {}))

    def reset_breaker(self, name: str, *, reason: str = "") -> Json:
        """Have it closed at once, whatever was seen."""
        return self._run(configuring.post(self._config, ("breakers", name, "reset"), {"reason": reason}))

    def quotas(self) -> list[Json]:
        """The quotas of providers, by credential and model: limits, what is left, and what is closed until when."""
        found: list[Json] = self._run(configuring.read(self._config, ("quotas",), {}))["quotas"]
        return found

    def quota(self, name: str) -> Json:
        """One of them; `name` is `CREDENTIAL/MODEL`, as the list says."""
        return self._run(configuring.read(self._config, ("quotas", name), {}))

    def reset_quota(self, name: str, *, reason: str = "") -> Json:
        """Forget what was learned of it, and have it opened at once."""
        return self._run(configuring.post(self._config, ("quotas", name, "reset"), {"reason": reason}))

    def breaker_changes(self, name: str | None = None, *, page_size: int = 200) -> Iterator[Json]:
        """When breakers opened, were probed and closed, and why; newest first, page by page."""
        return pages(
            lambda cursor: self._run(
                configuring.read(
                    self._config, ("breaker-changes",), {"name": name, "limit": page_size, "cursor": cursor}
                )
            ),
            "changes",
        )

    def credentials(self) -> list[Json]:
        """The provider keys by name, and which of them providers refuse. Values are never told."""
        found: list[Json] = self._run(configuring.read(self._config, ("credentials",), {}))["credentials"]
        return found

    def dead_letters(self, *, page_size: int = 200, **filters: Unpack[DeadLetterFilter]) -> Iterator[Json]:
        """Jobs that failed for good, newest first, page by page."""
        return pages(
            lambda cursor: self._run(
                configuring.read(self._config, ("dead-letters",), {**filters, "limit": page_size, "cursor": cursor})
            ),
            "jobs",
        )

    def dead_letter_causes(self, **filters: Unpack[DeadLetterFilter]) -> list[Json]:
        """What the newest 50,000 dead letters failed of, the most frequent cause first."""
        found: list[Json] = self._run(configuring.read(self._config, ("dead-letters", "causes"), filters))["causes"]
        return found

    def operate_on_dead_letters(
        self,
        act: Literal["retry", "reroute"],
        filter: Mapping[str, Any],
        *,
        name: str = "",
        changes: Mapping[str, Any] | None = None,
        per_second: float | None = None,
        reason: str = "",
        idempotency_key: str | None = None,
    ) -> Json:
        """Retry or reroute all that fit, in the background. `filter`: as `DeadLetterFilter`, or `{"jobs": [...]}`.

        The same call with the same `idempotency_key` gives the operation that the first one made.
        """
        wanted = _wanted(act, filter, name, changes, per_second, reason)
        return self._run(keyed_post(self._config, "/api/v1/dead-letters/operations", wanted, idempotency_key))

    def export_dead_letters(self, **filters: Unpack[DeadLetterFilter]) -> Iterator[Json]:
        """Dead letters, newest first, with what was asked: as `import_dead_letters` takes them. Read as they come.

        Raises `ConnectError` where the export breaks off.
        """
        reader = letters.Lines()
        with closing(self._stream(letters.export(filters))) as chunks:
            for chunk in chunks:
                yield from reader.feed(chunk)

    def import_dead_letters(self, lines: Iterable[Mapping[str, Any]]) -> Iterator[Json]:
        """Make new jobs of exported lines; what became of each, in order. A line that was imported before does nothing.

        So after an error the whole import can be repeated.
        """
        for part in letters.parts(lines):
            yield from self._run(letters.importing(self._config, part))["lines"]

    def dead_letter_operations(self) -> list[Json]:
        """The newest operations."""
        found: list[Json] = self._run(configuring.read(self._config, _OPERATIONS, {"limit": 200}))["operations"]
        return found

    def dead_letter_operation(self, operation_id: str) -> Json:
        """One operation, with how far it is."""
        return self._run(configuring.read(self._config, (*_OPERATIONS, operation_id), {}))

    def change_dead_letter_operation(
        self, operation_id: str, change: Literal["pause", "resume", "cancel", "repeat"], *, reason: str = ""
    ) -> Json:
        """Pause, resume or cancel it; or do the same to those that there are now."""
        return self._run(configuring.post(self._config, (*_OPERATIONS, operation_id, change), {"reason": reason}))


class AsyncHealing(AsyncRuns):
    """`Healing` documents the methods, which are the same."""

    def __init__(self, config: Config, run: Callable[[Operation[Json]], Awaitable[Json]], stream: AsyncStream) -> None:
        super().__init__(config, run)
        self._stream = stream
        self.incidents = AsyncIncidents(config, run)

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

    async def quotas(self) -> list[Json]:
        """See `Healing.quotas`."""
        found: list[Json] = (await self._run(configuring.read(self._config, ("quotas",), {})))["quotas"]
        return found

    async def quota(self, name: str) -> Json:
        """See `Healing.quota`."""
        return await self._run(configuring.read(self._config, ("quotas", name), {}))

    async def reset_quota(self, name: str, *, reason: str = "") -> Json:
        """See `Healing.reset_quota`."""
        return await self._run(configuring.post(self._config, ("quotas", name, "reset"), {"reason": reason}))

    def breaker_changes(self, name: str | None = None, *, page_size: int = 200) -> AsyncIterator[Json]:
        """See `Healing.breaker_changes`."""
        return async_pages(
            lambda cursor: self._run(
                configuring.read(
                    self._config, ("breaker-changes",), {"name": name, "limit": page_size, "cursor": cursor}
                )
            ),
            "changes",
        )

    async def credentials(self) -> list[Json]:
        """See `Healing.credentials`."""
        found: list[Json] = (await self._run(configuring.read(self._config, ("credentials",), {})))["credentials"]
        return found

    def dead_letters(self, *, page_size: int = 200, **filters: Unpack[DeadLetterFilter]) -> AsyncIterator[Json]:
        """See `Healing.dead_letters`."""
        return async_pages(
            lambda cursor: self._run(
                configuring.read(self._config, ("dead-letters",), {**filters, "limit": page_size, "cursor": cursor})
            ),
            "jobs",
        )

    async def dead_letter_causes(self, **filters: Unpack[DeadLetterFilter]) -> list[Json]:
        """See `Healing.dead_letter_causes`."""
        found: list[Json] = (await self._run(configuring.read(self._config, ("dead-letters", "causes"), filters)))[
            "causes"
        ]
        return found

    async def operate_on_dead_letters(
        self,
        act: Literal["retry", "reroute"],
        filter: Mapping[str, Any],
        *,
        name: str = "",
        changes: Mapping[str, Any] | None = None,
        per_second: float | None = None,
        reason: str = "",
        idempotency_key: str | None = None,
    ) -> Json:
        """See `Healing.operate_on_dead_letters`."""
        wanted = _wanted(act, filter, name, changes, per_second, reason)
        return await self._run(keyed_post(self._config, "/api/v1/dead-letters/operations", wanted, idempotency_key))

    async def export_dead_letters(self, **filters: Unpack[DeadLetterFilter]) -> AsyncIterator[Json]:
        """See `Healing.export_dead_letters`."""
        reader = letters.Lines()
        async with aclosing(self._stream(letters.export(filters))) as chunks:
            async for chunk in chunks:
                for line in reader.feed(chunk):
                    yield line

    async def import_dead_letters(self, lines: Iterable[Mapping[str, Any]]) -> AsyncIterator[Json]:
        """See `Healing.import_dead_letters`."""
        for part in letters.parts(lines):
            for line in (await self._run(letters.importing(self._config, part)))["lines"]:
                yield line

    async def dead_letter_operations(self) -> list[Json]:
        """See `Healing.dead_letter_operations`."""
        found: list[Json] = (await self._run(configuring.read(self._config, _OPERATIONS, {"limit": 200})))["operations"]
        return found

    async def dead_letter_operation(self, operation_id: str) -> Json:
        """See `Healing.dead_letter_operation`."""
        return await self._run(configuring.read(self._config, (*_OPERATIONS, operation_id), {}))

    async def change_dead_letter_operation(
        self, operation_id: str, change: Literal["pause", "resume", "cancel", "repeat"], *, reason: str = ""
    ) -> Json:
        """See `Healing.change_dead_letter_operation`."""
        return await self._run(configuring.post(self._config, (*_OPERATIONS, operation_id, change), {"reason": reason}))


_OPERATIONS = ("dead-letters", "operations")


def _wanted(
    act: str, wanted: Mapping[str, Any], name: str, changes: Mapping[str, Any] | None, rate: float | None, reason: str
) -> dict[str, Any]:
    times = {key: value.isoformat() for key, value in wanted.items() if isinstance(value, datetime)}
    body = {"act": act, "filter": {**wanted, **times}, "name": name, "reason": reason}
    return {**body, "changes": changes, "per_second": rate}
