"""What the monitor's detectors have learned, so that the next leader begins with it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from synthralos.domain.incidents import IncidentKind, Subject
from synthralos.store.queue.leading import Lead, leads
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import Columns, encode_rows, recordset
from synthralos.store.sql.types import Json, asked_at, utcnow
from synthralos.store.tables import baselines

KEPT_DAYS = 30.0
"""Days for which the baseline of a subject is kept that nothing was seen of."""

Key = tuple[IncidentKind, Subject]

_COLUMNS: Columns = {"kind": sa.Text(), "subject": sa.Text(), "learned": Json}


class Learned(NamedTuple):
    """What a detector has learned of its subject."""

    kind: IncidentKind
    subject: Subject
    numbers: Mapping[str, Any]


class Baselines:
    """Blocks; raises what the store raises."""

    def __init__(self, database: Database) -> None:
        self._database = database
        rows = recordset(database.dialect, "rows", _COLUMNS)
        self._insert = _upsert(database.dialect, rows)

    def load(self, most: int) -> list[Learned]:
        """The newest ones."""
        query = sa.select(baselines).order_by(baselines.c.at.desc()).limit(most)
        with self._database.snapshot() as connection:
            rows = connection.execute(query).all()
        return [Learned(IncidentKind(row.kind), Subject.parse(row.subject), row.learned) for row in rows]

    def save(self, learned: Sequence[Learned], lead: Lead) -> bool:
        """Keep them, and forget those of which nothing was seen for long; False where the lead is lost."""
        rows = [
            {"kind": str(each.kind), "subject": str(each.subject), "learned": dict(each.numbers)} for each in learned
        ]
        with self._database.transaction() as connection:
            if not leads(connection, lead):
                return False
            if rows:
                connection.execute(self._insert, {"rows": encode_rows(rows)})
            old = baselines.c.at < asked_at(sa.literal(-KEPT_DAYS * 86_400.0))
            connection.execute(sa.delete(baselines).where(old))
        return True


def _upsert(dialect: str, rows: sa.FromClause) -> Any:
    from_rows = sa.select(*(rows.c[name] for name in _COLUMNS), utcnow()).where(sa.true())
    made: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert
    insert = made(baselines).from_select([*_COLUMNS, "at"], from_rows)
    keys = [baselines.c.kind, baselines.c.subject]
    return insert.on_conflict_do_update(
        index_elements=keys, set_={"learned": insert.excluded.learned, "at": insert.excluded.at}
    )
