"""How a runtime follows the life of the Dramatiq worker that feeds it."""

from collections.abc import Callable

import dramatiq

from workers.runtime import WorkerRuntime


class Lifecycle(dramatiq.Middleware):
    """Ties a runtime to the worker's boot and shutdown; `afterwards` is called when nothing is under way any more."""

    def __init__(self, runtime: WorkerRuntime, afterwards: Callable[[], None] = lambda: None) -> None:
        self._runtime = runtime
        self._afterwards = afterwards

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Be ready before the first message is fetched."""
        self._runtime.start()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Take no more jobs."""
        self._runtime.stop_taking()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Finish what is under way; the broker can still be rung."""
        self._runtime.drain()
        self._afterwards()
