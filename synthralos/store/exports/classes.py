"""Where the data of jobs may go that a trace names beside its own."""

from collections.abc import Collection

import sqlalchemy as sa

from synthralos.store.sql.database import Database
from synthralos.store.sql.types import id_text
from synthralos.store.tables import all_jobs

GONE = "unknown"
"""The class of a job that is gone: nobody can say any more where its data may go."""


class Classes:
    """Reads the classes of jobs' data. Blocks; raises what the store raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, job_ids: Collection[str]) -> dict[str, str | None]:
        """The class of each job's data, by job id; None: it has none."""
        if not job_ids:
            return {}
        wanted = sa.select(id_text(all_jobs.c.id), all_jobs.c.constraints).where(all_jobs.c.id.in_(sorted(job_ids)))
        with self._database.snapshot() as connection:
            found = {row.id: (row.constraints or {}).get("classification") for row in connection.execute(wanted)}
        return {job_id: found.get(job_id, GONE) for job_id in job_ids}
