"""What one worker process writes: group commits of starts and settlements, and who is told afterwards."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from synthralos.broker.protocol import Doorbell
from synthralos.bus.protocol import Bus, Topic
from synthralos.control.ringing import Place, ring_for
from synthralos.domain.states import TERMINAL, Lane, Stage, State
from synthralos.domain.writes import Settlement, Start, StartResult, Written
from synthralos.store.queue.settlements import Settlements
from synthralos.store.sql.group_commit import GroupCommit
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages
from synthralos.telemetry.writes import JobCounts, measured, utc_now


class JobWriter:
    """Writes in batches; after each, rings for the next stage and tells those who wait. Lives on the loop."""

    def __init__(
        self,
        settlements: Settlements,
        bus: Bus,
        doorbell: Doorbell,
        *,
        ships: Callable[[], bool],
        outages: Outages | None = None,
        metrics: Metrics | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`ships`: whether analyzed jobs have to be rung for, because workers ship their traces; must not block.

        Nothing is ever refused: answers are paid for, and the slots bound how many there are.
        """
        self._settlements = settlements
        self._bus = bus
        self._doorbell = doorbell
        self._ships = ships
        metrics = metrics or Metrics()
        self._counts = JobCounts(metrics, now)
        unbounded: dict[str, Any] = {"max_pending": None, "max_pending_bytes": None, "outages": outages}
        self._starts: GroupCommit[Start, StartResult] = GroupCommit(
            "start", measured(metrics, "start", self._write_starts), **unbounded
        )
        self._ends: GroupCommit[Settlement, Written] = GroupCommit(
            "settle", measured(metrics, "settle", self._write_settlements), size_of=_size, **unbounded
        )

    async def start(self, start: Start) -> StartResult:
        """Book an attempt before its call; do not call unless it was written."""
        return await self._starts.commit(start)

    async def settle(self, settlement: Settlement) -> Written:
        """Book what became of a job."""
        return await self._ends.commit(settlement)

    def submit_start(self, start: Start, done: Callable[[StartResult | Exception], None]) -> None:
        """Book an attempt before its call; `done` is called on the loop when it is durable, or cannot be."""
        self._starts.submit(start, done)

    def submit_settlement(self, settlement: Settlement, done: Callable[[Written | Exception], None]) -> None:
        """Book what became of a job; `done` is called on the loop when it is durable, or cannot be."""
        self._ends.submit(settlement, done)

    async def close(self) -> None:
        """Write what is pending."""
        await self._starts.close()
        await self._ends.close()

    def _write_starts(self, starts: Sequence[Start]) -> Sequence[StartResult]:
        return self._settlements.start(starts)

    def _write_settlements(self, settlements: Sequence[Settlement]) -> Sequence[Written]:
        urgent = [s for s in settlements if s.job.lane is Lane.INTERACTIVE]
        notices = [notice for topic, ids in _news(urgent) for notice in self._bus.notices(topic, ids)]
        results = self._settlements.settle(settlements, notices)
        self._counts.settled(settlements, results)
        written = [s for s, result in zip(settlements, results, strict=True) if result is Written.DONE]
        for topic, ids in _news([s for s in written if not notices or s.job.lane is not Lane.INTERACTIVE]):
            self._bus.publish(topic, ids)
        self._ring(written)
        return results

    def _ring(self, settlements: Sequence[Settlement]) -> None:
        places: list[Place] = []
        ships = self._ships()
        for s in settlements:
            if s.state is State.QUEUED:
                places.append((s.stage, s.job.lane, s.job.id))
            elif s.stage is Stage.ANALYZE and (ships or not s.analyzed):
                places.append((Stage.ANALYZE, Lane.BULK, s.job.id))
        ring_for(self._doorbell, places)


def _news(settlements: Sequence[Settlement]) -> list[tuple[Topic, list[str]]]:
    """Who has to be told of what. For interactive jobs the settling statement tells it, which is a round trip less.

    Not for bulk: a commit that tells something holds a lock that is the whole server's.
    """
    return [
        (Topic.FINISHED, [s.job.id for s in settlements if s.state in TERMINAL]),
        (Topic.CHANGED, [s.job.id for s in settlements if s.state in (State.QUEUED, State.PARKED)]),
        (Topic.REPAIRS, [s.job.id for s in settlements if s.repair is not None]),
    ]


def _size(settlement: Settlement) -> int:
    """About the bytes that the settlement's result takes: answers may be of 32 MB each."""
    result = settlement.result
    if result is None:
        return 0
    calls = sum(len(str(call)) for call in result["tool_calls"])
    return 4 * (len(result["text"] or "") + calls)
