"""Carries out operations on many jobs, as long as this process leads: piece after piece, no faster than each wants."""

import time
from collections.abc import Callable, Sequence

from synthralos.broker.protocol import Doorbell
from synthralos.bus.protocol import Bus, Topic
from synthralos.control.ringing import ring_for
from synthralos.domain.bulk import BulkOperation
from synthralos.domain.work_items import WorkItem
from synthralos.store.queue.bulk import BulkOperations

PIECE = 500
"""Jobs of one transaction: bounded, so that nobody waits long for their rows, and memory stays small."""

TURN = 1.0
"""Seconds of one round, after which others of the leader's tasks may want the thread."""

BULK_EVERY = 0.5
"""Seconds between two rounds."""


class BulkRunner:
    """`round` after round, by whoever leads. Not thread-safe."""

    def __init__(
        self,
        operations: BulkOperations,
        doorbell: Doorbell,
        bus: Bus,
        leads: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` in seconds."""
        self._operations, self._doorbell, self._bus, self._leads = operations, doorbell, bus, leads
        self._clock = clock
        self._credit: dict[str, tuple[float, float]] = {}
        self.busy = False
        """Whether the last round found an operation that runs."""

    def round(self) -> bool:
        """Do a piece of each running operation in turn, for a second at most; False: this process does not lead."""
        if not self._leads():
            self._credit.clear()
            self.busy = False
            return False
        until = self._clock() + TURN
        running = self._operations.running()
        self.busy = bool(running)
        self._credit = {each.id: self._credit[each.id] for each in running if each.id in self._credit}
        while running and self._clock() < until and self._leads():
            running = [each for each in running if self._goes_on(each)]
        return True

    def _goes_on(self, operation: BulkOperation) -> bool:
        """Do a piece; whether another may follow at once."""
        most = min(PIECE, self._allowed(operation))
        if most < 1:
            return False
        piece = self._operations.step(operation.id, most)
        self._spend(operation, len(piece.moved))
        self._tell(piece.moved)
        return not piece.over

    def _tell(self, moved: Sequence[WorkItem]) -> None:
        if moved:
            ring_for(self._doorbell, [(item.stage, item.lane, item.id) for item in moved])
            self._bus.publish(Topic.CHANGED, [item.id for item in moved])

    def _allowed(self, operation: BulkOperation) -> int:
        """Jobs that the operation's rate allows now: at most those of one second."""
        rate = operation.per_second
        if rate is None:
            return PIECE
        now = self._clock()
        credit, at = self._credit.get(operation.id, (max(1.0, rate * BULK_EVERY), now))
        credit = min(max(1.0, rate), credit + (now - at) * rate)
        self._credit[operation.id] = credit, now
        return int(credit)

    def _spend(self, operation: BulkOperation, jobs: int) -> None:
        if operation.id in self._credit:
            credit, at = self._credit[operation.id]
            self._credit[operation.id] = credit - jobs, at
