"""Sending one call so that it arrives once: what is retried, how long to wait, what an answer means.

Nothing here does I/O. An operation is a generator that yields what is to be done (a `Call` or a `Pause`) and is sent
the response; `client.py` and `async_client.py` each have one short loop that does it. So every operation is written
once for both.
"""

from __future__ import annotations

import json
import math
import random
import time
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from synthralos_client.config import Config
from synthralos_client.errors import ApiError, ConnectError, api_error

T = TypeVar("T")

BACKOFF_BASE = 0.25
BACKOFF_CAP = 8.0
"""Seconds. Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff and Jitter")."""

LONGEST_RETRY_AFTER = 60.0
"""Seconds: a server that asks for a longer wait than this gets its error passed on instead."""

_LONGEST_WISH = 366 * 86_400.0
"""Seconds: a server that asks for a longer wait than this means something else."""

_NEVER_PROCESSED = frozenset({429, 503})
_SAFE_TO_REPEAT = _NEVER_PROCESSED | {408, 502, 504}


def new_key() -> str:
    """An idempotency key that nobody has used."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Call:
    """One HTTP request. `repeatable`: doing it twice does no more than doing it once.

    `waits` is how many seconds the server was asked to take before it answers.
    """

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    authorized: bool = True
    waits: float = 0.0

    def arguments(self, config: Config) -> dict[str, Any]:
        """What `httpx` needs to be told."""
        headers = dict(self.headers)
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        if self.authorized:
            headers |= config.authorization()
        return {
            "method": self.method,
            "url": config.base_url + self.path,
            "params": list(self.params),
            "content": self.body,
            "headers": headers,
            "timeout": httpx.Timeout(config.timeout, read=config.timeout + self.waits),
        }


@dataclass(frozen=True)
class Pause:
    """Do nothing for some seconds."""

    seconds: float


Operation = Generator["Call | Pause", "httpx.Response | None", T]


def sending(call: Call, config: Config) -> Operation[httpx.Response]:
    """Send `call`, again where that is safe and may help; raises `ApiError` or `ConnectError`."""
    for retry in range(config.max_retries + 1):
        try:
            response = yield call
        except httpx.RequestError as error:
            if retry == config.max_retries or not _may_repeat(call, error):
                raise ConnectError(no_answer(error, config)) from error
            yield Pause(backoff(retry))
            continue
        assert response is not None
        if response.is_success:
            return response
        refusal = error_of(response)
        seconds = backoff(retry) if refusal.retry_after is None else refusal.retry_after
        if retry == config.max_retries or not _retriable(call, refusal.status) or seconds > LONGEST_RETRY_AFTER:
            raise refusal
        yield Pause(seconds)
    raise AssertionError("the last round returns or raises")


def backoff(retry: int) -> float:
    """Seconds to wait before retry number `retry` (0 is the first)."""
    return random.uniform(0.0, min(BACKOFF_CAP, BACKOFF_BASE * 2.0**retry))


def error_of(response: httpx.Response) -> ApiError:
    """The error that a response stands for. Its body has been read."""
    return api_error(response.status_code, _problem(response), _retry_after(response.headers.get("Retry-After")))


def no_answer(error: httpx.RequestError, config: Config) -> str:
    """The message for people."""
    reason = str(error) or type(error).__name__
    return f"no answer from {config.base_url}: {reason}; is the server running there?"


def encode(value: object) -> bytes:
    """JSON, with `Decimal` as a string and an aware `datetime` in RFC 3339."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain).encode()
    except UnicodeEncodeError:
        # A lone surrogate: escaped, it reaches the server, which refuses it by the name of its field.
        return json.dumps(value, allow_nan=False, default=_plain).encode()


def parameter(value: object) -> str:
    """A value as it stands in a query string."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def now() -> float:
    """Seconds on a clock that only moves forward."""
    return time.monotonic()


def _may_repeat(call: Call, error: httpx.RequestError) -> bool:
    return call.repeatable or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def _retriable(call: Call, status: int) -> bool:
    return status in (_SAFE_TO_REPEAT if call.repeatable else _NEVER_PROCESSED)


def _problem(response: httpx.Response) -> Mapping[str, Any]:
    try:
        problem = response.json()
    except ValueError:
        return {"title": response.reason_phrase, "detail": response.text[:200]}
    return problem if isinstance(problem, dict) else {}


def _retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header: a number, or an HTTP date (RFC 9110, section 10.2.3).

    What cannot be understood, or cannot be true, is no wish.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value)
    return max(0.0, seconds) if seconds <= _LONGEST_WISH else None


def _seconds_until(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError, IndexError):  # what is thrown at dates that cannot be
        return math.inf


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in JSON: {value!r}")
