"""Every type of the feed, and what its `data` says: a contract, `contracts/feed/`."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from synthralos.domain.events import EVENTS
from synthralos.domain.feed import END, matches, type_of
from synthralos.domain.happenings import HAPPENINGS
from synthralos.domain.states import TERMINAL


class Cost(BaseModel):
    """What a job cost."""

    usd: Annotated[str, Field(description="the known part, as a decimal number")]
    known: Annotated[bool, Field(description="whether that is all of it")]


class JobEnded(BaseModel):
    """A job is over; `job.` and its state is the type."""

    model_config = ConfigDict(extra="forbid")

    state: str
    model: Annotated[str, Field(description="as it was asked for")]
    lane: str
    deployment: Annotated[str, Field(description="that was called last; empty: none was")]
    failure_class: Annotated[str, Field(description="empty where it did not fail")]
    seconds: Annotated[float, Field(description="from acceptance to end")]
    wait_seconds: Annotated[float | None, Field(description="from acceptance to the first call; null: none was made")]
    calls: int
    input_tokens: int
    output_tokens: int
    cost: Cost
    trace_id: str


class FeedEvent(BaseModel):
    """One event of the stream. `data` is as its type says."""

    id: Annotated[str, Field(description="always the same, also when it is delivered again")]
    type: str
    at: datetime
    organization: Annotated[str | None, Field(description="null: it concerns the installation")]
    workspace: str | None
    user: str | None
    job_id: str | None
    run_id: str | None
    subject: Annotated[str | None, Field(description="what it is about where that is no job, such as a breaker")]
    actor: Annotated[str, Field(description="who did it; empty where the key may not know")]
    data: dict[str, Any]


FEED_TYPES: Mapping[str, type[BaseModel]] = {
    **{END + state: JobEnded for state in sorted(TERMINAL)},
    **{type_of(kind): model for kind, model in EVENTS.items()},
    **{type_of(kind): model for kind, model in HAPPENINGS.items()},
}
"""Every type, with what its `data` says."""


def unknown_types(patterns: Iterable[str]) -> list[str]:
    """Those that no event will ever have."""
    return [pattern for pattern in patterns if not any(matches(pattern, known) for known in FEED_TYPES)]
