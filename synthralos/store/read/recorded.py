"""Recorded jobs as policies are tried on them: page by page, newest first, each page a read of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from synthralos.domain.ids import id_at
from synthralos.domain.scope import Scope
from synthralos.store.read.jobs import CLOCKS, Row
from synthralos.store.sql.database import Database
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import id_text
from synthralos.store.tables import all_jobs

PAGE = 400
"""Jobs of a page: some milliseconds to read, and a few megabytes where prompts are long."""

job = all_jobs.c
_COLUMNS = (
    id_text(job.id), job.organization, job.workspace, job.user_id, job.account_plan, job.stage, job.lane,
    job.trace_id, job.run_id, job.model, job.request, job.constraints, job.metadata, job.verdict, job.created_at,
)  # fmt: skip
_NAMES = tuple(str(column.key) for column in _COLUMNS)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Which jobs: the newest `last` of those from `since` until before `until`, within one organization or all."""

    last: int
    since: datetime | None = None
    until: datetime | None = None
    organization: str | None = None


class RecordedJobs:
    """Reads them as dicts keyed by column. Nothing outside the scope is shown."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pages(self, wanted: Recorded, scope: Scope, size: int = PAGE) -> Iterator[list[Row]]:
        """The pages, until there are no more jobs. Each holds a connection only while it is read."""
        cursor, left = None, wanted.last
        while left > 0:
            found = self._page(wanted, scope, cursor, min(size, left))
            if not found:
                return
            yield found
            left -= len(found)
            cursor = found[-1]["id"]

    def _page(self, wanted: Recorded, scope: Scope, cursor: str | None, size: int) -> list[Row]:
        conditions: list[sa.ColumnElement[bool]] = within(scope, all_jobs)
        if wanted.organization is not None:
            conditions.append(job.organization == wanted.organization)
        # Ids hold the time at which the API made them, and have the index.
        if wanted.since is not None:
            conditions += [job.id >= id_at(wanted.since - CLOCKS), job.created_at >= wanted.since]
        if wanted.until is not None:
            conditions += [job.id < id_at(wanted.until + CLOCKS), job.created_at < wanted.until]
        if cursor is not None:
            conditions.append(job.id < cursor)
        query = sa.select(*_COLUMNS).where(*conditions).order_by(job.id.desc()).limit(size)
        with self._database.snapshot() as connection:
            return [dict(zip(_NAMES, row, strict=True)) for row in connection.execute(query)]
