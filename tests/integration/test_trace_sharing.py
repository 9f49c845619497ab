"""What is read for one destination is what the others get, as long as it is what they would read themselves."""

from datetime import UTC, datetime

import pytest

from pipelines.analyze.protocol import Trace
from synthralos.domain.exports import Booking, Destination, Owed
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import State, Transition
from synthralos.store.admin.feedback import FeedbackStore, Said
from synthralos.store.exports.backlog import Backlog
from synthralos.store.sql.database import Database
from synthralos.telemetry.redaction import Redactor
from tests.fakes.jobs import attempt_end, new_job, settlement
from tests.fakes.stores import Store
from workers.trace_reading import TraceReading
from workers.trace_sharing import KEPT_FOR, MOST_BYTES, SharedTraces

NAMES = ["one", "two", "three"]
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Place:
    def __init__(self, database: Database) -> None:
        self.store, self.backlog = Store(database, NAMES), Backlog(database)
        self.reading = TraceReading(database, Redactor(), len(NAMES))
        self.feedback = FeedbackStore(database)
        for name in NAMES:
            self.backlog.serve(Destination(name))

    def finished(self, count: int = 1) -> list[str]:
        done = [self.store.started(new_job()) for _ in range(count)]
        for each in done:
            assert self.store.settle(settlement(each, attempt=attempt_end(1), analyzed=True))
        return [each.id for each in done]

    def claimed(self, name: str) -> tuple[list[Owed], list[Trace]]:
        """As a shipper does it."""
        owed = self.backlog.claim(name)
        return owed, self.reading.traces(owed, self.reading.jobs(owed), None)


@pytest.fixture
def place(database: Database) -> Place:
    return Place(database)


def test_a_trace_is_made_once_for_all_destinations(place: Place) -> None:
    job_ids = place.finished(3)
    owed, first = place.claimed("one")
    assert [trace["job"]["id"] for trace in first] == [each.job_id for each in owed] == job_ids
    for name in NAMES[1:]:
        assert [id(trace) for trace in place.claimed(name)[1]] == [id(trace) for trace in first]


def test_all_destinations_are_owed_a_trace_since_the_same_moment(place: Place) -> None:
    place.finished(2)
    since = [[each.since for each in place.backlog.claim(name)] for name in NAMES]
    assert since[0] == since[1] == since[2]
    assert None not in since[0]


def test_a_trace_that_has_changed_is_read_anew(place: Place) -> None:
    [job_id] = place.finished()
    [before] = place.claimed("one")[1]
    assert place.feedback.add(job_id, Said("ann", "helpful", 1.0, "fine"), "ann")
    [after] = place.claimed("two")[1]
    assert [len(trace["feedback"]) for trace in (before, after)] == [0, 1]


def test_a_trace_that_has_changed_since_it_was_accepted_is_read_anew(place: Place) -> None:
    [job_id] = place.finished()
    for name in NAMES[:2]:
        owed, _ = place.claimed(name)
        place.backlog.book(name, Booking(1, owed))
    assert place.feedback.add(job_id, Said("ann", "helpful", 1.0, None), "ann")
    for name in NAMES:
        [trace] = place.claimed(name)[1]
        assert len(trace["feedback"]) == 1


def test_a_job_that_ended_again_is_read_anew(place: Place) -> None:
    job = place.store.claimed()
    place.store.settle(settlement(job, Transition.FAIL, analyzed=True))
    owed, [first] = place.claimed("one")
    place.backlog.book("one", Booking(1, owed))
    place.store.operations.retry(job.id, EVERYTHING, "ann")
    place.store.settle(settlement(place.store.claim([job.id])[0], analyzed=True))
    for name in NAMES:
        [trace] = place.claimed(name)[1]
        assert (trace["job"]["state"], first["job"]["state"]) == (State.SUCCEEDED, State.FAILED)


def test_what_was_kept_is_gone_after_a_while_and_when_all_have_it() -> None:
    now = 0.0
    shared = SharedTraces(2, lambda: now)
    owed = [Owed(f"job-{number}", 1, 1, AT) for number in range(3)]
    for each in owed:
        shared.keep(each, {"id": each.job_id})
        shared.add(each, {}, frozenset(), 10)
    shared.taken(owed[0])
    assert [shared.of(each) is None for each in owed] == [True, False, False]
    now = KEPT_FOR
    shared.tidy()
    assert [shared.of(each) for each in owed] == [None] * 3
    for each in owed:
        shared.keep(each, {"id": each.job_id})
        shared.add(each, {}, frozenset(), MOST_BYTES // 10)
    shared.tidy()
    assert None not in [shared.of(each) for each in owed]


def test_of_too_much_the_oldest_goes_and_what_is_large_is_not_kept() -> None:
    shared = SharedTraces(2, lambda: 0.0)
    owed = [Owed(f"job-{number}", 1, 1, AT) for number in range(12)]
    for each in owed:
        shared.keep(each, {"id": each.job_id})
        shared.add(each, {"made": True}, frozenset(), MOST_BYTES // 10)
    shared.tidy()
    assert [each.job_id for each in owed if shared.of(each) is None] == ["job-0", "job-1"]
    shared.add(owed[-1], {"made": "anew"}, frozenset(), MOST_BYTES // 10 + 1)
    assert (kept := shared.of(owed[-1])) is not None
    assert kept.trace == {"made": True}
