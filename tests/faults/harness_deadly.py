"""A worker process with one guard more: it kills its own process when it sees a prompt that says so.

What a bug in a native library does. Dramatiq's process manager boots it in the place of `workers.boot:boot`.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from pipelines.guard.table import GUARDS, GuardFactory
from synthralos.domain.findings import Finding
from synthralos.domain.jobs import Job
from tests.faults.harness_processes import Worker
from workers.boot import boot as boot_as_always

if TYPE_CHECKING:
    from tests.faults.harness import Site

DEADLY = "kill -9"


class DeadlyGuard:
    """Kills the process by the prompt `DEADLY`."""

    name = "deadly"

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        """See `Guard.inspect`."""
        if any(DEADLY in job.request.texts() for job in jobs):
            os.kill(os.getpid(), signal.SIGKILL)
        return [None] * len(jobs)


class DeadlyWorker(Worker):
    """`synthralos worker` with the deadly guard."""

    def __init__(self, site: "Site", threads: int = 4) -> None:
        prefetch = {"dramatiq_queue_prefetch": str(threads), "dramatiq_worker_timeout": "100"}
        super().__init__(site, {**site.environment({}), **prefetch})
        self._command = [
            sys.executable, "-m", "dramatiq", f"{__name__}:boot", "--processes", "1", "--threads", str(threads),
        ]  # fmt: skip


def boot() -> None:
    """What each process calls first."""
    cast(dict[str, GuardFactory], GUARDS)["deadly"] = lambda settings, catalog: DeadlyGuard()
    boot_as_always()
