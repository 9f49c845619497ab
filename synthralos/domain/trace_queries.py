"""Questions about traces, and what is found."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from synthralos.domain.observing import Fact
from synthralos.domain.search import Search


class Sort(StrEnum):
    """The order of what is found. By cost and by duration there are finished jobs alone."""

    NEWEST = "newest"
    COST = "cost"
    DURATION = "duration"


class Range(NamedTuple):
    """From `least` to `most`, both included; None: no bound."""

    least: Any = None
    most: Any = None

    def has(self, value: Any) -> bool:
        """Whether a value is within."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


ANY = Range()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to find.

    `after`: the value and the job id that the page before ended with (the value of `newest` is None). `cost` is in USD,
    `seconds` from acceptance to end, `tokens` those of input and output together. `label` and `score` are those of one
    piece of feedback.
    """

    search: Search | None = None
    state: tuple[str, ...] = ()
    stage: str | None = None
    model: str | None = None
    lane: str | None = None
    organization: str | None = None
    workspace: str | None = None
    user: str | None = None
    run_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    cost: Range = ANY
    seconds: Range = ANY
    tokens: Range = ANY
    label: str | None = None
    score: Range = ANY
    sort: Sort = Sort.NEWEST
    after: tuple[Any, str] | None = None
    limit: int = 50

    def admits(self, fact: Fact, stage: str, document: str | None) -> bool:
        """Whether a job is wanted, by its fact and its words."""
        same = {"model": fact.model, "lane": fact.lane, "organization": fact.organization, "run_id": fact.run_id,
                "workspace": fact.workspace, "user": fact.user, "stage": stage}  # fmt: skip
        return (
            all(getattr(self, name) in (None, value) for name, value in same.items())
            and (not self.state or fact.state in self.state)
            and (self.created_after is None or fact.created_at >= self.created_after)
            and (self.created_before is None or fact.created_at < self.created_before)
            and self.cost.has(fact.cost)
            and self.seconds.has(fact.seconds)
            and self.tokens.has(fact.input_tokens + fact.output_tokens)
            and (self.search is None or self.search.matches(document or ""))
        )


class Match(NamedTuple):
    """A job that was found, and the value that it is sorted by."""

    job_id: str
    trace_id: str
    value: Any = None

    @property
    def place(self) -> tuple[Any, str]:
        """Its place in the order."""
        return (self.value or 0, self.job_id)


@dataclass(frozen=True, slots=True)
class Found:
    """A page. `after` leads to the next one; `complete`: nothing that is in no index yet was left out, and the page is
    full, or the last.

    `indexed_until`: when the newest job finished whose words are in the index; None before there is any.
    """

    matches: list[Match] = field(default_factory=list)
    after: tuple[Any, str] | None = None
    complete: bool = True
    indexed_until: datetime | None = None
