"""Who is under way in this process: every job from the moment it is taken until all about it is written.

A job is known by its id and claim number. What is not in here, this worker has forgotten or given away.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from pipelines.flow.work import Work
from synthralos.domain.states import State

Key = tuple[str, int]


def is_ours(claim: tuple[State, int] | None, claim_no: int) -> bool:
    """Whether that claim holds, or can still be taken, by what the store says of the job (None: it is over)."""
    return claim in ((State.ACTIVE, claim_no), (State.QUEUED, claim_no - 1))


class RunningJob:
    """One job on the event loop: what it waits for, if anything may end that wait, and whether it was told to stop."""

    __slots__ = ("_interrupt", "is_cut", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.is_cut = False
        self._interrupt: Callable[[], object] | None = None

    @property
    def waits(self) -> bool:
        """Whether the job waits for something that `cut` ends."""
        return self._interrupt is not None

    def wait(self, interrupt: Callable[[], object]) -> None:
        """From now on `cut` calls `interrupt`, once."""
        self._interrupt = interrupt

    def go_on(self) -> None:
        """The wait is over."""
        self._interrupt = None

    def cut(self) -> None:
        """Stop the job: at once where it waits, else before it waits again."""
        self.is_cut = True
        interrupt, self._interrupt = self._interrupt, None
        if interrupt is not None:
            interrupt()


class Registry:
    """The jobs of one process. Everything is called on the event loop, except where a method says otherwise."""

    def __init__(self, left: Callable[[Work], None] = lambda _: None) -> None:
        """`left` is told of every job that entered, when it has left."""
        self._left = left
        self._running: dict[Key, RunningJob] = {}
        self._in_stages: set[Key] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()
        self.draining = False

    def taken(self, works: Iterable[Work]) -> None:
        """Jobs were taken and go through the first stages. From any thread."""
        self._in_stages.update([work.key for work in works])

    def dropped(self, works: Iterable[Work]) -> None:
        """Jobs that were taken do not come to the loop. From any thread."""
        self._in_stages.difference_update([work.key for work in works])

    def enter(self, work: Work) -> RunningJob | None:
        """The job is on the loop now. None where the very claim is under way already: a message came twice.

        The second time the claim may have been written, because whoever rings again doubts the job; then it is held by
        the one that is under way, too, whose writes would find it taken else.
        """
        key = work.key
        self._in_stages.discard(key)
        if key in self._running:
            if work.job.claim.held:
                self._running[key].work.job.claim = work.job.claim
            self._left(work)
            return None
        self._nobody.clear()
        running = self._running[key] = RunningJob(work)
        return running

    def leave(self, running: RunningJob) -> None:
        """All about the job is written, or somebody else will find it. Doing it twice does no harm."""
        if self._running.pop(running.work.key, None) is None:
            return
        if running.work.flight is not None:
            running.work.flight.failed()
        if not self._running:
            self._nobody.set()
        self._left(running.work)

    def under_way(self) -> list[Key]:
        """All jobs that this process has in its hands. From any thread."""
        return [*self._in_stages.copy(), *self._running.copy()]

    def running(self) -> list[Key]:
        """The jobs on the loop."""
        return list(self._running)

    def holding(self) -> list[Key]:
        """The jobs on the loop whose claim the store has written."""
        return [key for key, running in self._running.items() if running.work.job.claim.held]

    def cut(self, keys: Sequence[Key]) -> None:
        """Cut the calls of jobs, also those that are about to be made; what they may have cost is booked."""
        for key in keys:
            if (running := self._running.get(key)) is not None:
                running.cut()

    def release_waiting(self) -> None:
        """Give back what waits without a call, and let nothing more begin: calls in flight go on."""
        self.draining = True
        for running in list(self._running.values()):
            if running.waits and running.work.attempt is None:
                running.cut()

    def release_all(self) -> None:
        """Give back the jobs that wait for an answer, or still need one: other workers will take them."""
        self.draining = True
        self.cut(list(self._running))

    async def emptied(self) -> None:
        """Returns when no job is on the loop."""
        await self._nobody.wait()
