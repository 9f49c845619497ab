"""With 300,000 open jobs no statement of the sweeper or of a claim reads more than a few pages."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from migrations.runner import upgrade
from synthralos.domain.states import Lane, Stage
from synthralos.store.sql.database import Database
from tests.fakes.jobs import new_job
from tests.fakes.stores import Store

pytestmark = pytest.mark.slow

OPEN = 300_000

FEW_PAGES = 200
"""Of 8 kB. The table has about 10,000."""

_INSERT = """
    INSERT INTO open_jobs (id, state, stage, lane, claim_no, attempts, retry_base, losses, rings, in_flight, run_at,
                           deadline, notified_at)
    SELECT md5(n::text)::uuid, CASE mod(n, 2) WHEN 0 THEN 'parked' ELSE 'queued' END, 'heal', 'bulk', 0, 0, 0, 0, 0,
           false, CASE mod(n, 2) WHEN 0 THEN now() + interval '1 day' END, now() + interval '2 days',
           now() - interval '1 hour'
    FROM generate_series(1, {count}) AS n
"""


@pytest.fixture(params=["stale", "fresh"])
def crowded(request: pytest.FixtureRequest, migrated_postgres_database: str) -> Iterator[Store]:
    """300,000 open jobs, of which the planner's statistics may know nothing."""
    with closing(Database(migrated_postgres_database)) as database:
        upgrade(database)
        with database.transaction() as connection:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql(_INSERT.format(count=OPEN))
            if request.param == "fresh":
                connection.exec_driver_sql("ANALYZE")
        yield Store(database)


class PagesRead:
    """Runs every statement once more, explained and rolled back, before it is run: the pages it read."""

    def __init__(self) -> None:
        self.by_statement: dict[str, int] = {}

    @contextmanager
    def listen(self, database: Database) -> Iterator[None]:
        engines = (database.write, database.read)
        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", self._explain)
        yield
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", self._explain)

    def _explain(self, connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        raw = connection.connection.driver_connection
        with raw.transaction(force_rollback=True):
            plan = raw.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters).fetchone()[0][0]
        self.by_statement[statement] = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]


def test_sweeps_and_claims_read_a_few_pages_each(crowded: Store) -> None:
    sweeps, pages = crowded.sweeps, PagesRead()
    worker = crowded.worker()
    crowded.claimed(worker=worker)
    crowded.lose(worker)
    wanted, alive = crowded.submit(*[new_job() for _ in range(8)]), crowded.worker()
    with pages.listen(crowded.database):
        assert sweeps.due()
        assert sweeps.wake_due() == sweeps.expire() == []
        assert sweeps.unclaimed_queues(7200) == []
        assert sweeps.unclaimed_queues(60) == [(Stage.HEAL, Lane.BULK)]
        assert len(sweeps.unclaimed_jobs(Stage.HEAL, Lane.BULK, 60, 10)) == 10
        assert sweeps.unanalyzed(0) == sweeps.backlog(0) == []
        assert sweeps.declare_silent(crowded.now() - timedelta(seconds=60)) == sweeps.declare_gone() == []
        assert len(sweeps.rescue()) == 1
        assert len(crowded.claims.claim(Stage.GUARD, wanted, alive)) == 8
    assert len(pages.by_statement) > 12
    assert {statement: count for statement, count in pages.by_statement.items() if count > FEW_PAGES} == {}
