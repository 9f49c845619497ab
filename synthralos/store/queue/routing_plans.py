"""Routing plans, stored once for all jobs that share one.

A plan explains itself (every deployment that was excluded, and why), so it is the largest thing that routing
writes; but jobs that are alike share it. Jobs keep its key and their cursor in it.
"""

import threading
from collections.abc import Collection, Iterable, Mapping

import sqlalchemy as sa

from synthralos.domain.plans import RoutingPlan
from synthralos.store.sql.recordset import Columns, encode_rows, insert_ignoring, recordset
from synthralos.store.sql.types import Json, utcnow
from synthralos.store.tables import plans

_COLUMNS: Columns = {"key": sa.Text(), "body": Json}
_REMEMBERED = 4096


class Plans:
    """Writes the plans that the database does not have yet."""

    def __init__(self, dialect: str) -> None:
        rows = recordset(dialect, "rows", _COLUMNS)
        select = sa.select(rows.c.key, rows.c.body, utcnow())
        self._insert = insert_ignoring(dialect, plans, [*_COLUMNS, "created_at"], select)
        self._stored: set[str] = set()
        self._lock = threading.Lock()

    def unknown(self, wanted: Iterable[RoutingPlan | None]) -> dict[str, RoutingPlan]:
        """Those that are not known to be stored, by key."""
        return {plan.key: plan for plan in wanted if plan is not None and plan.key not in self._stored}

    def store(self, connection: sa.Connection, new: Mapping[str, RoutingPlan]) -> None:
        """Store them; those that are there already stay as they are."""
        # In one order everywhere, so that two processes with the same plans cannot wait for each other.
        rows = [{"key": key, "body": new[key].body()} for key in sorted(new)]
        connection.execute(self._insert, {"rows": encode_rows(rows)})

    def confirm(self, keys: Collection[str]) -> None:
        """The transaction that stored them is committed: they need not be written again."""
        with self._lock:
            if len(self._stored) + len(keys) > _REMEMBERED:
                self._stored = set()
            self._stored |= set(keys)


def stored_plans(connection: sa.Connection, keys: Iterable[str | None]) -> dict[str, RoutingPlan]:
    """The plans of these keys, at their first step."""
    wanted = {key for key in keys if key is not None}
    if not wanted:
        return {}
    query = sa.select(plans.c.key, plans.c.body).where(plans.c.key.in_(wanted))
    return {key: RoutingPlan.from_json(body) for key, body in connection.execute(query)}
