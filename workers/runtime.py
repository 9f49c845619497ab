"""One worker process, put together: the only place that knows all its parts."""

import asyncio
import logging
import random
import threading
from collections.abc import Sequence

from pipelines.analyze.stage import AnalyzeStage
from pipelines.analyze.table import build_exporters
from pipelines.execute.stage import ExecuteStage
from pipelines.flow.conveyor import Conveyor
from pipelines.flow.runner import JobRunner
from pipelines.guard.table import build_guard_stage
from pipelines.heal.stage import build_heal_stage
from pipelines.providers.table import build_providers
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import STRATEGIES
from synthralos.bus.protocol import Topic
from synthralos.core import Core
from synthralos.domain.attempts import PastAttempt
from synthralos.domain.jobs import Job
from synthralos.domain.states import Lane, Stage
from synthralos.store.admin.processes import Processes
from synthralos.store.exports.backlog import Analysis
from synthralos.store.queue.claims import Claims
from synthralos.store.queue.settlements import Settlements
from synthralos.store.read.jobs import Reader
from synthralos.store.sql.database import is_transient
from workers.exporting import TraceExporter
from workers.heartbeat import Heartbeat
from workers.in_flight import EventLoopThread, InFlight
from workers.writer import JobWriter

log = logging.getLogger(__name__)

_RELEASE_SECONDS = 10.0
"""How long the last writes may take after the drain's deadline."""


class WorkerRuntime:
    """What the actors hand their messages to, from boot to shutdown."""

    def __init__(self, core: Core) -> None:
        settings, database = core.settings, core.database
        self._settings = settings
        self._stopping = threading.Event()
        self._doorbell = core.doorbell
        self._turned_away: list[tuple[Stage, Sequence[str]]] = []
        self._claims = Claims(database)
        self._reader = Reader(database)
        stages = frozenset(Stage(name) for name in settings.worker_stages)
        self.heartbeat = Heartbeat(Processes(database), "worker", sorted(stages), settings.heartbeat_interval)
        now = self.heartbeat.clock.now
        self._thread = EventLoopThread("flight")
        exporters = build_exporters(settings)
        settlements = Settlements(database, list(exporters))
        self._books = JobWriter(settlements, core.bus, core.doorbell, ships=bool(exporters))
        self._execute = ExecuteStage(build_providers(core.credentials, settings))
        self._journeys = JobRunner(
            stages,
            core.catalog,
            self._execute,
            build_heal_stage(random.Random(), core.catalog),
            AnalyzeStage(),
            self._books,
            self._histories,
            now,
            settings.call_timeout,
        )
        self.flight = InFlight(settings.flight_slots, self._thread.loop, self._journeys.travel)
        self._conveyor = Conveyor(
            stages,
            self._claim,
            build_guard_stage(settings, core.catalog),
            RouteStage(core.catalog, STRATEGIES, core.credentials.why_not_offered),
            self.flight,
            now,
        )
        self._exporter = TraceExporter(
            self._reader, Analysis(database, list(exporters)), exporters, self.heartbeat.clock
        )
        core.bus.subscribe(Topic.CLAIM_REVOKED, self._on_revoked)

    def start(self) -> None:
        """Register this process and be ready for messages. Waits for the database."""
        self._thread.start()
        self.heartbeat.start()
        log.info("worker %s is ready", self.heartbeat.process_id)

    def handle(self, stage: Stage, job_ids: Sequence[str]) -> None:
        """Work on those of `job_ids` that have work at `stage`. Runs in a Dramatiq thread."""
        if stage is Stage.ANALYZE:
            self._exporter.analyze(job_ids)
        elif self._conveyor.carry(stage, job_ids) < len(job_ids) and self._stopping.is_set():
            self._turned_away.append((stage, job_ids))

    def stop_boarding(self) -> None:
        """Take no more jobs; those under way go on."""
        self._stopping.set()
        self.flight.close()
        self.heartbeat.mark("draining")

    def drain(self) -> None:
        """Finish what is under way until the drain's deadline, and give the rest back without counting it."""
        self._ring_for_others()
        if not self._landed_within(self._settings.drain_timeout):
            log.warning("releasing %d jobs that are still under way", self.flight.under_way)
            self._thread.loop.call_soon_threadsafe(self._journeys.release_all)
            if not self._landed_within(_RELEASE_SECONDS):
                log.error("%d jobs could not be released; the sweeper will find them", self.flight.under_way)
        self._close()

    def _ring_for_others(self) -> None:
        """Ring again for jobs whose message this worker had when it stopped: nobody else would hear of them soon.

        In the interactive lane, which no backlog delays: which lane they were rung in is not known here.
        """
        turned_away, self._turned_away = self._turned_away, []
        for stage, job_ids in turned_away:
            self._doorbell.ring(stage, Lane.INTERACTIVE, job_ids)

    def _landed_within(self, seconds: float) -> bool:
        try:
            self._thread.run(self.flight.landed(), seconds)
        except TimeoutError:
            return False
        return True

    def _close(self) -> None:
        for closing in (self._books.close(), self._execute.close()):
            try:
                self._thread.run(closing, _RELEASE_SECONDS)
            except TimeoutError:
                log.error("a part of the worker did not close in time")
        self.heartbeat.stop()
        self.heartbeat.mark("stopped")
        self._thread.stop()

    def _claim(self, stage: Stage, job_ids: Sequence[str]) -> list[Job]:
        """Claim, waiting for the database where it is away: the message stays ours, and the jobs stay queued."""
        pause = 0.05
        while not self._stopping.is_set():
            try:
                return self._claims.claim(stage, job_ids, self.heartbeat.process_id)
            except Exception as error:
                if not is_transient(error):
                    raise
            self._stopping.wait(pause)
            pause = min(pause * 2, 2.0)
        return []

    async def _histories(self, job_ids: Sequence[str]) -> dict[str, list[PastAttempt]]:
        """What heal looks back on, waiting for the database where it is away: the answer must not be lost."""
        pause = 0.05
        while True:
            try:
                return await asyncio.to_thread(self._reader.histories, job_ids)
            except Exception as error:
                if not is_transient(error):
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _on_revoked(self, job_ids: Sequence[str] | None) -> None:
        """Somebody cancelled or rerouted jobs: cut those calls of ours whose claim no longer holds."""
        self._thread.spawn(lambda: self._cut_revoked(job_ids))

    async def _cut_revoked(self, job_ids: Sequence[str] | None) -> None:
        wanted = None if job_ids is None else set(job_ids)
        ours = [key for key in self._journeys.under_way() if wanted is None or key[0] in wanted]
        if not ours:
            return
        holders = await asyncio.to_thread(self._reader.holders, [job_id for job_id, _ in ours])
        self._journeys.cut([key for key in ours if (holder := holders.get(key[0])) is None or holder[1] != key[1]])
