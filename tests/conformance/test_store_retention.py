"""Retention: what is beyond its time goes, of whom it is, and nothing else; what was spent stays."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.domain.observing import LATE
from synthralos.domain.retention import Kind
from synthralos.domain.run_caps import RunCaps
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Transition
from synthralos.store.admin.audit import By
from synthralos.store.admin.run_caps import RunCapsStore
from synthralos.store.queue.submissions import Accepted
from synthralos.store.read import cost_parts
from synthralos.store.read.prompts import Prompts
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import (
    attempts,
    cost_periods,
    digests,
    event_logs,
    export_backlog,
    feedback,
    job_accounts,
    jobs,
    model_cost_logs,
    results,
    retention_left,
    retention_places,
    run_caps,
    trace_facts,
)
from tests.fakes.house import DAY, OTHER, House, times
from tests.fakes.jobs import attempt_end, failure, new_job, settlement, submission


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


def test_texts_go_before_their_jobs_and_the_jobs_stay_readable(house: House) -> None:
    old, young = house.finished(40), house.finished(5)
    house.sum_up()
    assert house.words() == 2
    kept = times(payloads=30)
    assert house.run(kept) == {Kind.PAYLOADS: 1}
    gone, left = house.store.view(old), house.store.view(young)
    assert (gone["state"], gone["result"], gone["request"]["body"]) == ("succeeded", None, {"messages": []})
    assert left["result"] == {"text": "Paris"}
    assert list(Prompts(house.database).requests([old, young])) == [young]
    assert [event["data"]["text"] for event in house.store.events(old)] == [""]
    assert house.words() == 1
    assert house.run(kept) == {}


def test_a_job_whose_time_is_over_goes_whole_and_the_books_stay(house: House) -> None:
    old, young = house.finished(200), house.finished(5)
    house.store.update(jobs, jobs.c.id == old, metadata={"project": "p"})
    with house.database.transaction() as connection:
        said = {"job_id": old, "source": "person", "label": "good", "created_by": "x", "at": house.store.now()}
        connection.execute(sa.insert(feedback).values(**said))
    house.sum_up()
    before, lines = house.spent(), house.store.rows(model_cost_logs)
    assert house.run(times()) == {Kind.PAYLOADS: 1, Kind.JOBS: 1}
    for table in (jobs, results, trace_facts, event_logs):
        assert house.there(table) == {young}
    assert (house.there(feedback), house.words()) == (set(), 1)
    assert house.there(job_accounts) == {old}
    assert house.there(attempts) == {old, young}
    assert house.spent() == before
    by_job = lambda row: row["job_id"]  # noqa: E731
    assert sorted(house.store.rows(model_cost_logs), key=by_job) == sorted(lines, key=by_job)


def test_the_books_go_when_their_own_time_is_over(house: House) -> None:
    house.finished(60)
    house.sum_up()
    assert house.run(times(payloads=10, jobs=10, dead_letters=10, accounts=90)) == {Kind.PAYLOADS: 1, Kind.JOBS: 1}
    assert len(house.there(job_accounts)) == 1
    removed = house.run(times(payloads=10, jobs=10, dead_letters=10, accounts=40))
    assert removed[Kind.ACCOUNTS] > 1  # the sums and the adjustments of that time, too
    assert house.there(job_accounts) | house.there(attempts) == set()


def test_what_is_beyond_all_times_goes_at_once(house: House) -> None:
    house.finished(60)
    house.sum_up()
    removed = house.run(times(payloads=10, jobs=10, dead_letters=10, accounts=40))
    assert removed[Kind.JOBS] == 1
    assert house.there(job_accounts) | house.there(attempts) | house.there(jobs) == set()


def test_dead_letters_follow_their_own_time(house: House) -> None:
    old, older = house.finished(200, failed=True), house.finished(400, failed=True)
    house.sum_up()
    assert house.run(times()) == {Kind.DEAD_LETTERS: 1}
    assert house.there(jobs) == {old}
    assert house.store.view(old)["request"]["body"]["messages"]
    house.store.operations.retry(old, EVERYTHING, "operator")
    [job] = house.store.claim([old])
    house.store.settle(settlement(job, Transition.CANCEL, analyzed=True))
    house.store.backdate(old, finished_at=190 * DAY)
    house.sum_up()
    assert older not in house.there(jobs)


def test_words_of_failures_go_with_the_job_and_their_kind_stays(house: House) -> None:
    job_id = house.finished(400, failed=True)
    house.store.update(attempts, attempts.c.job_id == job_id, failure=failure().to_json())
    house.sum_up()
    house.run(times())
    [row] = house.store.rows(attempts)
    assert (row["failure"]["class"], row["failure"]["message"]) == (failure().to_json()["class"], "")


def test_open_jobs_are_never_touched(house: House) -> None:
    begun = house.store.started()
    house.store.backdate(begun.id, created_at=9_000 * DAY)
    house.finished(400)
    house.sum_up()
    house.run(times(payloads=0, jobs=0, dead_letters=0))
    assert house.there(jobs) == {begun.id}
    assert house.store.settle(settlement(begun, attempt=attempt_end(1)))


def test_what_is_not_kept_at_all_can_be_fetched_for_an_hour(house: House) -> None:
    old, young = house.finished(61 / 1440), house.finished(59 / 1440)
    kept = times(payloads=0)
    assert house.run(kept) == {Kind.PAYLOADS: 1}
    assert house.store.view(old)["result"] is None
    assert house.store.view(young)["result"] == {"text": "Paris"}


def test_a_job_that_an_exporter_is_owed_waits_until_it_is_shipped(house: House) -> None:
    owed, free = house.finished(40, owed=True), house.finished(40)
    house.sum_up()
    kept = times(payloads=30, jobs=30)
    assert house.run(kept) == {Kind.PAYLOADS: 1, Kind.JOBS: 1}
    assert house.there(jobs) == {owed}
    assert house.run(kept) == {}
    with house.database.transaction() as connection:
        connection.execute(sa.delete(export_backlog).where(export_backlog.c.job_id == owed))
    assert house.due(kept) == {Kind.PAYLOADS: 1, Kind.JOBS: 1}
    assert house.run(kept) == {Kind.PAYLOADS: 1, Kind.JOBS: 1}
    assert house.there(jobs) == set()
    assert house.there(job_accounts) == {owed, free}
    assert house.there(retention_left) == set()


def test_the_books_of_a_job_that_was_waited_for_do_not_go_by_anothers_shorter_time(house: House) -> None:
    owed = house.finished(40, owed=True)
    house.sum_up()
    kept = times({"other": {Kind.JOBS: 30, Kind.DEAD_LETTERS: 30, Kind.ACCOUNTS: 35}}, payloads=30, jobs=30)
    house.run(kept)
    before = house.spent()
    with house.database.transaction() as connection:
        connection.execute(sa.delete(export_backlog))
    house.run(kept)
    assert house.there(jobs) == set()
    assert house.there(attempts) == {owed}
    assert house.spent() == before


def test_an_exporter_that_never_takes_a_trace_holds_its_job_no_longer_than_the_limit(house: House) -> None:
    owed = house.finished(40, owed=True)
    house.sum_up()
    kept = times(payloads=30, jobs=30)
    house.run(kept)
    assert house.there(jobs) == {owed}
    house.store.update(export_backlog, sa.true(), since=utc_in(sa.literal(-8 * DAY)))
    house.run(kept)
    assert house.there(jobs) | house.there(export_backlog) == set()


def test_a_job_that_was_retried_meanwhile_stays(house: House) -> None:
    owed = house.finished(40, failed=True, owed=True)
    house.sum_up()
    kept = times(dead_letters=30)
    house.run(kept)
    assert house.there(retention_left) == {owed}
    house.store.operations.retry(owed, EVERYTHING, "operator")
    with house.database.transaction() as connection:
        connection.execute(sa.delete(export_backlog))
    house.run(kept)
    assert (house.there(jobs), house.there(retention_left)) == ({owed}, set())


@pytest.mark.parametrize("most", [1, 100])
def test_one_organizations_times_never_touch_anothers(house: House, most: int) -> None:
    mine = [house.finished(ago) for ago in (3, 50, 100)]
    others = [house.finished(ago, OTHER) for ago in (3, 50, 100)]
    house.sum_up()
    own = {"other": {Kind.PAYLOADS: 1.0, Kind.JOBS: 1.0}}
    house.run(times(own), most)
    assert house.there(jobs) == set(mine)
    assert house.there(job_accounts) == set(others)
    longer = times({"other": {Kind.JOBS: 1000.0, Kind.PAYLOADS: 1000.0}}, payloads=20, jobs=20)
    again = house.finished(60, OTHER)
    house.sum_up()
    house.run(longer, most)
    assert house.there(jobs) == {mine[0], again}


def test_many_jobs_go_with_what_they_have_and_those_between_them_stay(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthralos.store.retention.removal._FEW", 2)  # so that few are many
    stay = [house.finished(50.0 - number, OTHER) for number in range(2)]
    for number in range(4):
        house.finished(50.0 - number / 2)
    house.sum_up()
    assert (len(house.there(trace_facts)), house.words()) == (6, 6)
    house.run(times({"other": {Kind.PAYLOADS: 100.0, Kind.JOBS: 100.0}}, payloads=30.0, jobs=40.0))
    for table in (jobs, results, trace_facts):
        assert house.there(table) == set(stay)
    assert house.words() == 2
    with house.database.transaction() as connection:  # triggers look again, as before
        connection.execute(sa.delete(jobs).where(jobs.c.id == stay[0]))
    assert (house.there(trace_facts), house.words()) == ({stay[1]}, 1)


def test_times_that_change_leave_nothing_out(house: House) -> None:
    old = house.finished(100, OTHER)
    house.sum_up()
    house.run(times({"other": {Kind.JOBS: 1000.0, Kind.PAYLOADS: 1000.0}}, payloads=20, jobs=20))
    assert house.there(jobs) == {old}
    house.run(times({"other": {Kind.JOBS: 100.1, Kind.PAYLOADS: 100.1}}, payloads=20, jobs=20))
    assert house.there(jobs) == {old}
    house.run(times(payloads=20, jobs=20))
    assert house.there(jobs) == set()


def test_many_ends_at_the_very_same_moment_are_no_trap(house: House) -> None:
    ids = {house.finished(40) for _ in range(7)}
    house.store.update(results, sa.true(), finished_at=house.store.now() - timedelta(days=40))
    house.sum_up()
    assert house.run(times(payloads=30, jobs=30), most=2) == {Kind.PAYLOADS: 7, Kind.JOBS: 7}
    assert house.there(job_accounts) == ids


def test_what_a_dry_run_tells_is_what_a_run_removes(house: House) -> None:
    for ago in (1, 20, 40, 100, 300, 500):
        house.finished(ago)
        house.finished(ago, OTHER, failed=True)
        house.store.submissions.accept([submission(key=f"k{ago}")])
    house.sum_up()
    kept = times({"other": {Kind.DEAD_LETTERS: 30.0}}, payloads=400, jobs=400, accounts=400)
    told = house.due(kept)
    assert told[Kind.JOBS] == 1
    assert told[Kind.DEAD_LETTERS] == 4
    assert house.run(kept) == told
    assert house.due(kept) == {}


def test_nothing_goes_that_no_sum_answers_for_yet(house: House) -> None:
    old = house.finished(400)
    assert house.run(times()) == {Kind.PAYLOADS: 1}
    house.sum_up()
    house.store.update(cost_periods, cost_periods.c.span == "hour", summed=False)
    assert house.run(times()) == {}
    assert house.there(jobs) == {old}


def test_sums_answer_for_what_was_removed(house: House) -> None:
    for ago in (40, 41, 100):
        house.finished(ago)
    house.sum_up()
    with house.database.snapshot() as connection:
        before = [tuple(row) for row in connection.execute(cost_parts.sums("hour"))]
    house.run(times(payloads=1, jobs=1, dead_letters=1))
    house.sum_up()
    with house.database.snapshot() as connection:
        assert [tuple(row) for row in connection.execute(cost_parts.sums("hour"))] == before


def test_a_removed_payload_cannot_be_retried(house: House) -> None:
    old = house.finished(40)
    house.store.update(results, results.c.job_id == old, state="cancelled")
    house.run(times(payloads=30))
    outcome = house.store.operations.retry(old, EVERYTHING, "operator")
    assert outcome is not None
    assert house.store.state(old) == "cancelled"


def test_an_idle_installation_writes_nothing(house: House) -> None:
    house.finished(1)
    house.sum_up()
    house.run(times())
    places: Sequence[Any] = house.store.rows(retention_places)
    house.run(times())
    assert house.store.rows(retention_places) == places


def test_a_repeat_under_a_key_whose_job_is_gone_is_answered(house: House) -> None:
    made = submission(key="again")
    house.store.submissions.accept([made])
    [job_id] = [job.id for job in made.jobs]
    [job] = house.store.claim([job_id])
    house.store.settle(settlement(job, Transition.CANCEL, analyzed=True))
    house.store.backdate(job_id, finished_at=400 * DAY, created_at=400 * DAY)
    house.sum_up()
    with house.database.transaction() as connection:
        connection.execute(sa.delete(export_backlog))
    house.run(times())
    [answer] = house.store.submissions.accept([submission(key="again")])
    assert isinstance(answer, Accepted)
    assert answer.replayed


def test_caps_of_runs_go_with_the_last_of_the_runs_jobs(house: House) -> None:
    caps = RunCapsStore(house.database)
    house.store.submit(new_job(run_id="goes on"))
    for run_id in ("goes on", "over"):
        caps.put(RunCaps("acme", run_id, max_calls=3), None, By("operator"))
    house.store.update(run_caps, sa.true(), changed_at=utc_in(sa.literal(-10 * DAY)))
    assert house.due(times(runs=1)) == house.run(times(runs=1)) == {Kind.RUNS: 1}
    assert [len(caps.of_run(run_id)) for run_id in ("goes on", "over")] == [1, 0]


def test_digests_are_asked_for_before_anything_goes(house: House) -> None:
    house.finished(400)
    house.sum_up()
    house.store.update(digests, digests.c.name == LATE, at=utc_in(sa.literal(-500 * DAY)))
    assert Kind.JOBS not in house.run(times())
