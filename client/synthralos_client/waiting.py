"""Waiting for many jobs with few connections.

Each connection waits for one job at a time, oldest first, because jobs end in about the order in which they came.
A job that is not done after its turn goes to the back of the line, so that a slow one never hides a finished one
for long; once there is a connection for every open job, each turn is long. So thousands of jobs cost about one
request each, and nothing is polled in a hurry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from synthralos_client.errors import WaitTimeout
from synthralos_client.models import Job
from synthralos_client.operations import LONGEST_POLL
from synthralos_client.sending import now

CONNECTIONS = 32
"""Jobs that are waited for at the same time."""

SHORT_TURN = 1.0
"""Seconds that a job's turn lasts while others stand in line."""

OnProgress = Callable[[Job, int, int], object]
"""Called with a job that is done, how many are done, and how many there are."""


class Line:
    """The jobs that are still open, in the order in which they get their turns."""

    def __init__(self, job_ids: Iterable[str], timeout: float | None, on_progress: OnProgress | None) -> None:
        self._seen: dict[str, Job | None] = dict.fromkeys(job_ids)
        self._line = deque(self._seen)
        self._open = len(self._seen)
        self._begun, self._timeout = now(), timeout
        self._on_progress = on_progress

    def turn(self) -> tuple[str, float] | None:
        """Whose turn it is, and for how many seconds; None when every open job has one. Raises `WaitTimeout`."""
        left = LONGEST_POLL if self._timeout is None else self._timeout - (now() - self._begun)
        if not self._line:
            return None
        first = self._line.popleft()
        # Even after the time is over each job is looked at once: it may have been done all along.
        if left <= 0 and self._seen[first] is not None:
            raise self._too_late()
        return first, max(0.0, min(left, LONGEST_POLL if self._open <= CONNECTIONS else SHORT_TURN))

    def settle(self, job: Job) -> None:
        """Take what a turn brought."""
        self._seen[job.id] = job
        if not job.done:
            self._line.append(job.id)
            return
        self._open -= 1
        if self._on_progress is not None:
            self._on_progress(job, len(self._seen) - self._open, len(self._seen))

    def done(self) -> list[Job]:
        """All jobs, in the order in which they were asked for, once nobody stands in line."""
        return [job for job in self._seen.values() if job is not None]

    def _too_late(self) -> WaitTimeout:
        still_open = {job_id: job for job_id, job in self._seen.items() if job is None or not job.done}
        return WaitTimeout(still_open, self._timeout or 0.0)
