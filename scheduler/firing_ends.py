"""After the ticks: firings whose jobs have ended, ticks that waited for them, and backfills."""

import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from scheduler.firing import Started
from synthralos.domain.firings import MOST_WAITING, Ended, Outcome, delay_after, ended_as, judge
from synthralos.domain.flags import Flag, Flags
from synthralos.domain.schedules import Overlap
from synthralos.domain.ticks import tick_at, ticks
from synthralos.store.queue.backfills import Backfill, Backfills
from synthralos.store.queue.firing_ends import FiringEnds, OpenFiring, Standing
from synthralos.store.queue.firings import Busy, Firings, NewFiring, Ready
from synthralos.store.queue.leading import Lead

log = logging.getLogger(__name__)

PAGE = 500
"""Open firings that are looked at together."""

PAGES_A_LOOK = 4

TICKS_A_LOOK = 250
"""Ticks of one backfill that one look decides about."""

BACKFILLS_A_LOOK = 100

REST = 10.0
"""A look that took a second is followed by none for so many: very many open firings cost a tenth of a core."""


class FiringLooks:
    """One `look` after another. Not thread-safe."""

    def __init__(
        self,
        firings: Firings,
        ends: FiringEnds,
        backfills: Backfills,
        lead: Callable[[], Lead | None],
        flags: Callable[[], Flags],
        started: Started,
        chance: Callable[[], float] = random.random,
        rest: float = REST,
    ) -> None:
        """`chance` gives a number from 0 to 1, for the jitter of backoffs."""
        self._firings = firings
        self._ends = ends
        self._backfills = backfills
        self._lead = lead
        self._flags = flags
        self._started = started
        self._chance = chance
        self._rest = rest
        self._after: tuple[str, datetime] | None = None
        self._after_backfill: str | None = None
        self.busy = False
        """Whether the last look found anything that is not over."""
        self._rests_until = 0.0

    def look(self) -> bool:
        """See what has ended, start what waited for it, advance backfills; whether there was anything to look for."""
        lead = self._lead()
        began = time.monotonic()
        if lead is None or began < self._rests_until:
            return False
        self.busy = False
        done = self._settle(lead) and self._start_waiting(lead) and self._advance(lead)
        self.busy = self.busy or not done
        self._rests_until = time.monotonic() + self._rest * (time.monotonic() - began)
        return done

    def _settle(self, lead: Lead) -> bool:
        """A few pages of the open firings; the next look goes on after them, and begins anew after the last."""
        for _ in range(PAGES_A_LOOK):
            page = self._ends.started(self._after, PAGE)
            self.busy = self.busy or bool(page)
            self._after = (page[-1].schedule_id, page[-1].fire_at) if len(page) == PAGE else None
            states = self._ends.states([job_id for firing in page for job_id in firing.job_ids])
            ended = [
                (firing, ended_as([states[job_id] for job_id in firing.job_ids]))
                for firing in page
                if all(job_id in states for job_id in firing.job_ids)
            ]
            if ended and not self._write(lead, ended, states):
                return False
            if self._after is None:
                break
        return True

    def _write(self, lead: Lead, ended: Sequence[tuple[OpenFiring, Ended]], states: dict[str, str]) -> bool:
        counted = [(firing, end) for firing, end in ended if firing.backfill_id is None]
        failed = {firing.schedule_id for firing, end in counted if end is Ended.FAILED}
        changed = failed.union(self._ends.failing(list({firing.schedule_id for firing, _ in counted})))
        found = self._firings.these(sorted(changed))
        standings = []
        for ready in found.ready:
            mine = [(firing, end) for firing, end in counted if firing.schedule_id == ready.stored.id]
            standings.append(self._standing(ready, mine, states, found.now))
        written = self._ends.settle(lead, ended, standings)
        for standing in written or ():
            if standing.pause_note is not None:
                log.warning("schedule %s is paused: %s", standing.schedule.id, standing.pause_note)
        return written is not None

    def _standing(
        self, ready: Ready, ended: Sequence[tuple[OpenFiring, Ended]], states: dict[str, str], now: datetime
    ) -> Standing:
        stored, schedule = ready.stored, ready.stored.schedule
        failures, held_until, last = stored.failures, stored.backoff_until, None
        for firing, end in ended:
            if end is Ended.FAILED:
                failures += 1
                last = next(job_id for job_id in firing.job_ids if states[job_id] in ("failed", "denied", "expired"))
                backs_off = self._flags().on(Flag.ENABLE_CRON_BACKOFF, schedule.organization)
                held_until = now + delay_after(schedule.backoff, failures, self._chance()) if backs_off else None
            elif end is Ended.SUCCEEDED:
                failures, held_until = 0, None
        due_at = None if stored.next_fire_at is None else tick_at(schedule, stored.next_fire_at).due_at
        if due_at is not None and held_until is not None:
            due_at = max(due_at, held_until)
        note = None
        if schedule.pause_after is not None and failures >= schedule.pause_after and not schedule.paused:
            note = f"paused by itself after {failures} failures in a row"
        return Standing(schedule, stored.revision, failures, held_until, due_at, note, last)

    def _start_waiting(self, lead: Lead) -> bool:
        waiting = self._ends.waiting()
        self.busy = self.busy or bool(waiting)
        for start in range(0, len(waiting), PAGE):
            heads = {each.schedule_id: each for each in waiting[start : start + PAGE]}
            busy, found = self._firings.busy(sorted(heads)), self._firings.these(sorted(heads))
            begin = []
            for ready in found.ready:
                head = heads[ready.stored.id]
                if busy.get(ready.stored.id, Busy()).live or (
                    ready.stored.schedule.paused and head.backfill_id is None
                ):
                    continue
                outcome = Outcome.FIRED if head.backfill_id is None else Outcome.BACKFILL
                organization = ready.stored.schedule.organization
                reason = "it waited for an earlier firing"
                firing = NewFiring(
                    ready.stored.id, head.fire_at, organization, outcome, reason, backfill_id=head.backfill_id
                )
                begin.append(self._started.with_jobs(firing, ready, found.now))
            self._started.prepare(begin)
            stored = self._firings.start_waiting(lead, begin)
            if stored is None:
                return False
            self._started.announce(stored)
        return True

    def _advance(self, lead: Lead) -> bool:
        """A page of the backfills; the next look goes on after them, so that those that are stuck hold up no others."""
        running = self._backfills.running(self._after_backfill, BACKFILLS_A_LOOK)
        self._after_backfill = running[-1].id if len(running) == BACKFILLS_A_LOOK else None
        self.busy = self.busy or bool(running)
        found = self._firings.these(sorted({backfill.schedule_id for backfill in running}))
        ready = {each.stored.id: each for each in found.ready}
        return all(
            self._advance_one(lead, backfill, ready[backfill.schedule_id], found.now)
            for backfill in running
            if backfill.schedule_id in ready
        )

    def _advance_one(self, lead: Lead, backfill: Backfill, ready: Ready, now: datetime) -> bool:
        schedule = ready.stored.schedule
        instant = timedelta(microseconds=1)
        after = backfill.reached - instant if backfill.reached == backfill.start_at else backfill.reached
        busy = self._firings.busy([schedule.id]).get(schedule.id, Busy())
        room = (
            TICKS_A_LOOK
            if backfill.overlap is not Overlap.QUEUE_ALL
            else min(TICKS_A_LOOK, MOST_WAITING - busy.waiting)
        )
        found = ticks(schedule, after, backfill.end_at - instant, room)
        live, waiting, decided = bool(busy.live), busy.waiting, []
        for tick in found:
            outcome, reason, _ = judge(backfill.overlap, live=live, waiting=waiting)
            if outcome is Outcome.FIRED:
                outcome = Outcome.BACKFILL
            firing = NewFiring(
                schedule.id, tick.fire_at, schedule.organization, outcome, reason, backfill_id=backfill.id
            )
            decided.append(self._started.with_jobs(firing, ready, now))
            live = live or bool(decided[-1].jobs)
            waiting += outcome is Outcome.WAITING
        if room <= 0:
            return True
        done = len(found) < room
        reached = backfill.end_at if done else found[-1].fire_at
        self._started.prepare(decided)
        stored = self._backfills.advance(lead, backfill, reached, len(found), decided, done=done)
        self._started.announce(stored or ())
        return True
