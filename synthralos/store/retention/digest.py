"""The leader's digest of finished jobs: their facts, and the sums of them by minute, hour and day.

Each end of a job is counted once: its facts, the sums and how far the digest has come are one transaction. Two passes
go over the same time. The first is a second behind, the other half a minute: it finds what was committed long after it
had got its time, and costs one look into an index for each job.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from synthralos.domain.observing import FINISHED, LATE, Fact, sums_of
from synthralos.domain.stage_sums import stage_sums_of
from synthralos.store.queue.leading import STATEMENT_SECONDS
from synthralos.store.read.finished import Finished
from synthralos.store.retention.finished_sums import FinishedSums
from synthralos.store.retention.observed import KEPT
from synthralos.store.retention.places import move, place_of
from synthralos.store.sql.database import Database
from synthralos.store.sql.page_bounds import bound_pages
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import Id, UtcTime, encode_money, encode_time, utcnow
from synthralos.store.tables import digests, jobs, trace_facts, trace_texts

BEHIND: Mapping[str, timedelta] = {FINISHED: timedelta(seconds=1), LATE: timedelta(seconds=30)}
"""How far each pass stays behind the database's clock."""

SAID_EVERY = timedelta(seconds=20)
"""Where nothing finishes, that is said after so long: readers see by it that the digest goes on."""

MOST_JOBS = 1_000
"""Jobs that one transaction digests."""

_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=1)
"""The time that one look goes over: as long as it has about `MOST_JOBS` jobs in it."""


class Digest:
    """Goes on where the last leader stopped. Safe to repeat, and for any number of leaders at once.

    `digested` counts the ends of jobs that were taken.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._finished = Finished(database.dialect)
        self._stretch = dict.fromkeys(BEHIND, timedelta(minutes=1))
        self._insert = _insert(database.dialect)
        ids = recordset(database.dialect, "ids", {"id": Id})
        self._before = sa.select(trace_facts.c.seq).join(ids, ids.c.id == trace_facts.c.job_id)
        self._sums = FinishedSums(database.dialect)
        self.digested = 0

    def round(self, name: str = FINISHED, most: int = MOST_JOBS) -> bool:
        """Digest what comes next of one pass; whether there may be more at once."""
        if not self._is_due(name):
            return False
        bound_pages(self._database, "results_by_finished_at")
        with self._database.transaction() as connection:
            self._limit(connection)
            # First, by every pass: so one transaction at a time digests.
            digested = place_of(connection, FINISHED)
            place = digested if name == FINISHED else place_of(connection, name)
            now = connection.execute(sa.select(utcnow())).scalar_one()
            since, end = place.at, now - BEHIND[name]
            if since is None:
                since = self._beginning(connection)
            if since is None or since >= end:
                return False
            until = min(end, since + self._stretch[name])
            facts = self._finished.undigested(connection, since, until, most)
            if len(facts) == most:
                until = facts[-1].finished_at  # those of that very moment are looked at again
                self._stretch[name] = max(_SHORTEST, self._stretch[name] / 2)
            elif len(facts) < most / 4:
                self._stretch[name] = min(_LONGEST, self._stretch[name] * 2)
            self._take(connection, facts, digested.seq, now)
            move(connection, name, at=until)
        self.digested += len(facts)
        return bool(until < end)

    def _is_due(self, name: str) -> bool:
        """Whether there is anything to digest, or to say that there is nothing: two reads, while nothing happens."""
        query = sa.select(digests.c.at, utcnow().label("now")).where(digests.c.name == name)
        with self._database.snapshot() as connection:
            place = connection.execute(query).one_or_none()
            if place is None or place.at is None:
                return True
            end = place.now - BEHIND[name]
            return end - place.at > SAID_EVERY or self._finished.any_within(connection, place.at, end)

    def finish(self) -> None:
        """Digest all that there is now; for tests and benchmarks, which cannot wait for it."""
        while self.round():
            pass

    def _take(self, connection: sa.Connection, facts: Sequence[Fact], seq: int, now: datetime) -> None:
        if facts:
            self._forget(connection, facts)
            rows = [_row(fact, seq + number) for number, fact in enumerate(facts, 1)]
            connection.execute(self._insert, {"rows": encode_rows(rows)})
            self._sums.add_jobs(connection, sums_of(facts, now - KEPT["minute"]))
            self._sums.add_stages(connection, stage_sums_of(facts, now - KEPT["minute"]))
            self._sums.add_errors(connection, facts)
            move(connection, FINISHED, seq=seq + len(facts))

    def _forget(self, connection: sa.Connection, facts: Sequence[Fact]) -> None:
        """The facts of the ends that these jobs had before they were retried."""
        ids = encode_rows({"id": fact.job_id} for fact in facts)
        found = list(connection.execute(self._before, {"ids": ids}).scalars())
        if found:
            forget_texts(connection, found)
            connection.execute(sa.delete(trace_facts).where(trace_facts.c.seq.in_(found)))

    def _beginning(self, connection: sa.Connection) -> datetime | None:
        """When the first job was handed in; nothing can have finished before."""
        first = sa.select(jobs.c.created_at).order_by(jobs.c.id).limit(1)
        moment: datetime | None = connection.execute(first).scalar()
        return None if moment is None else moment - timedelta(minutes=10)

    def _limit(self, connection: sa.Connection) -> None:
        if self._database.dialect == "postgresql":
            connection.exec_driver_sql(
                f"SELECT set_config('statement_timeout', '{STATEMENT_SECONDS}s', true),"
                " set_config('enable_hashjoin', 'on', true), set_config('plan_cache_mode', 'force_custom_plan', true)"
            )


def forget_texts(connection: sa.Connection, seqs: Sequence[int]) -> None:
    """Take words out of the index, by the `seq` of their facts."""
    key = sa.column("rowid") if connection.dialect.name == "sqlite" else trace_texts.c.seq
    connection.execute(sa.delete(trace_texts).where(key.in_(seqs)))


def _insert(dialect: str) -> sa.Insert:
    columns = {
        column.name: sa.Text() if isinstance(column.type, UtcTime) and dialect == "sqlite" else column.type
        for column in trace_facts.c
    }
    rows = recordset(dialect, "rows", columns)
    return sa.insert(trace_facts).from_select(list(columns), sa.select(*(rows.c[name] for name in columns)))


def _row(fact: Fact, seq: int) -> dict[str, Any]:
    return {
        "job_id": fact.job_id,
        "seq": seq,
        "organization": fact.organization,
        "workspace": fact.workspace,
        "user_id": fact.user,
        "trace_id": fact.trace_id,
        "run_id": fact.run_id,
        "model": fact.model,
        "lane": fact.lane,
        "state": fact.state,
        "deployment": fact.deployment,
        "failure_class": fact.failure_class,
        "created_at": encode_time(fact.created_at),
        "finished_at": encode_time(fact.finished_at),
        "seconds": fact.seconds,
        "wait_seconds": fact.wait_seconds,
        "calls": fact.calls,
        "input_tokens": fact.input_tokens,
        "output_tokens": fact.output_tokens,
        "cost_picousd": encode_money(fact.cost),
        "cost_known": fact.cost_known,
    }
