"""Schedules: jobs that recur. What one says. When it fires is `ticks`'s."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from synthralos.domain.cron import Cron


class Misfire(StrEnum):
    """What becomes of ticks whose time passed while nothing could fire."""

    SKIP = "skip"
    LAST = "last"
    ALL = "all"


class Overlap(StrEnum):
    """What becomes of a tick whose schedule still has a job that has not ended."""

    SKIP = "skip"
    QUEUE_ONE = "queue_one"
    QUEUE_ALL = "queue_all"
    REPLACE = "replace"
    CANCEL = "cancel"
    ALLOW = "allow"


class InvalidSchedule(ValueError):
    """What is wrong with a field of a schedule, and the remedy."""

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(f"{field} {problem}: {remedy}")
        self.field, self.problem, self.remedy = field, problem, remedy


MOST_CAUGHT_UP = 10_000
MOST_STEPS = 20
"""Jobs that one firing starts at most."""
MOST_DATES, MOST_WINDOWS = 1_000, 100
"""Days and windows that one schedule may exclude."""
LONGEST_SECONDS = 366 * 86_400
"""No interval, jitter, catch-up window or pause of a schedule is longer."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How a schedule that fails is delayed: `base_seconds`, times `factor` with each failure, up to `cap_seconds`.

    `jitter`: by which share of itself (0 to 1) the delay may be longer.
    """

    base_seconds: int = 60
    factor: float = 2.0
    cap_seconds: int = 21_600
    jitter: float = 0.1

    def __post_init__(self) -> None:
        _check("backoff.base_seconds", self.base_seconds, 1, LONGEST_SECONDS)
        _check("backoff.factor", self.factor, 1, 100)
        _check("backoff.cap_seconds", self.cap_seconds, self.base_seconds, LONGEST_SECONDS)
        _check("backoff.jitter", self.jitter, 0, 1)


class Window(NamedTuple):
    """From `start` to before `end`, both with a time zone."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Exclusions:
    """When a schedule does not fire: on whole days of its time zone, and within windows."""

    dates: frozenset[date] = frozenset()
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        _check("exclusions.dates", len(self.dates), 0, MOST_DATES)
        _check("exclusions.windows", len(self.windows), 0, MOST_WINDOWS)
        for number, window in enumerate(self.windows):
            _check_order(f"exclusions.windows[{number}].end", window.start, window.end)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A recurring job. Raises `InvalidSchedule` where a field says what cannot be.

    `job` is a document as `POST /api/v1/jobs` takes one; or `steps` are several, which start as one run. It fires by
    `cron` or every `interval_seconds`, counted from `start` (else from 1970) in seconds that pass, whatever clocks do;
    from `start` to before `end`, up to `jitter_seconds` after its time. Ticks missed for longer than `catch_up_seconds`
    are given up; of the others, `misfire` fires none, the last, or all, `most_caught_up` at most. It pauses after
    `pause_after` failures in a row (None: never).
    """

    id: str
    organization: str
    workspace: str
    name: str
    job: Mapping[str, Any] | None = None
    steps: tuple[Mapping[str, Any], ...] = ()
    user: str | None = None
    cron: str | None = None
    interval_seconds: int | None = None
    time_zone: str = "UTC"
    start: datetime | None = None
    end: datetime | None = None
    jitter_seconds: int = 0
    exclusions: Exclusions = field(default_factory=Exclusions)
    catch_up_seconds: int = 3_600
    misfire: Misfire = Misfire.LAST
    most_caught_up: int = 100
    overlap: Overlap = Overlap.SKIP
    pause_after: int | None = None
    backoff: Backoff = field(default_factory=Backoff)
    paused: bool = False
    pause_note: str = ""

    def __post_init__(self) -> None:
        if (self.job is None) == (not self.steps):
            raise InvalidSchedule("job", "or steps has to say what it starts", "give exactly one of them")
        _check("steps", len(self.steps), 0, MOST_STEPS)
        _check_timing(self)
        _check("jitter_seconds", self.jitter_seconds, 0, LONGEST_SECONDS)
        _check("catch_up_seconds", self.catch_up_seconds, 0, LONGEST_SECONDS)
        _check("most_caught_up", self.most_caught_up, 1, MOST_CAUGHT_UP)
        if self.pause_after is not None:
            _check("pause_after", self.pause_after, 1, MOST_CAUGHT_UP)

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        windows = [{"start": _text(each.start), "end": _text(each.end)} for each in self.exclusions.windows]
        return {
            **asdict(self),
            "job": None if self.job is None else dict(self.job),
            "steps": [dict(step) for step in self.steps],
            "start": _text(self.start),
            "end": _text(self.end),
            "exclusions": {"dates": sorted(map(str, self.exclusions.dates)), "windows": windows},
            "misfire": str(self.misfire),
            "overlap": str(self.overlap),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Schedule":
        """The inverse of `to_json`."""
        excluded = data["exclusions"]
        windows = tuple(Window(_time(each["start"]), _time(each["end"])) for each in excluded["windows"])
        times = {name: None if data[name] is None else _time(data[name]) for name in ("start", "end")}
        kinds = {
            "exclusions": Exclusions(frozenset(map(date.fromisoformat, excluded["dates"])), windows),
            "misfire": Misfire(data["misfire"]),
            "overlap": Overlap(data["overlap"]),
            "backoff": Backoff(**data["backoff"]),
            "steps": tuple(data["steps"]),
        }
        return cls(**{**data, **times, **kinds})


@lru_cache(4096)
def read_cron(expression: str) -> Cron:
    """The expression, read; raises `ValueError`."""
    return Cron(expression)


def _check_timing(schedule: Schedule) -> None:
    if (schedule.cron is None) == (schedule.interval_seconds is None):
        raise InvalidSchedule("cron", "or interval_seconds has to say when it fires", "give exactly one of them")
    if schedule.interval_seconds is not None:
        _check("interval_seconds", schedule.interval_seconds, 1, LONGEST_SECONDS)
    if schedule.cron is not None:
        try:
            read_cron(schedule.cron)
        except ValueError as error:
            raise InvalidSchedule("cron", "cannot be read", str(error)) from error
    try:
        ZoneInfo(schedule.time_zone)
    except (KeyError, ValueError, OSError) as error:
        remedy = "give an IANA name such as Europe/Berlin or UTC"
        raise InvalidSchedule("time_zone", f"'{schedule.time_zone}' is not known", remedy) from error
    _check_order("end", schedule.start, schedule.end)


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InvalidSchedule(name, f"is {value:,}", f"give a number from {least:,} to {most:,}")


def _check_order(name: str, start: datetime | None, end: datetime | None) -> None:
    for moment in (start, end):
        if moment is not None and moment.tzinfo is None:
            raise InvalidSchedule(name, f"or its start has no time zone ({moment})", "write it with Z or an offset")
    if start is not None and end is not None and end <= start:
        raise InvalidSchedule(name, f"({end}) is not after the start ({start})", "give a later time")


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
