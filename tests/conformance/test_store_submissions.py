"""What accepting jobs promises: all of a submission or nothing, once, and exactly as it was handed in."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Constraints, Tenant
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Lane, Stage
from synthralos.store.admin.processes import Processes
from synthralos.store.queue.claims import Claims
from synthralos.store.queue.submissions import Accepted, Idempotency, KeyReused, Submission, Submissions
from synthralos.store.read.jobs import Reader
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import idempotency_keys, jobs
from tests.fakes.jobs import ids, new_job, submission

TRICKY = "crème 🧑🏽‍🚀 עברית‏ \"quoted\" 'single' back\\slash \\u0041 \\u0000 \t\n %s :name $.x {} ẞ"


def count(database: Database, table: sa.Table) -> int:
    with database.snapshot() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_an_accepted_job_waits_at_guard(database: Database) -> None:
    job = new_job()
    assert Submissions(database).accept([submission(job)]) == [Accepted([job.id])]
    row = Reader(database).jobs([job.id], EVERYTHING)[job.id]
    assert (row["state"], row["stage"], row["attempts"], row["losses"]) == ("queued", "guard", 0, 0)
    assert row["finished_at"] is None
    assert row["result"] is None


def test_a_job_comes_back_exactly_as_it_was_handed_in(database: Database) -> None:
    deadline = datetime(2030, 1, 31, 23, 59, 59, 123456, tzinfo=UTC)
    constraints = Constraints("eu", "eu", "pinned", Decimal("0.000000000001"), 3, False, "a/b@eu", ("c/d@us",))
    job = new_job(
        TRICKY,
        tenant=Tenant("größe", "wörk 🛠", "ann\\'s", "pro"),
        lane=Lane.INTERACTIVE,
        model="sandbox/small",
        constraints=constraints,
        metadata={TRICKY: TRICKY, "n": 2**53, "f": 0.1, "yes": True, "no": None},
        deadline=deadline,
        run_id="run-1",
        body={"tools": [{"deep": [{"er": [[], {}, ""]}]}], "stop": [TRICKY]},
        provider_options={"sandbox": {"delay": 0.25}},
    )
    Submissions(database).accept([submission(job)])
    worker = Processes(database).register("worker")
    [claimed] = Claims(database).claim(Stage.GUARD, [job.id], worker)
    assert (claimed.id, claimed.tenant, claimed.lane, claimed.trace_id) == (job.id, job.tenant, job.lane, job.trace_id)
    assert (claimed.request, claimed.constraints, claimed.deadline) == (job.request, constraints, deadline)
    row = Reader(database).jobs([job.id], EVERYTHING)[job.id]
    assert row["metadata"] == job.metadata
    assert row["run_id"] == "run-1"
    assert row["deadline"].tzinfo is UTC


def test_times_are_the_databases_own_and_aware(database: Database) -> None:
    job = new_job()
    Submissions(database).accept([submission(job)])
    with database.snapshot() as connection:
        now = connection.execute(sa.select(utcnow())).scalar_one()
    created = Reader(database).jobs([job.id], EVERYTHING)[job.id]["created_at"]
    assert created.utcoffset() == timedelta(0)
    assert timedelta(0) <= now - created < timedelta(seconds=30)


def test_repeating_an_accept_whose_commit_was_in_doubt_changes_nothing(database: Database) -> None:
    batch = [submission(new_job(), new_job(), key="k"), submission(new_job())]
    store = Submissions(database)
    first = store.accept(batch)
    assert store.accept(batch) == first
    assert not any(answer.replayed for answer in first if isinstance(answer, Accepted))
    assert count(database, jobs) == 3


def test_the_same_key_and_body_later_gives_the_first_answer(database: Database) -> None:
    store = Submissions(database)
    job = new_job()
    store.accept([submission(job, key="k")])
    assert store.accept([submission(new_job(), key="k")]) == [Accepted([job.id], replayed=True)]
    assert count(database, jobs) == 1


def test_the_same_key_with_another_body_stores_nothing(database: Database) -> None:
    store = Submissions(database)
    store.accept([submission(key="k", fingerprint="one")])
    assert store.accept([submission(key="k", fingerprint="other")]) == [KeyReused("k")]
    assert count(database, jobs) == 1


def test_within_one_batch_the_first_with_a_key_wins(database: Database) -> None:
    first, same, other, free = new_job(), new_job(), new_job(), new_job()
    answers = Submissions(database).accept([
        submission(first, key="k"),
        submission(same, key="k"),
        submission(other, key="k", fingerprint="other"),
        submission(free),
    ])  # fmt: skip
    assert answers == [Accepted([first.id]), Accepted([first.id], True), KeyReused("k"), Accepted([free.id])]
    assert count(database, jobs) == 2


@pytest.mark.parametrize("elsewhere", [Tenant("other", "main"), Tenant("acme", "side")])
def test_another_tenants_key_is_another_key(database: Database, elsewhere: Tenant) -> None:
    mine, theirs = new_job(), new_job(tenant=elsewhere)
    answers = Submissions(database).accept([submission(mine, key="k"), submission(theirs, key="k")])
    assert answers == [Accepted([mine.id]), Accepted([theirs.id])]


def test_a_key_may_hold_any_text(database: Database) -> None:
    job = new_job()
    store = Submissions(database)
    store.accept([submission(job, key=TRICKY, fingerprint=TRICKY)])
    assert store.accept([submission(key=TRICKY, fingerprint=TRICKY)]) == [Accepted([job.id], True)]


def test_one_key_at_once_from_many_connections_makes_one_job(database: Database) -> None:
    at_once = threading.Barrier(8)

    def submit(_: int) -> Accepted | KeyReused:
        elsewhere = Database(str(database.url.render_as_string(hide_password=False)))
        batch = [submission(new_job(), key=key) for key in ("b", "a", "k")]
        at_once.wait()
        answers = Submissions(elsewhere).accept(batch)
        elsewhere.close()
        return answers[-1]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(submit, range(8)))
    assert all(isinstance(answer, Accepted) for answer in answers)
    assert len({tuple(answer.job_ids) for answer in answers if isinstance(answer, Accepted)}) == 1
    assert [answer.replayed for answer in answers if isinstance(answer, Accepted)].count(False) == 1
    assert count(database, jobs) == 3
    assert count(database, idempotency_keys) == 3


def test_a_batch_that_cannot_be_written_leaves_nothing(database: Database) -> None:
    good, bad = new_job(), new_job(metadata={"too big": 2**70})
    with pytest.raises(TypeError):
        Submissions(database).accept([Submission([good, bad], Idempotency("k", "f"))])
    assert count(database, jobs) == 0
    assert count(database, idempotency_keys) == 0


def test_a_thousand_jobs_keep_their_order(database: Database) -> None:
    many = [new_job(str(number)) for number in range(1000)]
    assert Submissions(database).accept([submission(*many)]) == [Accepted(ids(many))]
    assert count(database, jobs) == 1000


def test_unknown_ids_are_not_found(database: Database) -> None:
    assert Reader(database).jobs([new_id()], EVERYTHING) == {}
