"""Adds finished jobs to the sums that are kept of them: read, added to, and written back by one writer.

Each is one statement for a whole batch: of a history that is digested late, every job may touch rows of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from synthralos.domain.observing import (
    DIMENSIONS,
    STAGE_DIMENSIONS,
    ErrorKey,
    Fact,
    Period,
    SumKey,
    Sums,
    begin_of,
    fingerprint,
    normalized,
)
from synthralos.domain.stage_sums import StageSums
from synthralos.store.read.observed import stage_sums_from, sums_from
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import UtcTime, encode_money, encode_time
from synthralos.store.tables import STAGE_SUMS, SUMS, error_sums, job_sums, stage_sums

MOST_ERRORS_AN_HOUR = 200
"""Different messages of one organization that an hour keeps apart; further ones go together under their class."""

SAMPLES = 5
"""Ids of jobs that are kept with a group of errors."""

_OTHER = "(other messages)"


class FinishedSums:
    """Adds to the sums. The caller's transaction holds the row of the digest, so that nobody else writes there."""

    def __init__(self, dialect: str) -> None:
        self._jobs, self._errors = _Kept(dialect, job_sums), _Kept(dialect, error_sums)
        self._stages = _Kept(dialect, stage_sums)
        times = sa.Text() if dialect == "sqlite" else error_sums.c.since.type
        hours = recordset(dialect, "hours", {"since": times, "organization": sa.Text()})
        same = sa.and_(error_sums.c.since == hours.c.since, error_sums.c.organization == hours.c.organization)
        named = error_sums.c.since, error_sums.c.organization, error_sums.c.fingerprint
        self._messages = sa.select(*named).distinct().select_from(hours.join(error_sums, same))

    def add_jobs(self, connection: sa.Connection, added: Mapping[SumKey, Sums]) -> None:
        """Add the sums of some jobs."""
        keys = {key: {**key[0]._asdict(), **dict(zip(DIMENSIONS, key[1], strict=True))} for key in sorted(added)}
        for row in self._jobs.read(connection, keys.values()):
            added[_sum_key(row, DIMENSIONS)].take(sums_from(row._mapping))
        self._jobs.write(connection, [{**named, **_sums_row(added[key])} for key, named in keys.items()])

    def add_stages(self, connection: sa.Connection, added: Mapping[SumKey, StageSums]) -> None:
        """Add what some jobs did at the stages."""
        keys = {key: {**key[0]._asdict(), **dict(zip(STAGE_DIMENSIONS, key[1], strict=True))} for key in sorted(added)}
        for row in self._stages.read(connection, keys.values()):
            added[_sum_key(row, STAGE_DIMENSIONS)].take(stage_sums_from(row._mapping))
        self._stages.write(connection, [{**named, **_stages_row(added[key])} for key, named in keys.items()])

    def add_errors(self, connection: sa.Connection, facts: Iterable[Fact]) -> None:
        """Add the failures of some jobs to the groups of errors."""
        found: dict[ErrorKey, dict[str, Any]] = {}
        failed = [fact for fact in facts if fact.failures]
        room = self._known(connection, failed)
        for fact in failed:
            since = begin_of("hour", fact.finished_at)
            for failure in fact.failures:
                message = normalized(failure.message)
                for organization, workspace in ((fact.organization, fact.workspace), ("", "")):
                    named = _bounded(room[since, organization], message)
                    tenant = since, organization, workspace
                    key = ErrorKey(*tenant, failure.failure_class, failure.deployment, fingerprint(named))
                    _count(found.setdefault(key, _group(named, fact)), fact)
        keys = {key: key._asdict() for key in sorted(found)}
        for row in self._errors.read(connection, keys.values()):
            _add_before(found[ErrorKey(*(getattr(row, name) for name in ErrorKey._fields))], row._mapping)
        self._errors.write(connection, [{**named, **_errors_row(found[key])} for key, named in keys.items()])

    def _known(self, connection: sa.Connection, failed: Iterable[Fact]) -> dict[tuple[datetime, str], set[str]]:
        """The messages that the hours of these facts have already, by hour and organization."""
        room: dict[tuple[datetime, str], set[str]] = {}
        for fact in failed:
            for organization in (fact.organization, ""):
                room.setdefault((begin_of("hour", fact.finished_at), organization), set())
        if room:
            hours = [{"since": encode_time(since), "organization": name} for since, name in room]
            for row in connection.execute(self._messages, {"hours": encode_rows(hours)}):
                room[row.since, row.organization].add(row.fingerprint)
        return room


class _Kept:
    """A table of sums, read and written by the keys of many rows at once."""

    def __init__(self, dialect: str, table: sa.Table) -> None:
        def kind(column: sa.Column[Any]) -> Any:
            if isinstance(column.type, sa.JSON):
                return sa.Text()
            return sa.Text() if isinstance(column.type, UtcTime) and dialect == "sqlite" else column.type

        keys = [column.name for column in table.primary_key.columns]
        columns = {column.name: kind(column) for column in table.c}
        wanted = recordset(dialect, "keys", {name: columns[name] for name in keys})
        same = sa.and_(*(table.c[name] == wanted.c[name] for name in keys))
        self._read = sa.select(table).select_from(wanted.join(table, same))
        rows = recordset(dialect, "rows", columns)
        values = [_as_json(rows.c[name], table.c[name], dialect) for name in columns]
        insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
        statement = insert(table).from_select(list(columns), sa.select(*values).where(sa.true()))
        changed = {name: statement.excluded[name] for name in columns if name not in keys}
        self._write = statement.on_conflict_do_update(index_elements=keys, set_=changed)

    def read(self, connection: sa.Connection, keys: Iterable[Mapping[str, Any]]) -> Sequence[Any]:
        """The rows of these keys that there are."""
        encoded = encode_rows(_encoded(key) for key in keys)
        return connection.execute(self._read, {"keys": encoded}).all() if encoded != "[]" else []

    def write(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Have the rows be as they are given."""
        if rows:
            connection.execute(self._write, {"rows": encode_rows(map(_encoded, rows))})


def _as_json(value: Any, column: sa.Column[Any], dialect: str) -> Any:
    return sa.cast(value, sa.JSON) if isinstance(column.type, sa.JSON) and dialect == "postgresql" else value


def _encoded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: encode_time(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _sum_key(row: Any, names: Iterable[str]) -> SumKey:
    return Period(row.span, row.since), tuple(getattr(row, name) for name in names)


def _sums_row(sums: Sums) -> dict[str, Any]:
    return {
        **{name: getattr(sums, name) for name in SUMS},
        "cost_picousd": encode_money(sums.cost),
        "seconds": orjson.dumps(sums.seconds.to_json()).decode(),
        "waits": orjson.dumps(sums.waits.to_json()).decode(),
    }


def _stages_row(sums: StageSums) -> dict[str, Any]:
    return {
        **{name: getattr(sums, name) for name in STAGE_SUMS},
        "total_seconds": sums.total_seconds,
        "seconds": orjson.dumps(sums.seconds.to_json()).decode(),
    }


def _errors_row(group: Mapping[str, Any]) -> dict[str, Any]:
    return {**group, "jobs": orjson.dumps(group["jobs"]).decode()}


def _bounded(known: set[str], message: str) -> str:
    """The message, or where the hour has too many of them already, the name of all others."""
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


def _add_before(group: dict[str, Any], before: Mapping[str, Any]) -> None:
    group["count"] += before["count"]
    group["first_at"] = min(group["first_at"], before["first_at"])
    group["last_at"] = max(group["last_at"], before["last_at"])
    group["jobs"] = [*(each for each in before["jobs"] if each not in group["jobs"]), *group["jobs"]][-SAMPLES:]
