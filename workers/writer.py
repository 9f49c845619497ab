"""The books of one worker process: group commits of starts and settlements, and who is told afterwards."""

from collections import defaultdict
from collections.abc import Sequence

from synthralos.broker.protocol import Doorbell
from synthralos.bus.protocol import Bus, Topic
from synthralos.domain.states import TERMINAL, Lane, Stage, State
from synthralos.domain.writes import Settlement, Start
from synthralos.store.queue.settlements import Settlements
from synthralos.store.sql.group_commit import GroupCommit


class JobWriter:
    """Writes in batches; after each, rings for the next stage and tells those who wait. Lives on the loop."""

    def __init__(self, settlements: Settlements, bus: Bus, doorbell: Doorbell, *, ships: bool) -> None:
        """`ships`: analyzed jobs have to be rung for, because exporters are configured."""
        self._settlements = settlements
        self._bus = bus
        self._doorbell = doorbell
        self._ships = ships
        self._starts: GroupCommit[Start, bool] = GroupCommit("start", self._write_starts)
        self._ends: GroupCommit[Settlement, bool] = GroupCommit("settle", self._write_settlements, size_of=_size)

    async def start(self, start: Start) -> bool:
        """Book an attempt before its call; False: the claim was lost, do not call."""
        return await self._starts.commit(start)

    async def settle(self, settlement: Settlement) -> bool:
        """Book what became of a job; False: the claim was lost, only the ledger has changed."""
        return await self._ends.commit(settlement)

    async def close(self) -> None:
        """Write what is pending."""
        await self._starts.close()
        await self._ends.close()

    def _write_starts(self, starts: Sequence[Start]) -> Sequence[bool]:
        return self._settlements.start(starts)

    def _write_settlements(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        won = self._settlements.settle(settlements)
        written = [s for s, ours in zip(settlements, won, strict=True) if ours]
        self._bus.publish(Topic.FINISHED, [s.job.id for s in written if s.state in TERMINAL])
        self._bus.publish(Topic.CHANGED, [s.job.id for s in written if s.state in (State.QUEUED, State.PARKED)])
        self._ring(written)
        return won

    def _ring(self, settlements: Sequence[Settlement]) -> None:
        items: defaultdict[tuple[Stage, Lane], list[str]] = defaultdict(list)
        for s in settlements:
            if s.state is State.QUEUED:
                items[s.stage, s.job.lane].append(s.job.id)
            elif s.stage is Stage.ANALYZE and (self._ships or not s.analyzed):
                items[Stage.ANALYZE, Lane.BULK].append(s.job.id)
        for (stage, lane), ids in items.items():
            self._doorbell.ring(stage, lane, ids)


def _size(settlement: Settlement) -> int:
    """About the bytes that the settlement's result takes: answers may be of 32 MB each."""
    result = settlement.result
    if result is None:
        return 0
    calls = sum(len(str(call)) for call in result["tool_calls"])
    return 4 * (len(result["text"] or "") + calls)
