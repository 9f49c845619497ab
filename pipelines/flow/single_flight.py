"""Equal requests in flight: one job makes the call, and the others wait for its answer, where their senders allow it.

The wait is in memory alone. Those who wait are ordinary jobs that this worker has taken, so that a crash loses nobody;
and what one worker has in flight no other one knows of. An answer counts when it is written: then who waited ends with
it, by the transition `reuse`, without an attempt. Where the first job fails, is cancelled, or leaves in any other way,
the next one makes a call of its own, and the others wait for that.
"""

import asyncio
from collections.abc import Callable, Hashable

from pipelines.flow.flights import Flight
from pipelines.flow.work import Work
from pipelines.guard.private_data import kinds_to_redact
from pipelines.repeats.texts import request_key
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.prompts import Answered
from synthralos.telemetry.families import SHARED_ANSWERS
from synthralos.telemetry.metrics import Metrics

NAME = "coalescing"
"""What findings about it carry in the place of a guard's name."""


class SingleFlight:
    """Lives on the event loop. Asked about jobs that allow it alone."""

    def __init__(self, allowed: Callable[[str], bool] = lambda _: True, metrics: Metrics | None = None) -> None:
        """`allowed`: whether jobs of that organization may wait for one another."""
        self._allowed = allowed
        self._flights: dict[Hashable, Flight] = {}
        self._counts = (metrics or Metrics()).counters(SHARED_ANSWERS)

    def leads(self, work: Work) -> bool:
        """Whether the job is to make a call: no equal one is in flight, or it may not wait for that."""
        return self._ahead(work) is None

    async def answer(self, work: Work, seconds: float) -> Answered | None:
        """Wait for the answer to an equal request, so many seconds at most. None: the job makes a call of its own."""
        waited = False
        ends = asyncio.get_running_loop().time() + seconds
        while (flight := self._ahead(work)) is not None:
            waited = True
            left = ends - asyncio.get_running_loop().time()
            # `wait` leaves the future alone when this job is cut.
            await asyncio.wait([flight.ended], timeout=None if left == float("inf") else max(0.0, left))
            if not flight.ended.done():
                break
            if (found := flight.ended.result()) is not None:
                self._counts["answered",].inc()
                return found
        if waited:
            self._counts["alone",].inc()
        return None

    def _ahead(self, work: Work) -> Flight | None:
        """The flight that the job is to wait for; where there is none, the next equal job waits for this one."""
        if work.flight is not None and not work.flight.ended.done():
            return None
        if not self._allowed(work.job.tenant.organization):
            return None
        key = _key(work)
        flight = self._flights.get(key)
        if flight is None:
            work.flight = self._flights[key] = Flight(self._flights, key, work.job.id)
            return None
        # Whoever wants to read an answer while it is written would get it late, and at once.
        return None if work.job.constraints.stream else flight


def reuse_finding(answer: Answered) -> Finding:
    """What is said of a job that was answered so."""
    reason = f"the answer to job {answer.job_id}, an equal one in flight, answers it, as constraints.coalesce allows"
    return Finding(NAME, Decision.REUSE, reason, signals={"job_id": answer.job_id})


def _key(work: Work) -> Hashable:
    """Equal for jobs of one workspace that are equal in what a provider sees and in what is demanded of the way."""
    job = work.job
    wanted = job.constraints
    return (
        job.tenant.organization,
        job.tenant.workspace,
        request_key(job),
        wanted.strategy,
        wanted.service_tier,
        wanted.exclude,
        wanted.fallback,
        job.max_cost,
        job.overlay,
        frozenset(kinds_to_redact(job.verdict)),
    )
