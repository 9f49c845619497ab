"""Erasure of what is known of a person or a tenant: `Client.erasures`, `AsyncClient.erasures`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Literal

from synthralos_client import configuring
from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.operations import given, keyed_post
from synthralos_client.paging import async_pages, pages
from synthralos_client.sending import Operation

_PATH = ("erasures",)
_URL = "/api/v1/erasures"
OpenJobs = Literal["cancel", "wait"]


class Erasures:
    """The answers are the server's JSON objects."""

    def __init__(self, config: Config, run: Callable[[Operation[Json]], Json]) -> None:
        self._config, self._run = config, run

    def create(
        self,
        *,
        organization: str | None = None,
        workspace: str | None = None,
        user: str | None = None,
        everything: bool = False,
        open_jobs: OpenJobs = "cancel",
        reason: str = "",
        idempotency_key: str | None = None,
    ) -> Json:
        """Erase what is known of a user, a workspace or, with `everything`, an organization. It cannot be undone.

        The same call with the same `idempotency_key` gives the erasure that the first one made.
        """
        body = _wanted(organization, workspace, user, everything, open_jobs, reason)
        return self._run(keyed_post(self._config, _URL, body, idempotency_key))

    def list(self, *, page_size: int = 200) -> Iterator[Json]:
        """Erasures, newest first, page by page."""
        return pages(
            lambda cursor: self._run(configuring.read(self._config, _PATH, {"limit": page_size, "cursor": cursor})),
            "erasures",
        )

    def get(self, erasure_id: str) -> Json:
        """One erasure, with how far it is."""
        return self._run(configuring.read(self._config, (*_PATH, erasure_id), {}))


class AsyncErasures:
    """`Erasures` documents the methods, which are the same."""

    def __init__(self, config: Config, run: Callable[[Operation[Json]], Awaitable[Json]]) -> None:
        self._config, self._run = config, run

    async def create(
        self,
        *,
        organization: str | None = None,
        workspace: str | None = None,
        user: str | None = None,
        everything: bool = False,
        open_jobs: OpenJobs = "cancel",
        reason: str = "",
        idempotency_key: str | None = None,
    ) -> Json:
        """See `Erasures.create`."""
        body = _wanted(organization, workspace, user, everything, open_jobs, reason)
        return await self._run(keyed_post(self._config, _URL, body, idempotency_key))

    def list(self, *, page_size: int = 200) -> AsyncIterator[Json]:
        """See `Erasures.list`."""
        return async_pages(
            lambda cursor: self._run(configuring.read(self._config, _PATH, {"limit": page_size, "cursor": cursor})),
            "erasures",
        )

    async def get(self, erasure_id: str) -> Json:
        """See `Erasures.get`."""
        return await self._run(configuring.read(self._config, (*_PATH, erasure_id), {}))


def _wanted(
    organization: str | None, workspace: str | None, user: str | None, everything: bool, open_jobs: str, reason: str
) -> dict[str, Any]:
    named = given(organization=organization, workspace=workspace, user=user)
    return {**named, "everything": everything, "open_jobs": open_jobs, "reason": reason}
