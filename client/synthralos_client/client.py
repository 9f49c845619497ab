"""The sync client. What it sends and how it reads the answers is in `operations.py`, shared with the async one."""

from __future__ import annotations

import ssl
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from synthralos_client import administration, operations
from synthralos_client.async_client import LIMITS, AsyncClient
from synthralos_client.background import Background
from synthralos_client.config import configure, on_the_way
from synthralos_client.configuration import Configuration
from synthralos_client.deltas import Delta, delta_of
from synthralos_client.embeddings import EmbeddingOptions, embedding_of
from synthralos_client.erasures import Erasures
from synthralos_client.errors import ConnectError
from synthralos_client.events import EventReader
from synthralos_client.exports import Exports
from synthralos_client.feed import Feed
from synthralos_client.following import follow
from synthralos_client.healing import Healing
from synthralos_client.models import BulkResult, Event, Health, Job, Json, Key, Organization
from synthralos_client.observing import Observability
from synthralos_client.paging import pages
from synthralos_client.repairs import Repairs
from synthralos_client.request_fields import JobFilters, JobOptions, JobRequest, KeyOptions, RerouteOptions
from synthralos_client.schedules import Schedules
from synthralos_client.sending import Call, Operation, Pause, error_of, new_key, no_answer
from synthralos_client.spending import Spending
from synthralos_client.waiting import OnProgress
from synthralos_client.waits import Waits
from synthralos_client.webhooks import Webhooks

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class Client:
    """Talks to one SynthralOS server. Safe to share between threads; close it, or use it in a `with` block.

    `base_url` and `api_key` come from SYNTHRALOS_URL and SYNTHRALOS_API_KEY where they are not given.
    `timeout` is in seconds and per request. Broken connections, 429 and 503 are retried `max_retries` times with
    backoff (or after `Retry-After`), never so that a job could be handed in twice. All methods raise the errors of
    `synthralos_client.errors`.
    """

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
        self._verify = verify
        self._http = httpx.Client(limits=LIMITS, **on_the_way(self._config, verify))
        self.exports = Exports(self._config, self._run)
        self.healing = Healing(self._config, self._run, self._stream)
        self.configuration = Configuration(self._config, self._run, self._stream)
        self.spending = Spending(self._config, self._run)
        self.observability = Observability(self._config, self._run)
        self.schedules = Schedules(self._config, self._run)
        self.erasures = Erasures(self._config, self._run)
        self.waits = Waits(self._config, self._run)
        self.repairs = Repairs(self._config, self._run)
        self.webhooks = Webhooks(self._config, self._run)
        self.feed = Feed(self._config, self._run, self._follow)

    def submit(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        model: str = "auto",
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Hand in one job: a `prompt` (one user message) or OpenAI chat `messages`. It is durable on return."""
        request = operations.request_of(prompt, messages, model, options)
        return self._run(
            operations.submit(self._config, request, operations.submit_headers(idempotency_key, traceparent))
        )

    def submit_embedding(
        self,
        texts: str | Sequence[str],
        *,
        model: str,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        **options: Unpack[EmbeddingOptions],
    ) -> Job:
        """Hand in one embedding job: up to 256 texts, of which `model` makes a vector each (`Job.embeddings`)."""
        headers = operations.submit_headers(idempotency_key, traceparent)
        return self._run(operations.submit(self._config, embedding_of(texts, model, options), headers))

    def explain_route(
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
        return self._run(operations.explain_route(self._config, asked, policies))

    def submit_many(
        self, requests: Iterable[JobRequest | Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> list[Job]:
        """Hand in any number of jobs, up to 1,000 a request; the order is kept.

        On an error, the error's `accepted` holds what is in. With an `idempotency_key` of your own, the same call
        may be repeated later without doubling anything.
        """
        return self._run(operations.submit_many(self._config, requests, idempotency_key or new_key()))

    def get(self, job_id: str, *, wait: float | None = None) -> Job:
        """One job as it is; with `wait`, once it is done or that many seconds (at most 120) are over."""
        return self._run(operations.get(self._config, job_id, wait))

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """One job once it is done; raises `WaitTimeout` after `timeout` seconds."""
        return self._run(operations.wait(self._config, job_id, timeout))

    def wait_many(
        self, job_ids: Iterable[str], timeout: float | None = None, on_progress: OnProgress | None = None
    ) -> list[Job]:
        """The jobs, in the order of `job_ids`, once all are done; raises `WaitTimeout` after `timeout` seconds.

        `on_progress(job, done, total)` is called in this thread for each job that is done.
        """
        ids, steps = list(job_ids), SimpleQueue[tuple[Job, int, int] | None]()

        async def work() -> list[Job]:
            async with AsyncClient(self._config.base_url, self._config.api_key, **self._settings()) as client:
                return await client.wait_many(ids, timeout, lambda *step: steps.put(step))

        with Background(work, on_end=lambda: steps.put(None)) as running:
            for step in iter(steps.get, None):
                if on_progress is not None:
                    on_progress(*step)
            return running.result()

    def jobs(self, *, page_size: int = 200, **filters: Unpack[JobFilters]) -> Iterator[Job]:
        """All jobs that fit the filters, newest first, page by page, without their requests and results."""
        found = pages(lambda cursor: self._run(operations.page(self._config, filters, cursor, page_size)), "jobs")
        return map(Job.from_json, found)

    def events(self, job_id: str, *, last_event_id: str | None = None) -> Iterator[Event]:
        """What happens to a job, while it happens, up to `done`. A broken stream is resumed where it broke."""
        return self._follow(EventReader(job_id, self._config, last_event_id))

    def stream(self, job_id: str, *, last_event_id: str | None = None) -> Iterator[Delta]:
        """The answer of a job that was submitted with `stream=True`, while it is written; then the finished job.

        A stream that breaks is resumed where it broke; a job that is not streamed gives its end alone.
        """
        for event in self.events(job_id, last_event_id=last_event_id):
            delta = delta_of(event)
            if delta is not None:
                yield delta

    def cancel(self, job_id: str, *, reason: str | None = None) -> Job:
        """Call a job off; raises `Conflict` where it is done already."""
        return self._run(operations.act(self._config, job_id, "cancel", operations.given(reason=reason)))

    def retry(self, job_id: str, *, reason: str | None = None) -> Job:
        """Send a job that failed through again; raises `Conflict` where it did not fail."""
        return self._run(operations.act(self._config, job_id, "retry", operations.given(reason=reason)))

    def cancel_many(self, job_ids: Iterable[str], *, reason: str | None = None) -> list[BulkResult]:
        """Call any number of jobs off, up to 1,000 a request; each is reported by itself, and none holds up another.

        On an error, the error's `reported` holds what was done before it.
        """
        return self._run(operations.bulk(self._config, "cancel", job_ids, operations.given(reason=reason)))

    def retry_many(self, job_ids: Iterable[str], *, reason: str | None = None) -> list[BulkResult]:
        """Send any number of jobs through again; reported as in `cancel_many`."""
        return self._run(operations.bulk(self._config, "retry", job_ids, operations.given(reason=reason)))

    def reroute(self, job_id: str, **options: Unpack[RerouteOptions]) -> Job:
        """Have a job routed anew, with other constraints where given; raises `Conflict` where it succeeded."""
        return self._run(operations.act(self._config, job_id, "reroute", options))

    def trace(self, trace_or_job_id: str) -> Json:
        """The whole timeline: the trace's jobs, each with its spans and events."""
        return self._run(operations.trace(self._config, trace_or_job_id))

    def evidence(self, job_id: str) -> Json:
        """Where each call of a job went, under which demands and decisions, and whether it kept to them."""
        return self._run(operations.evidence(self._config, job_id))

    def api_keys(self) -> list[Key]:
        """The keys that this key may see, newest first, without the keys themselves. Needs the role `admin`."""
        return self._run(administration.keys(self._config))

    def create_key(self, name: str, **options: Unpack[KeyOptions]) -> Key:
        """Make a key; its `secret` is shown this once."""
        return self._run(administration.create_key(self._config, name, options))

    def rotate_key(self, key_id: str, *, grace_seconds: float = 0.0) -> Key:
        """Make a key in the place of another one, which goes on for `grace_seconds`; see `create_key`."""
        return self._run(administration.rotate_key(self._config, key_id, grace_seconds))

    def revoke_key(self, key_id: str) -> Key:
        """Revoke a key: within two seconds every process refuses it."""
        return self._run(administration.revoke_key(self._config, key_id))

    def organizations(self) -> list[Organization]:
        """The organizations that a key named or that were put on a plan, by name."""
        return self._run(administration.organizations(self._config))

    def set_plan(self, organization: str, account_plan: str) -> Organization:
        """Put an organization on the plan `free`, `pro` or `enterprise`; jobs submitted from now on carry it."""
        return self._run(administration.set_plan(self._config, organization, account_plan))

    def health(self) -> Health:
        """Whether the server is ready. Needs no key."""
        return self._run(operations.health(self._config))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _settings(self) -> dict[str, Any]:
        return {"timeout": self._config.timeout, "max_retries": self._config.max_retries, "verify": self._verify}

    def _run(self, operation: Operation[T]) -> T:
        try:
            step = next(operation)
            while True:
                try:
                    response = self._do(step)
                except httpx.RequestError as error:
                    step = operation.throw(error)
                else:
                    step = operation.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    def _follow(self, reader: EventReader) -> Iterator[Event]:
        return follow(self._http, self._config, reader)

    def _stream(self, call: Call) -> Generator[bytes, None, None]:
        """The bytes of an answer as they come. Not repeated: what was told before would come again."""
        try:
            with self._http.stream(**call.arguments(self._config)) as response:
                if not response.is_success:
                    response.read()
                    raise error_of(response)
                yield from response.iter_bytes()
        except httpx.RequestError as error:
            raise ConnectError(no_answer(error, self._config)) from error

    def _do(self, step: Call | Pause) -> httpx.Response | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        return self._http.request(**step.arguments(self._config))
