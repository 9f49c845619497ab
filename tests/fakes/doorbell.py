"""A doorbell that rings in memory: what was rung is on record, and a test can wait for it."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from synthralos.domain.states import Lane, Stage


@dataclass(frozen=True, slots=True)
class Ring:
    """One call of `ring`."""

    stage: Stage
    lane: Lane
    ids: tuple[str, ...]


class RecordingDoorbell:
    """A `Doorbell` whose queues are as deep as the test says (`depths`; None: the broker cannot be asked)."""

    def __init__(self, depth: int | None = 0) -> None:
        self.rings: list[Ring] = []
        self.depths: dict[tuple[Stage, Lane], int | None] = {}
        self.healthy = True
        self._depth = depth
        self._rung = threading.Condition()

    def ring(self, stage: Stage, lane: Lane, ids: Sequence[str]) -> None:
        """Take it down."""
        with self._rung:
            self.rings.append(Ring(stage, lane, tuple(ids)))
            self._rung.notify_all()

    def depth(self, stage: Stage, lane: Lane) -> int | None:
        """What the test says."""
        return self.depths.get((stage, lane), self._depth)

    def close(self, timeout: float) -> None:
        """Nothing is held."""

    def rung(self, stage: Stage | None = None, lane: Lane | None = None) -> list[str]:
        """The ids that were rung so far (at a stage, on a lane), in order."""
        with self._rung:
            return self._ids(stage, lane)

    def wait_for(self, job_id: str, stage: Stage | None = None, timeout: float = 30.0) -> bool:
        """Wait until the job was rung; whether it was."""
        with self._rung:
            return self._rung.wait_for(lambda: job_id in self._ids(stage, None), timeout)

    def _ids(self, stage: Stage | None, lane: Lane | None) -> list[str]:
        wanted = (r for r in self.rings if stage in (None, r.stage) and lane in (None, r.lane))
        return [job_id for ring in wanted for job_id in ring.ids]
