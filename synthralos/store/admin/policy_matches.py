"""How often each rule of each policy set has matched, and when last: added up in memory, written now and then."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from synthralos.store.admin.changing import upsert
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import policy_matches

RuleId = tuple[str, str]
"""(id of the set, id of the rule)."""

table = policy_matches


@dataclass(frozen=True, slots=True)
class Matches:
    """How many jobs a rule has matched, and when it did last, true to some seconds."""

    count: int
    last_at: datetime


class PolicyMatches:
    """Adds them up and reads them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, counts: Mapping[RuleId, int]) -> None:
        """These rules have matched so many more jobs just now. Rows are taken in one order by everybody."""
        with self._database.transaction() as connection:
            for (set_id, rule), count in sorted(counts.items()):
                values = {"set_id": set_id, "rule": rule, "matches": count, "last_matched_at": utcnow()}
                again = {"matches": table.c.matches + count, "last_matched_at": utcnow()}
                connection.execute(upsert(connection, table, values, again))

    def of(self, set_id: str) -> dict[str, Matches]:
        """Those of a set, by rule; a rule that has matched nothing is not there."""
        query = sa.select(table.c.rule, table.c.matches, table.c.last_matched_at).where(table.c.set_id == set_id)
        with self._database.snapshot() as connection:
            return {row.rule: Matches(row.matches, row.last_matched_at) for row in connection.execute(query)}
