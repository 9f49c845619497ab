"""What can go wrong, as one tree.

SynthralosError
├── ConfigurationError      the client was set up wrongly: no key, a base URL that is none
├── ConnectError            no answer: the server cannot be reached, or the connection broke; retries are used up
├── WaitTimeout             the jobs did not end in time; they go on
└── ApiError                the server answered with a problem document (RFC 9457)
    ├── AuthenticationError     401: no key, an unknown key, or a revoked one
    ├── PermissionDenied        403: the key may not do this
    ├── NotFound                404: no such job for this key
    ├── Conflict                409: the job's state does not allow it
    ├── InvalidRequest          400, 413, 415, 422: `errors` names the fields
    ├── RateLimited             429: too many requests; retries are used up
    └── ServerError             5xx; retries are used up where a retry was safe
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthralos_client.models import BulkResult, Job


class SynthralosError(Exception):
    """Base of all errors that this package raises.

    `accepted` holds the jobs that a `submit_many` had handed in before it failed, in order; `reported` what a
    `cancel_many` or `retry_many` had been told before it failed.
    """

    accepted: Sequence[Job] = ()
    reported: Sequence[BulkResult] = ()


class ConfigurationError(SynthralosError):
    """The client was set up wrongly. The message says what to pass or to set."""


class ConnectError(SynthralosError):
    """No answer came. The cause (`__cause__`) is the `httpx` error."""


class WaitTimeout(SynthralosError):
    """The time was over before the jobs ended. They go on, and can be waited for again.

    `jobs` are the jobs that are still open, as they were last seen, by id (`None`: not seen yet).
    """

    def __init__(self, jobs: Mapping[str, Job | None], seconds: float) -> None:
        self.jobs = dict(jobs)
        self.seconds = seconds
        first = next(iter(self.jobs), "")
        what = f"job {first} is" if len(self.jobs) == 1 else f"{len(self.jobs)} jobs are"
        super().__init__(f"{what} not done after {seconds:g} s; waiting again goes on from here")


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong with a request. `field` is a path such as `jobs[3].messages[0].content`."""

    field: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}" + (f" ({self.remedy})" if self.remedy else "")


class ApiError(SynthralosError):
    """The server said no. The attributes are those of the problem document.

    `retry_after` is in seconds, where the server asked for a wait.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.type = str(problem.get("type") or "about:blank")
        self.title = str(problem.get("title") or f"HTTP status {status}")
        self.detail = str(problem.get("detail") or "")
        self.errors = tuple(_field_errors(problem.get("errors")))
        self.retry_after = retry_after
        super().__init__(self._message())

    def _message(self) -> str:
        fields = "; ".join(map(str, self.errors))
        told = ": ".join(part for part in (self.title, self.detail) if part)
        return f"{self.status} {told}" + (f" [{fields}]" if fields else "")


class AuthenticationError(ApiError):
    """401: no key, an unknown key, or a revoked one."""


class PermissionDenied(ApiError):
    """403: the key's role or scope does not allow this."""


class NotFound(ApiError):
    """404: there is no such job for this key."""


class Conflict(ApiError):
    """409: the job's state does not allow this."""


class InvalidRequest(ApiError):
    """400, 413, 415, 422: the request is wrong; `errors` names the fields.

    In a `submit_many`, `jobs[0]` is the first job after those in `accepted`.
    """


class RateLimited(ApiError):
    """429: too many requests, also after retries."""


class ServerError(ApiError):
    """5xx, also after retries where a retry was safe."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidRequest,
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    429: RateLimited,
}


def api_error(status: int, problem: Mapping[str, Any], retry_after: float | None) -> ApiError:
    """The error of the tree that stands for this answer."""
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    return kind(status, problem, retry_after)


def _field_errors(errors: object) -> list[FieldError]:
    if not isinstance(errors, list):
        return []
    return [
        FieldError(str(e.get("field", "")), str(e.get("problem", "")), str(e.get("remedy") or ""))
        for e in errors
        if isinstance(e, dict)
    ]
