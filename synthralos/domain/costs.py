"""Questions about what was spent, and their answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Dimension(StrEnum):
    """What costs can be summed by. `tag` is one member of the jobs' metadata, and written `tag:NAME`."""

    ORGANIZATION = "organization"
    WORKSPACE = "workspace"
    USER = "user"
    MODEL = "model"
    DEPLOYMENT = "deployment"
    PROVIDER = "provider"
    DAY = "day"
    HOUR = "hour"
    STAGE = "stage"
    RUN = "run"
    API_KEY = "api_key"
    KIND = "kind"
    BASIS = "basis"
    TAG = "tag"


class Kind(StrEnum):
    """`paid`: a call. `reused`: a job that an earlier result answered. `adjustment`: what set the books right."""

    PAID = "paid"
    REUSED = "reused"
    ADJUSTMENT = "adjustment"


class Basis(StrEnum):
    """How an amount is known: `exact` by the answer, `estimated` by what was reserved, `unknown` not at all."""

    EXACT = "exact"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"


DEFAULT_RANGE = timedelta(days=30)
LONGEST_RANGE = timedelta(days=400)

LONGEST_OF_JOBS = timedelta(days=31)
"""Runs, API keys and tags are not kept in sums: they are counted from the ledger itself, within so long at most."""


@dataclass(frozen=True, slots=True)
class Group:
    """One thing to sum by; `tag` is the name of the metadata's member, for `Dimension.TAG` alone."""

    dimension: Dimension
    tag: str | None = None

    @property
    def name(self) -> str:
        """As it is asked for, and as the answer names it."""
        return str(self.dimension) if self.tag is None else f"{self.dimension}:{self.tag}"

    @property
    def of_jobs(self) -> bool:
        """Whether only the jobs know it."""
        return self.dimension in (Dimension.RUN, Dimension.API_KEY, Dimension.TAG)


def group_of(name: str) -> Group:
    """The inverse of `Group.name`; raises `ValueError` with what is wrong."""
    word, colon, tag = name.strip().partition(":")
    if word == Dimension.TAG:
        if not tag:
            raise ValueError("`tag` needs the name of a member of the metadata: `tag:project`")
        return Group(Dimension.TAG, tag)
    if colon or word not in set(Dimension):
        known = ", ".join(sorted(set(Dimension) - {Dimension.TAG}))
        raise ValueError(f"`{name}` is none of {known}, tag:NAME")
    return Group(Dimension(word))


def groups_of(text: str) -> tuple[Group, ...]:
    """Groups from `model,day`; raises `ValueError` with what is wrong."""
    groups = tuple(group_of(name) for name in text.split(",")) if text.strip() else ()
    if len(set(groups)) < len(groups):
        raise ValueError("a group is named twice")
    return groups


@dataclass(frozen=True, slots=True)
class CostQuery:
    """What ended from `since` (included) to `until` (not), by `groups`; `where` holds values that have to be.

    `after`: the values of the last group of the page before, in the order of `groups`.
    """

    since: datetime
    until: datetime
    groups: tuple[Group, ...] = ()
    where: Mapping[Group, str] = field(default_factory=dict)
    after: tuple[str, ...] | None = None
    limit: int = 1000

    @property
    def of_jobs(self) -> bool:
        """Whether it can be answered from the ledger alone."""
        return any(group.of_jobs for group in (*self.groups, *self.where))


@dataclass(slots=True)
class CostRow:
    """What calls took and cost. `group` has a value for each of the query's groups, an empty one for none.

    `cost` is the known part in USD. `unknown_calls` were billed at a price or for tokens that nobody knows.
    `maybe_calls` may have been billed; `maybe` is what they would cost, or had reserved, and is not part of `cost`.
    `cached_tokens` and `cache_write_tokens` are part of `input_tokens`, `reasoning_tokens` of `output_tokens`.
    `reused` counts jobs that an earlier result answered: they made no call.
    """

    group: tuple[str, ...]
    calls: int = 0
    unknown_calls: int = 0
    maybe_calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    reused: int = 0
    cost: Decimal = Decimal(0)
    maybe: Decimal = Decimal(0)

    def to_json(self) -> dict[str, Any]:
        """The published form without its group: money as exact decimal text."""
        return {
            "calls": self.calls,
            "unknown_cost_calls": self.unknown_calls,
            "maybe_billed_calls": self.maybe_calls,
            "input_tokens": self.input_tokens,
            "cached_tokens": self.cached_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "output_tokens": self.output_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "reused_jobs": self.reused,
            "cost_usd": format(self.cost, "f"),
            "spent_maybe_usd": format(self.maybe, "f"),
        }
