"""Who makes accepted jobs known: directly where that can be, over the broker otherwise."""

from collections.abc import Callable, Collection, Iterable, Sequence

from synthralos.broker.protocol import Doorbell
from synthralos.bus.protocol import Bus, Topic
from synthralos.control.direct_rings import DirectRings
from synthralos.control.ringing import Place, ring_for
from synthralos.control.second_way import SecondWay
from synthralos.domain.states import Lane, State
from synthralos.store.read.jobs import Reader
from synthralos.store.sql.database import Database
from synthralos.store.sql.notices import Notice


class Announcer:
    """First `notices`, which are written with the jobs; then, when that is durable, `announce`."""

    def __init__(
        self, doorbell: Doorbell, direct: DirectRings | None = None, second_way: SecondWay | None = None
    ) -> None:
        """Everything goes over the doorbell where no direct rings are given; where they are, so is the second way."""
        self._doorbell = doorbell
        self._direct = direct
        self._second_way = second_way

    def start(self, bus: Bus) -> None:
        """Begin to ring directly. Looks for workers at once, and may wait for the bus's connection."""
        if self._direct is not None and self._second_way is not None:
            for topic in (Topic.FINISHED, Topic.CHANGED):
                bus.subscribe(topic, self._second_way.heard)
            self._direct.start()

    @property
    def rung_again(self) -> int:
        """Job ids that were rung over the broker, since nobody came for their direct ring."""
        return 0 if self._second_way is None else self._second_way.rung_ids

    def notices(self, places: Iterable[Place]) -> list[Notice]:
        """What is to be written with the jobs, to ring for the interactive ones; nothing where that cannot be."""
        if self._direct is None:
            return []
        return self._direct.notices([place for place in places if place[1] == Lane.INTERACTIVE])

    def announce(self, places: Sequence[Place], *, noticed: bool) -> None:
        """The jobs have work. `noticed`: what `notices` gave was written with them. Never blocks."""
        urgent = [place for place in places if noticed and place[1] == Lane.INTERACTIVE]
        if urgent and self._second_way is not None:
            self._second_way.watch(urgent)
            places = [place for place in places if place[1] != Lane.INTERACTIVE]
        ring_for(self._doorbell, places)

    def close(self) -> None:
        """Ring over the broker for everything that was rung directly and not heard of since."""
        if self._second_way is not None:
            self._second_way.close()


def direct_announcer(doorbell: Doorbell, direct: DirectRings, database: Database) -> Announcer:
    """An announcer that rings directly, once it is started; `direct` stays the caller's to close."""
    return Announcer(doorbell, direct, SecondWay(doorbell, _still_queued(Reader(database))))


def _still_queued(reader: Reader) -> Callable[[Sequence[str]], Collection[str]]:
    return lambda ids: [job_id for job_id, (state, *_) in reader.states(ids).items() if state == State.QUEUED]
