"""A quota as people and programs see it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from synthralos.domain.quota_units import Unit
from synthralos.domain.quotas import EMPTY, Declared, Quota, Source, limit_of


@dataclass(frozen=True, slots=True)
class QuotaLimit:
    """One unit: its `limit` a minute, where that is known from, and what was `left` of it when an answer last told."""

    unit: Unit
    limit: int
    source: Source
    left: int | None
    seen: datetime | None


@dataclass(frozen=True, slots=True)
class QuotaReport:
    """One quota. `closed_until`: None where it is open. `refusals`: those in a row that led to the last closure."""

    name: str
    credential: str
    model: str
    limits: list[QuotaLimit]
    closed_until: datetime | None
    reason: str
    refusals: int


def report_on(quota: Quota, declared: Declared, now: float) -> QuotaReport:
    """`now` in seconds since the epoch, by the database's clock."""
    limits: list[QuotaLimit] = []
    for unit in Unit:
        found, bucket = limit_of(quota, unit, declared, now), quota.buckets.get(unit, EMPTY)
        if found is not None:
            seen = datetime.fromtimestamp(bucket.seen, UTC) if bucket.seen else None
            limits.append(QuotaLimit(unit, round(found[0]), found[1], bucket.left, seen))
    credential, _, model = quota.name.partition("/")
    closed = quota.closed_until > now
    until = datetime.fromtimestamp(quota.closed_until, UTC) if closed else None
    reason = quota.reason if closed else ""
    return QuotaReport(quota.name, credential, model, limits, until, reason, quota.refusals)


def reports(found: list[Quota], declared: dict[str, dict[Unit, int]], now: float) -> list[QuotaReport]:
    """Of all of which anything was learned or declared, by name."""
    known = {each.name: each for each in found}
    names = sorted(known.keys() | declared.keys())
    return [report_on(known.get(name) or Quota(name), declared.get(name, {}), now) for name in names]
