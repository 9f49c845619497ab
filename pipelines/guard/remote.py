"""Guards that need the network: asked together on the event loop, while the batch's thread waits once.

Each has its own time limit and says itself what is to be done about a job that it could not look at.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from synthralos.domain.findings import Finding
from synthralos.domain.jobs import Job

log = logging.getLogger(__name__)

Findings = list[Finding | None]
OnLoop = Callable[[Coroutine[Any, Any, list[Findings]], float], list[Findings]]
"""Runs a coroutine on the event loop and waits for its end, so many seconds at most; raises `TimeoutError` then."""

_SPARE = 1.0
"""Seconds that the loop may need on top of the guards' own limits, before the thread gives up."""


class RemoteGuard(Protocol):
    """Looks at a batch of jobs by way of the network, and must not change them."""

    @property
    def name(self) -> str:
        """The name that findings, flags and metrics carry."""
        ...

    @property
    def seconds(self) -> float:
        """How long it may take for a batch."""
        ...

    def wants(self, job: Job) -> bool:
        """Whether it has to look at the job. Costs next to nothing."""
        ...

    def inspect(self, jobs: Sequence[Job]) -> Awaitable[Findings]:
        """On the event loop: one entry per job, in the order of `jobs`; None where there is nothing to say."""
        ...

    def unseen(self, why: str) -> Finding:
        """What it says of a job that it could not look at."""
        ...


class RemoteGuards:
    """What the guard stage asks; to it, it is a guard that may say several things about a job."""

    def __init__(self, guards: Sequence[RemoteGuard], on_loop: OnLoop) -> None:
        self._guards = tuple(guards)
        self._on_loop = on_loop

    @property
    def names(self) -> frozenset[str]:
        """The names of the guards."""
        return frozenset(guard.name for guard in self._guards)

    def inspect(self, jobs: Sequence[Job]) -> list[list[Finding]]:
        """What was found in each job. Where no guard wants any of them, nobody is asked and nothing waited for."""
        asked = [
            (guard, places)
            for guard in self._guards
            if (places := [place for place, job in enumerate(jobs) if guard.wants(job)])
        ]
        found: list[list[Finding]] = [[] for _ in jobs]
        if asked:
            columns = self._ask([(guard, [jobs[place] for place in places]) for guard, places in asked])
            for (_, places), column in zip(asked, columns, strict=True):
                for place, finding in zip(places, column, strict=True):
                    if finding is not None:
                        found[place].append(finding)
        return found

    def _ask(self, asked: Sequence[tuple[RemoteGuard, list[Job]]]) -> list[Findings]:
        budget = max(guard.seconds for guard, _ in asked) + _SPARE
        try:
            return self._on_loop(_gathered(asked), budget)
        except Exception as error:  # noqa: BLE001 - the loop hangs or has stopped: each guard says what that means
            why = f"the worker could not ask within {budget:g} s ({type(error).__name__})"
            return [[guard.unseen(why)] * len(jobs) for guard, jobs in asked]


async def _gathered(asked: Sequence[tuple[RemoteGuard, list[Job]]]) -> list[Findings]:
    return await asyncio.gather(*(_one(guard, jobs) for guard, jobs in asked))


async def _one(guard: RemoteGuard, jobs: list[Job]) -> Findings:
    try:
        async with asyncio.timeout(guard.seconds + _SPARE / 2):
            findings = await guard.inspect(jobs)
        if len(findings) != len(jobs):
            raise ValueError(f"{len(findings)} findings for {len(jobs)} jobs")
        return findings
    except TimeoutError:
        return [guard.unseen(f"no answer within {guard.seconds:g} s")] * len(jobs)
    except Exception as error:  # the edge to pluggable code: its bug must not lose the batch
        log.exception("guard %s failed on %d jobs", guard.name, len(jobs))
        return [guard.unseen(f"a bug: {type(error).__name__}")] * len(jobs)
