"""What reading promises: nothing outside the scope, pages that stay put, sums that say what is missing."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Tenant
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Lane, Stage, Transition
from synthralos.store.read.jobs import Filters
from tests.fakes.jobs import attempt_end, failure, new_job, settlement, start
from tests.fakes.stores import Store

ANN, BOB = Tenant("acme", "main", "ann"), Tenant("acme", "main", "bob")
SIDE, OTHER = Tenant("acme", "side", None), Tenant("other", "main", "ann")


def ids_of(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


@pytest.mark.parametrize(
    ("scope", "seen"),
    [
        (EVERYTHING, "ABSO"),
        (Scope("acme"), "ABS"),
        (Scope("acme", "main"), "AB"),
        (Scope("acme", "main", "ann"), "A"),
        (Scope("other"), "O"),
        (Scope("nobody"), ""),
        (Scope("acme", "side", "ann"), ""),
    ],
)
def test_nobody_reads_outside_their_scope(store: Store, scope: Scope, seen: str) -> None:
    trace_id = "f" * 32
    by_letter = {
        letter: store.submit(new_job(tenant=tenant, trace_id=trace_id))[0]
        for letter, tenant in {"A": ANN, "B": BOB, "S": SIDE, "O": OTHER}.items()
    }
    mine = [by_letter[letter] for letter in seen]
    everything = list(by_letter.values())
    assert set(store.reader.jobs(everything, scope)) == set(mine)
    assert ids_of(store.reader.page(Filters(), scope)) == mine[::-1]
    assert [job_id for job_id, _ in store.reader.by_trace(trace_id, scope, None, 10)] == mine
    assert [job_id for job_id, _ in store.reader.by_trace(trace_id, scope, "".join(mine[:1]) or None, 1)] == mine[1:2]
    # A filter narrows the scope, it never widens it.
    assert set(ids_of(store.reader.page(Filters(workspace="main", user="ann"), scope))) <= set(mine)


def test_each_filter_lets_through_what_it_names(store: Store) -> None:
    plain = store.submit(new_job())[0]
    special = store.submit(
        new_job(
            tenant=Tenant("acme", "side", "eve"), lane=Lane.INTERACTIVE, model="a/b", run_id="run", trace_id="e" * 32
        )
    )[0]
    store.settle(settlement(store.claim([special])[0]))
    for filters in (
        Filters(state=["succeeded"]), Filters(state=["denied", "succeeded"]), Filters(stage="analyze"),
        Filters(model="a/b"), Filters(lane="interactive"), Filters(workspace="side"), Filters(user="eve"),
        Filters(run_id="run"), Filters(trace_id="e" * 32),
        Filters(state=["succeeded"], lane="interactive", user="eve"),
    ):  # fmt: skip
        assert ids_of(store.reader.page(filters, EVERYTHING)) == [special], filters
    assert ids_of(store.reader.page(Filters(state=["queued"]), EVERYTHING)) == [plain]
    assert store.reader.page(Filters(state=["failed"]), EVERYTHING) == []


def test_the_filters_of_time_include_their_beginning_and_not_their_end(store: Store) -> None:
    [job_id] = store.submit()
    created = store.view(job_id)["created_at"]
    moment = timedelta(milliseconds=1)
    for after, before, seen in (
        (created, None, True), (created + moment, None, False), (None, created, False), (None, created + moment, True),
    ):  # fmt: skip
        page = store.reader.page(Filters(created_after=after, created_before=before), EVERYTHING)
        assert bool(page) == seen


def test_pages_stay_put_while_jobs_arrive(store: Store) -> None:
    many = store.submit(*[new_job(str(n)) for n in range(25)])
    seen: list[str] = []
    cursor: str | None = None
    while page := ids_of(store.reader.page(Filters(before=cursor, limit=10), EVERYTHING)):
        seen += page
        cursor = page[-1]
        store.submit(new_job("late"))
    assert seen == many[::-1]


def test_a_page_shows_neither_requests_nor_results(store: Store) -> None:
    store.settle(settlement(store.claimed(new_job("secret")), result={"text": "secret"}))
    [row] = store.reader.page(Filters(), EVERYTHING)
    assert "secret" not in str(row)


def test_costs_say_what_is_known_and_what_is_missing(store: Store) -> None:
    job = store.started()
    assert costs(store, job.id) == (Decimal(0), True, 0)
    endings = [
        (attempt_end(1, Outcome.FAILED, cost=Decimal("0.1")), (Decimal("0.1"), True, 0)),
        (attempt_end(2, Outcome.FAILED, billed=Billed.NO, cost=None), (Decimal("0.1"), True, 0)),
        (attempt_end(3, Outcome.FAILED, cost=Decimal("0.2")), (Decimal("0.3"), True, 0)),
        (attempt_end(4, Outcome.FAILED, billed=Billed.MAYBE, cost=None), (Decimal("0.3"), False, 1)),
        (attempt_end(5, cost=None), (Decimal("0.3"), False, 1)),
    ]
    for end, expected in endings:
        store.settle(settlement(job, Transition.CONTINUE, attempt=end))
        assert costs(store, job.id) == expected
        store.settlements.start([start(job, end.attempt_no + 1)])
    assert costs(store, job.id) == expected
    [row] = store.reader.page(Filters(), EVERYTHING)
    assert (row["cost"], row["cost_known"], row["maybe_billed"]) == expected


def costs(store: Store, job_id: str) -> tuple[Decimal, bool, int]:
    row = store.view(job_id)
    return row["cost"], row["cost_known"], row["maybe_billed"]


def test_a_job_that_called_nobody_costs_nothing_and_that_is_known(store: Store) -> None:
    assert costs(store, store.submit()[0]) == (Decimal(0), True, 0)


def test_a_thousand_small_amounts_add_up_exactly(store: Store) -> None:
    job = store.started()
    for number in range(1, 101):
        end = attempt_end(number, Outcome.FAILED, cost=Decimal("0.000000000001") * number)
        store.settle(settlement(job, Transition.CONTINUE, attempt=end))
        store.settlements.start([start(job, number + 1)])
    assert costs(store, job.id)[0] == Decimal("0.00000000505")


def test_states_tell_who_waits_when_it_is_over(store: Store) -> None:
    waiting, done = store.submit()[0], store.claimed()
    store.settle(settlement(done))
    states = store.reader.states([waiting, done.id, new_id()])
    assert set(states) == {waiting, done.id}
    assert states[waiting] == ("queued", "guard", None)
    assert states[done.id][:2] == ("succeeded", "analyze")
    assert states[done.id][2] is not None


def test_a_history_holds_the_ended_attempts_with_their_failures(store: Store) -> None:
    job = store.started()
    store.settle(settlement(job, Transition.CONTINUE, attempt=attempt_end(1, Outcome.FAILED)))
    store.settlements.start([start(job, 2)])
    other = store.submit()[0]
    histories = store.reader.histories([job.id, other])
    assert histories[other] == []
    [past] = histories[job.id]
    assert (past.attempt_no, past.outcome, past.failure) == (1, Outcome.FAILED, failure())
    assert past.started_at.utcoffset() == timedelta(0)


def test_a_timeline_holds_everything_oldest_first(store: Store) -> None:
    job = store.started()
    store.settle(settlement(job, Transition.CONTINUE, attempt=attempt_end(1, Outcome.FAILED)))
    store.settlements.start([start(job, 2)])
    store.settle(replace(settlement(job, attempt=attempt_end(2)), stage=Stage.ANALYZE))
    timeline = store.reader.timeline(job.id)
    assert [attempt["attempt_no"] for attempt in timeline["attempts"]] == [1, 2]
    assert timeline["attempts"][0]["failure"] == failure().to_json()
    assert store.reader.timeline(new_id()) == {"attempts": [], "spans": [], "events": []}
