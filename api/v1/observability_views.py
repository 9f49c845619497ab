"""What is asked and answered about finished jobs in sum, and about open ones."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.http.problems import invalid_field
from api.v1.queries import Text
from api.v1.views import JobId, Usd, View
from pipelines.intake.schema import Time
from synthralos.domain.failures import FailureClass
from synthralos.domain.metrics import (
    GROUPS,
    HOURS_ASKED,
    LONGEST_RANGE,
    MINUTES_ASKED,
    MetricsQuery,
    aligned,
)
from synthralos.domain.observing import DIMENSIONS, SPANS, STAGE_DIMENSIONS, Histogram, begin_of
from synthralos.domain.states import Lane, Stage, State

LONGEST_OF_ERRORS = timedelta(days=31)
_PERCENTS = (50, 95, 99)
_CLOCKS = timedelta(minutes=10)
"""So far may the database's clock be ahead of this one."""


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    since: Annotated[Time | None, Field(description="jobs that finished from then on")] = None
    until: Annotated[Time | None, Field(description="jobs that finished before then; default: now")] = None

    def _times(self, now: datetime, default: timedelta, longest: timedelta) -> tuple[datetime, datetime]:
        until = min(self.until or now, now)
        try:
            since = self.since or until - default
        except OverflowError:
            raise invalid_field("query.until", "is before all time", "send a time of this century") from None
        if since >= until:
            raise invalid_field("query.since", "is not before until", "send an earlier time, or a later until")
        if now - since > longest + timedelta(hours=1):
            problem = f"is more than {longest.days} days ago"
            raise invalid_field("query.since", problem, "ask for a later time: sums are kept no longer")
        return since, until


class MetricsParameters(_Parameters):
    """What to sum up, and by what. All conditions that are given have to hold."""

    group_by: Annotated[str, Field(max_length=200, description=f"comma-separated: {', '.join(GROUPS)}")] = ""
    organization: Text | None = None
    workspace: Text | None = None
    model: Annotated[Text | None, Field(description="as it was asked for")] = None
    deployment: Annotated[Text | None, Field(description="of the last call")] = None
    state: State | None = None
    failure_class: FailureClass | None = None
    stage: Annotated[Stage | None, Field(description="what jobs did there")] = None
    limit: Annotated[int, Field(ge=1, le=10_000, description="how many groups at most")] = 1_000

    def question(self, now: datetime) -> MetricsQuery:
        """For the store. Raises a 422."""
        groups = tuple(name.strip() for name in self.group_by.split(",") if name.strip())
        unknown = [name for name in groups if name not in GROUPS]
        if unknown or len(set(groups)) < len(groups):
            problem = "names something twice" if not unknown else f"{unknown[0][:50]!r} is nothing to group by"
            raise invalid_field("query.group_by", problem, f"choose from {', '.join(GROUPS)}")
        since, until = self._times(now, timedelta(hours=24), LONGEST_RANGE)
        finest = min((SPANS[name] for name in groups if name in SPANS), default=timedelta(days=1))
        kept = MINUTES_ASKED if finest < SPANS["hour"] else HOURS_ASKED if finest < SPANS["day"] else LONGEST_RANGE
        if now - since > kept + timedelta(hours=1):
            problem = f"is more than {kept.days} days ago, and nothing finer than that is kept for so long"
            raise invalid_field("query.since", problem, "ask for a later time, or for hours or days")
        names = dict.fromkeys((*DIMENSIONS, *STAGE_DIMENSIONS))
        where = {name: str(value) for name in names if (value := getattr(self, name)) is not None}
        query = MetricsQuery(*aligned(since, until, now), groups, where)
        for name in query.beside_stages:
            problem = f"asks for stages, which are not told apart by {name}"
            raise invalid_field("query.group_by", problem, f"choose from {', '.join((*STAGE_DIMENSIONS, *SPANS))}")
        return query


class ErrorsQuery(_Parameters):
    """Which failures. All conditions that are given have to hold."""

    organization: Text | None = None
    failure_class: FailureClass | None = None
    deployment: Text | None = None
    limit: Annotated[int, Field(ge=1, le=1_000, description="how many groups at most")] = 100

    def range(self, now: datetime) -> tuple[datetime, datetime]:
        """Whole hours, the last 24 where nothing is said. Raises a 422."""
        since, until = self._times(now, timedelta(hours=24), LONGEST_OF_ERRORS)
        return begin_of("hour", since), begin_of("hour", until + _CLOCKS) + timedelta(hours=1)

    def where(self) -> dict[str, str]:
        """The conditions."""
        names = ("organization", "failure_class", "deployment")
        return {name: str(value) for name in names if (value := getattr(self, name)) is not None}


class DemandQuery(BaseModel):
    """Which open work; without anything all of it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    stage: Stage | None = None
    lane: Lane | None = None

    def admits(self, stage: Stage, lane: Lane) -> bool:
        """Whether it is asked for."""
        return self.stage in (None, stage) and self.lane in (None, lane)


class Latencies(View):
    """Seconds that so many percent did not exceed, within 5 %; null where there was nothing."""

    p50: float | None
    p95: float | None
    p99: float | None


class MetricsGroup(View):
    """What the finished jobs of one group come to. A job counts each time that it ends."""

    group: Annotated[dict[str, str], Field(description="a value for each of group_by; empty where there is none")]
    jobs: int
    jobs_per_second: Annotated[float, Field(description="over the whole time")]
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Annotated[Usd, Field(description="the known part; the books are in /api/v1/costs")]
    unknown_cost_jobs: int
    duration_seconds: Annotated[Latencies, Field(description="from acceptance to end")]
    wait_seconds: Annotated[Latencies, Field(description="from acceptance to the first call")]


class StageGroup(View):
    """What the finished jobs of one group did at the stages. A job counts each time that it ends."""

    group: Annotated[dict[str, str], Field(description="a value for each of group_by; empty where there is none")]
    jobs: Annotated[int, Field(description="that were there; of several stages together, once for each")]
    visits: Annotated[int, Field(description="how often they came by: spans")]
    failed_visits: int
    total_seconds: Annotated[float, Field(description="of all visits together")]
    visit_seconds: Annotated[Latencies, Field(description="how long one visit took")]


class Metrics(View):
    """Groups in the order of their values, of whole minutes, or of whole hours or days where it is long ago."""

    since: AwareDatetime
    until: AwareDatetime
    groups: Annotated[
        list[MetricsGroup | StageGroup], Field(description="of stages, where `stage` is among group_by or conditions")
    ]
    truncated: Annotated[bool, Field(description="there are more groups than `limit`")]
    complete: Annotated[bool, Field(description="false: the sums lag behind, and more has finished since")]
    digested_until: Annotated[AwareDatetime | None, Field(description="so far the sums go; the rest was read directly")]


class ErrorsOfHour(View):
    """How many there were in an hour."""

    since: AwareDatetime
    count: int


class ErrorGroupView(View):
    """Failures that say the same. In the message, what differs from case to case is replaced."""

    failure_class: Annotated[FailureClass, Field(alias="class")]
    deployment: Annotated[str | None, Field(description="null: no call failed, but the job")]
    message: str
    count: int
    first_seen_at: Annotated[AwareDatetime, Field(description="within the time that was asked for")]
    last_seen_at: AwareDatetime
    trend: Annotated[list[ErrorsOfHour], Field(description="hours with any, the oldest first")]
    jobs: Annotated[list[JobId], Field(description="some of the last ones")]


class ErrorGroups(View):
    """Groups of errors, those with the most first."""

    since: AwareDatetime
    until: AwareDatetime
    errors: list[ErrorGroupView]
    truncated: bool
    complete: bool


class DueWithin(View):
    """Open jobs with a deadline within so many seconds, and not within those of the entry before."""

    within_seconds: float
    jobs: int


class DemandQueue(View):
    """A stage and a lane."""

    stage: Stage
    lane: Lane
    queued: int
    active: int
    oldest_seconds: Annotated[float, Field(description="how long the oldest queued job has waited")]
    due: list[DueWithin]


class Demand(View):
    """Open work. No figure is counted beyond `most_counted`: there are so many or more."""

    at: AwareDatetime
    queued: Annotated[int, Field(description="of the queues below together")]
    active: int
    parked: Annotated[int, Field(description="jobs of all stages that wait for their time or their turn")]
    queues: list[DemandQueue]
    most_counted: int


def latencies(histogram: Histogram) -> dict[str, Any]:
    """The percentiles of a histogram, to a thousandth of a second."""
    found = {f"p{percent}": histogram.percentile(percent) for percent in _PERCENTS}
    return {name: None if value is None else round(value, 3) for name, value in found.items()}
