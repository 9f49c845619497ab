"""The quotas that all workers share: one state, whoever takes, and by the database's clock."""

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from synthralos.domain.quota_units import Left, Unit
from synthralos.domain.quotas import AHEAD, BURST, Ask
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.audit import Audit, AuditFilter, By
from synthralos.store.admin.quotas import QuotaStore
from synthralos.store.sql.database import Database
from synthralos.store.tables import quotas

NAME = "KEY/model"
DECLARED = {Unit.REQUESTS: 600}


def test_all_workers_together_get_no_more_than_there_is(database: Database) -> None:
    store = QuotaStore(database)
    began = _now(store)
    with ThreadPoolExecutor(4) as pool:
        grants = list(
            pool.map(lambda n: store.take(NAME, {Unit.REQUESTS: Ask(2)}, (), DECLARED, str(n % 4)), range(40))
        )
    got = sum(grant.amounts[Unit.REQUESTS] for grant in grants)
    assert 9 < got <= 10 * (_now(store) - began + AHEAD + BURST) + 0.01
    assert max(grant.standing.shared for grant in grants) == 4


def test_what_a_worker_took_with_it_comes_back_by_itself(database: Database) -> None:
    store = QuotaStore(database)
    taken = store.take(NAME, {Unit.REQUESTS: Ask(1_000)}, (), {Unit.REQUESTS: 60_000}, "dies")
    assert taken.amounts[Unit.REQUESTS] > 900
    # A thousand a second: what it took is there again after a second at the latest.
    got = 0.0
    began = _now(store)
    while got < 1_000 and _now(store) - began < 30:
        got += store.take(NAME, {Unit.REQUESTS: Ask(1_000 - got)}, (), {Unit.REQUESTS: 60_000}, "lives").amounts[
            Unit.REQUESTS
        ]
    assert got >= 999.9


def test_a_refusal_closes_for_all_and_another_extends(database: Database) -> None:
    store = QuotaStore(database)
    first, now = store.refuse(NAME, 20.0, "full", [Left(Unit.REQUESTS, 600, 0)])
    assert 19 < first.closed_until - now <= 20
    shorter, _ = store.refuse(NAME, 2.0, "full", ())
    assert shorter.closed_until == first.closed_until
    longer, now = store.refuse(NAME, 50.0, "full again", ())
    assert 49 < longer.closed_until - now <= 50
    grant = store.take(NAME, {Unit.REQUESTS: Ask(5, 1)}, (), {}, "a")
    assert (grant.amounts[Unit.REQUESTS], grant.standing.reason) == (0, "full again")
    assert grant.standing.closed > 40
    assert [each.name for each in store.changed(60.0)[0]] == [NAME]


def test_without_a_wish_it_is_closed_for_longer_and_longer(database: Database) -> None:
    store = QuotaStore(database)
    quota, now = store.refuse(NAME, None, "full", ())
    assert 0.9 < quota.closed_until - now <= 1.0
    _forget_closure(database, store)
    quota, now = store.refuse(NAME, None, "full", ())
    assert 1.9 < quota.closed_until - now <= 2.0


def test_an_operator_has_it_forgotten_which_is_audited(database: Database) -> None:
    store = QuotaStore(database)
    assert store.reset(NAME, By("ann")) is None
    store.refuse(NAME, 20.0, "full", [Left(Unit.TOKENS, 90_000, 0)])
    after = store.reset(NAME, By("ann", "the limit was raised"))
    assert after is not None
    assert (after.closed_until, after.buckets) == (0.0, {})
    assert store.get(NAME) == after
    [entry] = Audit(database).page(AuditFilter(act="quotas.reset"), EVERYTHING, 10)
    assert (entry.subject, entry.actor, entry.reason) == (f"quota:{NAME}", "ann", "the limit was raised")


def test_a_row_of_another_release_is_read_as_far_as_it_is_understood(database: Database) -> None:
    store = QuotaStore(database)
    state = {"buckets": {"images": {"limit": 5}, "tokens": {"limit": 9}}, "refusals": 3, "news": 1}
    store.refuse(NAME, 1.0, "full", ())
    with database.transaction() as connection:
        connection.execute(sa.update(quotas).values(state=state))
    found = store.get(NAME)
    assert found is not None
    assert (found.refusals, list(found.buckets), found.buckets[Unit.TOKENS].limit) == (3, [Unit.TOKENS], 9)


def _now(store: QuotaStore) -> float:
    return store.all()[1]


def _forget_closure(database: Database, store: QuotaStore) -> None:
    """Let the time of the closure pass."""
    found = store.get(NAME)
    assert found is not None
    with database.transaction() as connection:
        row = connection.execute(sa.select(quotas.c.state)).scalar_one()
        connection.execute(sa.update(quotas).values(state={**row, "closed_until": found.closed_until - 2}))
