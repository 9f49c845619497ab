"""The whole system in one process: API, worker and scheduler on one core. What `up` and the demo run."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from api.process import ApiServer
from migrations.runner import upgrade
from pipelines.analyze.pushing import push_metrics
from scheduler.process import SchedulerProcess
from synthralos.core import Core
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.keys import Keys
from synthralos.telemetry.serving import MetricsPort
from workers.embedded import EmbeddedWorker


@contextmanager
def embedded(core: Core) -> Iterator[str]:
    """The system, running, with its database migrated; gives the API's URL, and closes the core at the end.

    Raises `OSError` where the port is taken.
    """
    with ExitStack() as stack:
        stack.callback(core.close)
        core.metrics.describe("up")
        settings = core.settings
        stack.callback(MetricsPort(core.metrics, settings.metrics_host, settings.metrics_ports()).close)
        stack.callback(push_metrics(core).close)
        upgrade(core.database)
        api, scheduler, worker = _parts(core)
        stack.callback(api.stop)
        # The API first: a port that is taken is told before anything else runs. What it accepts waits for the worker.
        api.start()
        scheduler.start()
        stack.callback(scheduler.stop)
        worker.start()
        stack.callback(worker.stop)
        try:
            yield api.url
        finally:
            # First of all, so that nothing is accepted that nobody would begin.
            api.stop()


def _parts(core: Core) -> tuple[ApiServer, SchedulerProcess, EmbeddedWorker]:
    settings = core.settings
    return ApiServer(core, settings.host, settings.port), SchedulerProcess(core), EmbeddedWorker(core)


class Shown(NamedTuple):
    """A key as it is shown, once, and the prefix that it is listed under."""

    secret: str
    prefix: str


def first_admin_key(core: Core) -> Shown | None:
    """An admin key for the whole installation, made when the database has no key at all."""
    keys = Keys(core.database)
    return admin_key(core, "first admin") if not keys.all(EVERYTHING) else None


def admin_key(core: Core, name: str) -> Shown:
    """A new admin key for the whole installation."""
    secret, key = Keys(core.database).create(name, Role.ADMIN, EVERYTHING)
    return Shown(secret, key.prefix)
