"""Cron expressions as sets of wall-clock times: no time zone, no daylight saving. Those are `zone_time`'s.

APScheduler finds the times, on a clock that never shifts. Two things differ from its own reading, and are as crontab
has them: weekdays count from Sunday (0 or 7), and where a day of the month and a weekday are both named,
either will do.
"""

from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import groupby

from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""Short words for common expressions."""

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = ("second", "minute", "hour", "day", "month", "day_of_week")
_INSTANT = timedelta(microseconds=1)


class Cron:
    """An expression of five fields (minute, hour, day, month, weekday), six (second first), or a word of `ALIASES`.

    A field holds `*`, numbers, ranges, steps and lists of them (`0`, `9-17`, `*/15`, `5-50/5`, `mon,wed-fri`, `jan`);
    the day may be `last`.
    """

    def __init__(self, expression: str) -> None:
        """Raises `ValueError`, in words, where the expression is none."""
        words = ALIASES.get(expression.strip().lower(), expression).lower().split()
        if len(words) not in (5, 6):
            raise ValueError(
                f"'{expression}' has {len(words)} fields: write minute, hour, day of the month, month and weekday, "
                f"with the second before them or not, or one of {', '.join(ALIASES)}"
            )
        fields = dict(zip(_FIELDS, words if len(words) == 6 else ["0", *words], strict=True))
        fields["day_of_week"] = _weekdays(fields["day_of_week"])
        self.follows_the_clock = fields["hour"].startswith("*")
        """Whether it names no hour of the day (`*` or a step): it then runs by the hours that really pass."""
        self._triggers = [_trigger(each) for each in _either(fields)]

    def times(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Its wall-clock times (naive, whole seconds) from `start` to before `end`, each once, in order."""
        found = merge(*(_times(each, start, end) for each in self._triggers))
        return (time for time, _ in groupby(found))


def _either(fields: dict[str, str]) -> list[dict[str, str]]:
    """The expressions of which one has to match: two where both a day of the month and a weekday are named."""
    if fields["day"].startswith("*") or fields["day_of_week"].startswith("*"):
        return [fields]
    return [{**fields, "day": "*"}, {**fields, "day_of_week": "*"}]


def _trigger(fields: dict[str, str]) -> CronTrigger:
    return CronTrigger(**fields, timezone=UTC)


def _times(trigger: CronTrigger, start: datetime, end: datetime) -> Iterator[datetime]:
    bounded = copy(trigger)
    bounded.end_date = end.replace(tzinfo=UTC) - _INSTANT  # else it looks for 30 February until the year 9999
    now = start.replace(tzinfo=UTC)
    while now <= bounded.end_date:
        found: datetime | None = bounded.get_next_fire_time(None, now)
        if found is None or found > bounded.end_date:
            return
        yield found.replace(tzinfo=None)
        now = found + _INSTANT


def _weekdays(field: str) -> str:
    """The names of a weekday field's days, for APScheduler; `*` where all are meant."""
    days = sorted({day % 7 for part in field.split(",") for day in _days(part)})
    return "*" if field == "*" else ",".join(_WEEKDAYS[day] for day in days)


def _days(part: str) -> range:
    days, _, step = part.partition("/")
    if step and not (step.isascii() and step.isdigit() and int(step)):
        raise ValueError(f"the weekday's step '{step}' is no number above 0")
    first, ranged, last = days.partition("-")
    if days == "*":
        begin, end = 0, 6
    else:
        begin = _day(first)
        end = _day(last) if ranged else 6 if step else begin
    if end == 0 and begin > 0:
        end = 7  # `sat-sun` ends the week
    if end < begin:
        raise ValueError(f"the weekdays '{part}' run backwards: write them as two, such as 'fri-sat,sun-mon'")
    return range(begin, end + 1, int(step or 1))


def _day(name: str) -> int:
    if name in _WEEKDAYS:
        return _WEEKDAYS.index(name)
    if name in ("0", "1", "2", "3", "4", "5", "6", "7"):
        return int(name)
    raise ValueError(f"'{name}' is no weekday: write 0 to 7 (0 and 7 are Sunday) or {', '.join(_WEEKDAYS)}")
