"""What is known of a finished job at a glance, and its sums: counts, money, and histograms that can be added up."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol, TypeVar

from synthralos.domain.states import State

FINISHED, LATE, TEXTS = "finished", "late", "texts"
"""The leader's passes over finished jobs: their figures, those that were committed late, and their words."""

BUCKETS_A_DECADE = 24
"""Buckets of a histogram from one power of ten to the next: a percentile is off by 5 % at most."""

LEAST_SECONDS, _LAST_BUCKET = 0.001, 9 * BUCKETS_A_DECADE
"""What is shorter is counted as that; the last bucket takes what is longer than ten days."""

SPANS: Mapping[str, timedelta] = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}

DIMENSIONS = ("organization", "workspace", "model", "deployment", "state", "failure_class")
"""What finished jobs are summed by."""

STAGE_DIMENSIONS = ("organization", "workspace", "stage")
"""What their steps at the stages are summed by."""

LONGEST_MESSAGE = 300

_PLACEHOLDERS = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"https?://\S+"), "<url>"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[a-zA-Z])[\w-]{16,}\b"), "<id>"),
    (re.compile(r"'[^']{1,200}'|\"[^\"]{1,200}\"|`[^`]{1,200}`"), "<text>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
)


@dataclass(frozen=True, slots=True)
class FailedCall:
    """One failure of a finished job: of a call, or of the job where no call failed (`deployment` is "" then)."""

    deployment: str
    failure_class: str
    message: str


class StageVisit(NamedTuple):
    """One step of a job at a stage: how long it took, and whether it failed."""

    stage: str
    seconds: float
    failed: bool


class Fact(NamedTuple):
    """A finished job at a glance.

    `seconds` are from its acceptance to its end, `wait_seconds` to its first call (None: it made none). `deployment`
    is that of its last call, or "". `cost` is in USD, the known part. `failures` are those of its calls,
    `visits` what it did at its stages, as often as it came to them.
    """

    job_id: str
    organization: str
    workspace: str
    user: str | None
    trace_id: str | None
    run_id: str | None
    model: str
    lane: str
    state: str
    deployment: str
    failure_class: str
    created_at: datetime
    finished_at: datetime
    seconds: float
    wait_seconds: float | None
    calls: int
    input_tokens: int
    output_tokens: int
    cost: Decimal
    cost_known: bool
    failures: tuple[FailedCall, ...] = ()
    visits: tuple[StageVisit, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """Its values of `DIMENSIONS`."""
        return (self.organization, self.workspace, self.model, self.deployment, self.state, self.failure_class)


class Histogram:
    """Durations by buckets that grow by a tenth each; two of them add up to a third."""

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(zip(map(int, counts), counts.values(), strict=True)) if counts else {}

    def add(self, seconds: float) -> None:
        """Count a duration."""
        bucket = bucket_of(seconds)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def take(self, other: "Histogram") -> None:
        """Count all that the other one has."""
        if not self.counts:
            self.counts = dict(other.counts)
            return
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    def percentile(self, percent: float) -> float | None:
        """The seconds that `percent` of the durations do not exceed, up to 5 %; None where nothing was counted."""
        rank = math.ceil(sum(self.counts.values()) * percent / 100)
        for bucket in sorted(self.counts):
            rank -= self.counts[bucket]
            if rank <= 0:
                return LEAST_SECONDS * 10 ** ((bucket + 0.5) / BUCKETS_A_DECADE) if bucket else LEAST_SECONDS
        return None

    def to_json(self) -> dict[str, int]:
        """The stored form."""
        return {str(bucket): count for bucket, count in self.counts.items()}


@dataclass(slots=True)
class Sums:
    """Sums over finished jobs. `seconds` and `waits` hold how long they took, and how long they waited for a call."""

    jobs: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unknown_cost_jobs: int = 0
    cost: Decimal = Decimal(0)
    seconds: Histogram = field(default_factory=Histogram)
    waits: Histogram = field(default_factory=Histogram)

    def add(self, fact: Fact) -> None:
        """Count a job."""
        self.jobs += 1
        self.calls += fact.calls
        self.input_tokens += fact.input_tokens
        self.output_tokens += fact.output_tokens
        self.unknown_cost_jobs += not fact.cost_known
        self.cost += fact.cost
        self.seconds.add(fact.seconds)
        if fact.wait_seconds is not None:
            self.waits.add(fact.wait_seconds)

    def take(self, other: "Sums") -> None:
        """Count all that the other one has."""
        self.jobs += other.jobs
        self.calls += other.calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.unknown_cost_jobs += other.unknown_cost_jobs
        self.cost += other.cost
        self.seconds.take(other.seconds)
        self.waits.take(other.waits)


class Period(NamedTuple):
    """A minute, an hour or a day by its beginning."""

    span: str
    since: datetime


SumKey = tuple[Period, tuple[str, ...]]
"""What sums are kept by: a period, and values of `DIMENSIONS`, or of `STAGE_DIMENSIONS`."""


class ErrorKey(NamedTuple):
    """What errors are grouped by, within an hour."""

    since: datetime
    organization: str
    workspace: str
    failure_class: str
    deployment: str
    fingerprint: str


def bucket_of(seconds: float) -> int:
    """The bucket of a duration."""
    if seconds <= LEAST_SECONDS:
        return 0
    return min(_LAST_BUCKET, int(BUCKETS_A_DECADE * math.log10(seconds / LEAST_SECONDS)))


def begin_of(span: str, moment: datetime) -> datetime:
    """When the minute, hour or day of a moment began (UTC)."""
    whole = moment.replace(second=0, microsecond=0)
    if span == "minute":
        return whole
    return whole.replace(minute=0) if span == "hour" else whole.replace(hour=0, minute=0)


class Summable(Protocol):
    """Sums that others can be added to."""

    def take(self, other: Any) -> None:
        """Count all that the other one has."""


Summed = TypeVar("Summed", bound=Summable)


def sums_of(facts: Iterable[Fact], minutes_since: datetime) -> dict[SumKey, Sums]:
    """The sums of the facts for each period and key; those of all organizations have the organization "".

    Minutes before that time are left out: nobody asks for them.
    """
    found: dict[tuple[datetime, tuple[str, ...]], Sums] = {}
    for fact in facts:
        key = begin_of("minute", fact.finished_at), fact.key
        if (sums := found.get(key)) is None:
            sums = found[key] = Sums()
        sums.add(fact)
    return rolled_up(found, minutes_since, Sums)


def rolled_up(
    by_minute: Mapping[tuple[datetime, tuple[str, ...]], Summed], minutes_since: datetime, new: Callable[[], Summed]
) -> dict[SumKey, Summed]:
    """Sums by minute and key, of each period. Keys begin with organization and workspace: "" for all of them."""
    found: dict[SumKey, Summed] = {}
    for (minute, key), sums in by_minute.items():
        for span in SPANS:
            if span == "minute" and minute < minutes_since:
                continue
            period = Period(span, begin_of(span, minute))
            for each in (key, ("", "", *key[2:])):
                if (whole := found.get((period, each))) is None:
                    whole = found[period, each] = new()
                whole.take(sums)
    return found


def normalized(message: str) -> str:
    """A message without what is different each time: numbers, ids, addresses, quoted texts."""
    text = " ".join(message[: 4 * LONGEST_MESSAGE].split())
    for pattern, placeholder in _PLACEHOLDERS:
        text = pattern.sub(placeholder, text)
    return text[:LONGEST_MESSAGE]


def fingerprint(message: str) -> str:
    """The short name of a normalized message."""
    return blake2b(message.encode(), digest_size=8).hexdigest()


def has_failed(state: str) -> bool:
    """Whether a job of that state has ended without a result, other than by being cancelled."""
    return state in (State.FAILED, State.DENIED, State.EXPIRED)
