"""The doorbell on a Dramatiq broker: one thread that publishes what everybody else only notes down.

Batches follow the load: ids that arrive while a message is being published go into the next one. While the
broker is away the ids wait, within a bound; what is pushed out is counted, and rung again by the sweeper.
"""

import logging
import random
import threading
import time
from collections.abc import Sequence

import dramatiq

from synthralos.broker import outage
from synthralos.broker.pending import Bell, PendingIds
from synthralos.broker.protocol import Carrier
from synthralos.broker.queues import actor_name, queue_name
from synthralos.domain.states import Lane, Stage
from synthralos.telemetry.outages import Outages

log = logging.getLogger(__name__)

_LONGEST_EXPONENT = 16


class BrokerDoorbell:
    """A `Doorbell`. Starts its thread at once, connects with the first ring; the broker stays the caller's to close.

    `max_pending` is in ids. After a failure it tries again in `first_backoff` seconds, doubled each time up to
    `max_backoff`, each wait shortened by chance by up to a half.

    For metrics: `rung_ids` and `messages` that the broker took, `dropped_ids`, `failures` to publish.
    """

    def __init__(
        self,
        broker: Carrier,
        namespace: str,
        *,
        max_pending: int = 100_000,
        first_backoff: float = 0.1,
        max_backoff: float = 5.0,
        outages: Outages | None = None,
    ) -> None:
        self.rung_ids = self.messages = self.dropped_ids = self.failures = 0
        self._broker, self._namespace = broker, namespace
        self._outages = broker.outages = outages or Outages()
        self._first_backoff, self._max_backoff = first_backoff, max_backoff
        self._pending = PendingIds(max_pending)
        self._changed = threading.Condition()
        self._publishing = self._closing = self._stopped = False
        self._failures_in_a_row = 0
        self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether the last ring got through; True while nothing has been rung."""
        return self._failures_in_a_row == 0

    @property
    def pending_ids(self) -> int:
        """Ids that are still to be rung."""
        return len(self._pending)

    def ring(self, stage: Stage, lane: Lane, ids: Sequence[str]) -> None:
        """Say that the jobs `ids` have work at `stage`. Never blocks, never raises."""
        if not ids:
            return
        with self._changed:
            if self._stopped:
                self.dropped_ids += len(ids)
                return
            self.dropped_ids += self._pending.add((stage, lane), [str(job_id) for job_id in ids])
            self._changed.notify_all()

    def depth(self, stage: Stage, lane: Lane) -> int | None:
        """Messages (of up to 256 ids) that wait in the broker; None when it cannot be asked. Never raises.

        It asks in the calling thread. A broker that is down answers so at once; one that fell silent takes up
        to 25 seconds to be found out, and is not asked again before a ring has got through.
        """
        if not self.healthy:
            return None
        return self._broker.depth(queue_name(self._namespace, stage, lane))

    def flush(self, timeout: float) -> bool:
        """Wait until the broker has everything that was rung, `timeout` seconds at most; whether it has."""
        with self._changed:
            return self._changed.wait_for(self._is_idle, timeout)

    def close(self, timeout: float) -> None:
        """Ring what is still to be rung, for at most `timeout` seconds, then stop; the rest is dropped."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(self._is_idle, timeout)
            self._stopped = True
            dropped = self._pending.clear()
            self.dropped_ids += dropped
            self._changed.notify_all()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if dropped:
            log.warning("the doorbell closes with %d jobs not rung; the sweeper will ring for them", dropped)

    def _is_idle(self) -> bool:
        return not self._pending and not self._publishing

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            bell, ids = batch
            try:
                self._broker.enqueue(self._message(bell, ids))
            except Exception as error:  # noqa: BLE001 - the edge of a thread that must outlive whatever a driver raises
                self._failed(bell, ids, error)
            else:
                self._succeeded(bell, ids)
        self._broker.hang_up()

    def _next(self) -> tuple[Bell, list[str]] | None:
        """The next batch; waits for one. None: it is time to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closing)
            if not self._pending:
                return None
            self._publishing = True
            return self._pending.take()

    def _message(self, bell: Bell, ids: list[str]) -> "dramatiq.Message[None]":
        return dramatiq.Message(
            queue_name=queue_name(self._namespace, *bell),
            actor_name=actor_name(*bell),
            args=(ids,),
            kwargs={},
            options={},
        )

    def _succeeded(self, bell: Bell, ids: list[str]) -> None:
        with self._changed:
            self.messages += 1
            self.rung_ids += len(ids)
            self._failures_in_a_row = 0
            self._publishing = False
            self._changed.notify_all()
        outage.works(self._outages, queue_name(self._namespace, *bell))

    def _failed(self, bell: Bell, ids: list[str], error: Exception) -> None:
        outage.tell(self._outages, error, queue_name(self._namespace, *bell))
        with self._changed:
            self.failures += 1
            self._failures_in_a_row += 1
            self.dropped_ids += len(ids) if self._stopped else self._pending.give_back(bell, ids)
            self._publishing = False
            was_closing = self._closing
            # A close() that begins during the wait gets an attempt at once.
            self._changed.wait_for(lambda: self._stopped or self._closing != was_closing, self._backoff())

    def _backoff(self) -> float:
        exponent = min(self._failures_in_a_row - 1, _LONGEST_EXPONENT)
        longest: float = min(self._max_backoff, self._first_backoff * 2**exponent)
        return longest * random.uniform(0.5, 1.0)
