"""Closing a job's trace."""

from datetime import datetime

from synthralos.domain.jobs import Job
from synthralos.domain.spans import Span
from synthralos.domain.states import State


class AnalyzeStage:
    """Sums a finished job up in the last span of its trace."""

    def conclude(self, job: Job, state: State, since: datetime, now: datetime) -> Span:
        """The analyze span of a job that ends in this process, `since` its last step."""
        return conclusion(state, job.attempts, job.created_at, since, now)


def conclusion(state: State, attempts: int, created_at: datetime, since: datetime, now: datetime) -> Span:
    """The analyze span: how the job ended, after how many attempts, and how many seconds it took in all."""
    attributes = {"state": state, "attempts": attempts, "seconds": round((now - created_at).total_seconds(), 6)}
    return Span("analyze", since, now, "ok", attributes)
