"""The scheduler process: its identity and heartbeat, its campaign for the lead, and the leader's recurring jobs."""

import logging
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]

from pipelines.analyze.pushing import push_metrics
from pipelines.providers.table import check_deployment
from scheduler.firing import LONGEST_PAUSE, SHORTEST_PAUSE
from scheduler.firing_parts import build_firing
from scheduler.outages import ResilientTask
from scheduler.recurring import LeaderJobs
from scheduler.rounds import Rounds
from scheduler.stackstorm.task import build_stackstorm
from scheduler.sweeper import Sweeper
from scheduler.watched import Watched
from scheduler.webhooks.delivery import WebhookDelivery
from synthralos.bus.protocol import Topic
from synthralos.config.settings import Settings
from synthralos.control.leader import CAMPAIGNS_A_TERM, ROLE, Leader
from synthralos.core import Core, build_core
from synthralos.logs import log_as
from synthralos.open_files import allow_many_open_files
from synthralos.stop_signals import on_stop
from synthralos.store.admin.processes import Leadership, Processes
from synthralos.store.queue.leading import Lead
from synthralos.store.sql.errors import is_transient
from synthralos.telemetry.serving import MetricsPort

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks for firings whose jobs have ended, while there are any that have not."""


class SchedulerProcess:
    """Starts and stops at once, also while the database is away: it is registered as soon as that is back."""

    def __init__(self, core: Core) -> None:
        self._settings = core.settings
        self._live = core.live
        self._database = core.database
        self._bus = core.bus
        self._outages = core.outages
        self._processes = Processes(core.database)
        self._stackstorm = build_stackstorm(core, self._lead, lambda: self.process_id or "")
        repairer = None if self._stackstorm is None else self._stackstorm.repairer
        self._jobs = LeaderJobs(core, self._lead, repairer)
        self._sweeper = Sweeper(
            core.database,
            core.doorbell,
            core.bus,
            core.settings,
            metrics=core.metrics,
            weights=lambda path, plan: core.live.current.weights_of(path, plan),
        )
        self._schedules = build_firing(core, self._lead)
        self._looks = Watched(self._schedules.looks.look, lambda: self._schedules.looks.busy)
        self._fire_safely = ResilientTask("the scheduler's firing", self._fire, core.outages)
        self._next_tick = 0.0
        self._ticking: Rounds | None = None
        self._webhooks = WebhookDelivery(core, self._lead)
        self._sweeping_term: int | None = None
        self._next_round = 0.0
        self._sweep_safely = ResilientTask("the scheduler's sweeper", self._sweep, core.outages)
        self._rounds: Rounds | None = None
        self._identity: tuple[str, Leader] | None = None
        self._scheduler: BackgroundScheduler | None = None

    @property
    def process_id(self) -> str | None:
        """The id of this process's row; None until it is registered."""
        return self._identity[0] if self._identity else None

    @property
    def leads(self) -> bool:
        """Whether this process leads."""
        return self._term() is not None

    def start(self) -> None:
        """Start the threads that sweep and fire, and the recurring jobs in APScheduler's. Returns at once."""
        _quiet_apscheduler()
        self._live.start(self._bus)
        scheduler = BackgroundScheduler(timezone=UTC)
        self._add(scheduler, "heartbeat", self._beat, self._settings.heartbeat_interval)
        self._add(scheduler, "campaign", self._campaign, self._settings.leader_term / CAMPAIGNS_A_TERM)
        self._add(scheduler, "firing_ends", self._looks, LOOK_EVERY)
        for each in self._jobs.all:
            self._add(scheduler, each.name, each.job, each.seconds)
            if each.watched is not None and each.topic is not None:
                self._bus.subscribe(each.topic, each.watched.hear)
        scheduler.start()
        self._scheduler = scheduler
        self._bus.subscribe(Topic.SCHEDULES, self._looks.hear)
        self._rounds = Rounds(self._round, self._bus, self._settings.sweep_interval)
        self._rounds.start()
        self._schedules.crowding.start()
        self._ticking = Rounds(self._tick, self._bus, SHORTEST_PAUSE, Topic.SCHEDULES, "firing")
        self._ticking.start()
        self._webhooks.start(self._bus)
        if self._stackstorm is not None:
            self._stackstorm.start()

    def stop(self) -> None:
        """Finish the round that runs, let another process lead, and sign off."""
        self._webhooks.stop()
        for thread in (self._ticking, self._rounds, self._stackstorm):
            if thread is not None:
                thread.stop()
        self._ticking = self._rounds = self._stackstorm = None
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)
            self._scheduler = None
        if self._identity is None:
            return
        process_id, leader = self._identity
        self._identity = None
        try:
            leader.resign()
            self._processes.mark(process_id, "stopped")
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("could not sign off, the term and the heartbeat run out by themselves: %s", error)

    def _add(self, scheduler: BackgroundScheduler, name: str, job: Callable[[], bool], seconds: float) -> None:
        scheduler.add_job(
            ResilientTask(f"the scheduler's {name}", job, self._outages),
            "interval",
            id=name,
            seconds=seconds,
            next_run_time=datetime.now(UTC),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )

    def _beat(self) -> bool:
        """Say that this process lives; under a new name when it was declared lost, or has none yet."""
        if self._identity is not None:
            process_id, _ = self._identity
            if self._processes.beat(process_id) is not None:
                return True
            log.warning("this scheduler was declared lost; it goes on as a new process")
        process_id = self._processes.register("scheduler")
        term = self._settings.leader_term
        leader = Leader(Leadership(self._database, ROLE, process_id, term), term)
        self._identity = (process_id, leader)
        leader.campaign()
        return True

    def _campaign(self) -> bool:
        if self._identity is None:
            return False
        self._identity[1].campaign()
        return True

    def _round(self) -> float:
        """A round of the sweeper, if this process leads; the seconds until the next."""
        self._next_round = self._settings.sweep_interval
        self._sweep_safely()
        return self._next_round

    def _tick(self) -> float:
        """Fire what is due, if this process leads; the seconds until something will be."""
        self._next_tick = LONGEST_PAUSE
        self._fire_safely()
        return self._next_tick

    def _fire(self) -> bool:
        if not self.leads:
            return False
        self._next_tick = self._schedules.firing.round()
        if self._next_tick == SHORTEST_PAUSE:  # something has fired, and is to be followed to its end
            self._looks.hear()
        return True

    def _sweep(self) -> bool:
        term = self._term()
        if term is None:
            self._sweeping_term = None
            return False
        if term != self._sweeping_term:
            self._sweeping_term = term
            self._sweeper.begin()
        self._next_round = self._sweeper.round()
        return True

    def _lead(self) -> Lead | None:
        if self._identity is None:
            return None
        process_id, leader = self._identity
        term = leader.term
        return None if term is None else Lead(ROLE, process_id, term)

    def _term(self) -> int | None:
        return self._identity[1].term if self._identity else None


def run_scheduler(settings: Settings) -> None:
    """Run a scheduler until a stop signal. Must be called in the main thread."""
    log_as("scheduler", settings)
    allow_many_open_files()
    if settings.embedded:
        log.warning("BROKER_URL is memory://, which reaches no other process: the rings of this scheduler are lost")
    stopping = threading.Event()
    before = on_stop(lambda *_: stopping.set())
    core = build_core(settings, check_deployment)
    core.metrics.describe("scheduler")
    process = SchedulerProcess(core)
    try:
        port = MetricsPort(core.metrics, settings.metrics_host, settings.metrics_ports())
        pushing = push_metrics(core)
        process.start()
        log.info("the scheduler runs")
        stopping.wait()
        log.info("the scheduler stops")
        pushing.close()
        port.close()
    finally:
        process.stop()
        core.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _quiet_apscheduler() -> None:
    """It logs every run, and every run that it skips because the last one still waits for the database."""
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
