"""What a worker process is made of: everything that the process manager itself does without."""

import gc
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import dramatiq

from pipelines.analyze.pushing import push_metrics
from pipelines.providers.table import check_deployment
from synthralos.broker.actors import declare_actors
from synthralos.config.settings import load_settings
from synthralos.core import build_core
from synthralos.domain.states import Stage
from synthralos.logs import log_as
from synthralos.open_files import allow_many_open_files
from synthralos.store.sql.errors import StoreError
from synthralos.store.sql.retrying import Stopped
from synthralos.telemetry.serving import MetricsPort
from workers.lifecycle import Lifecycle
from workers.runtime import WorkerRuntime

log = logging.getLogger(__name__)

_LAST_RINGS = 5.0
"""Seconds at most in which a worker that shuts down rings for the jobs that it gave back."""


class ProcessLifecycle(Lifecycle):
    """The same in a process of the process manager, which would go on without a runtime that did not start."""

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Be ready, or end the process: at once when it is told to stop, with an error when the database stays away."""
        try:
            with _told_to_stop(self._runtime.give_up):
                super().before_worker_boot(broker, worker)
        except Stopped:
            log.info("told to stop before the database was there")
            sys.exit(0)
        except StoreError as error:
            log.error("this worker cannot start, the database stays away: %s", error)
            sys.exit(1)


@contextmanager
def _told_to_stop(act: Callable[[], None]) -> Iterator[None]:
    """Have signals that stop a process call `act`, besides what they do already."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def told(number: int, frame: FrameType | None) -> None:
        act()
        also = before[signal.Signals(number)]
        if callable(also):
            also(number, frame)

    for number in before:
        signal.signal(number, told)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def boot() -> None:
    """What each process of the process manager calls first: makes the broker with its actors."""
    settings = load_settings()
    log_as("worker", settings)
    allow_many_open_files()
    core = build_core(settings, check_deployment)
    core.metrics.describe("worker")
    # Open as long as the process lives: scrapers see it drain.
    MetricsPort(core.metrics, settings.metrics_host, settings.metrics_ports(settings.worker_processes))
    pushing = push_metrics(core)
    runtime = WorkerRuntime(core)
    declare_actors(core.broker, settings.broker_namespace, map(Stage, settings.worker_stages), runtime.handle)

    def afterwards() -> None:
        # Dramatiq closes the broker next: what was released has to be rung before.
        core.doorbell.close(_LAST_RINGS)
        pushing.close()

    core.broker.add_middleware(ProcessLifecycle(runtime, afterwards))
    dramatiq.set_broker(core.broker)
    _calm_garbage_collector()


def _calm_garbage_collector() -> None:
    """Thousands of jobs in flight are no garbage: the default thresholds would scan them again and again.

    What was imported is never scanned any more; the rest seldom. Measured: a third of a busy worker's time. A job in
    flight is some 45 objects, and none of them is in a cycle: thousands of them may come before there is a look.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
