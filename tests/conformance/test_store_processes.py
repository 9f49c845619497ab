"""What heartbeats, leadership, analysis and housekeeping promise."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from synthralos.domain.exports import Booking, Owed
from synthralos.domain.retention import Kind, Retention
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.spans import Span
from synthralos.domain.states import Transition
from synthralos.store.admin.processes import Leadership
from synthralos.store.exports.backlog import PAUSES, Backlog, pause_after
from synthralos.store.exports.closing import Analysis
from synthralos.store.queue.submissions import Accepted
from synthralos.store.retention.keeping import Keeping
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import export_backlog, idempotency_keys, leaders, processes
from tests.fakes.jobs import attempt_end, settlement, submission
from tests.fakes.stores import Store

DAY = 86_400.0
A_DAY = Retention(dict.fromkeys(Kind, 1.0))


def numbers(claimed: list[Owed]) -> list[tuple[str, int, int]]:
    """Who is owed, in how many shipments, by which claim."""
    return [(owed.job_id, owed.tries, owed.claim_no) for owed in claimed]


def test_a_registered_process_is_seen_with_its_age(store: Store) -> None:
    worker = store.processes.register("worker", ["guard", "route"])
    scheduler = store.processes.register("scheduler")
    store.silence(worker, 60)
    assert [row.id for row in store.processes.living()] == [scheduler, worker]
    [row] = store.processes.living("worker")
    assert (row.kind, row.state, row.stages) == ("worker", "running", ["guard", "route"])
    assert 59 < row.age < 120


def test_a_heartbeat_brings_the_databases_time(store: Store) -> None:
    worker = store.worker()
    store.silence(worker, 60)
    beat = store.processes.beat(worker)
    assert beat is not None
    assert abs(beat - store.now()) < timedelta(seconds=30)
    assert store.processes.living("worker")[0].age < 30


@pytest.mark.parametrize("state", ["lost", "stopped"])
def test_who_is_not_alive_cannot_beat(store: Store, state: str) -> None:
    worker = store.worker()
    store.update(processes, processes.c.id == worker, state=state)
    assert store.processes.beat(worker) is None
    assert store.processes.living() == []


def test_who_was_declared_lost_stays_lost(store: Store) -> None:
    worker = store.worker()
    store.lose(worker)
    store.processes.mark(worker, "stopped")
    store.processes.mark(worker, "running")
    assert store.rows(processes)[0]["state"] == "lost"


def test_a_draining_process_lives(store: Store) -> None:
    worker = store.worker()
    store.processes.mark(worker, "draining")
    assert store.processes.beat(worker) is not None
    assert store.processes.living()[0].state == "draining"


def candidates(store: Store, role: str = "r") -> tuple[Leadership, Leadership]:
    first, second = (Leadership(store.database, role, store.worker(), 60) for _ in range(2))
    return first, second


def test_one_leads_until_its_term_ends_or_it_resigns(store: Store) -> None:
    first, second = candidates(store)
    assert [first.campaign(), second.campaign(), first.campaign()] == [1, None, 1]
    first.resign()
    assert [second.campaign(), first.campaign()] == [2, None]
    store.update(leaders, sa.true(), until=utc_in(sa.literal(-1.0)))
    assert [first.campaign(), second.campaign()] == [3, None]


def test_a_leader_that_was_late_but_not_followed_goes_on(store: Store) -> None:
    first, _ = candidates(store)
    first.campaign()
    store.update(leaders, sa.true(), until=utc_in(sa.literal(-1.0)))
    assert first.campaign() == 1


def test_each_role_has_its_own_leader(store: Store) -> None:
    one, other = candidates(store, "one")[0], candidates(store, "other")[0]
    assert (one.campaign(), other.campaign()) == (1, 1)


def test_only_one_of_many_wins(store: Store) -> None:
    rivals = [Leadership(store.database, "r", store.worker(), 60) for _ in range(8)]
    at_once = threading.Barrier(8)

    def run(rival: Leadership) -> int | None:
        at_once.wait()
        return rival.campaign()

    with ThreadPoolExecutor(8) as pool:
        terms = list(pool.map(run, rivals))
    assert sorted(terms, key=str) == [1, *[None] * 7]


def test_a_trace_is_closed_once_and_owed_to_every_destination(database: Database) -> None:
    store, analysis = Store(database), Analysis(database, ["one", "two"])
    done, running = store.claimed(), store.claimed()
    store.settle(settlement(done))
    both = [done.id, running.id]
    assert analysis.open_traces(both) == [done.id]
    now = store.now()
    for _ in range(2):
        analysis.close({job_id: Span("analyze", now, now) for job_id in both})
    assert analysis.open_traces(both) == []
    assert [len(store.spans(job_id)) for job_id in both] == [1, 0]
    assert store.owed("one") == store.owed("two") == [done.id]
    backlog = Backlog(database)
    backlog.book("one", Booking(1, backlog.claim("one")))
    assert (store.owed("one"), store.owed("two")) == ([], [done.id])
    analysis.close({})


def test_what_is_owed_comes_oldest_first_and_no_more_than_asked_for(database: Database) -> None:
    store = Store(database, ["one"])
    done = [store.claimed() for _ in range(3)]
    store.settlements.settle([settlement(job, analyzed=True) for job in done[::-1]])
    assert numbers(Backlog(database).claim("one", limit=2)) == [(job.id, 1, 1) for job in done[:2]]


def test_what_one_has_claimed_nobody_else_gets_until_its_lease_is_over(database: Database) -> None:
    store, backlog = Store(database, ["one", "two"]), Backlog(database)
    done = [store.claimed() for _ in range(3)]
    store.settlements.settle([settlement(job, analyzed=True) for job in done])
    mine = backlog.claim("one", limit=2)
    assert [owed.job_id for owed in backlog.claim("one")] == [done[2].id]
    assert backlog.claim("one") == []
    assert len(backlog.claim("two")) == 3
    store.let_exports_come_due()
    assert numbers(backlog.claim("one")) == [(job.id, 2, 2) for job in done]
    assert [owed.job_id for owed in mine] == [job.id for job in done[:2]]


def test_what_was_refused_comes_after_ever_longer_pauses(database: Database) -> None:
    store, backlog = Store(database, ["one"]), Backlog(database)
    store.settle(settlement(store.claimed(), analyzed=True))
    for tries in range(1, 4):
        [owed] = backlog.claim("one")
        assert owed.tries == tries
        backlog.book("one", Booking(again=[owed]))
        [row] = store.rows(export_backlog)
        assert (row["next_at"] - store.now()).total_seconds() == pytest.approx(pause_after(tries), abs=2)
        assert (backlog.claim("one"), store.sweeps.backlog(-60)) == ([], [])
        store.let_exports_come_due()
        assert len(store.sweeps.backlog(-60)) == 1
    assert pause_after(50) == PAUSES.cap


def test_two_that_claim_at_once_never_get_the_same(database: Database) -> None:
    store = Store(database, ["one"])
    done = [store.claimed() for _ in range(60)]
    store.settlements.settle([settlement(job, analyzed=True) for job in done])

    def claim_all(_: int) -> list[Owed]:
        backlog = Backlog(database)
        found: list[Owed] = []
        while some := backlog.claim("one", limit=5):
            found += some
        return found

    with ThreadPoolExecutor(4) as threads:
        got = [owed for part in threads.map(claim_all, range(4)) for owed in part]
    # Who passes over what another one holds may stop early; nobody gets what another one has.
    assert len(got) == len(set(got))
    assert {owed.tries for owed in got} == {1}


def test_a_revived_job_is_analyzed_and_owed_again(database: Database) -> None:
    store, analysis = Store(database, ["one"]), Analysis(database, ["one"])
    job = store.claimed()
    store.settle(settlement(job, Transition.FAIL, analyzed=True))
    backlog = Backlog(database)
    backlog.book("one", Booking(1, backlog.claim("one")))
    store.operations.retry(job.id, EVERYTHING, "ann")
    assert analysis.open_traces([job.id]) == []
    store.settle(settlement(store.claim([job.id])[0], analyzed=True))
    assert store.owed("one") == [job.id]


def test_old_idempotency_keys_are_forgotten_and_young_ones_kept(store: Store) -> None:
    keeping = Keeping(store.database)
    for key in ("old", "older", "young"):
        store.submissions.accept([submission(key=key)])
    old = idempotency_keys.c.key.in_(["old", "older"])
    store.update(idempotency_keys, old, created_at=utc_in(sa.literal(-2 * DAY)))
    assert [keeping.step(Kind.IDEMPOTENCY_KEYS, A_DAY, 1).removed for _ in range(3)] == [1, 1, 0]
    answers = store.submissions.accept([submission(key="young"), submission(key="old")])
    assert [answer.replayed for answer in answers if isinstance(answer, Accepted)] == [True, False]


def test_processes_that_ended_long_ago_and_hold_nothing_are_forgotten(store: Store) -> None:
    workers = {name: store.worker() for name in ("running", "stopped", "lost", "holder", "fresh")}
    job = store.started(worker=workers["holder"])
    for name, worker in workers.items():
        if name != "fresh":
            store.silence(worker, 2 * DAY)
        if name != "running":
            store.update(processes, processes.c.id == worker, state="lost" if name == "holder" else "stopped")
    keeping = Keeping(store.database)
    assert keeping.step(Kind.PROCESSES, A_DAY, 10).removed == 2
    assert {row["id"] for row in store.rows(processes)} == {workers[n] for n in ("running", "holder", "fresh")}
    store.sweeps.rescue()
    store.settle(settlement(job, attempt=attempt_end(1)))
    assert keeping.step(Kind.PROCESSES, A_DAY, 10).removed == 1
    assert store.attempts(job.id)[0]["late"]
