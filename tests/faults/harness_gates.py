"""Gates: points in a process's database work at which a test can hold it, without a line in the code under test.

A gate is a trigger in the test's database that asks for an advisory lock which the test holds. `before` lets the
statement run and holds the process in its answer: killed there, nothing is committed, unless the statement is a
transaction by itself, which the server then finishes alone (`Gate.abort` sees to it that it does not, as if the kill
had come before it was sent). `commit` holds it in COMMIT itself, by a deferred trigger: killed or cut off there, the
server still commits, and the process does not know.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import sqlalchemy as sa
from psycopg import sql

if TYPE_CHECKING:
    from tests.faults.harness import Site

_KEY = 7_001
_WAITING = (
    "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_ROW_WAITERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'"
)


@dataclass(frozen=True)
class Point:
    """What a process is doing when the gate holds it: a change of `table` that fulfils `when`."""

    table: str
    change: str
    when: str


CLAIM = Point("open_jobs", "UPDATE", "OLD.state = 'queued' AND NEW.state = 'active' AND NOT NEW.in_flight")
START = Point("open_jobs", "UPDATE", "NOT OLD.in_flight AND NEW.in_flight")
SETTLE = Point("attempts", "INSERT", "NEW.outcome <> 'lost'")
RESCUE = Point("open_jobs", "UPDATE", "OLD.state = 'active' AND NEW.losses > OLD.losses")
CANCEL = Point("results", "INSERT", "NEW.state = 'cancelled'")
ACCEPT = Point("jobs", "INSERT", "true")


class Gate:
    """A closed gate. It opens at `open`, or at the end of `gate`."""

    def __init__(self, site: "Site", holder: psycopg.Connection) -> None:
        self._site, self._holder = site, holder

    def wait_for(self, transactions: int = 1) -> None:
        """Wait until so many transactions are held."""
        self._site.eventually(lambda: self._held() >= transactions, f"{transactions} transactions are at the gate")

    def open(self) -> None:
        """Let everything through."""
        self._holder.execute("SELECT pg_advisory_unlock_all()")

    def abort(self) -> None:
        """Have the server give up what is held, and wait until it has: nothing of it is committed."""
        self._holder.execute(f"SELECT pg_terminate_backend(pid) {_WAITING}")
        self._site.eventually(lambda: self._held() == 0, "nothing is at the gate any more")

    def _held(self) -> int:
        row = self._holder.execute(f"SELECT count(*) {_WAITING}").fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def gate(site: "Site", point: Point, *, at: str) -> Iterator[Gate]:
    """Hold transactions that come to `point`: `at` is `before` or `commit`."""
    deferred = sql.SQL("DEFERRABLE INITIALLY DEFERRED" if at == "commit" else "NOT DEFERRABLE")
    url = site.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [_KEY])
        holder.execute(
            sql.SQL(
                "CREATE OR REPLACE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " PERFORM pg_advisory_xact_lock_shared({key}); RETURN NULL; END $$"
            ).format(key=_KEY)
        )
        holder.execute(
            sql.SQL(
                "CREATE CONSTRAINT TRIGGER gate AFTER {change} ON {table} {deferred} FOR EACH ROW WHEN ({when})"
                " EXECUTE FUNCTION gate()"
            ).format(
                change=sql.SQL(point.change),
                table=sql.Identifier(point.table),
                deferred=deferred,
                when=sql.SQL(point.when),
            )
        )
        held = Gate(site, holder)
        try:
            yield held
        finally:
            held.open()
            holder.execute(sql.SQL("DROP TRIGGER gate ON {}").format(sql.Identifier(point.table)))


def waits_for_rows(site: "Site") -> bool:
    """Whether anybody waits for a row that another transaction holds."""
    return bool(site.query(sa.text(_ROW_WAITERS))[0][0])
