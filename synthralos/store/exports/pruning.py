"""What is owed for too long, or too much of it, is dropped: counted, told of, and never silently."""

from collections import Counter

import sqlalchemy as sa

from synthralos.domain.happenings import ExportDropped, Happening
from synthralos.store.queue.happenings import tell
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import asked_at
from synthralos.store.tables import export_backlog, export_destinations, export_set_aside

_owed, _aside = export_backlog.c, export_set_aside.c


class ExportPruning:
    """Each call drops at most `limit` traces and says how many of which destination: none, and it is done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def too_old(self, older_than: float, limit: int = 5_000) -> Counter[str]:
        """Traces that have been owed for more than `older_than` seconds."""
        key = (_owed.destination, _owed.job_id)
        old = sa.select(*key).where(_owed.since < asked_at(sa.literal(-older_than))).limit(limit)
        return self._drop(sa.tuple_(*key).in_(old), f"owed for more than {older_than / 86_400:g} days")

    def too_many(self, most: int, limit: int = 5_000) -> Counter[str]:
        """The oldest traces of destinations that are owed more than `most`."""
        with self._database.snapshot() as connection:
            names = connection.execute(sa.select(export_destinations.c.name)).scalars().all()
        dropped: Counter[str] = Counter()
        for name in names:
            mine = _owed.destination == name
            newest = sa.select(_owed.job_id).where(mine).order_by(_owed.job_id.desc())
            last = newest.offset(most).limit(1).scalar_subquery()
            oldest = sa.select(_owed.job_id).where(mine, _owed.job_id <= last).order_by(_owed.job_id).limit(limit)
            dropped += self._drop(sa.and_(mine, _owed.job_id.in_(oldest)), f"more than {most} were owed")
        return dropped

    def forgotten(self, older_than: float, limit: int = 5_000) -> int:
        """Traces that were set aside more than `older_than` seconds ago; they are on record as that already."""
        key = (_aside.destination, _aside.job_id)
        old = sa.select(*key).where(_aside.at < asked_at(sa.literal(-older_than))).limit(limit)
        with self._database.transaction() as connection:
            return connection.execute(sa.delete(export_set_aside).where(sa.tuple_(*key).in_(old))).rowcount

    def _drop(self, which: sa.ColumnElement[bool], reason: str) -> Counter[str]:
        with self._database.transaction() as connection:
            statement = sa.delete(export_backlog).where(which).returning(_owed.destination)
            dropped = Counter(connection.execute(statement).scalars())
            count_dropped(connection, dropped, reason, "scheduler")
        return dropped


def count_dropped(connection: sa.Connection, dropped: Counter[str], reason: str, actor: str) -> None:
    """What destinations will never get, in their counts and among the happenings."""
    known = export_destinations.c
    for name, number in sorted(dropped.items()):
        more = sa.update(export_destinations).where(known.name == name).values(dropped=known.dropped + number)
        connection.execute(more)
        told = ExportDropped(destination=name, traces=number, reason=reason)
        tell(connection, [Happening.of(told, name, actor)])
