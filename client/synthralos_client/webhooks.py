"""Webhook endpoints: `Client.webhooks`, `AsyncClient.webhooks`. The answers are the server's JSON objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime
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
DeliveryState = Literal["pending", "delivered", "set_aside"]

_ROOM = "webhooks"


class WebhookOptions(TypedDict, total=False):
    """What an endpoint may say beside its URL; `docs/webhooks.md` explains each."""

    description: str
    types: Sequence[str]
    enabled: bool
    content: bool
    residency: str | None
    form: Literal["synthralos", "openai"]
    organization: str | None
    reason: str


class Webhooks:
    """Endpoints, and what became of the events on their way there."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config, self._run = config, run

    def list(self, *, page_size: int = 200) -> Iterator[Json]:
        """The endpoints that the key may see, oldest first, page by page."""
        return pages(lambda cursor: self._run(_read(self._config, (), limit=page_size, cursor=cursor)), "webhooks")

    def get(self, webhook_id: str) -> Json:
        """One endpoint and how it stands; its `version` is for `replace`."""
        return self._run(_read(self._config, (webhook_id,)))

    def create(self, url: str, **options: Unpack[WebhookOptions]) -> Json:
        """Make an endpoint; its `secret` is shown this once. Not repeated where the answer is lost."""
        return self._run(_act(self._config, (), {"url": url, **options}, secret=True))

    def replace(
        self, webhook_id: str, url: str, *, version: int | None = None, **options: Unpack[WebhookOptions]
    ) -> Json:
        """Replace what an endpoint says; with `version` only where it is still at that one (else a 412)."""
        body = {"url": url, **options}
        return self._run(configuring.put(self._config, (_ROOM, webhook_id), body, version=version))

    def remove(self, webhook_id: str, *, reason: str | None = None) -> Json:
        """Remove an endpoint and what is on its way there."""
        return self._run(configuring.remove(self._config, (_ROOM, webhook_id), reason))

    def rotate_secret(self, webhook_id: str, *, overlap_seconds: float = 86_400.0, reason: str = "") -> Json:
        """Make a new `secret`, shown this once; those before sign beside it for `overlap_seconds`."""
        body = {"overlap_seconds": overlap_seconds, "reason": reason}
        return self._run(_act(self._config, (webhook_id, "rotate-secret"), body, secret=True))

    def test(self, webhook_id: str) -> Json:
        """Send an event of the type `webhook.test`; what came of it is among the deliveries."""
        return self._run(_act(self._config, (webhook_id, "test"), {}))

    def deliveries(
        self, webhook_id: str, *, state: DeliveryState | None = None, page_size: int = 200
    ) -> Iterator[Json]:
        """What became of events on their way there, newest first, page by page."""
        path = (webhook_id, "deliveries")
        return pages(
            lambda cursor: self._run(_read(self._config, path, state=state, limit=page_size, cursor=cursor)),
            "deliveries",
        )

    def retry(self, webhook_id: str, delivery_id: str, *, reason: str = "") -> Json:
        """Send an event again now."""
        return self._run(_act(self._config, (webhook_id, "deliveries", delivery_id, "retry"), {"reason": reason}))

    def replay(
        self, webhook_id: str, since: datetime | str, until: datetime | str | None = None, *, reason: str = ""
    ) -> Json:
        """Send what happened from `since` to before `until` again; `next_since` of the answer leads on."""
        body = {"since": since, "until": until, "reason": reason}
        return self._run(_act(self._config, (webhook_id, "replay"), body))


class AsyncWebhooks:
    """`Webhooks` documents the methods, which are the same."""

    def __init__(self, config: Config, run: AsyncRun) -> None:
        self._config, self._run = config, run

    def list(self, *, page_size: int = 200) -> AsyncIterator[Json]:
        """See `Webhooks.list`."""
        return async_pages(
            lambda cursor: self._run(_read(self._config, (), limit=page_size, cursor=cursor)), "webhooks"
        )

    async def get(self, webhook_id: str) -> Json:
        """See `Webhooks.get`."""
        return await self._run(_read(self._config, (webhook_id,)))

    async def create(self, url: str, **options: Unpack[WebhookOptions]) -> Json:
        """See `Webhooks.create`."""
        return await self._run(_act(self._config, (), {"url": url, **options}, secret=True))

    async def replace(
        self, webhook_id: str, url: str, *, version: int | None = None, **options: Unpack[WebhookOptions]
    ) -> Json:
        """See `Webhooks.replace`."""
        body = {"url": url, **options}
        return await self._run(configuring.put(self._config, (_ROOM, webhook_id), body, version=version))

    async def remove(self, webhook_id: str, *, reason: str | None = None) -> Json:
        """See `Webhooks.remove`."""
        return await self._run(configuring.remove(self._config, (_ROOM, webhook_id), reason))

    async def rotate_secret(self, webhook_id: str, *, overlap_seconds: float = 86_400.0, reason: str = "") -> Json:
        """See `Webhooks.rotate_secret`."""
        body = {"overlap_seconds": overlap_seconds, "reason": reason}
        return await self._run(_act(self._config, (webhook_id, "rotate-secret"), body, secret=True))

    async def test(self, webhook_id: str) -> Json:
        """See `Webhooks.test`."""
        return await self._run(_act(self._config, (webhook_id, "test"), {}))

    def deliveries(
        self, webhook_id: str, *, state: DeliveryState | None = None, page_size: int = 200
    ) -> AsyncIterator[Json]:
        """See `Webhooks.deliveries`."""
        path = (webhook_id, "deliveries")
        return async_pages(
            lambda cursor: self._run(_read(self._config, path, state=state, limit=page_size, cursor=cursor)),
            "deliveries",
        )

    async def retry(self, webhook_id: str, delivery_id: str, *, reason: str = "") -> Json:
        """See `Webhooks.retry`."""
        path = (webhook_id, "deliveries", delivery_id, "retry")
        return await self._run(_act(self._config, path, {"reason": reason}))

    async def replay(
        self, webhook_id: str, since: datetime | str, until: datetime | str | None = None, *, reason: str = ""
    ) -> Json:
        """See `Webhooks.replay`."""
        body = {"since": since, "until": until, "reason": reason}
        return await self._run(_act(self._config, (webhook_id, "replay"), body))


def _read(config: Config, path: tuple[str, ...], **params: Any) -> Operation[Json]:
    return configuring.read(config, (_ROOM, *path), params)


def _act(config: Config, path: tuple[str, ...], body: dict[str, Any], *, secret: bool = False) -> Operation[Json]:
    """`secret`: one is shown, once; what may have shown it is not sent again."""
    return configuring.post(config, (_ROOM, *path), body, repeatable=not secret)
