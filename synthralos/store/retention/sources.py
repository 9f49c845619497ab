"""What is kept for a time, kind by kind: where it stands, by which column its age goes, and what becomes of it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.ids import id_at
from synthralos.domain.observing import LATE
from synthralos.domain.retention import Kind
from synthralos.domain.states import State
from synthralos.store.sql.types import by_id_alone, word
from synthralos.store.tables import (
    cost_periods,
    digests,
    event_logs,
    happenings,
    job_accounts,
    jobs,
    prompt_similarity_logs,
    results,
)

_FAILED = by_id_alone(results.c.state) == word(State.FAILED)


class Source(NamedTuple):
    """Rows of `table` by the age of `key`: a time, or an id that begins with one.

    `jobs`: they are ends of jobs, which exporters may hold. `latest` gives the time up to which everything is in the
    sums that are made of it; None while there are none.
    """

    table: sa.Table
    key: sa.Column[Any]
    organization: sa.Column[str]
    jobs: bool = False
    conditions: tuple[sa.ColumnElement[bool], ...] = ()
    latest: Callable[[sa.Connection], datetime | None] | None = None

    @property
    def by_id(self) -> bool:
        """Whether the age is that of an id."""
        return not isinstance(self.key.type, sa.types.TypeDecorator)

    def at(self, moment: datetime) -> Any:
        """The least key of that time."""
        return id_at(moment) if self.by_id else moment

    def moment(self, key: Any) -> datetime:
        """The time of a key."""
        moment: datetime = moment_of(key) if self.by_id else key
        return moment

    def within(self, since: datetime | None, until: datetime) -> list[sa.ColumnElement[bool]]:
        """The conditions of a stretch of time; its end is not in it."""
        first = [] if since is None else [self.key >= self.at(since)]
        return [*first, self.key < self.at(until), *self.conditions]


def moment_of(job_id: Any) -> datetime:
    """When an id was made, to the millisecond."""
    return datetime.fromtimestamp(int(str(job_id).replace("-", "")[:12], 16) / 1000, UTC)


def summed(connection: sa.Connection) -> datetime | None:
    """Up to when the sums of the ledger answer for it, and finished jobs are digested."""
    period = cost_periods.c
    hours = sa.select(sa.func.max(period.since)).where(period.span == word("hour"), period.summed)
    open_hour = sa.select(sa.func.min(period.since)).where(~period.summed)
    digested = sa.select(digests.c.at).where(digests.c.name == word(LATE))
    last, changed, late = (connection.execute(query).scalar() for query in (hours, open_hour, digested))
    if last is None or late is None:
        return None
    found: datetime = min(last, late) if changed is None else min(last, late, changed)
    return found


SOURCES: Mapping[Kind, Source] = {
    Kind.PAYLOADS: Source(results, results.c.finished_at, jobs.c.organization, True, (~_FAILED,)),
    Kind.JOBS: Source(results, results.c.finished_at, jobs.c.organization, True, (~_FAILED,), summed),
    Kind.DEAD_LETTERS: Source(results, results.c.finished_at, jobs.c.organization, True, (_FAILED,), summed),
    Kind.ACCOUNTS: Source(job_accounts, job_accounts.c.id, job_accounts.c.organization, latest=summed),
    Kind.SIMILARITY: Source(prompt_similarity_logs, prompt_similarity_logs.c.at, prompt_similarity_logs.c.organization),
    Kind.EVENTS: Source(event_logs, event_logs.c.id, event_logs.c.organization),
    Kind.HAPPENINGS: Source(happenings, happenings.c.id, happenings.c.organization),
}
"""The kinds of which organizations may have times of their own."""
