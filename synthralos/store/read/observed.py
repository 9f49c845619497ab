"""Metrics and errors of finished jobs, from the sums that the leader keeps; what is in none yet is read directly.

What an answer costs depends on the time and on the groups that are asked for, never on how many jobs there were.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from synthralos.domain.metrics import MetricsQuery, Observed, ObservedStages, Stretch, TooMuch, stretches
from synthralos.domain.observing import (
    DIMENSIONS,
    FINISHED,
    SPANS,
    Fact,
    Histogram,
    Sums,
    begin_of,
    fingerprint,
    normalized,
)
from synthralos.domain.scope import Scope
from synthralos.domain.stage_sums import StageSums, stages_of
from synthralos.store.read.finished import Finished
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import word
from synthralos.store.tables import STAGE_SUMS, SUMS, digests, error_sums, job_sums, stage_sums

Added = TypeVar("Added", Sums, StageSums)

MOST_ROWS = 50_000
"""Rows of sums that one question may go through."""

MOST_FRESH = 2_000
"""Jobs that were not summed yet and are read directly."""

MOST_GROUPS = 10_000


def sums_from(row: Mapping[str, Any]) -> Sums:
    """The sums in a row of `job_sums`."""
    return Sums(
        **{name: row[name] for name in SUMS},
        cost=row["cost_picousd"],
        seconds=Histogram(row["seconds"]),
        waits=Histogram(row["waits"]),
    )


def stage_sums_from(row: Mapping[str, Any]) -> StageSums:
    """The sums in a row of `stage_sums`."""
    counts = {name: row[name] for name in STAGE_SUMS}
    return StageSums(**counts, total_seconds=row["total_seconds"], seconds=Histogram(row["seconds"]))


class ObservedJobs:
    """Sums of finished jobs within a scope of an organization or a workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._finished = Finished(database.dialect)

    def sums(self, query: MetricsQuery, scope: Scope) -> Observed:
        """The groups in no order. Raises `TooMuch`."""
        found: dict[tuple[str, ...], Sums] = {}
        rows, fresh, complete, place = self._read(job_sums, query, scope)
        for row in rows:
            _add(found, query.group_of(row, row["since"]), sums_from(row))
        for fact in fresh:
            values = dict(zip(DIMENSIONS, fact.key, strict=True))
            if query.admits(fact, values):
                found.setdefault(query.group_of(values, fact.finished_at), Sums()).add(fact)
        _check(len(found))
        return Observed(found, complete, place)

    def stages(self, query: MetricsQuery, scope: Scope) -> ObservedStages:
        """What jobs did at the stages, where the query is `of_stages`; as `sums`."""
        found: dict[tuple[str, ...], StageSums] = {}
        rows, fresh, complete, place = self._read(stage_sums, query, scope)
        for row in rows:
            _add(found, query.group_of(row, row["since"]), stage_sums_from(row))
        for fact in fresh:
            for stage, sums in stages_of(fact).items():
                values = {"organization": fact.organization, "workspace": fact.workspace, "stage": stage}
                if query.admits(fact, values):
                    _add(found, query.group_of(values, fact.finished_at), sums)
        _check(len(found))
        return ObservedStages(found, complete, place)

    def _read(
        self, table: sa.Table, query: MetricsQuery, scope: Scope
    ) -> tuple[list[dict[str, Any]], list[Fact], bool, datetime | None]:
        """Rows of sums by column, what is in none of them yet, whether that is all, and how far the sums go."""
        with self._database.searching() as connection:
            place = _digested_at(connection)
            names = table.c.keys()
            found = connection.execute(_of_jobs(table, query, scope)).all()
            rows = [dict(zip(names, row, strict=True)) for row in _bounded(found)]
            fresh, complete = self._finished.fresh(connection, place, MOST_FRESH, scope)
        return rows, fresh, complete, place


def _add(found: dict[tuple[str, ...], Added], group: tuple[str, ...], sums: Added) -> None:
    """Add sums, which are nobody else's, to those of a group."""
    if (whole := found.get(group)) is None:
        found[group] = sums
    else:
        whole.take(sums)


def _check(groups: int) -> None:
    if groups > MOST_GROUPS:
        raise TooMuch(f"has more than {MOST_GROUPS:,} groups: ask for fewer, or for a shorter time")


@dataclass(slots=True)
class ErrorGroup:
    """Failures that say the same. `hours`: how many there were, by the beginning of the hour."""

    failure_class: str
    deployment: str
    message: str
    count: int
    first_at: datetime
    last_at: datetime
    hours: dict[datetime, int] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)


class ObservedErrors:
    """Groups of errors within a scope of an organization or a workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._finished = Finished(database.dialect)

    def groups(
        self, since: datetime, until: datetime, scope: Scope, where: Mapping[str, str], samples: int
    ) -> tuple[list[ErrorGroup], bool]:
        """The groups, those with the most first, and whether none that happened meanwhile is missing.

        `since` and `until` are whole hours, `where` has values of `organization`, `failure_class`, `deployment`.
        """
        found: dict[tuple[str, str, str], ErrorGroup] = {}
        with self._database.searching() as connection:
            place = _digested_at(connection)
            for row in _bounded(connection.execute(_of_errors(since, until, scope, where))):
                _gather(found, row, samples)
            fresh, complete = self._finished.fresh(connection, place, MOST_FRESH, scope)
        for row in _failures(fresh, since, until, where):
            _gather(found, row, samples)
        return sorted(found.values(), key=lambda group: (-group.count, group.message)), complete


def _digested_at(connection: sa.Connection) -> datetime | None:
    place: datetime | None = connection.execute(
        sa.select(digests.c.at).where(digests.c.name == word(FINISHED))
    ).scalar()
    return place


def _bounded(rows: Any) -> Iterator[Any]:
    for number, row in enumerate(rows):
        if number == MOST_ROWS:
            raise TooMuch("goes through too many sums: ask for a shorter time, or for one organization")
        yield row


def _of_jobs(table: sa.Table, query: MetricsQuery, scope: Scope) -> Any:
    finest = min((name for name in query.groups if name in SPANS), key=lambda name: SPANS[name], default=None)
    pieces = stretches(query.since, query.until, finest)
    conditions = [sa.or_(*(_within(table, piece) for piece in pieces))]
    conditions += [table.c[name] == value for name, value in query.where.items()]
    conditions += _tenant(table, scope, apart=query.of_organizations)
    return sa.select(table).where(*conditions).limit(MOST_ROWS + 1)


def _within(table: sa.Table, piece: Stretch) -> sa.ColumnElement[bool]:
    since = table.c.since
    return sa.and_(table.c.span == word(piece.span), since >= piece.since, since < piece.until)


def _tenant(table: sa.Table, scope: Scope, *, apart: bool) -> list[sa.ColumnElement[bool]]:
    """The rows of the scope; of no scope those of all organizations together, if they need not be told `apart`."""
    if scope.organization is None:
        return [table.c.organization != "" if apart else table.c.organization == ""]
    same = [table.c.organization == scope.organization]
    return same if scope.workspace is None else [*same, table.c.workspace == scope.workspace]


def _of_errors(since: datetime, until: datetime, scope: Scope, where: Mapping[str, str]) -> Any:
    conditions = [error_sums.c.since >= since, error_sums.c.since < until]
    conditions += [error_sums.c[name] == value for name, value in where.items()]
    conditions += _tenant(error_sums, scope, apart="organization" in where)
    return sa.select(error_sums).where(*conditions).order_by(error_sums.c.since).limit(MOST_ROWS + 1)


def _failures(facts: list[Fact], since: datetime, until: datetime, where: Mapping[str, str]) -> Iterator[Any]:
    """What is not summed yet, in the form of the sums."""
    for fact in sorted(facts, key=lambda fact: fact.finished_at):
        hour = begin_of("hour", fact.finished_at)
        for failure in fact.failures if since <= hour < until else ():
            message = normalized(failure.message)
            row = {
                "since": hour, "organization": fact.organization, "failure_class": failure.failure_class,
                "deployment": failure.deployment, "message": message, "fingerprint": fingerprint(message), "count": 1,
                "first_at": fact.finished_at, "last_at": fact.finished_at, "jobs": [fact.job_id],
            }  # fmt: skip
            if all(row[name] == value for name, value in where.items()):
                yield _Row(row)


class _Row:
    def __init__(self, values: dict[str, Any]) -> None:
        self._mapping = values


def _gather(found: dict[tuple[str, str, str], ErrorGroup], row: Any, samples: int) -> None:
    row = row._mapping
    key = row["failure_class"], row["deployment"], row["fingerprint"]
    group = found.get(key)
    if group is None:
        named = row["failure_class"], row["deployment"], row["message"]
        group = found[key] = ErrorGroup(*named, 0, row["first_at"], row["last_at"])
    group.count += row["count"]
    group.first_at = min(group.first_at, row["first_at"])
    group.last_at = max(group.last_at, row["last_at"])
    group.hours[row["since"]] = group.hours.get(row["since"], 0) + row["count"]
    group.jobs = [*(each for each in group.jobs if each not in row["jobs"]), *row["jobs"]][-samples:]
