"""Every statement of the hot path and of the sweeps finds its rows by an index, whatever the statistics say."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from migrations.runner import upgrade
from synthralos.domain.attempts import Outcome
from synthralos.domain.exports import Aside, Booking, Destination, Kind
from synthralos.domain.repairs import NewRepair, RepairKind, RepairState
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.spans import Span
from synthralos.domain.states import Lane, Stage, Transition
from synthralos.store.admin.audit import By
from synthralos.store.exports.backlog import Backlog
from synthralos.store.exports.closing import Analysis
from synthralos.store.queue.repairs import Repairs, Wanted
from synthralos.store.read.whole import WholeJobs
from synthralos.store.sql.database import Database
from synthralos.store.sql.prepared import Prepared
from tests.fakes.jobs import attempt_end, ids, new_job, settlement, start
from tests.fakes.stores import Store

GROWN = 50_000
BIG = {"jobs": "id", "results": "job_id", "attempts": "job_id", "open_jobs": "id"}


@pytest.fixture(params=["stale", "fresh"])
def grown(request: pytest.FixtureRequest, postgres_database: str) -> Iterator[Store]:
    """50,000 finished jobs with their attempts, of which the planner's statistics may know nothing."""
    with closing(Database(postgres_database)) as database:
        upgrade(database)
        with database.transaction() as connection:
            for table in BIG:
                connection.exec_driver_sql(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
            connection.exec_driver_sql("ANALYZE")
        store = Store(database, ["somewhere"])
        job = store.started()
        store.settle(settlement(job, attempt=attempt_end(1), analyzed=True))
        with database.transaction() as connection:
            for table in ("jobs", "results", "attempts"):
                multiply(connection, table, {BIG[table]: "new"})
            # As many that are open, so that every way to them but the shortest is long.
            connection.exec_driver_sql(
                "INSERT INTO open_jobs"
                " (id, state, stage, lane, claim_no, attempts, retry_base, losses, rings, in_flight, notified_at)"
                " SELECT md5(n::text)::uuid, 'queued', 'guard', 'bulk', 0, 0, 0, 0, 0, false, now()"
                f" FROM generate_series(1, {GROWN}) n"
            )
            if request.param == "fresh":
                connection.exec_driver_sql("ANALYZE")
        yield store


def multiply(connection: sa.Connection, table: str, changed: dict[str, str]) -> None:
    """Copy the one row of the table 50,000 times, under ids of their own."""
    columns = [column["name"] for column in sa.inspect(connection).get_columns(table)]
    values = ", ".join(changed.get(name, f'"{table}"."{name}"') for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    connection.exec_driver_sql(
        f"INSERT INTO {table} ({names}) SELECT {values} FROM {table},"
        f" (SELECT lpad(to_hex(n), 32, '0')::uuid AS new FROM generate_series(1, {GROWN}) n) AS numbers"
    )


class Overheard:
    """The statements that a database was asked, with their parameters and the engine that was asked."""

    def __init__(self) -> None:
        self.statements: list[tuple[sa.Engine, str, Any]] = []

    @contextmanager
    def listen(self, database: Database) -> Iterator[None]:
        def note(connection: sa.Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            self.statements.append((connection.engine, statement, parameters))

        for engine in (database.write, database.read):
            sa.event.listen(engine, "before_cursor_execute", note)
        yield
        for engine in (database.write, database.read):
            sa.event.remove(engine, "before_cursor_execute", note)

    def scanned(self) -> list[tuple[str, str]]:
        """(table, statement) of every sequential scan of a table that grows."""
        found = []
        for engine, statement, parameters in self.statements:
            with engine.connect() as connection:
                asked = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
                [plan] = asked.scalar_one()
            found += [(table, statement) for table in sequential_scans(plan["Plan"]) if table in BIG]
        return found


class OverheardHot:
    """The hot statements that ran, with their parameters: they go to the driver without anybody between."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plans: dict[str, dict[str, Any]] = {}
        run = Prepared.run

        def explained(statement: Prepared, database: Database, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
            with database.hot() as connection:
                asked = connection.execute(f"EXPLAIN (FORMAT JSON) {statement.sql}", parameters).fetchone()
            assert asked is not None
            self.plans[statement.sql] = asked[0][0]["Plan"]
            return run(statement, database, parameters)

        monkeypatch.setattr(Prepared, "run", explained)

    def indexes(self) -> set[str]:
        """Every index that a statement goes through, and every table that it scans."""
        return {name for plan in self.plans.values() for name in ways(plan)}


def ways(node: dict[str, Any]) -> list[str]:
    own = [node["Index Name"]] if "Index Name" in node else sequential_scans({**node, "Plans": ()})
    return own + [name for child in node.get("Plans", ()) for name in ways(child)]


def sequential_scans(node: dict[str, Any]) -> list[str]:
    own = [node["Relation Name"]] if node["Node Type"] == "Seq Scan" else []
    return own + [table for child in node.get("Plans", ()) for table in sequential_scans(child)]


def work(store: Store) -> None:
    """Everything that workers, sweepers and operators do to jobs."""
    worker = store.worker()
    wanted = store.submit(*[new_job() for _ in range(64)])
    jobs = store.claims.take(Stage.GUARD, wanted, worker)
    assert sorted(ids(jobs)) == sorted(wanted)
    store.settlements.start([start(job) for job in jobs])
    for job in jobs:
        job.claim = job.claim.taken()
    failed, parked, lost, *done = jobs
    now = store.now()
    span = Span("execute", now, now)
    repair = NewRepair(RepairKind.RETRY, "it is a test", "timeout", now)
    store.settlements.settle([
        settlement(failed, Transition.CONTINUE, attempt=attempt_end(1, Outcome.FAILED)),
        settlement(parked, Transition.PARK, stage=Stage.HEAL, attempt=attempt_end(1, Outcome.FAILED), repair=repair),
        *(settlement(job, attempt=attempt_end(1), spans=[span]) for job in done),
    ])  # fmt: skip
    analysis = Analysis(store.database, ["somewhere"])
    analysis.close(dict.fromkeys(analysis.open_traces(ids(done)), span))
    ship(Backlog(store.database))
    store.operations.cancel(failed.id, EVERYTHING, "ann")
    store.operations.retry(failed.id, EVERYTHING, "ann")
    repairs = Repairs(store.database)
    [following] = repairs.following(10)
    repairs.end(following.repair.id, RepairState.FAILED, "it is a test")
    repairs.ask(parked.id, EVERYTHING, Wanted(RepairKind.RETRY, {}, 60.0), By("ann"))
    store.reader.states(wanted)
    store.reader.histories(wanted)
    store.reader.jobs(wanted, EVERYTHING)
    store.reader.timeline(lost.id)
    store.lose(worker)


def ship(backlog: Backlog) -> None:
    """A shipment to a destination, and what became of it."""
    backlog.serve(Destination("somewhere"))
    backlog.rests("somewhere")
    first, second, *others = backlog.claim("somewhere")
    backlog.book("somewhere", Booking(len(others), others, [Aside(first, Kind.REFUSED, "no")], [second]))
    backlog.due_in("somewhere")


def sweep(store: Store) -> None:
    """One of each sweep."""
    sweeps = store.sweeps
    sweeps.wake_due()
    sweeps.expire()
    sweeps.unclaimed_queues(0)
    sweeps.unclaimed_jobs(Stage.GUARD, Lane.BULK, 0, 2000)
    sweeps.unanalyzed(0)
    sweeps.declare_gone()
    sweeps.declare_silent(store.now() - timedelta(seconds=60))
    assert sweeps.rescue()


def test_no_statement_scans_a_table_that_grows(grown: Store) -> None:
    overheard = Overheard()
    with overheard.listen(grown.database):
        work(grown)
        sweep(grown)
    assert len(overheard.statements) > 30
    assert overheard.scanned() == []


def test_hot_statements_find_their_rows_by_primary_key_alone(grown: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an index of a state they would read every job of that state, once for each batch or even for each row."""
    overheard = OverheardHot(monkeypatch)
    work(grown)
    assert len(overheard.plans) == 5
    assert overheard.indexes() == {"jobs_pkey", "open_jobs_pkey", "processes_pkey"}


def test_a_whole_job_is_found_by_primary_keys_alone(grown: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = grown.submit(*[new_job() for _ in range(3)])
    overheard = OverheardHot(monkeypatch)
    assert WholeJobs(grown.database).read(wanted).keys() == set(wanted)
    tables = ("jobs", "open_jobs", "results", "attempts", "routing_plans")
    assert overheard.indexes() == {f"{table}_pkey" for table in tables}
