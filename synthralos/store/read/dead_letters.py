"""Dead letters: jobs that failed for good. Which there are, and what they failed of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from synthralos.domain.bulk import DeadLetterFilter
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.scope import Scope
from synthralos.domain.states import State
from synthralos.store.sql.database import Database
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import id_text, word
from synthralos.store.tables import attempts, catalog_entries, jobs, results

COUNTED = 50_000
"""The newest dead letters that are grouped by cause."""

_UNKNOWN = Failure(FailureClass.INTERNAL, "nothing was written down")

_FAILURE = sa.type_coerce(results.c.failure, sa.Text())


@dataclass(slots=True)
class Cause:
    """Dead letters that failed alike. `samples` are ids, newest first."""

    failure_class: str
    provider_code: str | None
    http_status: int | None
    jobs: int
    first_failed_at: datetime
    last_failed_at: datetime
    message: str
    samples: list[str]


def dead_letters(wanted: DeadLetterFilter, scope: Scope, *columns: Any) -> Any:
    """A query of failed jobs (`results` joined with `jobs`) that fit, within the scope."""
    query = sa.select(*columns).select_from(results.join(jobs, jobs.c.id == results.c.job_id))
    return query.where(results.c.state == word(State.FAILED), *_conditions(wanted), *within(scope, jobs))


def _conditions(wanted: DeadLetterFilter) -> list[sa.ColumnElement[bool]]:
    equal = {"model": wanted.model, "workspace": wanted.workspace, "user_id": wanted.user, "run_id": wanted.run_id}
    conditions: list[sa.ColumnElement[bool]] = [jobs.c[n] == value for n, value in equal.items() if value is not None]
    if wanted.failure_class is not None:
        # A failure's stored form begins with its class (`Failure.to_json`).
        conditions.append(_FAILURE.startswith(f'{{"class":"{wanted.failure_class}"', autoescape=True))
    if wanted.deployment is not None:
        last = attempts.c.job_id == results.c.job_id, attempts.c.attempt_no == results.c.attempts
        called = catalog_entries.c.key == attempts.c.entry_key, catalog_entries.c.deployment == wanted.deployment
        conditions.append(sa.exists().where(*last, *called))
    if wanted.failed_after is not None:
        conditions.append(results.c.finished_at >= wanted.failed_after)
    if wanted.failed_before is not None:
        conditions.append(results.c.finished_at < wanted.failed_before)
    if wanted.jobs:
        conditions.append(results.c.job_id.in_(wanted.jobs))
    return conditions


class DeadLetters:
    """Reads dead letters. Within the caller's scope, always."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, wanted: DeadLetterFilter, scope: Scope, limit: int, before: str | None = None) -> list[str]:
        """Ids of dead letters, those that were submitted last first; `before` is the last one of the page before."""
        query = dead_letters(wanted, scope, id_text(results.c.job_id))
        if before is not None:
            query = query.where(results.c.job_id < before)
        with self._database.snapshot() as connection:
            return list(connection.execute(query.order_by(results.c.job_id.desc()).limit(limit)).scalars())

    def causes(self, wanted: DeadLetterFilter, scope: Scope, samples: int = 5) -> tuple[list[Cause], bool]:
        """The newest dead letters by what they failed of, most frequent first; whether there are more than counted."""
        columns = id_text(results.c.job_id), _FAILURE.label("failure"), results.c.finished_at
        query = dead_letters(wanted, scope, *columns).order_by(results.c.job_id.desc()).limit(COUNTED + 1)
        with self._database.snapshot() as connection:
            rows = connection.execute(query).all()
        return _grouped(rows[:COUNTED], samples), len(rows) > COUNTED


def _grouped(rows: Sequence[Any], samples: int) -> list[Cause]:
    causes: dict[tuple[Any, ...], Cause] = {}
    for row in rows:
        failure = _UNKNOWN if row.failure is None else Failure.from_json(orjson.loads(row.failure))
        key = str(failure.failure_class), failure.provider_code, failure.http_status
        cause = causes.get(key)
        if cause is None:
            cause = causes[key] = Cause(*key, 0, row.finished_at, row.finished_at, failure.message, [])
        cause.jobs += 1
        cause.first_failed_at = min(cause.first_failed_at, row.finished_at)
        cause.last_failed_at = max(cause.last_failed_at, row.finished_at)
        if len(cause.samples) < samples:
            cause.samples.append(row.job_id)
    return sorted(causes.values(), key=lambda cause: -cause.jobs)
