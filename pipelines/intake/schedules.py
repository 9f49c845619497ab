"""From a document to a schedule, and from a schedule to its jobs, for every door that makes or fires one."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import orjson
from pydantic import Field, JsonValue, ValidationError

from pipelines.intake.catalog_checks import CatalogChecks
from pipelines.intake.closed import Closed
from pipelines.intake.errors import FieldError, InvalidJob, invalid_field
from pipelines.intake.parse import build_again, parse
from pipelines.intake.schema import Name, Reason, Time
from pipelines.intake.unknown_fields import remedies_in
from pipelines.intake.validation import field_errors
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import NewJob, Tenant
from synthralos.domain.residency import Unclassified
from synthralos.domain.schedules import (
    LONGEST_SECONDS,
    MOST_CAUGHT_UP,
    MOST_DATES,
    MOST_STEPS,
    MOST_WINDOWS,
    Backoff,
    Exclusions,
    InvalidSchedule,
    Misfire,
    Overlap,
    Schedule,
    Window,
)
from synthralos.domain.ticks import LOOK_AHEAD, next_tick, ticks

MOST_BACKFILLED = 10_000
"""Ticks of one backfill."""

MOST_BYTES = 262_144
"""Of one template, as JSON."""

Template = Annotated[dict[str, JsonValue], Field(description="a job, as POST /api/v1/jobs takes one")]
Seconds = Annotated[int, Field(ge=0, le=LONGEST_SECONDS)]
Date = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]

_ELSEWHERE = {
    "organization": "name the organization of the schedule, beside the job",
    "workspace": "name the workspace of the schedule, beside the job",
    "user": "name the user of the schedule, beside the job",
    "deadline": "send deadline_seconds, which counts from each firing",
    "run_id": "leave it out; the steps of a firing are one run",
}
"""What a template cannot say, with the remedy."""


class WindowIn(Closed):
    """From `start` to before `end`."""

    start: Time
    end: Time


class ExclusionsIn(Closed):
    """When it does not fire."""

    dates: Annotated[
        list[Date], Field(max_length=MOST_DATES, description="whole days of its time zone", default_factory=list)
    ]
    windows: Annotated[list[WindowIn], Field(max_length=MOST_WINDOWS, default_factory=list)]


class BackoffIn(Closed):
    """How it is delayed while it fails; with each failure in a row by `factor` longer."""

    base_seconds: Annotated[int, Field(ge=1, le=LONGEST_SECONDS)] = 60
    factor: Annotated[float, Field(ge=1, le=100)] = 2.0
    cap_seconds: Annotated[int, Field(ge=1, le=LONGEST_SECONDS)] = 21_600
    jitter: Annotated[float, Field(ge=0, le=1, description="by which share a delay may be longer")] = 0.1


class ScheduleIn(Closed):
    """A schedule. `docs/schedules.md` explains it."""

    name: Name
    job: Template | None = None
    steps: Annotated[
        list[Template],
        Field(max_length=MOST_STEPS, description="instead of job: a run", default_factory=list),
    ]
    cron: Annotated[str | None, Field(max_length=200, description="five or six fields, or a word such as @daily")] = (
        None
    )
    interval_seconds: Annotated[int | None, Field(ge=1, le=LONGEST_SECONDS, description="instead of cron")] = None
    time_zone: Annotated[str, Field(max_length=64, description="an IANA name, such as Europe/Berlin")] = "UTC"
    start: Annotated[Time | None, Field(description="it fires from then on")] = None
    end: Annotated[Time | None, Field(description="it fires until before then")] = None
    jitter_seconds: Annotated[Seconds, Field(description="each tick is up to so much later")] = 0
    exclusions: Annotated[ExclusionsIn, Field(default_factory=ExclusionsIn)]
    catch_up_seconds: Annotated[Seconds, Field(description="what was missed for longer is given up")] = 3_600
    misfire: Annotated[Misfire, Field(description="which of the ticks that were missed fire", strict=False)] = (
        Misfire.LAST
    )
    most_caught_up: Annotated[int, Field(ge=1, le=MOST_CAUGHT_UP, description="ticks, where misfire is all")] = 100
    overlap: Annotated[
        Overlap, Field(description="what becomes of a tick while earlier jobs run", strict=False)
    ] = Overlap.SKIP  # fmt: skip
    pause_after: Annotated[
        int | None, Field(ge=1, le=MOST_CAUGHT_UP, description="failures in a row; null: never")
    ] = None  # fmt: skip
    backoff: Annotated[BackoffIn, Field(default_factory=BackoffIn)]
    organization: Annotated[Name | None, Field(description="only where it is made, with a key of all of them")] = None
    workspace: Annotated[Name | None, Field(description="only where it is made")] = None
    user: Annotated[Name | None, Field(description="only where it is made")] = None
    reason: Reason = ""


def read_schedule(document: Any) -> ScheduleIn:
    """The document as a model; raises `InvalidJob` with every field that is wrong."""
    try:
        return ScheduleIn.model_validate(document)
    except ValidationError as error:
        found = field_errors(
            error.errors(include_url=False, include_input=False), document, "", remedies_in(ScheduleIn)
        )
        raise InvalidJob([FieldError(e.field or "body", e.problem, e.remedy) for e in found]) from None


def make_schedule(
    wanted: ScheduleIn, schedule_id: str, tenant: Tenant, checks: CatalogChecks, now: datetime
) -> Schedule:
    """The schedule, checked to the last field of its jobs; raises `InvalidJob`."""
    try:
        made = Schedule(
            id=schedule_id,
            organization=tenant.organization,
            workspace=tenant.workspace,
            user=tenant.user,
            exclusions=_exclusions(wanted.exclusions),
            backoff=Backoff(**wanted.backoff.model_dump()),
            steps=tuple(wanted.steps),
            **{name: getattr(wanted, name) for name in _AS_THEY_ARE},
        )
    except InvalidSchedule as error:
        raise invalid_field(error.field, error.problem, error.remedy) from None
    errors = list(_wrong_templates(made, checks, now))
    if errors:
        raise InvalidJob(errors)
    if next_tick(made, max(now, made.start) if made.start else now) is None and made.end is None:
        field = "cron" if made.cron else "interval_seconds"
        raise invalid_field(field, "never fires", "choose times that come within ten years, and exclude less")
    return made


_AS_THEY_ARE = (
    "name", "job", "cron", "interval_seconds", "time_zone", "start", "end", "jitter_seconds", "catch_up_seconds",
    "misfire", "most_caught_up", "overlap", "pause_after",
)  # fmt: skip


def previewed(schedule: Schedule, now: datetime, count: int) -> list[dict[str, Any]]:
    """Its next ticks after that time, `count` at most, as they are published, paused or not."""
    zone = ZoneInfo(schedule.time_zone)
    return [
        {
            "fire_at": tick.fire_at.isoformat(),
            "due_at": tick.due_at.isoformat(),
            "local": tick.fire_at.astimezone(zone).isoformat(),
            "clock_change": None if tick.change is None else str(tick.change),
        }
        for tick in ticks(schedule, now, now + LOOK_AHEAD, count)
    ]


def backfill_ticks(schedule: Schedule, start: datetime, end: datetime, now: datetime) -> int:
    """How many ticks there are from `start` to before `end`; raises `InvalidJob` where they cannot be filled in."""
    if end > now:
        raise invalid_field("end", "is still to come", "send a time that has passed: what comes then fires by itself")
    if start >= end:
        raise invalid_field("end", "is not after start", "send a later time")
    if end - start > LOOK_AHEAD:
        raise invalid_field("start", "is more than ten years before end", "send a later time")
    instant = timedelta(microseconds=1)
    number = len(ticks(schedule, start - instant, end - instant, MOST_BACKFILLED + 1))
    if not number:
        raise invalid_field("start", "and end have no tick between them", "see /next for when the schedule fires")
    if number > MOST_BACKFILLED:
        raise invalid_field(
            "start", f"and end have more than {MOST_BACKFILLED:,} ticks between them", "send a shorter time"
        )
    return number


def new_jobs(
    schedule: Schedule, fire_at: datetime, plan: str, now: datetime, unclassified: Unclassified = "none"
) -> tuple[list[NewJob], str | None]:
    """The jobs of one firing, and the run that they are, where there are steps; raises `InvalidJob`.

    `unclassified` is what a job is taken for that says no classification.
    """
    tenant = Tenant(schedule.organization, schedule.workspace, schedule.user, plan)
    run_id = new_id() if schedule.steps else None
    jobs = []
    for document in _templates(schedule):
        job = build_again(dict(document), tenant, now, unclassified)
        job.metadata = {**job.metadata, "schedule_id": schedule.id, "fire_at": fire_at.isoformat()}
        job.run_id = run_id
        jobs.append(job)
    return jobs, run_id


def _templates(schedule: Schedule) -> Sequence[Mapping[str, Any]]:
    return schedule.steps or ([] if schedule.job is None else [schedule.job])


def _wrong_templates(schedule: Schedule, checks: CatalogChecks, now: datetime) -> Iterator[FieldError]:
    for number, document in enumerate(_templates(schedule)):
        root = f"steps[{number}]" if schedule.steps else "job"
        for name in sorted(_ELSEWHERE.keys() & document.keys()):
            if document[name] is not None:
                yield FieldError(f"{root}.{name}", "cannot stand in a template", _ELSEWHERE[name])
        if len(orjson.dumps(document)) > MOST_BYTES:
            yield FieldError(root, f"has more than {MOST_BYTES:,} bytes", "shorten it")
        try:
            parse(document, checks, now)
        except InvalidJob as error:
            for each in error.errors:
                yield FieldError(root if each.field == "body" else f"{root}.{each.field}", each.problem, each.remedy)


def _exclusions(wanted: ExclusionsIn) -> Exclusions:
    dates = set()
    for number, text in enumerate(wanted.dates):
        try:
            dates.add(date.fromisoformat(text))
        except ValueError:
            raise InvalidSchedule(f"exclusions.dates[{number}]", "is no day", "write one as 2026-12-24") from None
    return Exclusions(frozenset(dates), tuple(Window(each.start, each.end) for each in wanted.windows))
