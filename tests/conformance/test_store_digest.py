"""The digest of finished jobs: each end is counted once, and what is erased is found no more."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.jobs import Tenant
from synthralos.domain.metrics import MetricsQuery, aligned
from synthralos.domain.observing import FINISHED, LATE, Histogram, Sums
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.spans import Span
from synthralos.domain.states import Transition
from synthralos.store.read.observed import ObservedJobs, sums_from
from synthralos.store.retention.digest import Digest
from synthralos.store.retention.text_index import TextIndex
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import digests, error_sums, job_sums, jobs, results, stage_sums, trace_facts, trace_texts
from tests.fakes.jobs import attempt_end, failure, new_job, settlement
from tests.fakes.stores import Store

OTHER = Tenant("other", "side", None)


@pytest.fixture
def digest(database: Database) -> Digest:
    return Digest(database)


def finished(store: Store, seconds_ago: float = 60.0, **job: Any) -> str:
    """A job that succeeded some time ago."""
    begun = store.started(new_job(**job))
    store.settle(settlement(begun, attempt=attempt_end(1), result={"text": "Paris"}, analyzed=True))
    store.backdate(begun.id, finished_at=seconds_ago, created_at=seconds_ago + 2)
    return begun.id


def failed(store: Store, seconds_ago: float = 60.0, **job: Any) -> str:
    """A job whose one call failed, and which failed with it."""
    begun = store.started(new_job(**job))
    end = attempt_end(1, Outcome.FAILED, billed=Billed.NO, usage=None, cost=None)
    store.settle(settlement(begun, Transition.FAIL, attempt=end, failure=failure().to_json(), analyzed=True))
    store.backdate(begun.id, finished_at=seconds_ago, created_at=seconds_ago + 2)
    return begun.id


def sums(store: Store, span: str = "day", organization: str = "") -> Sums:
    """All that is summed."""
    found = Sums()
    for row in _rows(store, job_sums):
        if row.span == span and row.organization == organization:
            found.take(sums_from(row._mapping))
    return found


def _rows(store: Store, table: sa.Table) -> list[Any]:
    with store.database.snapshot() as connection:
        return list(connection.execute(sa.select(table)))


def words(store: Store) -> int:
    with store.database.snapshot() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(trace_texts)).scalar_one())


def test_every_end_is_counted_once(store: Store, digest: Digest) -> None:
    for number in reversed(range(7)):
        finished(store, 10 + 3600 * number)
    failed(store, tenant=OTHER)
    for _ in range(2):
        digest.finish()
        while digest.round(LATE, most=2):
            pass
        for span in ("minute", "hour", "day"):
            whole, acme = sums(store, span), sums(store, span, "acme")
            assert (whole.jobs, acme.jobs, sums(store, span, "other").jobs) == (8, 7, 1)
            assert whole.cost == acme.cost == 7 * Decimal("0.0004425")
            assert sum(whole.seconds.counts.values()) == 8
    assert len(_rows(store, trace_facts)) == 8


def test_small_rounds_come_to_the_same(store: Store, digest: Digest) -> None:
    for _ in range(5):
        finished(store, 100)
    while digest.round(most=2):
        pass
    assert sums(store).jobs == 5
    assert sorted(row.seq for row in _rows(store, trace_facts)) == [1, 2, 3, 4, 5]


def spans(*visits: tuple[str, float, str]) -> tuple[Span, ...]:
    """One after the other, of so many seconds each."""
    at, found = datetime(2026, 5, 17, tzinfo=UTC), []
    for name, seconds, status in visits:
        found.append(Span(name, at, at + timedelta(seconds=seconds), status))
        at = found[-1].ended_at
    return tuple(found)


@pytest.mark.parametrize("most", [1, 100])
def test_stages_are_summed_by_their_visits(store: Store, digest: Digest, database: Database, most: int) -> None:
    for tenant in (OTHER, Tenant("acme", "main", None), Tenant("acme", "main", None)):
        begun = store.started(new_job(tenant=tenant))
        visits = spans(("route", 0.5, "ok"), ("execute", 2.0, "error"), ("execute", 4.0, "ok"))
        store.settle(settlement(begun, attempt=attempt_end(1), spans=visits, analyzed=True))
        store.backdate(begun.id, finished_at=90, created_at=100)
    now = store.now() + timedelta(minutes=1)
    query = MetricsQuery(*aligned(now - timedelta(hours=1), now, now), ("stage",))

    def asked(scope: Scope, stage: str) -> list[tuple[int, int, int, float]]:
        found = ObservedJobs(database).stages(query, scope).groups
        return [
            (each.jobs, each.visits, each.failed, each.total_seconds)
            for key, each in found.items()
            if key == (stage,)
        ]  # fmt: skip

    def told() -> list[list[tuple[int, int, int, float]]]:
        scopes = EVERYTHING, Scope("acme"), Scope("acme", "main"), Scope("acme", "side"), Scope("nobody")
        return [asked(scope, "execute") for scope in scopes]

    while digest.round(most=most):
        pass
    assert told() == [[(3, 6, 3, 18.0)], [(2, 4, 2, 12.0)], [(2, 4, 2, 12.0)], [], []]
    assert asked(EVERYTHING, "route") == [(3, 3, 0, 1.5)]
    assert sum(row.visits for row in _rows(store, stage_sums) if row.span == "day" and not row.organization) == 9


def test_what_is_committed_late_is_found(store: Store, digest: Digest) -> None:
    finished(store, 40)
    digest.finish()
    finished(store, 45)
    digest.finish()
    assert sums(store).jobs == 1
    while digest.round(LATE):
        pass
    assert sums(store).jobs == 2


def test_a_job_that_is_retried_has_two_ends_and_one_fact(store: Store, digest: Digest, database: Database) -> None:
    job_id = failed(store, 100)
    digest.finish()
    TextIndex(database).finish()
    store.operations.retry(job_id, EVERYTHING, "operator", "again")
    [job] = store.claim([job_id])
    store.settle(settlement(job, Transition.CANCEL, analyzed=True))
    store.backdate(job_id, finished_at=2)
    store.update(digests, digests.c.name == FINISHED, at=utc_in(sa.literal(-50.0)))  # as if it had been long ago
    digest.finish()
    TextIndex(database).finish()
    [fact] = _rows(store, trace_facts)
    assert (fact.state, words(store)) == ("cancelled", 1)
    assert sums(store).jobs == 2


def test_failures_are_grouped_by_what_they_say(store: Store, digest: Digest) -> None:
    ids = [failed(store, seconds) for seconds in (30, 20, 10)]
    failed(store, tenant=OTHER)
    digest.finish()
    rows = _rows(store, error_sums)  # one an hour: a test may well run across its turn
    whole, acme = ([row for row in rows if row.organization == name] for name in ("", "acme"))
    assert [sum(row._mapping["count"] for row in group) for group in (whole, acme)] == [4, 3]
    assert {row.deployment for row in acme} == {"sandbox/small@eu"}
    assert sorted(job_id for row in acme for job_id in row.jobs) == sorted(ids)
    assert max(row.last_at for row in acme) - min(row.first_at for row in acme) >= timedelta(seconds=19)


@pytest.mark.parametrize(
    "erase",
    [
        sa.update(jobs).values(request={"body": {}, "provider_options": {}}),
        sa.update(results).values(result=None),
        sa.delete(jobs),
    ],
    ids=["request", "result", "job"],
)
def test_what_is_erased_leaves_the_index(store: Store, digest: Digest, database: Database, erase: Any) -> None:
    finished(store)
    digest.finish()
    TextIndex(database).finish()
    assert words(store) == 1
    with database.transaction() as connection:
        connection.execute(erase)
    TextIndex(database).finish()
    assert words(store) == 0
    assert len(_rows(store, trace_facts)) == (0 if erase.is_delete else 1)


def test_a_percentile_is_off_by_a_twentieth_at_most() -> None:
    histogram = Histogram()
    for number in range(1, 1001):
        histogram.add(number / 100)
    both = Histogram(histogram.to_json())
    both.take(histogram)
    for percent in (50, 95, 99):
        assert both.percentile(percent) == pytest.approx(percent / 10, rel=0.06)
    assert Histogram().percentile(50) is None
