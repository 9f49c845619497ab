"""What is sent and answered about schedules. What makes one is `pipelines.intake.schedules.ScheduleIn`."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.http.problems import invalid_field
from api.v1.views import JobId, View
from pipelines.intake.closed import Closed
from pipelines.intake.schema import Reason, Time
from synthralos.domain.firings import Ended, Outcome
from synthralos.domain.schedules import Misfire, Overlap
from synthralos.domain.zone_time import ClockChange


class PauseIn(Closed):
    """Why it pauses."""

    note: Annotated[str, Field(max_length=500, description="shown with the schedule")] = ""
    reason: Reason = ""


class BackfillIn(Closed):
    """Which ticks to fire afterwards: from `start` to before `end`, all of them in the past."""

    start: Time
    end: Time
    overlap: Annotated[
        Literal["allow", "queue_all", "skip"],
        Field(description="all at once; one after another; only those at which no earlier job runs"),
    ] = "allow"
    reason: Reason = ""


class WindowView(View):
    """A time within which it does not fire."""

    start: AwareDatetime
    end: AwareDatetime


class ExclusionsView(View):
    """When it does not fire."""

    dates: list[str]
    windows: list[WindowView]


class BackoffView(View):
    """How it is delayed while it fails."""

    base_seconds: int
    factor: float
    cap_seconds: int
    jitter: float


class ScheduleView(View):
    """A schedule, and how it stands. `failures` are those in a row."""

    id: str
    organization: str
    workspace: str
    user: str | None
    name: str
    owner: Annotated[str, Field(description="who made it")]
    version: int
    job: dict[str, Any] | None
    steps: list[dict[str, Any]]
    cron: str | None
    interval_seconds: int | None
    time_zone: str
    start: AwareDatetime | None
    end: AwareDatetime | None
    jitter_seconds: int
    exclusions: ExclusionsView
    catch_up_seconds: int
    misfire: Misfire
    most_caught_up: int
    overlap: Overlap
    pause_after: int | None
    backoff: BackoffView
    paused: bool
    pause_note: str
    failures: int
    backoff_until: Annotated[AwareDatetime | None, Field(description="it is delayed until then")]
    next_fire_at: Annotated[AwareDatetime | None, Field(description="its next tick; null: it is paused or over")]
    next_due_at: Annotated[AwareDatetime | None, Field(description="when that is due, with jitter and backoff")]
    created_at: AwareDatetime
    changed_at: AwareDatetime
    changed_by: str


class ScheduleList(View):
    """Schedules, oldest first. `next` is the cursor of the page that follows."""

    schedules: list[ScheduleView]
    next: str | None


class TickView(View):
    """A tick to come. `local` is what the clock of its zone shows then."""

    fire_at: AwareDatetime
    due_at: Annotated[AwareDatetime, Field(description="with jitter")]
    local: AwareDatetime
    clock_change: Annotated[
        ClockChange | None,
        Field(description="clocks are moved: its time does not exist (gap), or comes again (overlap)"),
    ]


class TickList(View):
    """The next ticks."""

    ticks: list[TickView]


class FiringView(View):
    """What became of a tick. `ended`: how its jobs ended, all together."""

    fire_at: AwareDatetime
    outcome: Outcome
    reason: str
    job_ids: list[JobId]
    run_id: str | None
    backfill_id: str | None
    lateness_ms: Annotated[int | None, Field(description="from when it was due until its jobs were stored")]
    decided_at: AwareDatetime
    ended: Ended | None


class FiringList(View):
    """Firings, newest first. `next` is the cursor of the page that follows."""

    firings: list[FiringView]
    next: str | None


class StartedView(View):
    """What a run outside of the ticks started."""

    fire_at: AwareDatetime
    job_ids: list[JobId]
    run_id: str | None


class BackfillView(View):
    """A backfill: of its `ticks`, `handled` are decided about."""

    id: str
    start: AwareDatetime
    end: AwareDatetime
    overlap: Overlap
    ticks: int
    handled: int
    done_at: AwareDatetime | None
    created_at: AwareDatetime
    created_by: str


class BackfillList(View):
    """Backfills, newest first."""

    backfills: list[BackfillView]


class PageQuery(BaseModel):
    """Which page of a list."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: Annotated[int, Field(ge=1, le=200, description="how many at most")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the page before")] = None


class FiringQuery(PageQuery):
    """Which firings."""

    outcome: Outcome | None = None


class NextQuery(BaseModel):
    """How many ticks."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    count: Annotated[int, Field(ge=1, le=100, description="how many at most")] = 10


def firing_view(row: dict[str, Any]) -> dict[str, Any]:
    """The published form of a row of `firings`."""
    kept = ("outcome", "reason", "job_ids", "run_id", "backfill_id", "lateness_ms", "ended")
    times = {name: row[name].isoformat() for name in ("fire_at", "decided_at")}
    return {**times, **{name: row[name] for name in kept}}


def encode_time_cursor(moment: datetime) -> str:
    """The cursor of the page that follows what has that time."""
    return base64.urlsafe_b64encode(moment.astimezone(UTC).isoformat().encode()).decode().rstrip("=")


def decode_time_cursor(cursor: str) -> datetime:
    """The time in a cursor; raises a 422."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        moment = datetime.fromisoformat(text)
    except (binascii.Error, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise invalid_field("query.cursor", "is not a cursor of this list", "take it from `next` of the page before")
    return moment.astimezone(UTC)
