"""What a guard is."""

from collections.abc import Sequence
from typing import Protocol

from synthralos.domain.findings import Finding
from synthralos.domain.jobs import Job


class Guard(Protocol):
    """Looks at a batch of jobs and says what it found in each.

    Guards see whole batches so that they can vectorize. They must not block on the network longer
    than their own time limit, and must not change the jobs.
    """

    @property
    def name(self) -> str:
        """The name that findings, flags and metrics carry."""
        ...

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        """One entry per job, in the order of `jobs`; None where there is nothing to say."""
        ...
