"""Dead letters in the store, and operations on many of them: each job once, and none of another tenant."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.domain.attempts import Outcome
from synthralos.domain.bulk import BulkAct, BulkOperation, BulkState, DeadLetterFilter
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import NewJob, Tenant
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Stage, State, Transition
from synthralos.store.admin.audit import Audit, AuditFilter, By
from synthralos.store.queue.bulk import BulkOperations
from synthralos.store.queue.idempotency import KeyReusedError, MadeBeforeError
from synthralos.store.queue.imports import Exported, Imports
from synthralos.store.read.dead_letters import DeadLetters
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import event_logs, jobs, results
from tests.fakes.jobs import attempt_end, deployment, new_job, settlement
from tests.fakes.keyed import once
from tests.fakes.stores import Store

ANN = By("ann", "the provider is back")
AWAY = Failure(FailureClass.OVERLOADED, "try later", http_status=529, provider_code="overloaded_error")


def _dead(store: Store, *jobs: NewJob, failure: Failure = AWAY) -> list[str]:
    ids = store.submit(*(jobs or (new_job(),)))
    for job in store.claim(ids):
        assert store.settle(settlement(job, Transition.FAIL, failure=failure.to_json()))
    return ids


def _all(operations: BulkOperations, operation: BulkOperation, piece: int = 500) -> list[str]:
    moved: list[str] = []
    while True:
        step = operations.step(operation.id, piece)
        moved += [item.id for item in step.moved]
        if step.over:
            return moved


def test_dead_letters_are_listed_and_grouped_by_cause(store: Store) -> None:
    overloaded = _dead(store, *(new_job(model="fake/small") for _ in range(3)))
    filtered = _dead(store, failure=Failure(FailureClass.CONTENT_FILTERED, "no"))
    store.submit()
    letters = DeadLetters(store.database)
    nothing = DeadLetterFilter()
    assert letters.page(nothing, EVERYTHING, 10) == sorted(overloaded + filtered, reverse=True)
    newest, *older = letters.page(nothing, EVERYTHING, 2)
    assert letters.page(nothing, EVERYTHING, 10, older[-1]) == sorted(overloaded + filtered)[1::-1]
    assert newest == max(overloaded + filtered)
    assert letters.page(DeadLetterFilter(FailureClass.OVERLOADED), EVERYTHING, 10) == sorted(overloaded, reverse=True)
    assert letters.page(DeadLetterFilter(jobs=tuple(filtered)), EVERYTHING, 10) == filtered
    causes, more = letters.causes(nothing, EVERYTHING)
    assert not more
    assert [(c.failure_class, c.provider_code, c.http_status, c.jobs) for c in causes] == [
        ("overloaded", "overloaded_error", 529, 3), ("content_filtered", None, None, 1),
    ]  # fmt: skip
    assert causes[0].samples == sorted(overloaded, reverse=True)


def test_dead_letters_are_found_by_where_their_last_call_went(store: Store) -> None:
    job = store.started(new_job())
    ended = attempt_end(1, Outcome.FAILED)
    assert store.settle(settlement(job, Transition.FAIL, failure=AWAY.to_json(), attempt=ended))
    _dead(store)
    letters, called = DeadLetters(store.database), deployment().id
    assert letters.page(DeadLetterFilter(deployment=called), EVERYTHING, 10) == [job.id]
    assert letters.page(DeadLetterFilter(deployment="another/one@us"), EVERYTHING, 10) == []
    stored = DeadLetterFilter(deployment=called)
    assert DeadLetterFilter.from_json(stored.to_json()) == stored


def test_others_dead_letters_do_not_exist(store: Store) -> None:
    mine = _dead(store, new_job(tenant=Tenant("acme", "main")))
    theirs = _dead(store, new_job(tenant=Tenant("other", "main")))
    acme = Scope("acme")
    assert DeadLetters(store.database).page(DeadLetterFilter(), acme, 10) == mine
    operations = BulkOperations(store.database)
    made = operations.create(BulkAct.RETRY, DeadLetterFilter(jobs=tuple(mine + theirs)), acme, ANN)
    assert _all(operations, made) == mine
    assert operations.get(made.id, Scope("other")) is None
    assert operations.page(Scope("other"), 10) == []
    assert operations.change(made.id, "pause", Scope("other"), ANN) is None
    assert store.state(theirs[0]) == State.FAILED


def test_every_job_that_fits_has_a_new_life_once(store: Store) -> None:
    ids = sorted(_dead(store, *(new_job() for _ in range(7))))
    others = _dead(store, failure=Failure(FailureClass.CONTENT_FILTERED, "no"))
    operations = BulkOperations(store.database)
    made = operations.create(BulkAct.RETRY, DeadLetterFilter(FailureClass.OVERLOADED), EVERYTHING, ANN, name="back")
    first = operations.step(made.id, 3)
    assert [item.id for item in first.moved] == ids[:3]
    # One of them fails again in the meantime: it lies behind the place, and is not retried again and again.
    [job] = store.claim(ids[:1])
    assert store.settle(settlement(job, Transition.FAIL, failure=AWAY.to_json()))
    assert _all(operations, made, 3) == ids[3:]
    done = operations.get(made.id, EVERYTHING)
    assert done is not None
    assert (done.state, done.done, done.finished_at is not None) == (BulkState.DONE, 7, True)
    assert [store.state(job_id) for job_id in ids] == [State.FAILED] + [State.QUEUED] * 6
    assert store.state(others[0]) == State.FAILED
    assert operations.step(made.id, 3).moved == []
    retried = sa.select(event_logs.c.job_id, event_logs.c.actor, event_logs.c.data).where(event_logs.c.kind == "retry")
    with store.database.snapshot() as connection:
        events = connection.execute(retried).all()
    assert sorted(event.job_id for event in events) == ids
    assert {event.actor for event in events} == {"ann"}
    assert {event.data["failure"]["class"] for event in events} == {"overloaded"}
    [entry] = Audit(store.database).page(AuditFilter(subject=f"operation:{made.id}"), EVERYTHING, 10)
    assert entry.after == {"act": "retry", "filter": {"failure_class": "overloaded"}, "changes": {}}


def test_what_fails_after_it_was_made_is_none_of_its_own(store: Store) -> None:
    early = _dead(store)
    operations = BulkOperations(store.database)
    made = operations.create(BulkAct.RETRY, DeadLetterFilter(), EVERYTHING, ANN)
    late = _dead(store)
    with store.database.transaction() as connection:
        connection.execute(
            sa.update(results).where(results.c.job_id == late[0]).values(finished_at=utc_in(sa.literal(60.0)))
        )
    assert _all(operations, made) == early


def test_a_reroute_changes_constraints_and_keeps_the_others(store: Store) -> None:
    ids = sorted(_dead(store, *(new_job() for _ in range(2))))
    operations = BulkOperations(store.database)
    changes: dict[str, Any] = {"exclude": ["a/b@us"]}
    made = operations.create(BulkAct.REROUTE, DeadLetterFilter(), EVERYTHING, ANN, changes=changes)
    # They have no plan: no guard has let them through yet.
    assert {(item.id, item.stage) for item in operations.step(made.id, 10).moved} == {(i, Stage.GUARD) for i in ids}
    assert store.job(ids[0])["constraints"]["exclude"] == ["a/b@us"]
    assert store.job(ids[0])["constraints"]["fallback"] is True


def test_it_is_paused_resumed_cancelled_and_says_what_it_does_not_allow(store: Store) -> None:
    ids = _dead(store, *(new_job() for _ in range(3)))
    operations = BulkOperations(store.database)
    made = operations.create(BulkAct.RETRY, DeadLetterFilter(), EVERYTHING, ANN)
    assert len(operations.step(made.id, 1).moved) == 1
    paused = operations.change(made.id, "pause", EVERYTHING, ANN)
    assert isinstance(paused, BulkOperation)
    assert paused.state is BulkState.PAUSED
    assert operations.running() == []
    assert operations.step(made.id, 10) == ([], True)
    assert operations.change(made.id, "pause", EVERYTHING, ANN) is BulkState.PAUSED
    assert isinstance(operations.change(made.id, "resume", EVERYTHING, ANN), BulkOperation)
    assert len(operations.step(made.id, 1).moved) == 1
    assert isinstance(operations.change(made.id, "cancel", EVERYTHING, ANN), BulkOperation)
    assert operations.change(made.id, "resume", EVERYTHING, ANN) is BulkState.CANCELLED
    assert sorted(store.state(job_id) for job_id in ids) == [State.FAILED, State.QUEUED, State.QUEUED]


def test_a_filter_comes_back_as_it_was(store: Store) -> None:
    [job_id] = _dead(store, new_job(model="fake/small", run_id="nightly"))
    ended = store.job(job_id)["finished_at"]
    wanted = DeadLetterFilter(
        FailureClass.OVERLOADED, "fake/small", run_id="nightly",
        failed_after=ended, failed_before=ended + timedelta(seconds=1), jobs=(job_id,),
    )  # fmt: skip
    made = BulkOperations(store.database).create(BulkAct.RETRY, wanted, EVERYTHING, ANN, per_second=2.5)
    assert made.filter == wanted
    assert made.per_second == 2.5
    assert DeadLetters(store.database).page(wanted, EVERYTHING, 10) == [job_id]
    assert DeadLetters(store.database).page(DeadLetterFilter(failed_before=ended), EVERYTHING, 10) == []


def test_the_same_key_makes_one_operation(store: Store) -> None:
    operations, acme = BulkOperations(store.database), Scope("acme")
    first = operations.create(BulkAct.RETRY, DeadLetterFilter(), acme, once("same"))
    with pytest.raises(MadeBeforeError) as before:
        operations.create(BulkAct.RETRY, DeadLetterFilter(), acme, once("same"))
    assert before.value.made == first.id
    with pytest.raises(KeyReusedError):
        operations.create(BulkAct.RETRY, DeadLetterFilter(), acme, once("other"))
    operations.create(BulkAct.RETRY, DeadLetterFilter(), Scope("other"), once("other", "other"))
    assert operations.page(acme, 10) == [first]


def test_an_exported_job_is_imported_once_however_often_it_comes(store: Store) -> None:
    exported, imports = [new_id() for _ in range(3)], Imports(store.database)

    def lines(*ids: str, workspace: str = "main") -> list[Exported]:
        return [Exported(i, new_job(tenant=Tenant("acme", workspace))) for i in ids]

    first = lines(*exported[:2])
    made = imports.accept(first)
    assert made == [each.job.id for each in first]
    again = lines(*exported)
    assert imports.accept(again) == [*made, again[2].job.id]
    assert [store.state(job_id) for job_id in (*made, again[2].job.id)] == [State.QUEUED] * 3
    twice = lines(exported[0], exported[0], workspace="other")
    [one, same] = imports.accept(twice)
    assert one == same == twice[0].job.id
    with store.database.snapshot() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(jobs)).scalar_one() == 4


def test_of_two_imports_at_the_same_moment_each_line_becomes_one_job(store: Store) -> None:
    exported = [new_id() for _ in range(20)]
    gate = threading.Barrier(2)

    def run(order: list[str]) -> dict[str, str]:
        lines = [Exported(i, new_job()) for i in order]
        gate.wait()
        return dict(zip(order, Imports(store.database).accept(lines), strict=True))

    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(run, [exported, exported[::-1]])
    assert one == other
    with store.database.snapshot() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(jobs)).scalar_one() == 20
