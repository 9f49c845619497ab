"""One worker process, put together: the only place that knows all its parts."""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence

from pipelines.analyze.protocol import Exporter
from pipelines.analyze.stage import AnalyzeStage
from pipelines.analyze.table import build_exporters
from pipelines.execute.stage import ExecuteStage
from pipelines.flow.batch import BatchRunner
from pipelines.flow.calls import Calls
from pipelines.flow.conveyor import Conveyor
from pipelines.flow.deployment_slots import DeploymentSlots
from pipelines.flow.hedging import Hedger
from pipelines.flow.registry import Registry
from pipelines.flow.runner import JobRunner
from pipelines.flow.settling import Settling
from pipelines.flow.single_flight import SingleFlight
from pipelines.flow.slots import Slots
from pipelines.flow.stages import BuildStages, LiveStages
from pipelines.flow.taps import Taps
from pipelines.flow.work import Work
from pipelines.limits.build import build_limiter
from pipelines.providers.table import build_providers
from synthralos.bus.protocol import Topic
from synthralos.core import Core
from synthralos.domain.attempts import PastAttempt
from synthralos.domain.flags import Flag
from synthralos.domain.states import Lane, Stage
from synthralos.logs import known_secrets
from synthralos.store.admin.policy_matches import PolicyMatches
from synthralos.store.admin.processes import Processes
from synthralos.store.queue.claims import Claims
from synthralos.store.queue.settlements import Settlements
from synthralos.store.read.answer_times import AnswerTimes
from synthralos.store.read.jobs import Reader
from synthralos.store.sql.retrying import keep_trying, keep_trying_async
from synthralos.telemetry.families import FLIGHT_BYTES, HEARTBEAT_AGE, IN_FLIGHT, SLOTS
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.redaction import Redactor
from synthralos.telemetry.writes import AlertCounts
from workers.answer_times import AnswerTimesWatch
from workers.claim_audit import ClaimAudit
from workers.event_loop import EventLoopThread
from workers.export_turns import LivingExporters, WorkersTurn
from workers.exporting import TraceExporter
from workers.gatekeeping import Gatekeeping
from workers.heartbeat import Heartbeat
from workers.inbox import THREADS, Inbox
from workers.revoking import Revoked
from workers.rule_matches import RuleMatches
from workers.servers import Servers
from workers.staging import worker_stages
from workers.taking import Taking
from workers.writer import JobWriter

log = logging.getLogger(__name__)

_RELEASE_SECONDS = 10.0
"""How long the last writes may take after the drain's deadline."""

_CONFIG_PATIENCE = 60.0
"""Seconds that a worker waits for the database's configuration before it gives up."""

_THREADS_FOR_PEOPLE = 2
"""Dramatiq threads that do not wait for bulk slots for long, so that an interactive job finds one."""


class WorkerRuntime:
    """What the actors hand their messages to, from boot to shutdown."""

    def __init__(self, core: Core, build: BuildStages | None = None) -> None:
        """`build` makes the stages of a configuration; the usual ones where it is not given."""
        settings, database = core.settings, core.database
        self._settings, self._live, self._metrics = settings, core.live, core.metrics
        self._limiter = build_limiter(settings, core.outages, core.metrics)
        self._thread = EventLoopThread("calls")
        self._servers = Servers(core)
        self._rule_matches = RuleMatches(PolicyMatches(database).add)
        counts = self._rule_matches.counts
        usual = worker_stages(
            core, self._limiter, self._servers, self._thread, lambda: self.heartbeat.clock.now().timestamp(), counts
        )
        self._stages = LiveStages(core.live, build or usual)
        self._answer_times = AnswerTimesWatch(AnswerTimes(database).read, lambda: self._stages().latencies)
        self._stopping = threading.Event()
        self._bus, self._doorbell = core.bus, core.doorbell
        self._turned_away: list[tuple[Stage, Lane, Sequence[str]]] = []
        self._reader = Reader(database)
        stages = frozenset(Stage(name) for name in settings.worker_stages)
        self._inbox = self._build_inbox(core, stages)
        self.heartbeat = self._build_heartbeat(core, stages)
        exporters = build_exporters(settings)
        living = LivingExporters(Processes(database), settings.worker_lost_after)
        self._ships = WorkersTurn(settings.export_by, living)
        self._writer = self._build_writer(core, exporters)
        providers = build_providers(lambda: core.live.current.credentials, settings)
        self._execute = ExecuteStage(providers, self._servers.validation, core.metrics)
        self.slots = Slots(
            settings.flight_slots,
            settings.flight_bytes,
            bulk_waiters=max(1, settings.worker_threads - _THREADS_FOR_PEOPLE),
        )
        self._deployments = DeploymentSlots()
        self._gatekeeping = Gatekeeping(core, self._thread.call, lambda: self.heartbeat.process_id)
        self._taps = Taps(core.streams.append)
        self.registry = Registry(self._give_slot_back)
        claims = Claims(database)
        self._conveyor = self._build_conveyor(core, stages, claims)
        self._exporter = self._build_exporter(core, exporters)
        self._audit = ClaimAudit(claims, self.registry, lambda: self.heartbeat.process_id, core.doorbell.ring)
        core.bus.subscribe(Topic.CLAIM_REVOKED, Revoked(self._reader, self.registry, self._thread.spawn).hear)
        self._show(core.metrics)

    def _show(self, metrics: Metrics) -> None:
        slots = self.slots
        metrics.reads(SLOTS, lambda: {("used",): slots.used, ("most",): slots.count})
        metrics.reads(FLIGHT_BYTES, lambda: {("used",): slots.bytes_used, ("most",): self._settings.flight_bytes})
        metrics.reads(IN_FLIGHT, self._deployments.calls)
        metrics.reads(HEARTBEAT_AGE, lambda: self.heartbeat.age)

    def _build_heartbeat(self, core: Core, stages: frozenset[Stage]) -> Heartbeat:
        return Heartbeat(
            Processes(core.database),
            "worker",
            sorted(stages),
            self._settings.heartbeat_interval,
            self._settings.worker_lost_after,
            outages=core.outages,
            identified=self._on_identified,
        )

    def _build_writer(self, core: Core, exporters: Mapping[str, Exporter]) -> JobWriter:
        return JobWriter(
            Settlements(core.database, list(exporters), AlertCounts(core.metrics).told),
            core.bus,
            core.doorbell,
            ships=lambda: any(map(self._ships.lately, exporters)),
            outages=core.outages,
            metrics=core.metrics,
            now=self.heartbeat.clock.now,
        )

    def _build_exporter(self, core: Core, exporters: Mapping[str, Exporter]) -> TraceExporter:
        return TraceExporter(
            core.database,
            exporters,
            self.heartbeat.clock,
            lambda flag, organization: core.live.current.flags.on(flag, organization),
            core.metrics,
            Redactor(known_secrets(core.settings)),
            turn=self._ships,
        )

    def _build_inbox(self, core: Core, stages: frozenset[Stage]) -> Inbox | None:
        if core.line is None:
            return None
        alone = self._settings.brokerless
        threads = self._settings.worker_threads if alone else THREADS
        return Inbox(core.line, stages, self.handle, core.doorbell.ring, threads=threads, alone=alone)

    def _build_conveyor(self, core: Core, stages: frozenset[Stage], claims: Claims) -> Conveyor:
        settings, now = self._settings, self.heartbeat.clock.now
        batch = self._build_batch(stages)
        return Conveyor(
            stages,
            Taking(claims, self.heartbeat, self._stopping, settings.slot_timeout, outages=core.outages),
            self._stages,
            self.slots,
            self.registry,
            lambda works: self._thread.call(batch.run, works),
            self._turn_away,
            now,
            settings.slot_timeout,
        )

    def _build_batch(self, stages: frozenset[Stage]) -> BatchRunner:
        now, deployments, gates = self.heartbeat.clock.now, self._deployments, self._gatekeeping.gates
        calls = Calls(self._stages, self._execute, gates, now, self._settings.call_timeout, taps=self._taps)
        settling = Settling(stages, AnalyzeStage(), self._stages, self._writer, now)
        single = SingleFlight(self._coalesces, self._metrics)
        runner = JobRunner(
            stages,
            calls,
            settling,
            self._writer,
            self.registry,
            deployments,
            gates,
            self._stages,
            self._histories,
            now,
            self._settings.deployment_wait,
            single,
            Hedger(calls, settling, self._writer, deployments, gates, self._stages, self._metrics),
        )
        return BatchRunner(calls, settling, self._writer, self.registry, deployments, gates, runner, single)

    def _coalesces(self, organization: str) -> bool:
        return self._live.current.flags.on(Flag.ENABLE_COALESCING, organization)

    def start(self) -> None:
        """Register this process and be ready for messages. Waits for the database."""
        self._thread.start()
        self.heartbeat.start()
        # Nothing may be done under a configuration that operators have changed since.
        keep_trying(self._live.read, patience=_CONFIG_PATIENCE, stopping=self._stopping)
        self._live.start(self._bus)
        self._exporter.start()
        self._gatekeeping.start()
        self._thread.spawn(self._audit.run)
        self._thread.spawn(self._rule_matches.run)
        self._thread.spawn(self._answer_times.run)
        if self._inbox is not None:
            self._inbox.start()
        log.info("worker %s is ready", self.heartbeat.process_id)

    def give_up(self) -> None:
        """Wait for the database no longer; `start` raises `Stopped`."""
        self._stopping.set()
        self.heartbeat.give_up()

    def handle(self, stage: Stage, job_ids: Sequence[str], *, doubtful: bool = False, lane: Lane = Lane.BULK) -> None:
        """Work on those of `job_ids` that have work at `stage`. Runs in a Dramatiq thread.

        `doubtful`: the message was delivered before, and a worker may have died of it.
        """
        if stage is Stage.ANALYZE:
            self._exporter.analyze(job_ids)
        else:
            carried = self._conveyor.carry(stage, job_ids, doubtful=doubtful, lane=lane)
            if carried < len(job_ids) and self._stopping.is_set():
                self._turned_away.append((stage, lane, job_ids))

    def _turn_away(self, stage: Stage, lane: Lane, job_ids: Sequence[str]) -> None:
        """Give the message back to the broker, behind those that wait there."""
        if not self._stopping.is_set():
            self._doorbell.ring(stage, lane, job_ids)

    def stop_taking(self) -> None:
        """Take no more jobs, and give back those that wait without a call; calls in flight go on."""
        self._stopping.set()
        self.slots.close()
        self._thread.call(self.registry.release_waiting)
        self.heartbeat.mark("draining")

    def drain(self) -> None:
        """Finish what is under way until the drain's deadline, and give the rest back without counting it."""
        if self._inbox is not None:
            self._inbox.stop()
        self._ring_for_others()
        if not self._empty_within(self._settings.drain_timeout):
            log.warning("releasing %d jobs that are still under way", len(self.registry.under_way()))
            self._thread.call(self.registry.release_all)
            if not self._empty_within(_RELEASE_SECONDS):
                left = len(self.registry.under_way())
                log.error("%d jobs could not be released; the sweeper will find them", left)
        self._close()

    def _ring_for_others(self) -> None:
        """Ring again for jobs whose message this worker had when it stopped: nobody else would hear of them soon."""
        turned_away, self._turned_away = self._turned_away, []
        for stage, lane, job_ids in turned_away:
            self._doorbell.ring(stage, lane, job_ids)

    def _give_slot_back(self, work: Work) -> None:
        self.slots.release(work.lane, 1, work.job.size)

    def _empty_within(self, seconds: float) -> bool:
        try:
            self._thread.run(self.registry.emptied(), seconds)
        except TimeoutError:
            return False
        return True

    def _close(self) -> None:
        if self._inbox is not None:
            self._inbox.leave()
        for closing in (self._writer.close(), self._execute.close(), *self._servers.closing()):
            try:
                self._thread.run(closing, _RELEASE_SECONDS)
            except TimeoutError:
                log.error("a part of the worker did not close in time")
        self._gatekeeping.stop()
        self._rule_matches.write()
        self._taps.close()
        self._limiter.close()
        self._exporter.stop(_RELEASE_SECONDS)
        self.heartbeat.stop()
        self.heartbeat.mark("stopped")
        self._thread.stop()

    async def _histories(self, job_ids: Sequence[str]) -> dict[str, list[PastAttempt]]:
        """What heal looks back on; it waits for the database: the answer must not be lost."""
        return await keep_trying_async(lambda: asyncio.to_thread(self._reader.histories, job_ids))

    def _on_identified(self, worker_id: str) -> None:
        if self._inbox is not None:
            self._inbox.move_to(worker_id)
