"""Wait points: `Client.waits`, `AsyncClient.waits`. The answers are the server's JSON objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from urllib.parse import quote

from synthralos_client import configuring
from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.operations import LONGEST_POLL, keyed_post
from synthralos_client.paging import async_pages, pages
from synthralos_client.sending import Call, Operation, sending

if TYPE_CHECKING:
    from typing_extensions import Unpack

Run = Callable[[Operation[Json]], Json]
AsyncRun = Callable[[Operation[Json]], Awaitable[Json]]

Answer = Literal["approve", "deny"]


class WaitFilters(TypedDict, total=False):
    """Which wait points: all conditions that are given have to hold. `run`: of this run, and of its jobs."""

    state: Literal["open", "answered", "timed_out", "withdrawn"]
    kind: Literal["approval", "signal"]
    name: str
    job: str
    run: str


class WaitOptions(TypedDict, total=False):
    """How a run waits: `default` holds for an approval when the deadline passes, `default_payload` for a signal."""

    kind: Literal["approval", "signal"]
    prompt: str
    within_seconds: float
    default: Answer
    default_payload: Mapping[str, Any]
    organization: str
    workspace: str


class Waits:
    """What waits for an approval or a signal."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config = config
        self._run = run

    def list(self, *, page_size: int = 200, **filters: Unpack[WaitFilters]) -> Iterator[Json]:
        """Wait points, newest first, page by page; with `state="open"`, those that somebody has to answer."""
        return pages(lambda cursor: self._run(_page(self._config, filters, page_size, cursor)), "waits")

    def get(self, wait_id: str, *, wait: float = 0.0) -> Json:
        """One wait point; with `wait`, as soon as it is answered or so many seconds (at most 120) are over."""
        return self._run(_one(self._config, wait_id, wait))

    def answer(self, wait_id: str, answer: Answer, *, comment: str = "") -> Json:
        """Approve or deny; the same again changes nothing, `Conflict` where it was answered otherwise."""
        return self._run(_answer(self._config, wait_id, {"answer": answer, "comment": comment}))

    def signal(self, wait_id: str, payload: Mapping[str, Any] | None = None, *, comment: str = "") -> Json:
        """Send a signal's payload; the same again changes nothing, `Conflict` where another one was sent."""
        return self._run(_answer(self._config, wait_id, {"payload": dict(payload or {}), "comment": comment}))

    def ask(
        self, run_id: str, name: str, *, idempotency_key: str | None = None, **options: Unpack[WaitOptions]
    ) -> Json:
        """Ask for an approval (by `name`) or a signal (`kind="signal"`) for a run; `result` waits for it."""
        return self._run(_ask(self._config, run_id, name, options, idempotency_key))

    def result(self, wait_id: str) -> Json:
        """The wait point when it is not open any more: answered, or its deadline has passed."""
        while True:
            found = self.get(wait_id, wait=LONGEST_POLL)
            if found["state"] != "open":
                return found


class AsyncWaits:
    """The same for `AsyncClient`; `Waits` documents the methods."""

    def __init__(self, config: Config, run: AsyncRun) -> None:
        self._config = config
        self._run = run

    def list(self, *, page_size: int = 200, **filters: Unpack[WaitFilters]) -> AsyncIterator[Json]:
        """See `Waits.list`."""
        return async_pages(lambda cursor: self._run(_page(self._config, filters, page_size, cursor)), "waits")

    async def get(self, wait_id: str, *, wait: float = 0.0) -> Json:
        """See `Waits.get`."""
        return await self._run(_one(self._config, wait_id, wait))

    async def answer(self, wait_id: str, answer: Answer, *, comment: str = "") -> Json:
        """See `Waits.answer`."""
        return await self._run(_answer(self._config, wait_id, {"answer": answer, "comment": comment}))

    async def signal(self, wait_id: str, payload: Mapping[str, Any] | None = None, *, comment: str = "") -> Json:
        """See `Waits.signal`."""
        return await self._run(_answer(self._config, wait_id, {"payload": dict(payload or {}), "comment": comment}))

    async def ask(
        self, run_id: str, name: str, *, idempotency_key: str | None = None, **options: Unpack[WaitOptions]
    ) -> Json:
        """See `Waits.ask`."""
        return await self._run(_ask(self._config, run_id, name, options, idempotency_key))

    async def result(self, wait_id: str) -> Json:
        """See `Waits.result`."""
        while True:
            found = await self.get(wait_id, wait=LONGEST_POLL)
            if found["state"] != "open":
                return found


def _page(config: Config, filters: Mapping[str, Any], page_size: int, cursor: str | None) -> Operation[Json]:
    return configuring.read(config, ("waits",), {**filters, "limit": page_size, "cursor": cursor})


def _one(config: Config, wait_id: str, wait: float) -> Operation[Json]:
    params = (("wait", f"{wait:g}"),) if wait else ()
    call = Call("GET", f"/api/v1/waits/{quote(wait_id, safe='')}", params=params, waits=wait)
    found: Json = (yield from sending(call, config)).json()
    return found


def _answer(config: Config, wait_id: str, body: Mapping[str, Any]) -> Operation[Json]:
    return configuring.post(config, ("waits", wait_id), body)


def _ask(config: Config, run_id: str, name: str, options: Mapping[str, Any], key: str | None) -> Operation[Json]:
    path = f"/api/v1/runs/{quote(run_id, safe='')}/waits"
    return keyed_post(config, path, {"name": name, **options}, key)
