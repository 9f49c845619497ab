"""Adds finished jobs to the sums that are kept of them: read, added to, and written back by one writer."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.observing import (
    ErrorKey,
    Fact,
    Period,
    Sums,
    begin_of,
    fingerprint,
    normalized,
)
from synthralos.store.admin.changing import upsert
from synthralos.store.read.observed import sums_from
from synthralos.store.tables import SUMS, error_sums, job_sums

MOST_ERRORS_AN_HOUR = 200
"""Different messages of one organization that an hour keeps apart; further ones go together under their class."""

SAMPLES = 5
"""Ids of jobs that are kept with a group of errors."""

_KEY = ("organization", "workspace", "model", "deployment", "state", "failure_class")
_OTHER = "(other messages)"

SumKey = tuple[Period, tuple[str, ...]]


def add_sums(connection: sa.Connection, added: Mapping[SumKey, Sums]) -> None:
    """Add to the sums. The caller's transaction holds the row of the digest, so that nobody else writes here."""
    periods = {period for period, _ in added}
    known = {key: sums for period in periods for key, sums in _stored(connection, period, added)}
    for key in sorted(added):
        sums = added[key]
        if key in known:
            sums.take(known[key])
        (span, since), names = key
        values = {
            **{name: getattr(sums, name) for name in SUMS},
            "cost_picousd": sums.cost,
            "seconds": sums.seconds.to_json(),
            "waits": sums.waits.to_json(),
        }
        row = {"span": span, "since": since, **dict(zip(_KEY, names, strict=True)), **values}
        connection.execute(upsert(connection, job_sums, row, values))


def add_errors(connection: sa.Connection, facts: Iterable[Fact]) -> None:
    """Add the failures of the jobs to the groups of errors; under the same condition."""
    found: dict[ErrorKey, dict[str, Any]] = {}
    room: dict[tuple[datetime, str], set[str]] = {}
    for fact in facts:
        for failure in fact.failures:
            since, message = begin_of("hour", fact.finished_at), normalized(failure.message)
            for organization, workspace in ((fact.organization, fact.workspace), ("", "")):
                named = _bounded(connection, room, since, organization, message)
                tenant = since, organization, workspace
                key = ErrorKey(*tenant, failure.failure_class, failure.deployment, fingerprint(named))
                _count(found.setdefault(key, _group(named, fact)), fact)
    for key in sorted(found):
        _write_errors(connection, key, found[key])


def _stored(connection: sa.Connection, period: Period, wanted: Mapping[SumKey, Sums]) -> Iterable[tuple[SumKey, Sums]]:
    organizations = sorted({names[0] for other, names in wanted if other == period})
    query = sa.select(job_sums).where(
        job_sums.c.span == period.span, job_sums.c.since == period.since, job_sums.c.organization.in_(organizations)
    )
    for row in connection.execute(query):
        key = (period, tuple(getattr(row, name) for name in _KEY))
        if key in wanted:
            yield key, sums_from(row)


def _bounded(
    connection: sa.Connection,
    room: dict[tuple[datetime, str], set[str]],
    since: datetime,
    organization: str,
    message: str,
) -> str:
    """The message, or where the hour has too many of them already, the name of all others."""
    known = room.get((since, organization))
    if known is None:
        query = sa.select(error_sums.c.fingerprint).where(
            error_sums.c.since == since, error_sums.c.organization == organization
        )
        known = room[since, organization] = set(connection.execute(query.distinct()).scalars())
    name = fingerprint(message)
    if name not in known and len(known) >= MOST_ERRORS_AN_HOUR:
        return _OTHER
    known.add(name)
    return message


def _group(message: str, fact: Fact) -> dict[str, Any]:
    return {"message": message, "count": 0, "first_at": fact.finished_at, "last_at": fact.finished_at, "jobs": []}


def _count(group: dict[str, Any], fact: Fact) -> None:
    group["count"] += 1
    group["first_at"] = min(group["first_at"], fact.finished_at)
    group["last_at"] = max(group["last_at"], fact.finished_at)
    if fact.job_id not in group["jobs"]:
        group["jobs"] = [*group["jobs"], fact.job_id][-SAMPLES:]


def _write_errors(connection: sa.Connection, key: ErrorKey, group: dict[str, Any]) -> None:
    named = key._asdict()
    same = [error_sums.c[name] == value for name, value in named.items()]
    before = connection.execute(sa.select(error_sums).where(*same)).one_or_none()
    if before is not None:
        group["count"] += before._mapping["count"]
        group["first_at"] = min(group["first_at"], before.first_at)
        group["last_at"] = max(group["last_at"], before.last_at)
        group["jobs"] = [*(each for each in before.jobs if each not in group["jobs"]), *group["jobs"]][-SAMPLES:]
    connection.execute(upsert(connection, error_sums, {**named, **group}, group))
