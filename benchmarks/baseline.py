"""What bare Dramatiq does with the same broker, processes and threads: messages/s of a no-op actor."""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import dramatiq
import pika  # type: ignore[import-untyped]

from benchmarks import cpu
from benchmarks.noop_actor import QUEUE, declare
from benchmarks.places import rabbitmq_vhost
from benchmarks.processes import Child, child
from benchmarks.report import cpu_table, say

_WARM_UP = 1000


class Noop:
    """Running workers of the no-op actor."""

    def __init__(self, url: str, workers: Child) -> None:
        self.workers = workers
        self._actor: dramatiq.Actor[[int], None] = declare(url)
        self._depth = pika.BlockingConnection(pika.URLParameters(url)).channel()

    def preloaded(self, count: int) -> float:
        """Seconds to consume `count` messages that wait in the queue: the workers stand still until they are there."""
        self.workers.signal(signal.SIGSTOP)
        self._send(count)
        began = time.monotonic()
        self.workers.signal(signal.SIGCONT)
        self._until_consumed()
        return time.monotonic() - began

    def concurrent(self, count: int) -> float:
        """Seconds to send `count` messages from one process and consume them meanwhile."""
        began = time.monotonic()
        self._send(count)
        self._until_consumed()
        return time.monotonic() - began

    def _send(self, count: int) -> None:
        for number in range(count):
            self._actor.send(number)

    def _until_consumed(self) -> None:
        # The few dozen that the workers have fetched do not count as waiting, which is in the baseline's favor.
        while self._depth.queue_declare(QUEUE, passive=True).method.message_count:
            self._depth.connection.sleep(0.01)


@contextlib.contextmanager
def running_noop(processes: int, threads: int) -> Iterator[Noop]:
    """Workers that are warm."""
    with rabbitmq_vhost() as place:
        command = [sys.executable, "-m", "dramatiq", "benchmarks.noop_actor:boot"]
        command += ["--processes", str(processes), "--threads", str(threads)]
        with child("bare Dramatiq", command, {"BROKER_URL": place.url}) as workers:
            noop = Noop(place.url, workers)
            noop.concurrent(_WARM_UP)
            yield noop


@dataclass(frozen=True)
class Baseline:
    """Messages/s, and CPU seconds that a message takes in Dramatiq's workers and in RabbitMQ, its sending included."""

    per_second: float
    cpu: float


def measure(count: int, processes: int, threads: int) -> Baseline:
    """The faster of the two ways to measure; tells both."""
    with running_noop(processes, threads) as noop:
        meter = cpu.Meter(cpu.of_children([noop.workers]) | cpu.of_rabbitmq())
        waiting = noop.preloaded(count)
        used = meter.read()
        meanwhile = noop.concurrent(count)
    say(f"bare Dramatiq: {count / waiting:,.0f} messages/s from a full queue, {count / meanwhile:,.0f} sent meanwhile")
    cpu_table("bare Dramatiq, sending included in RabbitMQ's", used, waiting, count, "message")
    return Baseline(count / min(waiting, meanwhile), sum(used.values()) / count)
