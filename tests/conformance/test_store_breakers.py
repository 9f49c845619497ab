"""The shared state of circuit breakers: one for all workers, whoever writes, and a record of what became of it."""

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from synthralos.domain.breakers import BreakerState
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.audit import Audit, AuditFilter, By
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import breakers

NAME = "fake/small@us"


def _due(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(sa.update(breakers).values(until=utcnow()))


def test_what_one_worker_found_all_see_and_is_on_record(database: Database) -> None:
    store = BreakerStore(database)
    assert store.shut()[0] == []
    assert store.get(NAME) is None
    for worker in ("a", "b", "c"):
        store.broken(NAME, f"found by {worker}", worker)
    [found], now = store.shut()
    assert (found.name, found.state, found.opened, found.reason) == (NAME, BreakerState.OPEN, 1, "found by a")
    assert found.until is not None
    assert 0 < (found.until - now).total_seconds() <= 5
    [change] = store.changes(NAME, 10)
    assert (change.before, change.after, change.actor) == (BreakerState.CLOSED, BreakerState.OPEN, "a")
    assert store.changes("another", 10) == []


def test_of_many_that_want_the_probe_one_gets_it(database: Database) -> None:
    store = BreakerStore(database)
    store.broken(NAME, "away", "a")
    assert not store.claim_probe(NAME, "a")
    _due(database)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda worker: store.claim_probe(NAME, str(worker)), range(16)))
    assert got.count(True) == 1
    store.unused(NAME, "a")
    assert store.claim_probe(NAME, "b")


def test_it_comes_back_by_probes_alone(database: Database) -> None:
    store = BreakerStore(database)
    store.broken(NAME, "away", "a")
    _due(database)
    for number in range(7):
        assert store.claim_probe(NAME, "a")
        after = store.probed(NAME, None, "a")
        assert (after.state is BreakerState.CLOSED) == (number == 6)
    assert store.shut()[0] == []
    assert [change.after for change in store.changes(NAME, 10)] == ["closed", "half_open", "open"]
    assert store.broken(NAME, "again", "a").opened == 2


def test_an_operator_closes_it_which_is_audited_and_forgives(database: Database) -> None:
    store = BreakerStore(database)
    assert store.reset(NAME, By("ann")) is None
    store.broken(NAME, "away", "a")
    after = store.reset(NAME, By("ann", "it is mended"))
    assert after is not None
    assert (after.state, after.opened) == (BreakerState.CLOSED, 0)
    [entry] = Audit(database).page(AuditFilter(act="breakers.reset"), EVERYTHING, 10)
    assert (entry.subject, entry.actor, entry.reason) == (f"breaker:{NAME}", "ann", "it is mended")
    assert store.reset(NAME, By("ann")) == after


def test_pages_of_changes_follow_one_another(database: Database) -> None:
    store = BreakerStore(database)
    for _ in range(3):
        store.broken(NAME, "away", "a")
        store.reset(NAME, By("ann"))
    first = store.changes(None, 4)
    rest = store.changes(None, 4, first[-1].id)
    assert [len(first), len(rest)] == [4, 2]
    assert len({change.id for change in [*first, *rest]}) == 6
