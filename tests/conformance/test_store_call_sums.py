"""What the monitor reads: calls of a stretch of time in sums, and jobs that do not move, the same on both databases."""

import math
from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from synthralos.domain.failures import FailureClass
from synthralos.domain.states import Lane, Stage, State
from synthralos.store.read.call_sums import CallReader, total
from synthralos.store.read.stuck import OVERDUE, RUNG_IN_VAIN, StuckReader
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import attempts
from tests.fakes.jobs import new_job
from tests.fakes.ledger import Calls, book, now
from tests.fakes.stores import Store

SMALL, LARGE = "fake/small@us", "fake/large@us"
SECOND = timedelta(seconds=1)


def test_calls_are_summed_by_deployment_and_organization(database: Database) -> None:
    at = now(database)
    some = [
        Calls(SMALL, 3, seconds=2.0, output=99, cost=Decimal("0.003")),
        Calls(SMALL, 2, FailureClass.SERVER_ERROR),
        Calls(SMALL, 1, FailureClass.INVALID_REQUEST, organization="other"),
        Calls(LARGE, 1, cost=None),
    ]
    book(database, at, some)
    found = {(each.deployment, each.organization): each for each in CallReader(database).between(at, at + SECOND)}
    acme = found[SMALL, "acme"]
    assert (acme.answered, acme.failed, acme.refused) == (3, 2, 0)
    assert acme.latency.n == 3
    assert acme.latency.y == pytest.approx(3 * math.log(2))
    assert acme.latency.xx == pytest.approx(3 * math.log(100) ** 2)
    assert acme.price.y == pytest.approx(3 * math.log(0.003e12 / 149), rel=1e-6)
    assert (found[SMALL, "other"].answered, found[SMALL, "other"].refused) == (0, 1)
    assert (found[LARGE, "acme"].price.n, found[LARGE, "acme"].latency.n) == (0, 1)
    assert total(each.latency for each in found.values()).n == 4


def test_limits_and_deadlines_of_jobs_say_nothing_of_a_deployment(database: Database) -> None:
    at = now(database)
    kinds = (FailureClass.RATE_LIMITED, FailureClass.CREDENTIAL, FailureClass.INTERNAL, FailureClass.QUOTA_EXHAUSTED)
    cut = Calls(SMALL, 1, FailureClass.TIMEOUT, deadline_in=0.0)
    book(database, at, [cut, *(Calls(SMALL, 1, each) for each in kinds)])
    assert CallReader(database).between(at, at + SECOND) == []
    book(database, at + SECOND, [Calls(SMALL, 1, FailureClass.TIMEOUT, deadline_in=60.0)])
    [found] = CallReader(database).between(at + SECOND, at + 2 * SECOND)
    assert (found.answered, found.failed) == (0, 1)


def test_each_call_is_in_one_stretch(database: Database) -> None:
    at = now(database)
    for number in range(4):
        book(database, at + number * SECOND, [Calls(SMALL, 1)])
    reader = CallReader(database)
    stretches = [reader.between(at + number * SECOND, at + (number + 1) * SECOND) for number in range(4)]
    assert [[each.answered for each in found] for found in stretches] == [[1]] * 4
    assert reader.now() >= at


def test_a_stretch_is_found_by_the_index_of_time(database: Database) -> None:
    if database.dialect != "postgresql":
        pytest.skip("plans of SQLite are another matter")
    at = now(database)
    book(database, at, [Calls(SMALL, 1)])
    query = sa.select(attempts.c.job_id).where(attempts.c.ended_at >= at, attempts.c.ended_at < at + SECOND)
    text = str(query.compile(database.read, compile_kwargs={"literal_binds": True}))
    with database.snapshot() as connection:
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {text}".replace("%", "%%")).scalars())
    assert "attempts_by_ended_at" in plan


def test_jobs_that_do_not_move_are_counted_where_they_are(store: Store) -> None:
    reader = StuckReader(store.database, 10.0)
    ids = store.submit(*(new_job() for _ in range(6)))
    assert not any(reader.counts(lambda stage, lane: False).values())
    store.update_job(ids[0], rings=RUNG_IN_VAIN)
    store.update_job(ids[1], state=str(State.PARKED), run_at=utc_in(sa.literal(-OVERDUE - 1)))
    store.update_job(ids[2], state=str(State.PARKED), run_at=utc_in(sa.literal(-OVERDUE / 2)))
    for job_id, ago in ((ids[3], 31.0), (ids[4], 29.0)):
        begun = {"state": str(State.ACTIVE), "in_flight": True, "started_at": utc_in(sa.literal(-ago))}
        store.update_job(job_id, stage=str(Stage.EXECUTE), **begun)
    found = reader.counts(lambda stage, lane: False)
    assert found == {(Stage.GUARD, Lane.BULK): 2, (Stage.EXECUTE, Lane.BULK): 1}
    assert reader.counts(lambda stage, lane: True)[Stage.GUARD, Lane.BULK] == 1
    assert ids[0] in reader.queued(Stage.GUARD, Lane.BULK)
