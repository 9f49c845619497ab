"""What is rung directly at this worker: a small Dramatiq broker of its own, fed by the line to PostgreSQL.

Actors, middleware and threads are Dramatiq's, as with the other broker; nothing here polls.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence

import dramatiq

from synthralos.broker.actors import Handle, declare_direct_actors
from synthralos.broker.memory import MemoryDoorbellBroker
from synthralos.broker.queues import actor_name, bell_of, direct_queue
from synthralos.bus.line import Line
from synthralos.control.ring_channels import channel_of, decode_ring
from synthralos.domain.states import Lane, Stage

log = logging.getLogger(__name__)

THREADS = 2
"""A message takes a thread for as long as it waits for slots, as elsewhere."""

MOST_WAITING = 1_000
"""Messages that wait here; what comes above it is passed on, so that another worker may take it."""

_IDLE_WAKE_UP = 200
"""Milliseconds after which Dramatiq's threads look whether they shall stop."""

_PATIENCE = 5.0
"""Seconds that the start waits for the line."""


class Inbox:
    """Hears the rings on this worker's channel, and lets Dramatiq's threads work on them."""

    def __init__(
        self,
        line: Line,
        stages: Iterable[Stage],
        handle: Handle,
        pass_on: Callable[[Stage, Lane, Sequence[str]], None],
        *,
        threads: int = THREADS,
        alone: bool = False,
    ) -> None:
        """`pass_on` rings for others; it gets what comes when the worker takes no more, or when too much waits here.

        `alone`: nothing else rings, so that others are as full; what is too much is left to the sweeper.
        """
        self._line = line
        self._pass_on = pass_on
        self._alone = alone
        self._channel: str | None = None
        self._lock = threading.Lock()
        self._open = True
        self._broker = MemoryDoorbellBroker([])
        declare_direct_actors(self._broker, stages, handle)
        self._worker = dramatiq.Worker(self._broker, worker_threads=threads, worker_timeout=_IDLE_WAKE_UP)

    def move_to(self, worker_id: str) -> None:
        """Listen to the channel of this identity from soon on, and to no other."""
        self.leave()
        self._channel = channel_of(worker_id)
        self._line.listen(self._channel, self._hear)

    def start(self) -> None:
        """Work on what is heard; waits a moment for the line, and goes on without it."""
        self._worker.start()
        if not self._line.ready(_PATIENCE):
            log.warning("cannot listen to the database yet; rings come over the broker until then")

    def stop(self) -> None:
        """Work on nothing more: what waits, and what still comes, is passed on."""
        with self._lock:
            self._open = False
        self._worker.stop()
        for lane in Lane:
            for message in self._broker.drain(direct_queue(lane)):
                self._pass_on(*bell_of(message.actor_name), message.args[0])

    def leave(self) -> None:
        """Hear nothing more."""
        if self._channel is not None:
            self._line.leave(self._channel)

    def _hear(self, payloads: list[str] | None) -> None:
        for payload in payloads or ():
            try:
                stage, lane, ids = decode_ring(payload)
            except ValueError:
                log.warning("dropped a direct ring for a stage that is not known here")
                continue
            self._put(stage, lane, ids)

    def _put(self, stage: Stage, lane: Lane, ids: list[str]) -> None:
        with self._lock:
            full = self._broker.depth(direct_queue(lane)) >= MOST_WAITING
            if self._open and not full:
                self._broker.enqueue(_message(stage, lane, ids))
                return
        if self._open and self._alone:
            log.debug("%d jobs at %s are too many here; the sweeper will ring again", len(ids), stage)
            return
        self._pass_on(stage, lane, ids)


def _message(stage: Stage, lane: Lane, ids: list[str]) -> "dramatiq.Message[None]":
    return dramatiq.Message(
        queue_name=direct_queue(lane), actor_name=actor_name(stage, lane), args=(ids,), kwargs={}, options={}
    )
