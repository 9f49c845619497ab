"""What operators see of exports, and do about them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.exports import Kind, SetAside, Standing
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.exports.pruning import count_dropped
from synthralos.store.queue.appended import BACKLOG
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows
from synthralos.store.sql.types import id_text, utcnow, word
from synthralos.store.tables import export_backlog, export_destinations, export_set_aside, jobs

MOST_COUNTED = 100_000
"""Traces of one kind that are counted; a figure as large as this means that there are so many or more."""

MOST_AT_ONCE = 1_000
"""Traces that one act of an operator is about."""

_owed, _known, _aside = export_backlog.c, export_destinations.c, export_set_aside.c


class ExportOperations:
    """Blocks; raises what the store raises."""

    def __init__(self, database: Database, most_counted: int = MOST_COUNTED) -> None:
        self._database = database
        self._most = most_counted

    def standings(self) -> list[Standing]:
        """How each destination fares, by name."""
        with self._database.snapshot() as connection:
            rows = connection.execute(sa.select(export_destinations, utcnow().label("now")).order_by(_known.name)).all()
            return [self._standing(connection, row) for row in rows]

    def standing(self, destination: str) -> Standing | None:
        """How one fares; None: nothing was ever shipped there."""
        query = sa.select(export_destinations, utcnow().label("now")).where(_known.name == destination)
        with self._database.snapshot() as connection:
            row = connection.execute(query).first()
            return None if row is None else self._standing(connection, row)

    def set_aside(
        self, destination: str, kind: Kind | None = None, before: str | None = None, limit: int = 50
    ) -> list[SetAside]:
        """What is set aside, newest jobs first; `before` is the last job id of the page before."""
        query = sa.select(
            id_text(_aside.job_id),
            jobs.c.organization,
            _aside.kind,
            _aside.reason,
            _aside.tries,
            _aside.since,
            _aside.at,
        ).select_from(export_set_aside.join(jobs, jobs.c.id == _aside.job_id, isouter=True))
        query = query.where(_aside.destination == destination).order_by(_aside.job_id.desc()).limit(limit)
        if kind is not None:
            query = query.where(_aside.kind == word(kind))
        if before is not None:
            query = query.where(_aside.job_id < before)
        with self._database.snapshot() as connection:
            return [_listed(row) for row in connection.execute(query)]

    def of_job(self, job_id: str) -> dict[str, SetAside | None]:
        """Where a job's trace is owed (None), or set aside, by destination."""
        aside = sa.select(export_set_aside).where(_aside.job_id == job_id)
        names = sa.select(_known.name).order_by(_known.name)
        with self._database.snapshot() as connection:
            known = connection.execute(names).scalars().all()
            mine = sa.and_(_owed.destination.in_(known), _owed.job_id == job_id)
            owed = connection.execute(sa.select(_owed.destination).where(mine)).scalars().all()
            found = {row.destination: _aside_of(row) for row in connection.execute(aside)}
        return {**dict.fromkeys(owed), **found}

    def links(self) -> dict[str, str]:
        """Where destinations have a page for each trace: the address, with `{trace_id}` in it."""
        query = sa.select(_known.name, _known.link).where(_known.link.is_not(None)).order_by(_known.name)
        with self._database.snapshot() as connection:
            return {row.name: row.link for row in connection.execute(query)}

    def retry(self, destination: str, job_ids: Sequence[str] | None, by: By) -> int:
        """What is set aside is owed again: these jobs, or the oldest `MOST_AT_ONCE`; how many it was."""
        with self._database.transaction() as connection:
            taken = self._take(connection, destination, job_ids)
            if taken:
                rows = [{"destination": destination, "job_id": job_id} for job_id in taken]
                connection.execute(BACKLOG.insert(self._database.dialect), {"rows": encode_rows(rows)})
                _record(connection, by, Act.RETRY_EXPORTS, destination, len(taken))
        return len(taken)

    def drop(self, destination: str, job_ids: Sequence[str] | None, by: By) -> int:
        """What is set aside is forgotten, as `retry`."""
        with self._database.transaction() as connection:
            taken = self._take(connection, destination, job_ids)
            if taken:
                count_dropped(
                    connection, Counter({destination: len(taken)}), by.reason or "an operator said so", by.actor
                )
                _record(connection, by, Act.DROP_EXPORTS, destination, len(taken))
        return len(taken)

    def resume(self, destination: str, by: By) -> bool:
        """Whatever it said, the destination is tried again within seconds; False where it is unknown."""
        mine = _known.name == destination
        with self._database.transaction() as connection:
            changed = connection.execute(sa.update(export_destinations).where(mine).values(rest_until=None)).rowcount
            if changed:
                record(connection, by, Change(Act.RESUME_EXPORTS, f"export:{destination}", None, {}))
        return bool(changed)

    def _standing(self, connection: sa.Connection, row: Any) -> Standing:
        mine, aside = _owed.destination == row.name, _aside.destination == row.name
        oldest = sa.select(_owed.since).where(mine).order_by(_owed.job_id).limit(1)
        since = connection.execute(oldest).scalar()
        resting = 0.0 if row.rest_until is None else (row.rest_until - row.now).total_seconds()
        return Standing(
            name=row.name,
            residency=row.residency,
            pending=self._count(connection, export_backlog, mine),
            lag=0.0 if since is None else max(0.0, (row.now - since).total_seconds()),
            sent=row.sent,
            failed=row.failed,
            dropped=row.dropped,
            refused=self._count(connection, export_set_aside, aside, _aside.kind == word(Kind.REFUSED)),
            withheld=self._count(connection, export_set_aside, aside, _aside.kind == word(Kind.WITHHELD)),
            stopped=row.stopped,
            resting=max(0.0, resting),
            last_error=row.last_error,
            last_error_at=row.last_error_at,
            last_sent_at=row.last_sent_at,
            seen_at=row.seen_at,
        )

    def _count(self, connection: sa.Connection, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
        some = sa.select(sa.literal(1)).select_from(table).where(*conditions).limit(self._most).subquery()
        return int(connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())

    def _take(self, connection: sa.Connection, destination: str, job_ids: Sequence[str] | None) -> list[str]:
        mine = _aside.destination == destination
        chosen = sa.select(_aside.job_id).where(mine).order_by(_aside.job_id).limit(MOST_AT_ONCE)
        if job_ids is not None:
            chosen = chosen.where(_aside.job_id.in_(list(job_ids)))
        statement = sa.delete(export_set_aside).where(mine, _aside.job_id.in_(chosen))
        return sorted(connection.execute(statement.returning(_aside.job_id)).scalars())


def _record(connection: sa.Connection, by: By, act: Act, destination: str, traces: int) -> None:
    record(connection, by, Change(act, f"export:{destination}", None, {"traces": traces}))


def _listed(row: Any) -> SetAside:
    return SetAside(row.job_id, row.organization, Kind(row.kind), row.reason, row.tries, row.since, row.at)


def _aside_of(row: Any) -> SetAside:
    return SetAside(str(row.job_id), None, Kind(row.kind), row.reason, row.tries, row.since, row.at)
