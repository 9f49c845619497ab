"""The exporter process: ships finished traces apart from those that run jobs, so that jobs pay for none of it."""

import logging
import os
import signal
import threading

from pipelines.analyze.pushing import push_metrics
from pipelines.analyze.table import build_exporters
from pipelines.providers.table import check_deployment
from synthralos.bus.protocol import Topic
from synthralos.config.settings import Settings, SettingsError
from synthralos.core import Core, build_core
from synthralos.logs import known_secrets, log_as
from synthralos.stop_signals import on_stop
from synthralos.store.admin.processes import Processes
from synthralos.store.sql.errors import is_transient
from synthralos.store.sql.retrying import Stopped, keep_trying
from synthralos.telemetry.families import EXPORTS_HELD, HEARTBEAT_AGE
from synthralos.telemetry.redaction import Redactor
from synthralos.telemetry.serving import MetricsPort
from workers.export_turns import KIND, ExportersTurn, LivingExporters
from workers.exporting import TraceExporter
from workers.heartbeat import Heartbeat

log = logging.getLogger(__name__)

IDLE = 5.0
"""Seconds between two looks for what is owed while no job is heard to end: thoughts, feedback, late bookings."""

_STOP_SECONDS = 10.0
"""How long a shipment that is under way may take when the process stops."""


class ExporterProcess:
    """Ships to the destinations of the settings that fall to this process. Any number of them may run."""

    def __init__(self, core: Core) -> None:
        """Raises `SettingsError` where the settings name no destination, or an exporter is not installed."""
        settings = core.settings
        exporters = build_exporters(settings)
        if not exporters:
            raise SettingsError("no destination of exports is set: see docs/exports.md")
        if settings.export_by == "workers":
            raise SettingsError("EXPORT_BY: must be auto or exporters where an exporter runs")
        self._core = core
        self._stopping = threading.Event()
        processes = Processes(core.database)
        self.heartbeat = Heartbeat(
            processes,
            KIND,
            sorted(exporters),
            settings.heartbeat_interval,
            settings.worker_lost_after,
            outages=core.outages,
        )
        living = LivingExporters(processes, settings.worker_lost_after)
        self._turns = ExportersTurn(core.database, living, lambda: self.heartbeat.process_id, settings.leader_term)
        self._exporter = TraceExporter(
            core.database,
            exporters,
            self.heartbeat.clock,
            lambda flag, organization: core.live.current.flags.on(flag, organization),
            core.metrics,
            Redactor(known_secrets(settings)),
            turn=self._turns,
            idle=IDLE,
        )
        core.metrics.reads(HEARTBEAT_AGE, lambda: self.heartbeat.age)
        core.metrics.reads(EXPORTS_HELD, self._turns.held)

    def start(self) -> None:
        """Begin to ship. Waits for the database; raises `Stopped` after `give_up`."""
        self.heartbeat.start()
        # Nobody's traces may leave under flags that operators have changed since.
        keep_trying(self._core.live.read, stopping=self._stopping)
        self._core.live.start(self._core.bus)
        self._core.bus.subscribe(Topic.FINISHED, lambda _: self._exporter.wake())
        self._exporter.start()

    def wait(self) -> None:
        """Until it is told to stop."""
        self._stopping.wait()

    def give_up(self) -> None:
        """Be told to stop; wait for the database no longer."""
        self._stopping.set()
        self.heartbeat.give_up()

    def stop(self) -> None:
        """Finish the shipments that are under way, let others ship, and sign off."""
        self._exporter.stop(_STOP_SECONDS)
        self.heartbeat.stop()
        self.heartbeat.mark("stopped")
        try:
            self._turns.resign()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("could not sign off, the terms run out by themselves: %s", error)


def run_exporter(settings: Settings) -> None:
    """Run an exporter until a stop signal. Must be called in the main thread. Raises `SettingsError`."""
    log_as(KIND, settings)
    os.nice(settings.export_niceness)
    core = build_core(settings, check_deployment)
    core.metrics.describe(KIND)
    try:
        process = ExporterProcess(core)
        before = on_stop(lambda *_: process.give_up())
        port = MetricsPort(core.metrics, settings.metrics_host, settings.metrics_ports())
        pushing = push_metrics(core)
        try:
            process.start()
            log.info("the exporter runs")
            process.wait()
            log.info("the exporter stops")
        except Stopped:
            log.info("told to stop before the database was there")
        finally:
            process.stop()
            pushing.close()
            port.close()
            for number, handler in before.items():
                signal.signal(number, handler)
    finally:
        core.close()
