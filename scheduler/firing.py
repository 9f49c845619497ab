"""Fires schedules: one timer for what is due next, and as many ticks a transaction as are due.

The times come from the table, so that a leader that takes over knows all of them at once, and a change is heard of by
the bus. Only the leader fires, so that the work is not done twice; that a tick fires once is the table's key.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from pipelines.intake.errors import InvalidJob
from pipelines.intake.lines import stand_in_line
from pipelines.intake.schedules import new_jobs
from synthralos.broker.protocol import Doorbell
from synthralos.control.crowding import Crowding
from synthralos.control.operator import Actor, Operator
from synthralos.control.ringing import ring_for
from synthralos.domain.firings import Decision, Outcome, due_ticks, judge
from synthralos.domain.residency import Unclassified
from synthralos.domain.schedules import Overlap
from synthralos.domain.scope import Scope
from synthralos.domain.states import Lane, Stage
from synthralos.store.queue.firings import Busy, Firings, Found, Move, NewFiring, Ready
from synthralos.store.queue.leading import Lead
from synthralos.store.sql.errors import StoreError, is_transient
from synthralos.telemetry import families
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.writes import JobCounts

log = logging.getLogger(__name__)

BATCH = 500
"""Schedules that one transaction fires."""

LONGEST_PAUSE = 2.0
"""Seconds after which the table is looked at whatever was heard: another process's clock may have been set, or a
SQLite file been written by a process that no bus reaches."""

SHORTEST_PAUSE = 0.005


class Started:
    """What is done about firings that were stored: their jobs are rung for and counted."""

    def __init__(
        self,
        doorbell: Doorbell,
        crowding: Crowding,
        counts: JobCounts,
        metrics: Metrics,
        unclassified: Unclassified = "none",
    ) -> None:
        """`unclassified` is what a job is taken for whose template says no classification."""
        self._unclassified = unclassified
        self._doorbell = doorbell
        self._crowding = crowding
        self._counts = counts
        self._outcomes = metrics.counter(families.FIRINGS)
        self._lateness = metrics.histogram(families.FIRING_LATENESS)

    def with_jobs(self, firing: NewFiring, ready: Ready, now: datetime) -> NewFiring:
        """The firing with its jobs, where it starts any; one whose jobs would be refused by now is skipped."""
        if firing.outcome not in (Outcome.FIRED, Outcome.BACKFILL):
            return firing
        try:
            jobs, run_id = new_jobs(ready.stored.schedule, firing.fire_at, ready.plan, now, self._unclassified)
        except InvalidJob as error:
            reason = f"its job would be refused: {error}"
            return firing._replace(outcome=Outcome.SKIPPED, reason=reason[:500], lateness=None)
        return firing._replace(jobs=jobs, run_id=run_id)

    def prepare(self, decided: Sequence[NewFiring]) -> None:
        """Before they are stored: where there is a crowd, bulk jobs are to wait in line."""
        if self._crowding.now:
            stand_in_line(job for firing in decided for job in firing.jobs)

    def announce(self, stored: Iterable[NewFiring]) -> None:
        """When they are durable."""
        stored = list(stored)
        jobs = [job for firing in stored for job in firing.jobs]
        self._counts.accepted(job.lane for job in jobs)
        rung = [job for job in jobs if job.line_tokens is None]
        ring_for(self._doorbell, ((Stage.GUARD, job.lane, job.id) for job in rung))
        self._crowding.accepted([job.id for job in rung if job.lane is Lane.BULK])
        for firing in stored:
            self._outcomes.labels(firing.outcome).inc()
            if firing.lateness is not None:
                self._lateness.observe(firing.lateness)


class Firing:
    """One `round` after another. Not thread-safe."""

    def __init__(
        self,
        firings: Firings,
        lead: Callable[[], Lead | None],
        operator: Operator,
        started: Started,
        batch: int = BATCH,
    ) -> None:
        self._firings = firings
        self._lead = lead
        self._operator = operator
        self._started = started
        self._batch = batch

    def round(self) -> float:
        """Fire what is due, a batch at most; the seconds until something will be. Raises what the store raises."""
        lead = self._lead()
        if lead is None:
            return LONGEST_PAUSE
        began = time.monotonic()
        found = self._firings.due(self._batch)
        if not found.ready and not found.broken:
            return self._pause(found)
        for broken in found.broken:
            log.error("schedule %s cannot be read, and is looked at later: %s", broken.move.schedule_id, broken.problem)
        moves, decided = self._decide(found, began)
        self._started.prepare(decided)
        stored = self._stored(lead, moves, decided)
        if stored is None:
            return LONGEST_PAUSE
        self._started.announce(stored)
        return SHORTEST_PAUSE

    def _stored(self, lead: Lead, moves: Sequence[Move], decided: Sequence[NewFiring]) -> list[NewFiring] | None:
        """What could be stored. What the database refuses is refused alone, and its tick skipped: others fire."""
        try:
            return self._firings.decide(lead, moves, decided)
        except StoreError as error:
            if is_transient(error):
                raise
            if len(moves) > 1:
                parts = [
                    self._stored(lead, [move], [each for each in decided if each.schedule_id == move.schedule_id])
                    for move in moves
                ]
                return [firing for part in parts for firing in part or ()]
            log.error("the tick of schedule %s is skipped, the database refuses it: %s", moves[0].schedule_id, error)
            reason = "the database refused its job"
            refused = [
                each._replace(outcome=Outcome.SKIPPED, reason=reason, jobs=(), run_id=None, lateness=None)
                for each in decided
            ]
            return self._firings.decide(lead, moves, refused)

    @staticmethod
    def _pause(found: Found) -> float:
        if found.due_at is None:
            return LONGEST_PAUSE
        return min(max((found.due_at - found.now).total_seconds(), SHORTEST_PAUSE), LONGEST_PAUSE)

    def _decide(self, found: Found, began: float) -> tuple[list[Move], list[NewFiring]]:
        """What becomes of each tick, and which comes next. `began`: when `found.now` was, by the monotonic clock."""
        moves, todo = [broken.move for broken in found.broken], []
        for ready in found.ready:
            stored = ready.stored
            if stored.next_fire_at is None:
                moves.append(Move(stored.id, stored.revision, None, None))
                continue
            due = due_ticks(stored.schedule, stored.next_fire_at, stored.backoff_until, found.now)
            todo.append((ready, due.decisions))
            following = due.following
            due_at = None if following is None else _later(following.due_at, stored.backoff_until)
            moves.append(Move(stored.id, stored.revision, None if following is None else following.fire_at, due_at))
        busy = self._firings.busy([ready.stored.id for ready, decisions in todo if _asks(ready, decisions)])
        decided: list[NewFiring] = []
        for ready, decisions in todo:
            now = found.now + timedelta(seconds=time.monotonic() - began)
            decided += self._judged(ready, decisions, busy.get(ready.stored.id, Busy()), now)
        return moves, decided

    def _judged(self, ready: Ready, decisions: Sequence[Decision], busy: Busy, now: datetime) -> list[NewFiring]:
        schedule = ready.stored.schedule
        live, waiting, decided = bool(busy.live), busy.waiting, []
        for decision in _without_replaced(schedule.overlap, decisions):
            outcome, reason, cancels = decision.outcome, decision.reason, False
            if outcome is Outcome.FIRED:
                outcome, why, cancels = judge(schedule.overlap, live=live, waiting=waiting)
                reason = why or reason
            if cancels:
                self.cancel(busy.live, schedule.organization, schedule.id)
            lateness = max(0.0, (now - decision.tick.due_at).total_seconds()) if outcome is Outcome.FIRED else None
            firing = NewFiring(
                schedule.id, decision.tick.fire_at, schedule.organization, outcome, reason, lateness=lateness
            )
            decided.append(self._started.with_jobs(firing, ready, now))
            live = live or bool(decided[-1].jobs)
            waiting += outcome is Outcome.WAITING
        return decided

    def cancel(self, job_ids: Sequence[str], organization: str, schedule_id: str) -> None:
        """Call jobs of earlier firings off; those that have ended stay as they are."""
        actor = Actor("scheduler", Scope(organization), f"the next firing of schedule {schedule_id} takes its place")
        self._operator.cancel(job_ids, actor)


def _asks(ready: Ready, decisions: Sequence[Decision]) -> bool:
    """Whether it matters what of the schedule still runs."""
    fires = any(decision.outcome is Outcome.FIRED for decision in decisions)
    return fires and ready.stored.schedule.overlap is not Overlap.ALLOW


def _without_replaced(overlap: Overlap, decisions: Sequence[Decision]) -> Iterable[Decision]:
    """Where each tick calls the one before it off, only the last of several that are due at once starts anything."""
    fired = [number for number, decision in enumerate(decisions) if decision.outcome is Outcome.FIRED]
    replaced = set(fired[:-1]) if overlap in (Overlap.REPLACE, Overlap.CANCEL) else set()
    for number, decision in enumerate(decisions):
        if number in replaced:
            yield decision._replace(outcome=Outcome.SKIPPED, reason="the next tick is due already")
        else:
            yield decision


def _later(due_at: datetime, held_until: datetime | None) -> datetime:
    return due_at if held_until is None else max(due_at, held_until)
