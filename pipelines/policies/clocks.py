"""Times of day and days of the week, by the clocks of a zone."""

from collections.abc import Callable, Mapping
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.policies.facts import Facts
from pipelines.policies.operands import list_of
from pipelines.policies.problems import Unfit, shown

Clock = tuple[Callable[[Facts], bool], Callable[[Facts], str]]
"""What tells whether it is that time, and what it is."""

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def time_of_day(given: Any) -> Clock:
    """From `from` until before `until`, which may be on the next day; raises `Unfit`."""
    if not isinstance(given, Mapping) or given.keys() - {"from", "until", "zone"}:
        raise Unfit("is no time of day", 'write {"from": "22:00", "until": "06:00", "zone": "Europe/Berlin"}')
    begin, end, zone = _clock(given.get("from")), _clock(given.get("until")), _zone(given.get("zone"))
    if begin == end:
        raise Unfit("begins when it ends", "leave the condition out where all day is meant, or give a later until")

    def holds(facts: Facts) -> bool:
        now = facts.local(zone).time()
        return begin <= now < end if begin < end else now >= begin or now < end

    return holds, lambda facts: facts.local(zone).isoformat()


def weekday(given: Any) -> Clock:
    """One of some days of the week; raises `Unfit`."""
    if not isinstance(given, Mapping) or given.keys() - {"in", "zone"}:
        raise Unfit("names no days", 'write {"in": ["sat", "sun"], "zone": "Europe/Berlin"}')
    days, zone = list_of(given.get("in"), len(DAYS)), _zone(given.get("zone"))
    wrong = [day for day in days if day not in DAYS]
    if wrong:
        raise Unfit(f"{shown(wrong[0])} is no day", f"use {', '.join(DAYS)}")
    wanted = frozenset(DAYS.index(day) for day in days)
    return (
        lambda facts: facts.local(zone).weekday() in wanted,
        lambda facts: DAYS[facts.local(zone).weekday()],
    )


def _clock(text: Any) -> time:
    try:
        found = time.fromisoformat(text)
    except (TypeError, ValueError):
        raise Unfit(f"{shown(text)} is no time of day", "write it as 22:00") from None
    if found.tzinfo is not None:
        raise Unfit(f"{shown(text)} has an offset", "write it as 22:00, and name the zone in zone")
    return found


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(name if name is not None else "UTC")
    except (ZoneInfoNotFoundError, TypeError, ValueError, OSError):
        raise Unfit(f"{shown(name)} is no time zone", "use a name such as Europe/Berlin") from None
