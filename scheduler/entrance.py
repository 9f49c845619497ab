"""The entrance of the bulk lane: while more jobs wait than workers can take soon, they wait in lines.

Messages are first come, first served, and what is in the broker cannot be put into another order. So only as many jobs
are rung for as keep all workers busy until the next look. The others wait in the database, and are called by turns.
Each workspace has a line, and so has each user in it whose key is their own. While all jobs would stand in one line,
they are rung for; when jobs of another come, those that nobody came for yet join theirs.
"""

import time
from collections.abc import Callable, Iterator, Sequence

from synthralos.broker.protocol import Doorbell
from synthralos.bus.protocol import Bus, Topic
from synthralos.domain.standing import Paces
from synthralos.domain.states import Lane, Stage
from synthralos.domain.turns import Line, Path, Turn, Turns, path_of
from synthralos.store.queue.lines import Crowd, InLine, Lines

LEAST_RUNG, MOST_RUNG = 1_024, 32_768
"""Jobs that are rung for and wait: as few as keep the workers busy, and never more."""

ALONE_RUNG = 16_384
"""The same where the newest jobs would all stand in one line, which has nobody to share with: lines cost a little."""

SEVERAL_SECONDS = 60.0
"""For so long after jobs of more than one line were seen, none counts as alone."""

CALLED_AT_ONCE = 4_096

LINES_A_ROUND = 256
"""Lines that one round looks into: those that have had least. The others have their turn in the next."""

MOST_LISTED = 4_096
"""Lines that one round knows of. Where there are more, the next one goes on behind them."""

LEAST_READ = 32
"""Jobs of a line that are read at a time, where many lines share a round."""

TELL_EVERY = 1.0
"""Seconds between two words to those who accept jobs, and between two looks at who sends."""

Weights = Callable[[Path, str], Sequence[float]]
"""The weights of the parts of a line's path, where its organization is on that account plan."""


class Entrance:
    """One `round` after another, by whoever leads. Not thread-safe."""

    def __init__(
        self, lines: Lines, doorbell: Doorbell, bus: Bus, weights: Weights, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` in seconds."""
        self._lines = lines
        self._doorbell = doorbell
        self._bus = bus
        self._weights = weights
        self._clock = clock
        self._turns = Turns()
        self._paces = Paces()
        self._bound = LEAST_RUNG
        self._called = 0
        self._listed = ""
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
        names = self._names() if crowd.waiting else []
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

    def _names(self) -> list[str]:
        """All lines, or of very many the next ones."""
        names = self._lines.names(MOST_LISTED, self._listed)
        if self._listed and len(names) < MOST_LISTED:
            names = list(dict.fromkeys([*names, *self._lines.names(MOST_LISTED - len(names))]))
        self._listed = names[-1] if len(names) == MOST_LISTED else ""
        return names

    def _call(self, names: list[str], room: int) -> int:
        if room <= 0 or not names:
            return 0
        paths = {path_of(name): name for name in names}
        chosen = self._turns.first(paths, LINES_A_ROUND)
        read = min(room, max(LEAST_READ, 2 * room // len(chosen)))
        heads = self._lines.heads([paths[path] for path in chosen], read)
        whose: dict[str, str] = {}
        lines = {path_of(name): self._line(name, head, read, whose) for name, head in heads.items()}
        turns = self._turns.next(lines, room)
        moved = self._lines.call(turns)
        self._doorbell.ring(Stage.GUARD, Lane.BULK, [job_id for job_id in turns if job_id in moved])
        self._paces.called((whose[job_id] for job_id in turns if job_id in moved), heads, self._clock())
        return len(moved)

    def _line(self, name: str, head: list[InLine], read: int, whose: dict[str, str]) -> Line:
        return Line(self._turns_of(name, head, read, whose), self._weights(path_of(name), head[0].account_plan))

    def _turns_of(self, name: str, head: list[InLine], read: int, whose: dict[str, str]) -> Iterator[Turn]:
        """The jobs of a line, `read` at a time; `whose` learns their lines."""
        while head:
            for each in head:
                whose[each.job_id] = name
                yield Turn(each.job_id, each.tokens)
            head = self._lines.heads([name], read, head[-1].job_id).get(name, []) if len(head) == read else []
