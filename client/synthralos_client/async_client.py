"""The async client. What it sends and how it reads the answers is in `operations.py`, shared with the sync one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from synthralos_client import administration, operations
from synthralos_client.config import configure, on_the_way
from synthralos_client.configuration import AsyncConfiguration
from synthralos_client.deltas import Delta, delta_of
from synthralos_client.embeddings import EmbeddingOptions, embedding_of
from synthralos_client.erasures import AsyncErasures
from synthralos_client.errors import ConnectError
from synthralos_client.events import EventReader
from synthralos_client.exports import AsyncExports
from synthralos_client.feed import AsyncFeed
from synthralos_client.following import follow_async
from synthralos_client.healing import AsyncHealing
from synthralos_client.models import BulkResult, Event, Health, Job, Json, Key, Organization
from synthralos_client.observing import AsyncObservability
from synthralos_client.paging import async_pages
from synthralos_client.repairs import AsyncRepairs
from synthralos_client.request_fields import JobFilters, JobOptions, JobRequest, KeyOptions, RerouteOptions
from synthralos_client.schedules import AsyncSchedules
from synthralos_client.sending import Call, Operation, Pause, error_of, new_key, no_answer
from synthralos_client.spending import AsyncSpending
from synthralos_client.waiting import CONNECTIONS, Line, OnProgress
from synthralos_client.waits import AsyncWaits
from synthralos_client.webhooks import AsyncWebhooks

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")

LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=CONNECTIONS)


class AsyncClient:
    """Talks to one SynthralOS server; `Client` documents the arguments and the methods, which are the same."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        max_retries: int = 5,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self._config = configure(base_url, api_key, timeout, max_retries)
        self._http = httpx.AsyncClient(limits=LIMITS, **on_the_way(self._config, verify))
        self.exports = AsyncExports(self._config, self._run)
        self.healing = AsyncHealing(self._config, self._run, self._stream)
        self.configuration = AsyncConfiguration(self._config, self._run, self._stream)
        self.spending = AsyncSpending(self._config, self._run)
        self.observability = AsyncObservability(self._config, self._run)
        self.schedules = AsyncSchedules(self._config, self._run)
        self.erasures = AsyncErasures(self._config, self._run)
        self.waits = AsyncWaits(self._config, self._run)
        self.repairs = AsyncRepairs(self._config, self._run)
        self.webhooks = AsyncWebhooks(self._config, self._run)
        self.feed = AsyncFeed(self._config, self._run, self._follow)

    async def submit(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        model: str = "auto",
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Hand in one job; see `Client.submit`."""
        request = operations.request_of(prompt, messages, model, options)
        return await self._run(
            operations.submit(self._config, request, operations.submit_headers(idempotency_key, traceparent))
        )

    async def submit_embedding(
        self,
        texts: str | Sequence[str],
        *,
        model: str,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        **options: Unpack[EmbeddingOptions],
    ) -> Job:
        """Hand in one embedding job; see `Client.submit_embedding`."""
        headers = operations.submit_headers(idempotency_key, traceparent)
        return await self._run(operations.submit(self._config, embedding_of(texts, model, options), headers))

    async def explain_route(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        model: str = "auto",
        policies: Mapping[str, Any] | None = None,
        **options: Unpack[JobOptions],
    ) -> Json:
        """Where such a job would go and why not elsewhere, as the server's JSON object; nothing is run or stored.

        Policies are asked as a worker would ask them. `policies`: a `draft` of a set to try beside those in force,
        with the `policy_id` of the stored one that it would replace.
        """
        asked = operations.request_of(prompt, messages, model, options)
        return await self._run(operations.explain_route(self._config, asked, policies))

    async def submit_many(
        self, requests: Iterable[JobRequest | Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> list[Job]:
        """Hand in any number of jobs; see `Client.submit_many`."""
        return await self._run(operations.submit_many(self._config, requests, idempotency_key or new_key()))

    async def get(self, job_id: str, *, wait: float | None = None) -> Job:
        """One job; see `Client.get`."""
        return await self._run(operations.get(self._config, job_id, wait))

    async def wait(self, job_id: str, timeout: float | None = None) -> Job:  # noqa: ASYNC109 - as in `Client`
        """One job once it is done; see `Client.wait`."""
        return await self._run(operations.wait(self._config, job_id, timeout))

    async def wait_many(
        self,
        job_ids: Iterable[str],
        timeout: float | None = None,  # noqa: ASYNC109 - as in `Client`
        on_progress: OnProgress | None = None,
    ) -> list[Job]:
        """The jobs once all are done; see `Client.wait_many`."""
        line = Line(job_ids, timeout, on_progress)
        turns: set[asyncio.Task[Job]] = set()
        finished: set[asyncio.Task[Job]] = set()
        try:
            while True:
                while len(turns) < CONNECTIONS and (turn := line.turn()) is not None:
                    turns.add(asyncio.create_task(self._run(operations.poll(self._config, *turn))))
                if not turns:
                    return line.done()
                finished, turns = await asyncio.wait(turns, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    line.settle(task.result())
        finally:
            for task in turns:
                task.cancel()
            await asyncio.gather(*turns, *finished, return_exceptions=True)

    async def jobs(self, *, page_size: int = 200, **filters: Unpack[JobFilters]) -> AsyncIterator[Job]:
        """All jobs that fit the filters, newest first; see `Client.jobs`."""
        read = lambda cursor: self._run(operations.page(self._config, filters, cursor, page_size))  # noqa: E731
        async for job in async_pages(read, "jobs"):
            yield Job.from_json(job)

    def events(self, job_id: str, *, last_event_id: str | None = None) -> AsyncIterator[Event]:
        """What happens to a job, while it happens; see `Client.events`."""
        return self._follow(EventReader(job_id, self._config, last_event_id))

    async def stream(self, job_id: str, *, last_event_id: str | None = None) -> AsyncIterator[Delta]:
        """The answer of a job that was submitted with `stream=True`, while it is written; see `Client.stream`."""
        async for event in self.events(job_id, last_event_id=last_event_id):
            delta = delta_of(event)
            if delta is not None:
                yield delta

    async def cancel(self, job_id: str, *, reason: str | None = None) -> Job:
        """Call a job off; see `Client.cancel`."""
        return await self._run(operations.act(self._config, job_id, "cancel", operations.given(reason=reason)))

    async def retry(self, job_id: str, *, reason: str | None = None) -> Job:
        """Send a job that failed through again; see `Client.retry`."""
        return await self._run(operations.act(self._config, job_id, "retry", operations.given(reason=reason)))

    async def cancel_many(self, job_ids: Iterable[str], *, reason: str | None = None) -> list[BulkResult]:
        """Call any number of jobs off; see `Client.cancel_many`."""
        return await self._run(operations.bulk(self._config, "cancel", job_ids, operations.given(reason=reason)))

    async def retry_many(self, job_ids: Iterable[str], *, reason: str | None = None) -> list[BulkResult]:
        """Send any number of jobs through again; see `Client.retry_many`."""
        return await self._run(operations.bulk(self._config, "retry", job_ids, operations.given(reason=reason)))

    async def reroute(self, job_id: str, **options: Unpack[RerouteOptions]) -> Job:
        """Have a job routed anew; see `Client.reroute`."""
        return await self._run(operations.act(self._config, job_id, "reroute", options))

    async def trace(self, trace_or_job_id: str) -> Json:
        """The whole timeline; see `Client.trace`."""
        return await self._run(operations.trace(self._config, trace_or_job_id))

    async def evidence(self, job_id: str) -> Json:
        """Why its calls went where they went; see `Client.evidence`."""
        return await self._run(operations.evidence(self._config, job_id))

    async def api_keys(self) -> list[Key]:
        """The keys that this key may see; see `Client.api_keys`."""
        return await self._run(administration.keys(self._config))

    async def create_key(self, name: str, **options: Unpack[KeyOptions]) -> Key:
        """Make a key; see `Client.create_key`."""
        return await self._run(administration.create_key(self._config, name, options))

    async def rotate_key(self, key_id: str, *, grace_seconds: float = 0.0) -> Key:
        """Make a key in the place of another one; see `Client.rotate_key`."""
        return await self._run(administration.rotate_key(self._config, key_id, grace_seconds))

    async def revoke_key(self, key_id: str) -> Key:
        """Revoke a key; see `Client.revoke_key`."""
        return await self._run(administration.revoke_key(self._config, key_id))

    async def organizations(self) -> list[Organization]:
        """The organizations; see `Client.organizations`."""
        return await self._run(administration.organizations(self._config))

    async def set_plan(self, organization: str, account_plan: str) -> Organization:
        """Put an organization on a plan; see `Client.set_plan`."""
        return await self._run(administration.set_plan(self._config, organization, account_plan))

    async def health(self) -> Health:
        """Whether the server is ready; see `Client.health`."""
        return await self._run(operations.health(self._config))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, operation: Operation[T]) -> T:
        try:
            step = next(operation)
            while True:
                try:
                    response = await self._do(step)
                except httpx.RequestError as error:
                    step = operation.throw(error)
                else:
                    step = operation.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    def _follow(self, reader: EventReader) -> AsyncIterator[Event]:
        return follow_async(self._http, self._config, reader)

    async def _stream(self, call: Call) -> AsyncGenerator[bytes, None]:
        """See `Client._stream`."""
        try:
            async with self._http.stream(**call.arguments(self._config)) as response:
                if not response.is_success:
                    await response.aread()
                    raise error_of(response)
                async for chunk in response.aiter_bytes():
                    yield chunk
        except httpx.RequestError as error:
            raise ConnectError(no_answer(error, self._config)) from error

    async def _do(self, step: Call | Pause) -> httpx.Response | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        return await self._http.request(**step.arguments(self._config))
