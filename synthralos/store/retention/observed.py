"""How long the sums of finished jobs are kept: minutes for days, hours for months, days for years."""

from collections.abc import Mapping
from datetime import timedelta

import sqlalchemy as sa

from synthralos.store.sql.database import Database
from synthralos.store.sql.types import asked_at, word
from synthralos.store.tables import error_sums, job_sums, stage_sums

KEPT: Mapping[str, timedelta] = {
    "minute": timedelta(days=2),
    "hour": timedelta(days=62),
    "day": timedelta(days=800),
}
ERRORS_KEPT = timedelta(days=31)


class Observed:
    """Deletes what is older."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prune(self, most: int = 2_000) -> bool:
        """Delete up to `most` rows of each kind; whether there may be more."""
        sums = (job_sums, stage_sums)
        deleted = [self._prune_sums(table, span, kept, most) for table in sums for span, kept in KEPT.items()]
        key = tuple(error_sums.primary_key.columns)
        old = sa.select(*key).where(error_sums.c.since < _ago(ERRORS_KEPT)).limit(most)
        deleted.append(self._delete(sa.delete(error_sums).where(sa.tuple_(*key).in_(old))))
        return most in deleted

    def _prune_sums(self, table: sa.Table, span: str, kept: timedelta, most: int) -> int:
        key = tuple(table.primary_key.columns)
        old = sa.select(*key).where(table.c.span == word(span), table.c.since < _ago(kept)).limit(most)
        return self._delete(sa.delete(table).where(sa.tuple_(*key).in_(old)))

    def _delete(self, statement: sa.Delete) -> int:
        with self._database.transaction() as connection:
            return connection.execute(statement).rowcount


def _ago(age: timedelta) -> asked_at:
    return asked_at(sa.literal(-age.total_seconds()))
