"""A broker with its doorbell and its workers, opened for a test and closed after it."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import dramatiq

from synthralos.broker.actors import declare_actors
from synthralos.broker.base import DoorbellBroker
from synthralos.broker.doorbell import BrokerDoorbell
from synthralos.domain.ids import new_id
from synthralos.domain.states import Lane, Stage
from tests.fakes.broker_sites import Site

GUARD, EXECUTE, ANALYZE = Stage.GUARD, Stage.EXECUTE, Stage.ANALYZE
INTERACTIVE, BULK = Lane.INTERACTIVE, Lane.BULK
PATIENCE = 20.0


class Arrivals:
    """A stage handler that remembers what came, and lets a test wait for it."""

    def __init__(self) -> None:
        self.batches: list[tuple[Stage, list[str]]] = []
        self._changed = threading.Condition()

    def __call__(self, stage: Stage, ids: list[str], **_: Any) -> None:
        with self._changed:
            self.batches.append((stage, ids))
            self._changed.notify_all()

    def ids(self, stage: Stage) -> list[str]:
        return [job_id for at, ids in self.batches if at is stage for job_id in ids]

    def wait_for(self, stage: Stage, ids: list[str]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: set(ids) <= set(self.ids(stage)), PATIENCE)


@contextlib.contextmanager
def opened(broker: DoorbellBroker) -> Iterator[DoorbellBroker]:
    try:
        yield broker
    finally:
        broker.close()


@contextlib.contextmanager
def doorbell_on(broker: DoorbellBroker, site: Site, **options: Any) -> Iterator[BrokerDoorbell]:
    doorbell = BrokerDoorbell(broker, site.namespace, first_backoff=0.02, max_backoff=0.1, **options)
    try:
        yield doorbell
    finally:
        doorbell.close(0.2)
        # Its connection is its own to close: the broker would do it in another thread, and pika allows that to no one.
        doorbell._thread.join(PATIENCE)


@contextlib.contextmanager
def serving(
    broker: DoorbellBroker, site: Site, stages: list[Stage], handle: Any, threads: int = 2
) -> Iterator[dramatiq.Worker]:
    declare_actors(broker, site.namespace, stages, handle)
    worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=threads)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop(timeout=10_000)


def some_ids(count: int) -> list[str]:
    return [new_id() for _ in range(count)]
