"""Costs: every question has one exact answer, whether it comes from sums, from the ledger, or from both."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.domain.attempts import Billed
from synthralos.domain.costs import CostQuery, CostRow, Group, group_of, groups_of
from synthralos.domain.jobs import Tenant
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Transition
from synthralos.store.read.costs import Costs, stretches
from synthralos.store.retention.cost_sums import CostSums
from synthralos.store.sql.database import Database
from synthralos.store.tables import attempts, cost_periods, cost_sums, jobs, results
from tests.fakes.jobs import attempt_end, new_job, settlement
from tests.fakes.stores import Store

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
PAST = TODAY - 3 * DAY


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


def called(store: Store, at: datetime, *, tenant: Tenant, run: str | None = None, **end: Any) -> str:
    """A job whose one call ended at that time."""
    job = store.started(new_job(tenant=tenant, run_id=run, metadata={"project": run or "none"}))
    end = {"cost": Decimal("0.0004425"), **end}
    store.settle(settlement(job, attempt=attempt_end(1, **end), analyzed=True))
    moved(store, job.id, at)
    return job.id


def moved(store: Store, job_id: str, at: datetime) -> None:
    store.update(attempts, attempts.c.job_id == job_id, ended_at=at)
    store.update(results, results.c.job_id == job_id, finished_at=at)
    store.update(jobs, jobs.c.id == job_id, created_at=at)


def history(store: Store) -> None:
    """Calls of two organizations on three days, at the borders of hours and days, and a moment ago."""
    acme, other = Tenant("acme", "main", "ann"), Tenant("other", "side", None)
    for no, at in enumerate(
        [PAST, PAST + timedelta(minutes=59, seconds=59, microseconds=999999), PAST + timedelta(hours=1),
         PAST + DAY - timedelta(microseconds=1), PAST + DAY, TODAY - timedelta(microseconds=1), TODAY, NOW]
    ):  # fmt: skip
        called(store, at, tenant=acme, run=f"run{no % 2}", cost=Decimal("0.000000000001") * (no + 1))
        called(store, at, tenant=other)
    called(store, PAST, tenant=acme, cost=None)
    called(store, PAST, tenant=acme, billed=Billed.NO, cost=None, usage=None)
    called(store, PAST, tenant=acme, billed=Billed.MAYBE, cost=None, usage=None)
    job = store.claimed(new_job(tenant=acme))
    store.settle(settlement(job, Transition.REUSE, result={"text": "again"}, analyzed=True))
    moved(store, job.id, PAST)


def ask(store: Store, group_by: str = "", scope: Scope = EVERYTHING, **more: Any) -> list[CostRow]:
    query = {"since": PAST, "until": NOW + timedelta(hours=2), "groups": groups_of(group_by), **more}
    return Costs(store.database).rows(CostQuery(**query), scope)


def all_summed(store: Store) -> None:
    sums = CostSums(store.database)
    while sums.round(24) == 24:
        pass


QUESTIONS = [
    "", "basis", "day", "day,organization", "deployment", "hour", "kind", "model,day", "organization,workspace,user",
    "provider,kind,basis", "stage",
]  # fmt: skip


def test_sums_and_ledger_say_the_same(store: Store) -> None:
    history(store)
    asked = list(product(QUESTIONS, (EVERYTHING, Scope("acme"), Scope("other", "side"))))
    before = {(question, scope): ask(store, question, scope) for question, scope in asked}
    all_summed(store)
    with store.database.snapshot() as connection:
        spans = set(connection.execute(sa.select(cost_sums.c.span)).scalars())
    assert spans == {"day", "hour"}
    assert {(question, scope): ask(store, question, scope) for question, scope in asked} == before


def test_what_is_known_and_what_is_not_is_told_apart(store: Store) -> None:
    history(store)
    [row] = ask(store, "", Scope("acme"))
    assert (row.calls, row.unknown_calls, row.maybe_calls, row.reused) == (11, 1, 1, 1)
    assert row.cost == Decimal("0.000000000036")
    assert row.maybe == Decimal("0.001")  # what the call had reserved
    assert (row.input_tokens, row.cached_tokens, row.output_tokens, row.reasoning_tokens) == (9000, 900, 4500, 450)
    assert {row.group: row.calls for row in ask(store, "basis", Scope("acme"))} == {
        ("exact",): 9, ("estimated",): 1, ("unknown",): 1,
    }  # fmt: skip


def test_runs_and_tags_are_counted_from_the_ledger(store: Store) -> None:
    history(store)
    all_summed(store)
    runs = {row.group[0]: row.calls for row in ask(store, "run", Scope("acme"))}
    assert runs == {"": 3, "run0": 4, "run1": 4}
    assert {
        row.group[0]: row.calls for row in ask(store, "tag:project", Scope("acme"), where={group_of("run"): "run0"})
    } == {"run0": 4}
    assert [row.calls for row in ask(store, "", where={group_of("tag:project"): "run1"})] == [4]


def test_pages_have_every_group_once(store: Store) -> None:
    history(store)
    all_summed(store)
    whole, pages, after = ask(store, "hour,organization,user"), list[CostRow](), None
    while found := ask(store, "hour,organization,user", after=after, limit=2):
        pages += found
        after = found[-1].group
    assert pages == whole


def test_a_scope_sees_nothing_of_others(store: Store) -> None:
    history(store)
    all_summed(store)
    assert {row.group for row in ask(store, "organization", Scope("other"))} == {("other",)}
    assert ask(store, "", Scope("acme", "elsewhere"))[0].calls == 0
    assert ask(store, "", Scope("acme", "main", "bob"))[0].calls == 0


def test_a_late_answer_moves_its_cost_out_of_sums(store: Store) -> None:
    """A call that was written off in an hour that is summed, and whose end is learned in this one."""
    worker = store.worker()
    job = store.started(worker=worker)
    store.lose(worker)
    store.sweeps.rescue()
    moved(store, job.id, PAST)
    all_summed(store)
    assert [(row.group[0], row.maybe_calls) for row in ask(store, "day")] == [(PAST.strftime("%Y-%m-%dT%H:%M:%SZ"), 1)]
    assert not store.settle(settlement(job, attempt=attempt_end(1), analyzed=True))
    for _ in range(2):
        [row] = [row for row in ask(store, "day") if row.calls]
        assert (row.group[0] >= TODAY.strftime("%Y-%m-%dT%H:%M:%SZ"), row.maybe_calls) == (True, 0)
        assert row.cost == Decimal("0.0004425")
        all_summed(store)


def test_an_hour_is_summed_when_nothing_can_be_written_into_it_any_more(store: Store) -> None:
    called(store, datetime.now(UTC), tenant=Tenant("acme"))
    assert CostSums(store.database).round() == 0
    with store.database.snapshot() as connection:
        assert connection.execute(sa.select(cost_periods)).all() == []


def hours(*numbers: int) -> set[tuple[str, datetime]]:
    return {("hour", PAST + timedelta(hours=n)) for n in numbers}


@pytest.mark.parametrize(
    ("summed", "expected"),
    [
        (set(), ["ledger"]),
        (hours(1), ["ledger", "hour", "ledger"]),
        (hours(*range(48)) | {("day", PAST)}, ["day", "hour", "ledger"]),
        (hours(*range(72)) | {("day", PAST), ("day", PAST + DAY), ("day", PAST + 2 * DAY)}, ["day", "ledger"]),
    ],
    ids=["nothing", "one hour", "a day and a half", "all"],
)
def test_each_moment_has_one_source(summed: set[tuple[str, datetime]], expected: Sequence[str]) -> None:
    until = PAST + timedelta(days=3, minutes=30)
    found = list(stretches(PAST, until, summed, days=True))
    assert [each.source for each in found] == expected
    assert [found[0].since, *(each.until for each in found)] == [*(each.since for each in found), until]


def test_groups_are_read_strictly() -> None:
    assert groups_of("model, tag:project") == (group_of("model"), Group(group_of("tag:x").dimension, "project"))
    for wrong in ("colour", "tag", "model,model", "model,,day", "day:x"):
        with pytest.raises(ValueError, match=r"none of|needs|twice"):
            groups_of(wrong)


def test_lost_calls_count_as_maybe(store: Store) -> None:
    worker = store.worker()
    store.started(worker=worker, reserved=Decimal("0.25"))
    store.lose(worker)
    store.sweeps.rescue()
    [row] = ask(store)
    assert (row.maybe_calls, row.maybe, row.cost) == (1, Decimal("0.25"), 0)
