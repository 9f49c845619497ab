"""How many calls this process has in flight at each deployment, who waits for one to end, and for how long."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from synthralos.domain.deployments import Deployment
from synthralos.domain.overlays import Priority

_WINDOW = 0.5
"""Seconds of calls that the mean time of a call is taken from."""

_RANK = {priority: rank for rank, priority in enumerate(Priority)}


@dataclass(slots=True)
class _Bound:
    """The calls in flight at one deployment, who waits to make one, and how long a call takes.

    `busy` is the time that all calls together took since `since`, in seconds; `ended` of them have ended.
    """

    since: float
    changed: float
    used: int = 0
    busy: float = 0.0
    ended: int = 0
    mean: float | None = None
    lines: "dict[Priority, deque[asyncio.Future[None]]]" = field(
        default_factory=lambda: {each: deque() for each in Priority}
    )

    @property
    def waiting(self) -> int:
        """How many wait, in all lines."""
        return sum(map(len, self.lines.values()))

    def ahead(self, priority: Priority) -> int:
        """How many are served before the one who joins this line now, as far as is known now."""
        return sum(len(line) for each, line in self.lines.items() if _RANK[each] <= _RANK[priority])

    def next(self) -> "asyncio.Future[None] | None":
        """The first one of the first line, who waits no more."""
        for line in self.lines.values():
            while line:
                turn = line.popleft()
                if not turn.done():
                    return turn
        return None

    def count(self, now: float, change: int) -> None:
        """So many calls begin (or, negative, end)."""
        self.busy += self.used * (now - self.changed)
        self.changed = now
        self.used += change

    def end(self, now: float) -> None:
        """A call has ended."""
        self.ended += 1
        if now - self.since >= _WINDOW:
            self.mean = self.busy / self.ended
            self.since, self.busy, self.ended = now, 0.0, 0

    def seconds_a_call(self, now: float) -> float | None:
        """The mean time of the last calls; None while none has ended.

        Never less than what the calls of this window took so far, each counted as if it ended now: a deployment that
        stalls ends none.
        """
        busy, begun = self.busy + self.used * (now - self.changed), self.ended + self.used
        if self.mean is None:
            return busy / begun if self.ended else None
        return max(self.mean, busy / begun if begun else 0.0)


class DeploymentSlots:
    """How many calls this process has in flight at each deployment: at most its `max_in_flight`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bounds: dict[str, _Bound] = {}

    def take(self, deployment: Deployment) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        bound = self._bounds.get(deployment.id)
        now = self._clock()
        if bound is None:
            bound = self._bounds[deployment.id] = _Bound(now, now)
        if bound.used >= deployment.max_in_flight or bound.waiting:
            return False
        bound.count(now, 1)
        return True

    def calls(self) -> int:
        """The calls in flight, at all deployments."""
        return sum(bound.used for bound in self._bounds.values())

    def waiting(self, deployment: Deployment) -> int:
        """How many wait for a slot of the deployment."""
        bound = self._bounds.get(deployment.id)
        return 0 if bound is None else bound.waiting

    def expected_wait(self, deployment: Deployment, priority: Priority = Priority.NORMAL) -> float | None:
        """Seconds until the one who joins the line now may call, by the calls before; None while nothing is known.

        By Little's law: the line moves once in the mean time of a call, divided by the calls in flight at once.
        """
        bound = self._bounds.get(deployment.id)
        seconds = None if bound is None else bound.seconds_a_call(self._clock())
        if bound is None or seconds is None:
            return None
        return seconds * (bound.ahead(priority) + 1) / deployment.max_in_flight

    async def wait(self, deployment: Deployment, seconds: float, priority: Priority = Priority.NORMAL) -> bool:
        """Wait for a slot; False where none became free in time.

        Those of a higher priority are served first, and of one priority those who came first.
        """
        if self.take(deployment):
            return True
        bound = self._bounds[deployment.id]
        turn = asyncio.get_running_loop().create_future()
        bound.lines[priority].append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as error:
            self._step_back(deployment, bound, priority, turn)
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def release(self, deployment: Deployment) -> None:
        """A call has ended: the next one in the line may begin."""
        bound = self._bounds[deployment.id]
        now = self._clock()
        bound.count(now, 0)
        bound.end(now)
        turn = bound.next()
        if turn is not None:
            turn.set_result(None)
        else:
            bound.count(now, -1)

    def _step_back(
        self, deployment: Deployment, bound: _Bound, priority: Priority, turn: "asyncio.Future[None]"
    ) -> None:
        """Leave the line; a turn that came at the same moment goes to the next one."""
        if turn.done() and not turn.cancelled():
            self.release(deployment)
            return
        with suppress(ValueError):
            bound.lines[priority].remove(turn)
