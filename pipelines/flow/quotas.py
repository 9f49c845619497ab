"""Quotas of providers as one worker sees them: whether a call may be made now, when else, and what calls tell.

A plan is never made anew for a quota: its cursor passes over the steps whose quota is used up, and where all are, the
job waits in a line here for a moment, or is parked until its turn is reckoned to come. What is granted and refused is
shared by all workers (`workers.quota_keeping`). While no quota is known, a job costs a few look-ups.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.flow.call_needs import Needs, rank_of
from pipelines.flow.pacer import Need, Pacer, Turn, wait_for
from pipelines.flow.quota_reports import Refusal, Told, Wanted
from pipelines.flow.work import Work
from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.quota_units import Left, Unit
from synthralos.domain.quotas import FIRST_CLOSURE, Grant, Standing, quota_name

PATIENCE = 2.0
"""Seconds that a job waits in the line, rather than being parked; twice as long one that was parked before."""

LONGEST_PARK = 600.0
"""Seconds after which a parked job looks again, whenever its turn is reckoned to come: much may have changed."""

SHORTEST_PARK = 0.25
_UNUSED_AFTER, _UNUSED_AFTER_SHORT = 3.0, 1.0
"""Seconds after which what nobody uses is given back, and where the quota is short."""

_TOLD_AGAIN = 5.0
"""Seconds after which it is told what is left, where nothing is asked for."""

_FIRST_TOLD_AGAIN = 0.5
"""The same where the quota is not known here yet."""

_NO_ANSWER = 10.0
"""Seconds after which an ask that was not answered is made again."""

_LEAST_PAUSE, _MOST_PAUSE = 0.05, 0.25
"""Seconds between two asks for a quota that is short."""


@dataclass(slots=True)
class _Taken:
    """What a call took."""

    pacer: Pacer
    need: Need
    deployment_id: str
    key: str | None


class Quotas:
    """Lives on the event loop; `report` must not block. `pacers`: of the quotas that are known, by name."""

    def __init__(
        self,
        report: Callable[[Wanted | Refusal], None],
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._report, self._clock, self._patience = report, clock, patience
        self.pacers: dict[str, Pacer] = {}
        self._names: dict[tuple[str, str | None], tuple[Deployment, str]] = {}
        self._taken: dict[str, _Taken] = {}
        self._told: dict[str, Told] = {}
        self._needs = Needs()

    def key_taken(self, job_id: str, deployment: Deployment) -> str | None:
        """The key of whose quota the job has taken for a call there, if it has."""
        taken = self._taken.get(job_id)
        return None if taken is None or taken.deployment_id != deployment.id else taken.key

    def lets(self, work: Work, deployment: Deployment, key: str | None = None) -> bool:
        """Whether the job's turn comes soon enough there, with that key, to wait for it in this process."""
        pacer = self._pacer(deployment, key)
        if pacer is None:
            return True
        need = self._needs.of(work, deployment, pacer)
        return pacer.eta(need, rank_of(work), self._clock()) <= self._patience_of(work)

    def shuts_off(self, deployment: Deployment, keys: Sequence[str] = ()) -> bool:
        """Whether calls there are refused, with each of the keys, for longer than a job waits in this process."""
        until = self._clock() + self._patience
        pacers = [self._pacer(deployment, key) for key in keys or (None,)]
        return all(pacer is not None and pacer.closed_until > until for pacer in pacers)

    def take(self, work: Work, deployment: Deployment, key: str | None = None) -> bool:
        """Take what the job's call with that key is expected to use; False where it has to wait."""
        pacer = self._pacer(deployment, key)
        ticket = work.ticket or work.job.id
        if pacer is None or ticket in self._taken:
            return True
        need = self._needs.of(work, deployment, pacer)
        if not pacer.take(need, self._clock()):
            return False
        self._taken[ticket] = _Taken(pacer, need, deployment.id, key)
        self._ask(pacer)
        return True

    async def wait(self, work: Work, deployment: Deployment, key: str | None = None) -> bool:
        """Wait for the job's turn; False where it does not come soon enough. May be cancelled."""
        if self.take(work, deployment, key):
            return True
        pacer = self._pacer(deployment, key)
        if pacer is None or not self.lets(work, deployment, key):
            return pacer is None
        need = self._needs.of(work, deployment, pacer)
        turn = Turn(rank_of(work), work.job.id, need, asyncio.get_running_loop().create_future())
        waiting = wait_for(pacer, turn, 2 * self._patience_of(work))
        asyncio.get_running_loop().call_soon(self._ask, pacer)
        if not await waiting:
            return False
        self._taken[work.job.id] = _Taken(pacer, need, deployment.id, key)
        return True

    def place(self, work: Work, calls: Sequence[tuple[Deployment, str | None]]) -> tuple[float, str] | None:
        """Seconds after which the job is to come back, by the quota of these that is open first, and why.

        `calls`: each deployment with the key that it would be called with.

        None: none of them is short.
        """
        now, rank, soonest = self._clock(), rank_of(work), None
        for deployment, key in calls:
            if (pacer := self._pacer(deployment, key)) is None:
                return None
            need = self._needs.of(work, deployment, pacer, likely=True)
            eta = pacer.eta(need, rank, now)
            if soonest is None or eta < soonest[0]:
                soonest = eta, pacer, need
        if soonest is None:
            return None
        _, pacer, need = soonest
        seconds = pacer.place(need, rank, now, again=_came_before(work))
        return min(LONGEST_PARK, max(SHORTEST_PARK, seconds)), pacer.why(now, seconds)

    def unused(self, job_id: str) -> None:
        """A call that was let through was not made."""
        taken = self._taken.pop(job_id, None) if self._taken else None
        if taken is not None:
            taken.pacer.calls -= 1
            taken.pacer.give(taken.need)
            taken.pacer.serve(self._clock())

    def cut(self, job_id: str) -> None:
        """A call was cut by us: the provider has counted what it counts."""
        taken = self._taken.pop(job_id, None) if self._taken else None
        if taken is not None:
            taken.pacer.calls -= 1

    def answered(self, job_id: str, deployment: Deployment, answer: Reply | Failure, key: str | None = None) -> None:
        """A call has ended: what it used takes the place of what was taken for it, and what it tells is passed on."""
        if not (self._taken or answer.limits or isinstance(answer, Failure)):
            return
        taken = self._taken.pop(job_id, None)
        refused = isinstance(answer, Failure) and answer.failure_class is FailureClass.RATE_LIMITED
        if taken is not None:
            taken.pacer.calls -= 1
            self._settle(taken, answer)
        if answer.limits:
            name = self._name(deployment, key)
            self._told.setdefault(name, Told()).hear(answer.limits)
            if not refused:
                self._tell(name, answer.limits)
        if refused:
            assert isinstance(answer, Failure)
            self._refused(self._name(deployment, key), answer)
        elif taken is not None:
            taken.pacer.serve(self._clock())
            self._ask(taken.pacer)

    def granted(self, name: str, grant: Grant | None) -> None:
        """An ask was answered; None: it could not be."""
        pacer = self.pacers.get(name)
        if grant is None:
            if pacer is not None:
                pacer.asked_at = None
        elif pacer is None:
            self.update({name: grant.standing})
        else:
            pacer.granted(grant, self._clock())
            self._ask(pacer)

    def update(self, standings: Mapping[str, Standing], opened: Sequence[str] = ()) -> None:
        """How quotas stand that have changed; of those `opened`, what was learned is forgotten."""
        now = self._clock()
        for name, standing in standings.items():
            pacer = self.pacers.get(name)
            if pacer is None:
                if standing.rates or standing.closed:
                    self.pacers[name] = Pacer(name, now, standing)
                continue
            if name in opened and now < pacer.closed_until:
                pacer.open()
            pacer.stand(standing, now)
            if not standing.rates and now >= pacer.closed_until:
                del self.pacers[name]
                pacer.dismiss()
        self._tidy(now)

    def give_back(self) -> None:
        """This process makes no more calls."""
        now = self._clock()
        for pacer in self.pacers.values():
            if given := pacer.spare(now, 0.0):
                self._report(Wanted(pacer.name, given))

    def waiting(self) -> int:
        """How many jobs wait for their turn in this process."""
        return sum(pacer.waiting for pacer in list(self.pacers.values()))

    def closed(self) -> int:
        """How many quotas are closed, as this process knows."""
        now = self._clock()
        return sum(pacer.closed_until > now for pacer in list(self.pacers.values()))

    def _tidy(self, now: float) -> None:
        for pacer in self.pacers.values():
            if pacer.asked_at is not None and now - pacer.asked_at > _NO_ANSWER:
                pacer.asked_at = None
            given = pacer.spare(now, _UNUSED_AFTER_SHORT if pacer.short else _UNUSED_AFTER)
            if given:
                self._report(Wanted(pacer.name, given))
            elif pacer.waiting:
                self._ask(pacer)

    def _name(self, deployment: Deployment, key: str | None) -> str:
        known = self._names.get((deployment.id, key))
        if known is None or known[0] is not deployment:
            known = self._names[deployment.id, key] = deployment, quota_name(deployment, key)
        return known[1]

    def _pacer(self, deployment: Deployment, key: str | None) -> Pacer | None:
        return self.pacers.get(self._name(deployment, key)) if self.pacers else None

    def _settle(self, taken: _Taken, answer: Reply | Failure) -> None:
        if answer.usage is not None:
            taken.pacer.give(self._needs.unused(taken.pacer.name, taken.need, answer.usage))
        elif isinstance(answer, Failure) and not answer.maybe_billed:
            # A refused request counts as one; of one that was not sent nobody knows.
            sent = answer.failure_class is not FailureClass.CONNECTION
            taken.pacer.give({u: n for u, n in taken.need.items() if u is not Unit.REQUESTS or not sent})

    def _tell(self, name: str, lefts: Sequence[Left]) -> None:
        """Pass on what was learned, at times, where nothing is asked for."""
        now = self._clock()
        told, pacer = self._told[name], self.pacers.get(name)
        fresh = pacer is None or any(left.unit not in pacer.rates for left in lefts)
        if now - told.at > (_FIRST_TOLD_AGAIN if fresh else _TOLD_AGAIN):
            self._send(Wanted(name, {}))

    def _refused(self, name: str, failure: Failure) -> None:
        now = self._clock()
        pacer = self.pacers.get(name)
        if pacer is None:
            pacer = self.pacers[name] = Pacer(name, now, Standing({}))
        reason = f"refused: {failure.message}"[:300]
        pacer.close(now + (FIRST_CLOSURE if failure.retry_after is None else failure.retry_after), reason)
        lefts = self._told.pop(name, Told()).lefts
        self._report(Refusal(name, failure.retry_after, reason, tuple(lefts.values())))

    def _ask(self, pacer: Pacer) -> None:
        now = self._clock()
        asks = pacer.asks(now)
        if asks:
            pacer.asked_at = now
            self._send(Wanted(pacer.name, asks))
        elif pacer.waiting and pacer.asked_at is None and not pacer.timed:
            pacer.timed = True
            pause = min(_MOST_PAUSE, max(_LEAST_PAUSE, pacer.more_in(now)))
            asyncio.get_running_loop().call_later(pause, self._ask_again, pacer)

    def _ask_again(self, pacer: Pacer) -> None:
        pacer.timed = False
        pacer.serve(self._clock())
        if pacer.waiting:
            self._ask(pacer)

    def _send(self, wanted: Wanted) -> None:
        told = self._told.get(wanted.name)
        if told is not None and (told.lefts or not wanted.asks):
            lefts, told.lefts, told.at = tuple(told.lefts.values()), {}, self._clock()
            wanted = wanted._replace(lefts=lefts)
        self._report(wanted)

    def _patience_of(self, work: Work) -> float:
        return self._patience * (2 if _came_before(work) else 1)


def _came_before(work: Work) -> bool:
    return work.job.claim.claim_no > 1
