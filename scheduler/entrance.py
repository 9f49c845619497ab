"""The entrance of the bulk lane: while more jobs wait than workers can take soon, organizations wait in lines.

Messages are first come, first served, and what is in the broker cannot be put into another order. So only as many jobs
are rung for as keep all workers busy until the next look. The others wait in the database, and are called by turns.
An organization that is alone has its jobs rung for; when another comes, those that nobody came for yet join its line.
"""

import time
from collections.abc import Callable

from synthralos.broker.protocol import Doorbell
from synthralos.bus.protocol import Bus, Topic
from synthralos.domain.standing import Paces
from synthralos.domain.states import Lane, Stage
from synthralos.domain.turns import Line, Turn, Turns
from synthralos.store.queue.lines import Crowd, InLine, Lines

LEAST_RUNG, MOST_RUNG = 1_024, 32_768
"""Jobs that are rung for and wait: as few as keep the workers busy, and never more."""

ALONE_RUNG = 16_384
"""The same where the newest jobs are all of one organization, which has nobody to share with: lines cost a little."""

SEVERAL_SECONDS = 60.0
"""For so long after it was seen that more than one organization sends, nobody counts as alone."""

CALLED_AT_ONCE = 4_096

LINES_A_ROUND = 64
"""Lines that one round looks at: those that have had least. The others have their turn in the next."""

TELL_EVERY = 1.0
"""Seconds between two words to those who accept jobs, and between two looks at who sends."""

Weight = Callable[[str, str], float]
"""The weight of an organization on an account plan."""


class Entrance:
    """One `round` after another, by whoever leads. Not thread-safe."""

    def __init__(
        self, lines: Lines, doorbell: Doorbell, bus: Bus, weight: Weight, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` in seconds."""
        self._lines = lines
        self._doorbell = doorbell
        self._bus = bus
        self._weight = weight
        self._clock = clock
        self._turns = Turns()
        self._paces = Paces()
        self._bound = LEAST_RUNG
        self._called = 0
        self._told = self._looked = float("-inf")
        self._several_until = float("-inf")

    def round(self) -> int | None:
        """Call those whose turn it is; how many were called. None: nobody waits in line, and few were rung for."""
        crowd = self._lines.crowd(max(self._bound, ALONE_RUNG))
        if not crowd.waiting and crowd.rung < LEAST_RUNG // 2:
            self._bound, self._called = LEAST_RUNG, 0
            self._paces.keep(())
            return None
        now = self._clock()
        names = self._lines.organizations() if crowd.waiting else []
        if now - self._looked >= TELL_EVERY:
            self._looked = now
            if len(names) > 1 or self._lines.several_lately(ALONE_RUNG):
                self._several_until = now + SEVERAL_SECONDS
        self._adapt(crowd)
        several = now < self._several_until
        bound = self._bound if several else max(self._bound, ALONE_RUNG)
        if (crowd.waiting or crowd.rung >= bound // 2) and now - self._told >= TELL_EVERY:
            self._told = now
            self._bus.publish(Topic.CROWDED, [Lane.BULK, *self._paces.told(now)])
        if several and crowd.rung > 2 * bound:
            self._lines.put_back(crowd.rung - bound)
        self._paces.keep(names)
        self._called = self._call(names, min(bound - crowd.rung, CALLED_AT_ONCE))
        return self._called

    def _adapt(self, crowd: Crowd) -> None:
        """Workers that were about to have nothing to do take more at a time than was thought."""
        if self._called and crowd.rung < self._bound // 4:
            self._bound = min(2 * self._bound, MOST_RUNG)
        elif crowd.rung > self._bound // 2:
            self._bound = max(self._bound - self._bound // 16, LEAST_RUNG)

    def _call(self, names: list[str], room: int) -> int:
        if room <= 0 or not names:
            return 0
        heads = self._lines.heads(self._turns.first(names, LINES_A_ROUND), room)
        turns = self._turns.next({name: self._line(name, head) for name, head in heads.items()}, room)
        moved = self._lines.call(turns)
        self._doorbell.ring(Stage.GUARD, Lane.BULK, [job_id for job_id in turns if job_id in moved])
        whose = (name for name, head in heads.items() for each in head if each.job_id in moved)
        self._paces.called(whose, heads, self._clock())
        return len(moved)

    def _line(self, name: str, head: list[InLine]) -> Line:
        return Line([Turn(each.job_id, each.tokens) for each in head], self._weight(name, head[0].account_plan))
