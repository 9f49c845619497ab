"""Importing exported jobs: each once in a workspace, by the id that it was exported with."""

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from synthralos.domain.jobs import NewJob
from synthralos.store.queue.submissions import Submissions
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import Columns, encode_rows, insert_ignoring, recordset
from synthralos.store.sql.types import Id, id_text, utcnow
from synthralos.store.tables import imported_jobs

_COLUMNS: Columns = {"organization": sa.Text(), "workspace": sa.Text(), "exported_id": Id, "job_id": Id}


class Exported(NamedTuple):
    """A job that is to be made of an exported one."""

    exported_id: str
    job: NewJob

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it in the database."""
        return self.job.tenant.organization, self.job.tenant.workspace, self.exported_id


class Imports:
    """Writes imported jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._submissions = Submissions(database)
        rows = recordset(database.dialect, "rows", _COLUMNS)
        select = sa.select(*(rows.c[name] for name in _COLUMNS), utcnow())
        self._take = insert_ignoring(database.dialect, imported_jobs, [*_COLUMNS, "imported_at"], select)
        held = sa.and_(
            *(imported_jobs.c[name] == rows.c[name] for name in ("organization", "workspace", "exported_id"))
        )
        found = ("organization", "workspace")
        self._holders = sa.select(
            *(imported_jobs.c[name] for name in found),
            id_text(imported_jobs.c.exported_id),
            id_text(imported_jobs.c.job_id),
        ).select_from(imported_jobs.join(rows, held))

    def accept(self, exported: Sequence[Exported]) -> list[str]:
        """Store those that were not imported before, in one transaction; the job of each, made now or earlier.

        Safe to repeat as it is.
        """
        named = {each.key: each for each in reversed(exported)}
        # In one order everywhere, so that two imports of the same file cannot wait for each other.
        rows = {"rows": encode_rows(_row(named[key]) for key in sorted(named))}
        with self._database.transaction() as connection:
            connection.execute(self._take, rows)
            found = connection.execute(self._holders, rows)
            holders = {(row.organization, row.workspace, row.exported_id): str(row.job_id) for row in found}
            self._submissions.insert(connection, [e.job for k, e in named.items() if holders[k] == e.job.id])
        return [holders[each.key] for each in exported]


def _row(each: Exported) -> dict[str, str]:
    organization, workspace, exported_id = each.key
    return {"organization": organization, "workspace": workspace, "exported_id": exported_id, "job_id": each.job.id}
