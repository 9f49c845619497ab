"""Taking jobs: the store's `take`, with patience for a database that is away, and not without a heartbeat."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from synthralos.domain.jobs import Claim, Job
from synthralos.domain.states import Stage
from synthralos.store.sql import outage
from synthralos.store.sql.retrying import Stopped, keep_trying, pauses
from synthralos.telemetry.outages import DATABASE, Outages

log = logging.getLogger(__name__)


class Store(Protocol):
    """The part of the store that gives jobs to workers."""

    def take(self, stage: Stage, job_ids: Sequence[str], worker_id: str, *, doubtful: bool = False) -> list[Job]:
        """Those of `job_ids` that are queued at `stage`, for this worker."""
        ...

    def claim(self, stage: Stage, job_ids: Sequence[str], worker_id: str) -> list[Job]:
        """Claim those of `job_ids` that are queued at `stage`."""
        ...

    def let_go(self, claims: Sequence[tuple[str, Claim]]) -> None:
        """Queue the jobs that are held under exactly these claims."""
        ...


class Pulse(Protocol):
    """What says who this worker is, and whether the others believe that it lives."""

    process_id: str

    @property
    def beats(self) -> bool:
        """Whether the heartbeat has reached the database lately."""
        ...


class Taking:
    """Takes jobs for one worker. Thread-safe."""

    def __init__(
        self,
        store: Store,
        pulse: Pulse,
        stopping: threading.Event,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
        outages: Outages | None = None,
    ) -> None:
        """`patience`: seconds to wait for a heartbeat that has stopped, before the jobs are left to others."""
        self._store = store
        self._pulse = pulse
        self._stopping = stopping
        self._patience = patience
        self._clock = clock
        self._outages = outages or Outages()

    def take(self, stage: Stage, job_ids: Sequence[str], doubtful: bool) -> list[Job]:
        """The jobs that this worker got; none while it shuts down, or where its own heart has stopped.

        Waits for a database that is away, as long as that takes: the message stays ours, and the jobs stay queued.
        """
        if not self._heart_beats():
            log.error("%d jobs at %s are left to other workers: this one has no heartbeat", len(job_ids), stage)
            return []

        def take() -> list[Job]:  # as whoever this worker is by then
            return self._store.take(stage, job_ids, self._pulse.process_id, doubtful=doubtful)

        return self._patiently(take)

    def hold(self, stage: Stage, job_ids: Sequence[str]) -> dict[str, Claim]:
        """Claim those of `job_ids` that are queued at `stage`: the claim of each that this worker got."""
        jobs = self._patiently(lambda: self._store.claim(stage, job_ids, self._pulse.process_id))
        return {job.id: job.claim for job in jobs}

    def let_go(self, claims: Sequence[tuple[str, Claim]]) -> None:
        """Leave claimed jobs to whoever claims them next; tried once more where this worker shuts down."""
        try:
            keep_trying(lambda: self._store.let_go(claims), stopping=self._stopping, tell=self._tell)
        except Stopped:
            keep_trying(lambda: self._store.let_go(claims), patience=self._patience, tell=self._tell)

    def _patiently(self, ask: Callable[[], list[Job]]) -> list[Job]:
        """The store's answer, however long the database is away; nothing where this worker shuts down before."""
        try:
            answer = keep_trying(ask, stopping=self._stopping, tell=self._tell)
        except Stopped:
            return []
        self._outages.works(DATABASE)
        return answer

    def _tell(self, error: Exception) -> None:
        outage.tell(self._outages, error)

    def _heart_beats(self) -> bool:
        """A worker that is declared lost would call what another one calls too."""
        until = self._clock() + self._patience
        for pause in pauses():
            if self._pulse.beats:
                return True
            if self._clock() >= until or self._stopping.wait(pause):
                return False
        raise AssertionError("the pauses never end")
