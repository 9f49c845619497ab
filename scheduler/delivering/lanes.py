"""The order in which targets are served: none that hangs or fails holds up another.

Of the threads, those that fail may have half at most. One that fails is tried with one event at a time, and after a
pause that grows with its failures; everything else that is on its way to it waits with it.
"""

import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from synthralos.domain.backoff import Backoff
from synthralos.domain.delivering import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Delivered,
    Outcome,
    Refused,
    Sending,
    Target,
    TryAgain,
)

AT_ONCE = 4
"""Events that are sent to one target at once, while it takes them."""

LONGEST_REST = 3600.0
"""Seconds that a target which fails is left alone at most."""

_RESTS = Backoff(FIRST_PAUSE, cap=LONGEST_REST, least=1.0)
"""Of a target, by its failures in a row."""

_PAUSES = Backoff(FIRST_PAUSE, cap=LONGEST_PAUSE, least=1.0)
"""Until an event is tried again, by its tries."""

_NEVER = float("inf")


@dataclass(slots=True)
class Lane:
    """One target: what is known to be due, what is under way, and until when it is left alone (monotonic seconds).

    `load_at`: when the database is asked for more. `count`: deliveries on their way, as far as known. `full`: more wait
    in the feed than may be on their way. `turn`: the number of the sending that it had last.
    """

    target: Target
    failures: int = 0
    count: int = 0
    full: bool = False
    load_at: float = 0.0
    rest_until: float = 0.0
    turn: int = 0
    waiting: deque[Sending] = field(default_factory=deque)
    under_way: set[str] = field(default_factory=set)

    @property
    def free(self) -> int:
        """How many more may be sent to it at once."""
        return (1 if self.failures else AT_ONCE) - len(self.under_way)

    def has_room(self, most: int) -> bool:
        """Told once, when of at most so many deliveries half are gone of a lane that was full."""
        again = self.full and self.count <= most // 2
        self.full = self.full and not again
        return again

    def wants_more(self, now: float) -> bool:
        """Whether the database is to be asked what is due."""
        return not self.waiting and not self.under_way and self.load_at <= now and self.rest_until <= now


class Lanes:
    """All targets of one channel. Used by one thread."""

    def __init__(self, threads: int, rng: random.Random | None = None) -> None:
        self._threads = threads
        self._rng = rng or random.Random()
        self._lanes: dict[str, Lane] = {}
        self._turns = 0

    def set_targets(self, targets: Iterable[Target]) -> list[Lane]:
        """From now on it is these; the lanes that are new. What is under way to others is waited for all the same."""
        new = []
        known = {target.id: target for target in targets}
        self._lanes = {id_: lane for id_, lane in self._lanes.items() if id_ in known or lane.under_way}
        for target_id, target in known.items():
            if target_id not in self._lanes:
                self._lanes[target_id] = Lane(target)
                new.append(self._lanes[target_id])
            self._lanes[target_id].target = target
        for target_id, lane in self._lanes.items():
            if target_id not in known:
                lane.waiting.clear()
        return new

    def __getitem__(self, target_id: str) -> Lane:
        return self._lanes[target_id]

    def all(self) -> Sequence[Lane]:
        """Every lane."""
        return list(self._lanes.values())

    def stands(self, target_id: str, failures: int) -> None:
        """How many tries failed in a row, as it is written: who enables a target has it tried at once."""
        lane = self._lanes[target_id]
        lane.failures = failures
        if not failures:
            lane.rest_until = 0.0

    def halt(self, target_id: str) -> None:
        """Send it nothing more until its failures are forgotten."""
        lane = self._lanes[target_id]
        lane.waiting.clear()
        lane.rest_until = _NEVER

    def wake(self, target_ids: Iterable[str] | None) -> None:
        """Something may be due for these; None: for any."""
        for target_id in self._lanes if target_ids is None else target_ids:
            if target_id in self._lanes:
                self._lanes[target_id].load_at = 0.0

    def next_sendings(self, now: float) -> list[Sending]:
        """What is to be sent now, by turns, as many as there are free threads for."""
        chosen: list[Sending] = []
        while sending := self._next(now):
            chosen.append(sending)
        return chosen

    def ended(self, sending: Sending, outcome: Outcome, now: float) -> float:
        """A try is over: in how many seconds the next one for this event is to be, where it was not taken."""
        lane = self._lanes[sending.target.id]
        lane.under_way.discard(sending.delivery_id)
        if isinstance(outcome, Delivered):
            lane.failures, lane.rest_until = 0, 0.0
            lane.count = max(0, lane.count - 1)
            return 0.0
        if isinstance(outcome, Refused):
            lane.count = max(0, lane.count - 1)
        lane.failures += 1
        asked = outcome.after if isinstance(outcome, TryAgain) else None
        rest = max(min(asked or 0.0, LONGEST_PAUSE), _RESTS.seconds(lane.failures - 1, self._rng))
        lane.rest_until = now + rest
        lane.load_at = now
        lane.waiting.clear()  # they are still due, and are read again after the rest
        return max(rest, _PAUSES.seconds(sending.tries, self._rng))

    def seconds(self, now: float) -> float:
        """Until there may be something to do, as far as is known; 0 at least."""
        # What waits for a thread goes on when one is free, which is heard of.
        idle = [lane for lane in self._lanes.values() if not lane.under_way and not lane.waiting]
        moments = [max(lane.load_at, lane.rest_until) for lane in idle]
        return max(0.0, min(moments, default=_NEVER) - now)

    @property
    def failing(self) -> int:
        """Targets that did not take what was sent to them last."""
        return sum(lane.failures > 0 for lane in self._lanes.values())

    def _next(self, now: float) -> Sending | None:
        busy = sum(len(lane.under_way) for lane in self._lanes.values())
        failing = sum(len(lane.under_way) for lane in self._lanes.values() if lane.failures)
        if busy >= self._threads:
            return None
        ready = [lane for lane in self._lanes.values() if lane.waiting and lane.free > 0 and lane.rest_until <= now]
        ready = [lane for lane in ready if not lane.failures or failing < max(1, self._threads // 2)]
        if not ready:
            return None
        lane = min(ready, key=lambda each: (each.failures > 0, len(each.under_way), each.turn))
        self._turns = lane.turn = self._turns + 1
        sending = lane.waiting.popleft()
        lane.under_way.add(sending.delivery_id)
        return sending
