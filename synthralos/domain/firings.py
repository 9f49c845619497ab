"""Firings: what becomes of the ticks of a schedule. Pure decisions; the scheduler carries them out."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import NamedTuple

from synthralos.domain.schedules import Backoff, Misfire, Overlap, Schedule
from synthralos.domain.ticks import Tick, newest_ticks, next_tick, tick_at, ticks

LATE = timedelta(seconds=60)
"""A tick that nobody fired for so long was missed: the misfire policy decides about it."""

MOST_WAITING = 1_000
"""Ticks of one schedule that may wait for its earlier jobs."""

MOST_AT_ONCE = 100
"""Missed ticks of one schedule that have a row each; earlier ones share one."""


class Outcome(StrEnum):
    """What became of a tick.

    `fired`: its jobs were started. `waiting`: they start when those of earlier ticks have ended. `skipped`: a policy
    left it out. `missed`: nothing could fire it in time. `backfill`: its jobs were started afterwards, by a backfill.
    """

    FIRED = "fired"
    WAITING = "waiting"
    SKIPPED = "skipped"
    MISSED = "missed"
    BACKFILL = "backfill"


class Ended(StrEnum):
    """How the jobs of a firing ended, all together."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Decision(NamedTuple):
    """What is to become of one tick. `cancels`: the jobs of earlier ticks are called off first."""

    tick: Tick
    outcome: Outcome
    reason: str = ""
    cancels: bool = False


class Due(NamedTuple):
    """The ticks that are due, in order, before overlaps are looked at, and the tick that comes next."""

    decisions: list[Decision]
    following: Tick | None


def due_ticks(schedule: Schedule, first: datetime, held_until: datetime | None, now: datetime) -> Due:
    """What the schedule has to do by `now`, where its tick `first` is the first that nobody decided about.

    `first` is a tick whatever the schedule says by now: rules of time zones change, and clocks are set.
    `held_until`: it backs off until then. Of the ticks that come before that, the last one fires then.
    """
    found, early = _gathered(schedule, first, now)
    held = list(takewhile(lambda tick: held_until is not None and tick.due_at < held_until, found))
    free = found[len(held) :]
    if held and held_until is not None and not free:
        free = [Tick(held.pop().fire_at, held_until)]
    due = list(takewhile(lambda tick: tick.due_at <= now, free))
    if not due:
        return Due([], tick_at(schedule, first))
    skipped = [Decision(tick, Outcome.SKIPPED, "it backs off after failures") for tick in held]
    decisions = [*early, *skipped, *_caught_up(schedule, due, now)]
    return Due(decisions, next_tick(schedule, due[-1].fire_at))


def judge(overlap: Overlap, *, live: bool, waiting: int) -> tuple[Outcome, str, bool]:
    """Outcome, reason, and whether the earlier jobs are called off, for a tick whose time has come.

    `live`: jobs of earlier ticks have not ended. `waiting`: so many ticks wait for that already.
    """
    if overlap is Overlap.ALLOW or not (live or waiting):
        return Outcome.FIRED, "", False
    if overlap is Overlap.SKIP:
        return Outcome.SKIPPED, "an earlier firing still runs", False
    if overlap is Overlap.REPLACE:
        return Outcome.FIRED, "in place of an earlier firing", True
    if overlap is Overlap.QUEUE_ALL:
        if waiting >= MOST_WAITING:
            return Outcome.SKIPPED, f"{MOST_WAITING} firings wait already", False
        return Outcome.WAITING, "an earlier firing still runs", False
    cancels = overlap is Overlap.CANCEL
    if waiting:
        return Outcome.SKIPPED, "another firing waits already", cancels
    return Outcome.WAITING, "the earlier firing is called off" if cancels else "an earlier firing still runs", cancels


def delay_after(backoff: Backoff, failures: int, chance: float) -> timedelta:
    """For how long a schedule backs off after so many failures in a row (1 or more). `chance` is from 0 to 1."""
    steps = min(failures - 1, 1_000)
    try:
        seconds = min(backoff.base_seconds * backoff.factor**steps, backoff.cap_seconds)
    except OverflowError:
        seconds = backoff.cap_seconds
    return timedelta(seconds=seconds * (1 + backoff.jitter * chance))


def ended_as(states: Sequence[str]) -> Ended:
    """How a firing ended whose jobs ended in these states. One failure is a failure."""
    if any(state in ("failed", "denied", "expired") for state in states):
        return Ended.FAILED
    return Ended.SUCCEEDED if states and all(state == "succeeded" for state in states) else Ended.CANCELLED


def _gathered(schedule: Schedule, first: datetime, now: datetime) -> tuple[list[Tick], list[Decision]]:
    """The ticks from `first` until `now`; where they are very many the newest, and one decision about the others."""
    known, following = tick_at(schedule, first), next_tick(schedule, first)
    if following is None or following.fire_at > now:
        return [known], []
    later = ticks(schedule, first, now, MOST_AT_ONCE)
    if len(later) < MOST_AT_ONCE:
        return [known, *later], []
    most = max(MOST_AT_ONCE, schedule.most_caught_up if schedule.misfire is Misfire.ALL else 0)
    newest = newest_ticks(schedule, first, now, most)
    if newest[0] == following:
        return [known, *newest], []
    reason = f"this one and all before {newest[0].fire_at:%Y-%m-%dT%H:%M:%SZ}: nothing could fire them"
    return newest, [Decision(known, Outcome.MISSED, reason)]


def _caught_up(schedule: Schedule, due: Sequence[Tick], now: datetime) -> Iterator[Decision]:
    """What the misfire policy makes of ticks that are due, in order."""
    late = [tick for tick in due if now - tick.due_at > LATE]
    window = timedelta(seconds=schedule.catch_up_seconds)
    within = [tick for tick in late if now - tick.due_at <= window]
    if schedule.misfire is Misfire.ALL:
        chosen = within[-schedule.most_caught_up :]
    else:
        chosen = within[-1:] if schedule.misfire is Misfire.LAST and len(late) == len(due) else []
    caught, missed = ({tick.fire_at for tick in each} for each in (chosen, late))
    for tick in due:
        if tick.fire_at in caught or tick.fire_at not in missed:
            yield Decision(tick, Outcome.FIRED, "caught up" if tick.fire_at in caught else "")
        elif now - tick.due_at > window:
            yield Decision(tick, Outcome.MISSED, "nothing could fire it within the catch-up window")
        else:
            yield Decision(tick, Outcome.MISSED, f"nothing could fire it in time; its misfire is {schedule.misfire}")
