"""A sweeper on a real store, with a clock that the test moves, and what it rings and says."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.sweeper import Sweeper
from synthralos.bus.memory import MemoryBus
from synthralos.bus.protocol import Topic
from synthralos.config.settings import Settings
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.stores import Store

SWEEPER_SETTINGS = Settings(worker_lost_after=15.0, ring_again_after=10.0, sweep_interval=0.5)


@dataclass
class Clock:
    """The database's clock as the sweeper sees it: some time ago, so that the test can let time pass."""

    store: Store
    ahead: float = -5_000.0

    def __call__(self) -> datetime:
        return self.store.now() + timedelta(seconds=self.ahead)


@dataclass
class Scene:
    """A sweeper, what it rings, and what it says on the bus."""

    store: Store
    doorbell: RecordingDoorbell = field(default_factory=RecordingDoorbell)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        bus = MemoryBus()
        bus.subscribe(Topic.FINISHED, lambda ids: self.told.extend(ids or ()))
        self.clock = Clock(self.store)
        self.sweeper = Sweeper(self.store.database, self.doorbell, bus, SWEEPER_SETTINGS, clock=self.clock)

    def watch(self, seconds: float) -> None:
        """Round after round, every second, for that long."""
        for _ in range(int(seconds) + 1):
            self.clock.ahead += 1.0
            self.sweeper.round()
