"""Ticks of schedules on both databases: each fires once, with its jobs, whoever leads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from synthralos.domain.flags import Flag, Flags, FlagState
from synthralos.domain.retention import Kind, Retention
from synthralos.domain.schedules import Backoff, Misfire, Overlap
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Stage, State, Transition
from synthralos.store.admin.schedules import StoredSchedule
from synthralos.store.retention.keeping import Keeping
from synthralos.store.sql.errors import DatabaseFailed
from synthralos.store.tables import audit_log, firings, jobs, schedules
from tests.fakes.schedules import ANN, JOB, Leader
from tests.fakes.stores import Store

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture
def leader(store: Store) -> Leader:
    return Leader(store)


def due(leader: Leader, *, late: timedelta = SECOND, every: timedelta = HOUR, **fields: Any) -> StoredSchedule:
    """A schedule whose first tick has been due for so long, and whose ticks come in that distance."""
    first = leader.store.now() - late
    return leader.made(first, start=first, interval_seconds=int(every.total_seconds()), **fields)


def again(leader: Leader, made: StoredSchedule, number: int = 1) -> None:
    """Let its next tick be due now: one of its own for each `number`."""
    leader.set_due(made.id, leader.store.now() - SECOND + timedelta(microseconds=number))


def test_a_tick_that_is_due_starts_its_job_and_the_next_comes_after_it(leader: Leader) -> None:
    made = due(leader)
    leader.fire()
    [row] = leader.rows(made.id)
    assert (row["fire_at"], row["outcome"], len(row["job_ids"])) == (made.next_fire_at, "fired", 1)
    assert 1000 <= row["lateness_ms"] < 30_000
    job = leader.store.job(row["job_ids"][0])
    assert (job["organization"], job["workspace"], job["lane"], job["state"]) == ("acme", "main", "bulk", State.QUEUED)
    assert job["metadata"] == {"schedule_id": made.id, "fire_at": made.next_fire_at.isoformat()}  # type: ignore[union-attr]
    assert leader.doorbell.rung(Stage.GUARD) == row["job_ids"]
    assert leader.now(made.id).next_fire_at == made.next_fire_at + HOUR  # type: ignore[operator]
    leader.fire()
    assert len(leader.rows(made.id)) == 1


def test_steps_start_as_one_run(leader: Leader) -> None:
    made = due(leader, steps=(JOB, {**JOB, "lane": "interactive"}))
    leader.fire()
    [row] = leader.rows(made.id)
    found = [leader.store.job(job_id) for job_id in row["job_ids"]]
    assert [job["lane"] for job in found] == ["bulk", "interactive"]
    assert {job["run_id"] for job in found} == {row["run_id"]}
    assert row["run_id"]


def test_a_tick_fires_once_however_many_leaders_fire_at_the_same_moment(store: Store) -> None:
    first = Leader(store)
    leaders = [first, *(Leader(store, lead=first.lead) for _ in range(3))]
    made = [due(first, name=f"s{number}") for number in range(40)]
    barrier = threading.Barrier(len(leaders))

    def fire(leader: Leader) -> None:
        barrier.wait(30)
        leader.fire()

    with ThreadPoolExecutor(len(leaders)) as threads:
        list(threads.map(fire, leaders))
    assert [first.outcomes(each.id) for each in made] == [["fired"]] * 40
    rung = [job_id for leader in leaders for job_id in leader.doorbell.rung(Stage.GUARD)]
    stored = [row["id"] for row in store.rows(jobs)]
    assert sorted(rung) == sorted(stored)
    assert len(stored) == 40


def test_a_firing_that_is_there_already_starts_nothing_again(leader: Leader) -> None:
    made = due(leader)
    leader.fire()
    leader.set_due(made.id, made.next_fire_at)  # type: ignore[arg-type]  # as a restored backup would have it
    leader.fire()
    assert leader.outcomes(made.id) == ["fired"]
    assert len(leader.store.rows(jobs)) == 1


def test_a_process_that_does_not_lead_any_more_writes_nothing(leader: Leader) -> None:
    made = due(leader)
    leader.lead = leader.lead._replace(term=leader.lead.term + 1)
    leader.firing.round()
    leader.looks.look()
    assert leader.rows(made.id) == []
    assert leader.store.rows(jobs) == []


def test_what_is_written_between_reading_and_firing_wins(leader: Leader, monkeypatch: pytest.MonkeyPatch) -> None:
    made, decide = due(leader), leader.firings.decide

    def paused_meanwhile(*arguments: Any) -> Any:
        leader.schedules.pause(made.id, EVERYTHING, "stop", ANN)
        return decide(*arguments)

    monkeypatch.setattr(leader.firings, "decide", paused_meanwhile)
    leader.firing.round()
    assert leader.rows(made.id) == []
    assert leader.now(made.id).next_due_at is None


@pytest.mark.parametrize(
    ("misfire", "outcomes"),
    [
        (Misfire.SKIP, ["missed", "missed", "missed", "missed"]),
        (Misfire.LAST, ["missed", "missed", "missed", "fired"]),
        (Misfire.ALL, ["missed", "missed", "fired", "fired"]),
    ],
)
def test_after_downtime_the_misfire_policy_decides_within_the_window(
    leader: Leader, misfire: Misfire, outcomes: list[str]
) -> None:
    late = timedelta(minutes=35)
    made = due(
        leader, late=late, every=timedelta(minutes=10), misfire=misfire, catch_up_seconds=1_200, overlap=Overlap.ALLOW
    )
    leader.fire()
    assert leader.outcomes(made.id) == outcomes


def test_very_many_missed_ticks_share_a_row_and_the_newest_are_caught_up(leader: Leader) -> None:
    made = due(
        leader, late=timedelta(days=300), every=SECOND, misfire=Misfire.ALL, most_caught_up=7, overlap=Overlap.ALLOW
    )
    leader.firing.round()
    outcomes = leader.outcomes(made.id)
    assert outcomes[0] == "missed"
    assert len(outcomes) < 200
    caught = [row for row in leader.rows(made.id) if row["reason"] == "caught up"]
    assert len(caught) == 7
    next_at = leader.now(made.id).next_fire_at
    assert next_at is not None
    assert next_at > leader.store.now() - 30 * SECOND


@pytest.mark.parametrize(
    ("overlap", "outcome", "earlier"),
    [
        (Overlap.SKIP, "skipped", State.QUEUED),
        (Overlap.QUEUE_ONE, "waiting", State.QUEUED),
        (Overlap.QUEUE_ALL, "waiting", State.QUEUED),
        (Overlap.REPLACE, "fired", State.CANCELLED),
        (Overlap.CANCEL, "waiting", State.CANCELLED),
        (Overlap.ALLOW, "fired", State.QUEUED),
    ],
)
def test_a_tick_whose_earlier_job_still_runs(leader: Leader, overlap: Overlap, outcome: str, earlier: State) -> None:
    made = due(leader, overlap=overlap)
    leader.fire()
    [first] = leader.rows(made.id)
    again(leader, made)
    leader.fire()
    assert leader.outcomes(made.id) == ["fired", outcome]
    assert leader.store.state(first["job_ids"][0]) == earlier


def test_what_waits_starts_when_the_earlier_job_has_ended_one_by_one(leader: Leader) -> None:
    made = due(leader, overlap=Overlap.QUEUE_ALL)
    leader.fire()
    for number in range(2):
        again(leader, made, number)
        leader.fire()
    assert leader.outcomes(made.id) == ["fired", "waiting", "waiting"]
    leader.looks.look()
    assert leader.outcomes(made.id) == ["fired", "waiting", "waiting"]
    leader.end(leader.rows(made.id)[0]["job_ids"])
    assert leader.outcomes(made.id) == ["fired", "fired", "waiting"]
    leader.end(leader.rows(made.id)[1]["job_ids"])
    assert leader.outcomes(made.id) == ["fired", "fired", "fired"]
    assert [row["ended"] for row in leader.rows(made.id)] == ["succeeded", "succeeded", None]


def test_queue_one_lets_one_wait(leader: Leader) -> None:
    made = due(leader, overlap=Overlap.QUEUE_ONE)
    for number in range(3):
        leader.fire()
        again(leader, made, number)
    assert leader.outcomes(made.id) == ["fired", "waiting", "skipped"]


def test_a_schedule_that_fails_is_delayed_longer_and_longer_and_recovers(leader: Leader) -> None:
    made = due(leader, backoff=Backoff(base_seconds=10_000, factor=3, cap_seconds=100_000, jitter=0))
    delays = []
    for _ in range(2):
        leader.fire()
        leader.end(leader.rows(made.id)[-1]["job_ids"], Transition.FAIL)
        stands = leader.now(made.id)
        assert stands.backoff_until is not None
        assert stands.next_due_at == stands.backoff_until
        delays.append(round((stands.backoff_until - leader.store.now()).total_seconds(), -2))
        leader.store.update(schedules, schedules.c.id == made.id, backoff_until=None)
        again(leader, made)
    assert delays == [10_000, 30_000]
    leader.fire()
    leader.end(leader.rows(made.id)[-1]["job_ids"])
    stands = leader.now(made.id)
    assert (stands.failures, stands.backoff_until, stands.next_due_at) == (0, None, stands.next_fire_at)


def test_without_the_flag_a_failing_schedule_runs_as_planned(store: Store) -> None:
    off = Flags({Flag.ENABLE_CRON_BACKOFF: FlagState(False)})
    leader = Leader(store, flags=off)
    made = due(leader)
    leader.fire()
    leader.end(leader.rows(made.id)[0]["job_ids"], Transition.FAIL)
    stands = leader.now(made.id)
    assert (stands.failures, stands.backoff_until, stands.next_due_at) == (1, None, stands.next_fire_at)


def test_it_pauses_by_itself_after_failures_in_a_row_and_says_so(leader: Leader) -> None:
    made = due(leader, pause_after=2, backoff=Backoff(1, 1.0, 1, 0.0))
    for _ in range(2):
        leader.fire()
        leader.end(leader.rows(made.id)[-1]["job_ids"], Transition.FAIL)
        if not leader.now(made.id).schedule.paused:
            leader.store.update(schedules, schedules.c.id == made.id, backoff_until=None)
            again(leader, made)
    stands = leader.now(made.id)
    assert stands.schedule.paused
    assert "2 failures" in stands.schedule.pause_note
    assert stands.next_due_at is None
    [event] = [
        each for each in leader.store.events(leader.rows(made.id)[-1]["job_ids"][0]) if "schedule" in each["kind"]
    ]
    assert event["data"] == {"schedule_id": made.id, "failures": 2}
    paused = leader.store.rows(audit_log, audit_log.c.act == "schedules.pause")
    assert [row["actor"] for row in paused] == ["system"]
    resumed = leader.schedules.resume(made.id, EVERYTHING, ANN)
    assert resumed is not None
    assert (resumed.failures, resumed.schedule.paused, resumed.next_due_at is not None) == (0, False, True)


def test_a_backfill_fires_what_never_fired_and_nothing_twice(leader: Leader) -> None:
    now = leader.store.now()
    made = due(leader, late=5.5 * HOUR, every=HOUR, misfire=Misfire.SKIP, overlap=Overlap.ALLOW)
    leader.fire()
    assert set(leader.outcomes(made.id)) == {"missed"}
    start, end = now - 3 * HOUR, now
    leader.backfills.create(leader.now(made.id).schedule, start, end, Overlap.ALLOW, 3, ANN)
    leader.looks.look()
    leader.backfills.create(leader.now(made.id).schedule, start, end, Overlap.ALLOW, 3, ANN)
    leader.looks.look()
    assert leader.outcomes(made.id).count("backfill") == len(leader.store.rows(jobs)) == 3
    assert [(each.handled, each.done_at is not None) for each in leader.backfills.of(made.id)] == [(3, True)] * 2


def test_a_backfill_may_go_one_by_one(leader: Leader) -> None:
    now = leader.store.now()
    made = due(leader, late=5.5 * HOUR, every=HOUR, misfire=Misfire.SKIP)
    leader.fire()
    leader.backfills.create(leader.now(made.id).schedule, now - 3 * HOUR, now, Overlap.QUEUE_ALL, 3, ANN)
    leader.looks.look()
    assert [each for each in leader.outcomes(made.id) if each != "missed"] == ["backfill", "waiting", "waiting"]
    for _ in range(3):
        leader.end([row["job_ids"][0] for row in leader.rows(made.id) if row["job_ids"] and not row["ended"]])
    assert leader.outcomes(made.id).count("backfill") == 3


def test_a_schedule_that_cannot_be_read_keeps_nobody_else_from_firing(leader: Leader) -> None:
    broken, sound = due(leader), due(leader)
    leader.store.update(schedules, schedules.c.id == broken.id, document={"from": "a later release"})
    leader.fire()
    assert leader.outcomes(sound.id) == ["fired"]
    [row] = leader.store.rows(schedules, schedules.c.id == broken.id)
    assert row["next_due_at"] > leader.store.now()
    assert row["next_fire_at"] == broken.next_fire_at


def test_what_the_database_refuses_is_skipped_alone(leader: Leader, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned, sound = due(leader), due(leader)
    decide = leader.firings.decide

    def refusing(lead: Any, moves: Any, decided: Any) -> Any:
        if any(each.schedule_id == poisoned.id and each.jobs for each in decided):
            raise DatabaseFailed(psycopg.DataError("a value that no column takes"))
        return decide(lead, moves, decided)

    monkeypatch.setattr(leader.firings, "decide", refusing)
    leader.fire()
    assert leader.outcomes(sound.id) == ["fired"]
    assert leader.outcomes(poisoned.id) == ["skipped"]
    assert len(leader.store.rows(jobs)) == 1


def test_a_job_that_would_be_refused_by_now_is_skipped_with_the_reason(leader: Leader) -> None:
    made = due(leader, job={"prompt": "Hi", "colour": "red"})
    leader.fire()
    [row] = leader.rows(made.id)
    assert row["outcome"] == "skipped"
    assert "colour" in row["reason"]


def test_old_firings_are_forgotten_and_what_runs_is_kept(leader: Leader) -> None:
    made = due(leader, overlap=Overlap.ALLOW)
    leader.fire()
    again(leader, made)
    leader.fire()
    leader.end(leader.rows(made.id)[0]["job_ids"])
    leader.store.update(firings, sa.true(), decided_at=leader.store.now() - 48 * HOUR)
    assert Keeping(leader.database).step(Kind.FIRINGS, Retention(dict.fromkeys(Kind, 1.0)), 10).removed == 1
    assert [row["ended"] for row in leader.rows(made.id)] == [None]
