"""Where bulk jobs stand in their lines: one look into an index a job, however many wait."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from synthralos.domain.standing import MOST_COUNTED
from synthralos.domain.states import State
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import Id, id_text, utcnow, word
from synthralos.store.tables import open_jobs


class Place(NamedTuple):
    """The name of the line, how many are before the job, and the database's time."""

    line: str
    ahead: int
    now: datetime


class LinePlaces:
    """Jobs are called in the order of their ids, as `Lines.heads` reads them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        ids = recordset(database.dialect, "ids", {"id": Id})
        before = open_jobs.alias("before")
        earlier = sa.select(sa.literal(1)).where(before.c.line == open_jobs.c.line, before.c.line.is_not(None))
        counted = earlier.where(before.c.id < open_jobs.c.id).limit(MOST_COUNTED).correlate(open_jobs).subquery()
        ahead = sa.select(sa.func.count()).select_from(counted).scalar_subquery()
        self._places = (
            sa.select(id_text(open_jobs.c.id), open_jobs.c.line, ahead.label("ahead"), utcnow().label("now"))
            .select_from(ids.join(open_jobs, ids.c.id == open_jobs.c.id))
            .where(open_jobs.c.line.is_not(None), open_jobs.c.state == word(State.QUEUED))
        )

    def of(self, job_ids: Sequence[str]) -> dict[str, Place]:
        """The places of those of `job_ids` that stand in line."""
        if not job_ids:
            return {}
        with self._database.snapshot() as connection:
            rows = connection.execute(self._places, {"ids": encode_rows({"id": job_id} for job_id in job_ids)})
            return {row.id: Place(row.line, row.ahead, row.now) for row in rows}
