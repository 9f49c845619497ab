"""Questions about finished jobs in sum, and their answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from synthralos.domain.observing import DIMENSIONS, SPANS, STAGE_DIMENSIONS, Fact, Sums, begin_of
from synthralos.domain.stage_sums import StageSums

GROUPS = (*dict.fromkeys((*DIMENSIONS, *STAGE_DIMENSIONS, *SPANS)),)
"""What sums can be grouped by: what jobs have, and the time at which they finished."""

MINUTES_ASKED, HOURS_ASKED = timedelta(days=1), timedelta(days=45)
"""So far back a time is told by the minute, and by the hour: less far than either is kept."""

LONGEST_RANGE = timedelta(days=400)


class TooMuch(ValueError):
    """More groups or rows than one answer may go through; the text says what to do."""


@dataclass(frozen=True, slots=True)
class MetricsQuery:
    """What finished from `since` on and before `until`, by `groups`, where the dimensions have those values.

    Both times are whole minutes, hours or days, as `aligned` makes them.
    """

    since: datetime
    until: datetime
    groups: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)

    @property
    def of_organizations(self) -> bool:
        """Whether organizations or workspaces have to be told apart."""
        asked = {*self.groups, *self.where}
        return bool(asked & {"organization", "workspace"})

    @property
    def of_stages(self) -> bool:
        """Whether it is about what jobs did at the stages. Then only `STAGE_DIMENSIONS` and times are asked for."""
        return "stage" in self.groups or "stage" in self.where

    @property
    def beside_stages(self) -> list[str]:
        """What is asked for and not kept by stage."""
        return sorted({*self.groups, *self.where} - {*STAGE_DIMENSIONS, *SPANS}) if self.of_stages else []

    def admits(self, fact: Fact, values: Mapping[str, str]) -> bool:
        """Whether a finished job with these values counts."""
        return self.since <= fact.finished_at < self.until and all(
            values[name] == value for name, value in self.where.items()
        )

    def group_of(self, values: Mapping[str, str], finished_at: datetime) -> tuple[str, ...]:
        """The group of jobs with these values that finished then."""
        return tuple(
            begin_of(name, finished_at).strftime("%Y-%m-%dT%H:%M:%SZ") if name in SPANS else values[name]
            for name in self.groups
        )


class ObservedStages(NamedTuple):
    """As `Observed`, of what jobs did at the stages."""

    groups: dict[tuple[str, ...], StageSums]
    complete: bool
    digested_until: datetime | None


class Observed(NamedTuple):
    """Sums by group. `complete`: nothing that finished meanwhile is missing; `digested_until`: so far it was summed."""

    groups: dict[tuple[str, ...], Sums]
    complete: bool
    digested_until: datetime | None


class Stretch(NamedTuple):
    """A time that the sums of one span answer for."""

    span: str
    since: datetime
    until: datetime


def aligned(since: datetime, until: datetime, now: datetime) -> tuple[datetime, datetime]:
    """The whole minutes that hold a time; further back the whole hours, and then the whole days."""
    age = now - since
    span = "minute" if age <= MINUTES_ASKED else "hour" if age <= HOURS_ASKED else "day"
    begin, end = begin_of(span, since.astimezone(UTC)), begin_of(span, until.astimezone(UTC))
    return begin, end if end == until else end + SPANS[span]


def stretches(since: datetime, until: datetime, finest: str | None = None) -> Iterator[Stretch]:
    """The time in as few pieces as there can be, each of whole days, hours or minutes; none coarser than `finest`."""
    spans = [span for span in ("day", "hour", "minute") if finest is None or SPANS[span] <= SPANS[finest]]
    at = since
    while at < until:
        span = next(span for span in spans if begin_of(span, at) == at and at + SPANS[span] <= until)
        end = at
        while end + SPANS[span] <= until and (span == spans[0] or not _begins(spans, span, end, at, until)):
            end += SPANS[span]
        yield Stretch(span, at, end)
        at = end


def _begins(spans: list[str], span: str, moment: datetime, at: datetime, until: datetime) -> bool:
    """Whether a coarser piece begins there, after `at`."""
    coarser = spans[: spans.index(span)]
    return moment > at and any(begin_of(each, moment) == moment and moment + SPANS[each] <= until for each in coarser)
