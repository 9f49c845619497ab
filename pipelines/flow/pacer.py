"""One quota as one worker process sees it: what it holds of it, who waits for it, and for how long.

What is held was granted by the row that all workers share (`synthralos.domain.quotas`) and is spent here, call by call.
A call takes what it is expected to use before it is made; what it used in truth takes that one's place afterwards.
"""

import asyncio
import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

from synthralos.domain.quota_units import Unit
from synthralos.domain.quotas import Ask, Grant, Standing

Need = Mapping[Unit, float]
"""What a call takes of each limited unit."""

CREDIT = 0.25
"""Seconds of a quota that is not short which calls may take before they were granted: nobody waits for the database."""

CHUNK = 0.5
"""Seconds of a quota that are asked for at once, at most."""

_HALF_LIFE = 0.5
"""Seconds after which what was used counts half for what is asked for beforehand."""

RANKS = 6
"""Kinds of those who wait: interactive before bulk, and in each of them by priority."""

_MOST_GONE = 64
"""So many more stand in the line than wait, before those that are gone are taken out."""

_WORTH_ASKING = 0.2
"""Part of what will be wanted soon that has to be missing, where nobody waits, before the database is asked."""

EARLY, EARLIER = 0.9, 0.5
"""Part of the reckoned wait after which a parked job comes back: who is early waits again, too late is quota lost."""

FAR = 20.0
"""Seconds of wait from which on `EARLIER` holds: how long the calls of others will be is known the less by then."""


@dataclass(order=True, slots=True)
class Turn:
    """One who waits; of the same rank older jobs come first, as ids sort by age. `came`: True; False: it never will."""

    rank: int
    job_id: str
    need: Need = field(compare=False)
    came: "asyncio.Future[bool]" = field(compare=False)


class Pacer:
    """Lives on the event loop. `now` is the monotonic clock, in seconds."""

    def __init__(self, name: str, now: float, standing: Standing) -> None:
        self.name = name
        self.rates: Mapping[Unit, float] = {}
        self.limits: Mapping[Unit, float] = {}
        self.held: dict[Unit, float] = {}
        self.reason = ""
        self.closed_until = 0.0
        self.calls = 0
        self.used_at = now
        self.asked_at: float | None = None
        self.short = self.timed = False
        self._shared, self._more_at = 1, 0.0
        self._recent: dict[Unit, float] = {}
        self._line: list[Turn] = []
        self._waiting: list[dict[Unit, float]] = [{} for _ in range(RANKS)]
        self._count = 0
        self._last_place = {False: 0.0, True: 0.0}
        self.stand(standing, now)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._count

    def why(self, now: float, seconds: float) -> str:
        """Why a job whose turn comes in so many seconds has to wait, for people."""
        if self.closed_until > now:
            return f"{self.name}: closed for {self.closed_until - now:.1f} s more, {self.reason}"
        rates = ", ".join(f"{60 * rate:.0f} {unit.replace('_', ' ')} a minute" for unit, rate in self.rates.items())
        return f"{self.name}: others go first, by its quota of {rates}; the turn comes in about {seconds:.0f} s"

    def stand(self, standing: Standing, now: float) -> None:
        """What all workers share is so now. A closure that was found here is not forgotten before its time."""
        self.rates, self.limits, self._shared = standing.rates, standing.limits, standing.shared
        self.held = {unit: self.held.get(unit, 0.0) for unit in standing.rates}
        if standing.closed:
            self.close(now + standing.closed, standing.reason)

    def close(self, until: float, reason: str) -> None:
        """No calls until then: nobody waits for that here, and what was held is void, as it would come all at once."""
        if until <= self.closed_until:
            return
        self.closed_until, self.reason = until, reason
        self.held = {unit: min(0.0, held) for unit, held in self.held.items()}
        self.dismiss()

    def open(self) -> None:
        """An operator forgot what was learned."""
        self.closed_until = self._more_at = 0.0
        self._last_place = {False: 0.0, True: 0.0}

    def dismiss(self) -> None:
        """Whoever waits is to do something else."""
        line, self._line = self._line, []
        for turn in line:
            if not turn.came.done():
                turn.came.set_result(False)

    def take(self, need: Need, now: float) -> bool:
        """Take what a call needs, if nobody waits."""
        return not self._count and self._take(need, now)

    def _take(self, need: Need, now: float) -> bool:
        if now < self.closed_until:
            return False
        for unit, amount in need.items():
            rate = self.rates.get(unit)
            if rate is None:
                continue
            credit = 0.0 if self.short else CREDIT * rate
            if self.held[unit] + credit < min(amount, 60.0 * rate):
                return False
        kept = 0.5 ** ((now - self.used_at) / _HALF_LIFE)
        for unit, amount in need.items():
            if unit in self.held:
                self.held[unit] -= amount
                self._recent[unit] = self._recent.get(unit, 0.0) * kept + amount
        self.used_at = now
        self.calls += 1
        return True

    def give(self, need: Need) -> None:
        """What was taken and not used comes back; where more was used, the amount is negative."""
        for unit, amount in need.items():
            if unit in self.held:
                self.held[unit] += amount

    def join(self, turn: Turn) -> None:
        """Stand in line."""
        heapq.heappush(self._line, turn)
        self._add(turn, 1.0)
        self._count += 1

    def leave(self, turn: Turn) -> None:
        """Wait no more, whether its turn came or not."""
        self._add(turn, -1.0)
        self._count -= 1
        if not turn.came.done():
            turn.came.cancel()
        if not self._count:
            self._waiting = [{} for _ in range(RANKS)]  # what rounding left
        if len(self._line) > 2 * self._count + _MOST_GONE:
            self._line = [each for each in self._line if not each.came.done()]
            heapq.heapify(self._line)

    def serve(self, now: float) -> None:
        """Let those go on, the first first, for whom there is enough."""
        while self._line:
            turn = self._line[0]
            if not turn.came.done():
                if not self._take(turn.need, now):
                    return
                turn.came.set_result(True)
            heapq.heappop(self._line)

    def asks(self, now: float) -> dict[Unit, Ask]:
        """What to ask for now; empty: there is enough, or an answer is awaited, or none is to be had."""
        if self.asked_at is not None or now < self.closed_until or (self.short and now < self._more_at):
            return {}
        first = self._first()
        kept = 0.5 ** ((now - self.used_at) / _HALF_LIFE)
        wanted: dict[Unit, Ask] = {}
        for unit, rate in self.rates.items():
            least = (0.0 if first is None else min(first.need.get(unit, 0.0), 60.0 * rate)) - self.held[unit]
            line = sum(waiting.get(unit, 0.0) for waiting in self._waiting)
            ahead = max(line, 0.0 if self.short else 2.0 * self._recent.get(unit, 0.0) * kept)
            want = max(min(ahead, CHUNK * rate) - self.held[unit], least)
            if want > 0 and (least > 0 or want > _WORTH_ASKING * ahead):
                wanted[unit] = Ask(want, max(0.0, least))
        return wanted

    def spare(self, now: float, after: float) -> dict[Unit, Ask]:
        """What to give back, because nobody has used it for so many seconds; it is not held any more."""
        if self._count or now - self.used_at < after:
            return {}
        given = {unit: Ask(-held) for unit, held in self.held.items() if held > 0}
        for unit in given:
            self.held[unit] = 0.0
        return given

    def granted(self, grant: Grant, now: float) -> None:
        """What was asked for has come, as much as there was."""
        self.asked_at = None
        self.stand(grant.standing, now)
        for unit, amount in grant.amounts.items():
            if unit in self.held and amount > 0 and now >= self.closed_until:
                self.held[unit] += amount
        self.short = grant.wait > 0
        self._more_at = now + grant.wait
        self.serve(now)

    def more_in(self, now: float) -> float:
        """Seconds until there may be more."""
        return max(0.0, self._more_at - now)

    def eta(self, need: Need, rank: int, now: float) -> float:
        """Seconds until a call may be made that comes now, as far as can be told; 0: at once."""
        behind = 0.0
        for unit, amount in need.items():
            rate = self.rates.get(unit)
            if not rate:
                continue
            ahead = sum(waiting.get(unit, 0.0) for waiting in self._waiting[: rank + 1])
            missing = ahead + min(amount, 60.0 * rate) - self.held[unit] - (0.0 if self.short else CREDIT * rate)
            behind = max(behind, missing * self._shared / rate)
        wait = max(0.0, self.closed_until - now)
        return wait if behind <= 0 else max(wait, self.more_in(now)) + behind

    def place(self, need: Need, rank: int, now: float, *, again: bool) -> float:
        """Seconds after which a job that is parked is to come back: each has a time of its own, so as many as may call.

        Those that come back `again` have a line of their own, so that they do not stand behind all others anew.
        """
        begin = max(now + self.eta(need, rank, now), self._last_place[again])
        # By what the provider refills: a quota that is granted slowly at the moment is not so for long.
        fastest = {unit: max(rate, self.limits.get(unit, 0.0)) for unit, rate in self.rates.items()}
        apart = (amount * self._shared / fastest[unit] for unit, amount in need.items() if fastest.get(unit))
        self._last_place[again] = begin + max(apart, default=0.0)
        seconds = begin - now
        return (EARLY if seconds <= FAR else EARLIER) * seconds

    def _first(self) -> Turn | None:
        while self._line and self._line[0].came.done():
            heapq.heappop(self._line)
        return self._line[0] if self._line else None

    def _add(self, turn: Turn, sign: float) -> None:
        waiting = self._waiting[turn.rank]
        for unit, amount in turn.need.items():
            waiting[unit] = waiting.get(unit, 0.0) + sign * amount


async def wait_for(pacer: Pacer, turn: Turn, seconds: float) -> bool:
    """Stand in line; False where the turn did not come in time, or never will."""
    pacer.join(turn)
    try:
        async with asyncio.timeout(seconds):
            return await turn.came
    except BaseException as error:
        if turn.came.done() and not turn.came.cancelled() and turn.came.result():
            pacer.give(turn.need)
            pacer.calls -= 1
        if isinstance(error, TimeoutError):
            return False
        raise
    finally:
        pacer.leave(turn)
