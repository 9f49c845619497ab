"""What people and programs said of jobs: scores, labels and comments."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.store.admin.changing import upsert
from synthralos.store.exports.again import owe_again
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import among, encode_ids
from synthralos.store.sql.types import id_text, utcnow
from synthralos.store.tables import feedback, jobs

MOST_OF_A_JOB = 50


class Said(NamedTuple):
    """What one source said of a job under one label (which may be empty)."""

    source: str
    label: str
    score: float | None
    comment: str | None


class FeedbackStore:
    """Keeps it. The caller has checked that the job is within the scope."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._of = (
            sa.select(
                id_text(feedback.c.job_id), feedback.c.source, feedback.c.label, feedback.c.score, feedback.c.comment,
                feedback.c.created_by, feedback.c.at,
            )
            .where(among(database.dialect, feedback.c.job_id))
            .order_by(feedback.c.at)
        )  # fmt: skip

    def add(self, job_id: str, said: Said, by: str) -> bool:
        """Keep it; what the source said under that label before is replaced. False where the job has enough of it."""
        values = {"score": said.score, "comment": said.comment, "created_by": by, "at": utcnow()}
        key = {"job_id": job_id, "source": said.source, "label": said.label}
        same = [feedback.c[name] == value for name, value in key.items()]
        with self._database.transaction() as connection:
            # Locked, so that nobody goes beyond the bound beside us, or says something of a deleted job.
            found = connection.execute(sa.select(jobs.c.id).where(jobs.c.id == job_id).with_for_update(key_share=True))
            if found.first() is None:
                return False
            of_job = sa.select(sa.func.count()).where(feedback.c.job_id == job_id, sa.not_(sa.and_(*same)))
            if connection.execute(of_job).scalar_one() >= MOST_OF_A_JOB:
                return False
            connection.execute(upsert(connection, feedback, {**key, **values}, values))
            owe_again(connection, [job_id])
        return True

    def of(self, job_ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
        """What was said of each job, oldest first: rows by column."""
        ids = {"ids": encode_ids(self._database.dialect, job_ids)}
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        with self._database.snapshot() as connection:
            for row in connection.execute(self._of, ids).mappings():
                found[row["job_id"]].append(dict(row))
        return found
