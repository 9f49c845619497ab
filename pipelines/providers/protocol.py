"""What a provider adapter is."""

from dataclasses import dataclass
from typing import Protocol

from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Request


@dataclass(slots=True)
class Call:
    """One call to one deployment.

    `job_id` and `attempt_no` identify it on both sides' books (sent as `x-request-id` and as the
    idempotency key `job_id/attempt_no`). `traceparent` is passed on. `timeout` is in seconds and covers the
    whole call; the adapter enforces it.
    """

    job_id: str
    attempt_no: int
    deployment: Deployment
    request: Request
    timeout: float
    traceparent: str


class Provider(Protocol):
    """Speaks one wire protocol. Lives on the worker's event loop; thousands of calls are in flight at once.

    Outcomes are values: `call` returns a `Reply` or a classified `Failure`, and raises nothing but
    `asyncio.CancelledError`.
    """

    async def call(self, call: Call) -> Reply | Failure:
        """Make the call and wait for its end."""
        ...

    async def close(self) -> None:
        """Give back connections. No call is in flight any more."""
        ...
