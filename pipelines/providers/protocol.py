"""What a provider adapter is."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from synthralos.domain.attempts import Reply
from synthralos.domain.deltas import Delta
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Request

log = logging.getLogger(__name__)


OnDelta: TypeAlias = Callable[[Delta], None]
"""Called on the loop, in order, before the call's end. It must be quick and must not raise."""


CheckText: TypeAlias = Callable[[str], str | None]
"""What is wrong with the text of an answer; None where nothing is."""


@dataclass(slots=True)
class Call:
    """One call to one deployment.

    `job_id` and `attempt_no` identify it on both sides' books (sent as `x-request-id` and as the
    idempotency key `job_id/attempt_no`). `traceparent` is passed on. `timeout` is in seconds and covers the
    whole call; the adapter enforces it. `validated`: the answer is to be shown to the guard on answers.
    `credential` names the key to make it with; None: the first that the deployment may be called with, if any.
    `joins`: calls for vectors with an equal one may be one call; None: it goes alone. `others` are the jobs that share
    this one besides `job_id`, each with an attempt of its own.
    `check` looks at the text of the answer: what does not pass is no answer.
    `on_delta` gets the answer piece by piece while it is written, where the sender asked for it; where a deployment
    cannot do so, it gets the whole answer as one piece.
    """

    job_id: str
    attempt_no: int
    deployment: Deployment
    request: Request
    timeout: float
    traceparent: str
    validated: bool = False
    on_delta: OnDelta | None = None
    credential: str | None = None
    joins: tuple[str | None, ...] | None = None
    others: int = 0
    check: CheckText | None = None


Done: TypeAlias = Callable[[Reply | Failure], None]
Cancel: TypeAlias = Callable[[], None]


class Provider(Protocol):
    """Speaks one wire protocol. Lives on the worker's event loop; thousands of calls are in flight at once."""

    def begin(self, call: Call, done: Done) -> Cancel:
        """Begin the call; what is returned cancels it, and then `done` is not called.

        `done` is called once, on the loop, and never before this returns. Outcomes are values: what is raised is a
        bug.
        """
        ...

    async def close(self) -> None:
        """Give back connections. No call is in flight any more."""
        ...


async def answer_to(call: Call, begin: Callable[[Call, Done], Cancel]) -> Reply | Failure:
    """Begin the call and wait for its end; being cancelled cancels it."""
    answered: asyncio.Future[Reply | Failure] = asyncio.get_running_loop().create_future()

    def done(answer: Reply | Failure) -> None:
        if not answered.done():  # cancelled in this turn of the loop
            answered.set_result(answer)

    cancel = begin(call, done)
    try:
        return await answered
    except asyncio.CancelledError:
        cancel()
        raise


def end_soon(answer: Reply | Failure, done: Done) -> Cancel:
    """The end of a call that needs nobody else."""
    return asyncio.get_running_loop().call_soon(done, answer).cancel


def failure_of_bug(call: Call, error: Exception) -> Failure:
    """What a call fails with whose adapter has a bug, to be called where that is caught: it is logged.

    Nobody knows what was sent before.
    """
    log.exception("the adapter %s failed", call.deployment.adapter)
    return Failure(FailureClass.AMBIGUOUS, f"a bug in the adapter: {type(error).__name__}")
