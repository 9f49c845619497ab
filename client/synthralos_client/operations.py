"""The calls of the API, each once: what to send, and how to read the answer. See `sending.py` for how they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from synthralos_client.config import Config
from synthralos_client.errors import ApiError, ConnectError, SynthralosError, WaitTimeout
from synthralos_client.models import BulkResult, Health, Job, Json
from synthralos_client.sending import Call, Operation, Pause, encode, new_key, no_answer, now, parameter, sending

JOBS = "/api/v1/jobs"
ROUTE = "/api/v1/route/explain"
TRACES = "/api/v1/observability/traces"

MOST_JOBS = 1000
"""Jobs that one POST may carry, and ids that one bulk operation may name."""

MOST_BYTES = 8_000_000
"""Bytes after which a POST of many jobs is closed, well under what servers take."""

LONGEST_POLL = 25.0
"""Seconds that one request waits for a job: proxies commonly cut what is silent for 30 or 60."""

SOONEST_POLL = 0.2
"""Seconds between two requests for a job when the server answers without waiting."""


def submit(config: Config, request: Mapping[str, Any], headers: Mapping[str, str]) -> Operation[Job]:
    """Hand in one job."""
    call = Call("POST", JOBS, body=encode(request), headers=headers)
    return Job.from_json((yield from sending(call, config)).json())


def explain_route(
    config: Config, request: Mapping[str, Any], policies: Mapping[str, Any] | None = None
) -> Operation[Json]:
    """Where a job would go, without running it."""
    body = encode(request if policies is None else {**request, "policies": policies})
    answer: Json = (yield from sending(Call("POST", ROUTE, body=body), config)).json()
    return answer


def submit_many(config: Config, requests: Iterable[Mapping[str, Any]], key: str) -> Operation[list[Job]]:
    """Hand in any number of jobs, as many a POST as it takes; the order is kept."""
    accepted: list[Job] = []
    for number, body in enumerate(bodies(requests)):
        headers = {"Idempotency-Key": f"{key}-{number}"}
        try:
            response = yield from sending(Call("POST", JOBS, body=body, headers=headers), config)
        except SynthralosError as error:
            error.accepted = tuple(accepted)
            raise
        accepted += map(Job.from_json, response.json()["jobs"])
    return accepted


def get(config: Config, job_id: str, wait: float | None = None) -> Operation[Job]:
    """One job; with `wait`, once it is done or that many seconds are over."""
    params = () if wait is None else (("wait", f"{wait:.3f}"),)
    response = yield from sending(Call("GET", job_path(job_id), params=params, waits=wait or 0.0), config)
    return Job.from_json(response.json())


def poll(config: Config, job_id: str, seconds: float) -> Operation[Job]:
    """One job, once it is done or `seconds` are over, and never in a hurry should the server answer too early."""
    begun = now()
    job = yield from get(config, job_id, seconds)
    early = SOONEST_POLL - (now() - begun)
    if early > 0 and seconds > SOONEST_POLL and not job.done:
        yield Pause(early)
    return job


def wait(config: Config, job_id: str, timeout: float | None) -> Operation[Job]:
    """One job once it is done; raises `WaitTimeout`."""
    begun = now()
    while True:
        left = LONGEST_POLL if timeout is None else timeout - (now() - begun)
        job = yield from poll(config, job_id, max(0.0, min(left, LONGEST_POLL)))
        if job.done:
            return job
        if timeout is not None and now() - begun >= timeout:
            raise WaitTimeout({job_id: job}, timeout)


def page(config: Config, filters: Mapping[str, Any], cursor: str | None, limit: int) -> Operation[Json]:
    """A part of a listing, newest first."""
    params = [(name, parameter(value)) for name, values in filters.items() for value in _each(values)]
    params += [("limit", str(limit))] + ([] if cursor is None else [("cursor", cursor)])
    answer: Json = (yield from sending(Call("GET", JOBS, params=tuple(params)), config)).json()
    return answer


def act(config: Config, job_id: str, verb: str, options: Mapping[str, Any]) -> Operation[Job]:
    """Cancel, retry or reroute a job."""
    call = Call("POST", job_path(job_id, verb), body=encode(options), repeatable=False)
    return Job.from_json((yield from sending(call, config)).json())


def bulk(
    config: Config, operation: str, job_ids: Iterable[str], options: Mapping[str, Any]
) -> Operation[list[BulkResult]]:
    """Do something to any number of jobs, as many a POST as it takes; the order is kept, each id is there once."""
    ids = list(dict.fromkeys(job_id.lower() for job_id in job_ids))
    results: list[BulkResult] = []
    for start in range(0, len(ids), MOST_JOBS):
        body = encode({"operation": operation, "jobs": ids[start : start + MOST_JOBS], **options})
        try:
            response = yield from sending(Call("POST", f"{JOBS}/bulk", body=body, repeatable=False), config)
        except SynthralosError as error:
            error.reported = tuple(results)
            raise
        results += map(BulkResult.from_json, response.json()["results"])
    return results


def trace(config: Config, trace_or_job_id: str) -> Operation[Json]:
    """A trace with its jobs, spans and events."""
    response = yield from sending(Call("GET", f"{TRACES}/{quote(trace_or_job_id, safe='')}"), config)
    answer: Json = response.json()
    return answer


def evidence(config: Config, job_id: str) -> Operation[Json]:
    """Why a job's calls went where they went."""
    answer: Json = (yield from sending(Call("GET", job_path(job_id, "evidence")), config)).json()
    return answer


def health(config: Config) -> Operation[Health]:
    """Whether the server is ready; an unready one is an answer, not an error."""
    try:
        response = yield Call("GET", "/health/ready", authorized=False)
    except httpx.RequestError as error:
        raise ConnectError(no_answer(error, config)) from error
    assert response is not None
    raw = response.json() if response.headers.get("Content-Type", "").startswith("application/json") else {}
    if not response.is_success and "status" not in raw:
        raise ApiError(response.status_code, raw)
    return Health(response.is_success, str(raw.get("status", "")), raw)


def request_of(
    prompt: str | None, messages: Sequence[Mapping[str, Any]] | None, model: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The body of one job; raises `ValueError` unless exactly one of `prompt` and `messages` is there."""
    if (prompt is None) == (messages is None):
        raise ValueError("pass either a prompt or messages, and not both")
    asked: dict[str, Any] = {"prompt": prompt} if messages is None else {"messages": list(messages)}
    return {"model": model, **asked, **options}


def submit_headers(idempotency_key: str | None, traceparent: str | None) -> dict[str, str]:
    """The headers of a submission; without a key of the caller's, one that is good for this call's own retries."""
    headers = {"Idempotency-Key": idempotency_key or new_key()}
    return headers if traceparent is None else {**headers, "traceparent": traceparent}


def keyed_post(config: Config, path: str, body: Mapping[str, Any], key: str | None) -> Operation[Json]:
    """Make something; repeated under the same key (one of this call's own, if none is given) it is made once."""
    call = Call("POST", path, body=encode(body), headers={"Idempotency-Key": key or new_key()})
    made: Json = (yield from sending(call, config)).json()
    return made


def given(**fields: object) -> dict[str, object]:
    """The fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def job_path(job_id: str, verb: str = "") -> str:
    """The path of a job, or of something that is done to it."""
    return f"{JOBS}/{quote(job_id, safe='')}" + (f"/{verb}" if verb else "")


def bodies(requests: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """JSON arrays of at most `MOST_JOBS` requests and about `MOST_BYTES` bytes, made while they are asked for."""
    chunk: list[bytes] = []
    size = 0
    for request in requests:
        encoded = encode(request)
        if chunk and (len(chunk) == MOST_JOBS or size + len(encoded) > MOST_BYTES):
            yield b"[" + b",".join(chunk) + b"]"
            chunk, size = [], 0
        chunk.append(encoded)
        size += len(encoded)
    if chunk:
        yield b"[" + b",".join(chunk) + b"]"


def _each(values: object) -> Sequence[object]:
    return values if isinstance(values, list | tuple) else [values]
