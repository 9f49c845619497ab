"""A worker within another process: what `synthralos up` runs beside the API and the scheduler."""

import dramatiq

from pipelines.flow.stages import BuildStages
from synthralos.broker.actors import declare_actors
from synthralos.core import Core
from synthralos.domain.states import Stage
from workers.lifecycle import Lifecycle
from workers.runtime import WorkerRuntime


class EmbeddedWorker:
    """Dramatiq's worker threads and a runtime, on the core's own broker."""

    def __init__(self, core: Core, build: BuildStages | None = None) -> None:
        """`build`: see `WorkerRuntime`."""
        settings = core.settings
        self.runtime = WorkerRuntime(core, build)
        declare_actors(core.broker, settings.broker_namespace, map(Stage, settings.worker_stages), self.runtime.handle)
        core.broker.add_middleware(Lifecycle(self.runtime))
        self._worker = dramatiq.Worker(core.broker, worker_threads=settings.worker_threads, worker_timeout=100)

    def start(self) -> None:
        """Take jobs from now on."""
        self._worker.start()

    def stop(self) -> None:
        """Finish or release what is under way; returns when nothing of ours is claimed any more."""
        self._worker.stop()
