"""The exporters' backlog on both databases: bookings, changes meanwhile, rests, what is set aside or dropped."""

from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.domain.attempts import Outcome
from synthralos.domain.exports import Aside, Booking, Destination, Kind, Owed, Rest
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Transition
from synthralos.store.admin.audit import By
from synthralos.store.admin.feedback import FeedbackStore, Said
from synthralos.store.exports.backlog import Backlog
from synthralos.store.exports.operating import ExportOperations
from synthralos.store.exports.pruning import ExportPruning
from synthralos.store.queue.thoughts import Thoughts
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import attempts, export_backlog, export_set_aside, happenings
from tests.fakes.jobs import attempt_end, settlement
from tests.fakes.stores import Store

ANN = By("ann", "because")
DAY = 86_400.0


class Place:
    """A store whose finished jobs are owed to `one`, and who ships there."""

    def __init__(self, database: Database) -> None:
        self.store = Store(database, ["one"])
        self.backlog, self.operations = Backlog(database), ExportOperations(database)
        self.backlog.serve(Destination("one"))

    def finished(self, count: int = 1) -> list[str]:
        """Jobs that a worker brought to their end, and closed; oldest first."""
        done = [self.store.started() for _ in range(count)]
        for job in done:
            assert self.store.settle(settlement(job, attempt=attempt_end(1), analyzed=True))
        return [job.id for job in done]

    def claim(self) -> list[Owed]:
        """A shipment."""
        return self.backlog.claim("one")

    def book(self, booking: Booking) -> None:
        """What became of it."""
        self.backlog.book("one", booking)

    def standing(self) -> Any:
        """How it fares."""
        found = self.operations.standing("one")
        assert found is not None
        return found

    def told(self) -> list[str]:
        """The kinds of happenings, oldest first."""
        return [row["kind"] for row in sorted(self.store.rows(happenings), key=lambda row: str(row["id"]))]


@pytest.fixture
def place(database: Database) -> Place:
    return Place(database)


def test_a_booking_says_of_each_trace_what_becomes_of_it(place: Place) -> None:
    ids = place.finished(4)
    sent, bad, again, left = place.claim()
    place.book(Booking(1, [sent], [Aside(bad, Kind.REFUSED, "no such field")], [again], [left], error="half"))
    found = place.standing()
    assert (found.pending, found.sent, found.failed, found.refused, found.withheld) == (2, 1, 2, 1, 0)
    assert (found.last_error, found.last_sent_at is not None, found.lag >= 0) == ("half", True, True)
    [aside] = place.operations.set_aside("one")
    assert (aside.job_id, aside.organization, aside.kind, aside.reason) == (ids[1], "acme", "refused", "no such field")
    assert [owed.job_id for owed in place.claim()] == [ids[3]]
    assert place.operations.of_job(ids[1])["one"] == aside._replace(organization=None)
    assert place.operations.of_job(ids[2]) == {"one": None}
    assert place.operations.of_job(ids[0]) == {}


def say(place: Place, job_id: str) -> None:
    FeedbackStore(place.store.database).add(job_id, Said("human", "helpful", 1.0, None), "ann")


def think(place: Place, job_id: str) -> None:
    Thoughts(place.store.database).add(job_id, EVERYTHING, By("agent"), "on second thoughts")


@pytest.mark.parametrize("change", [say, think])
def test_what_is_said_of_a_job_after_its_export_makes_it_owed_again(place: Place, change: Any) -> None:
    [job_id] = place.finished()
    place.book(Booking(1, place.claim()))
    assert place.store.owed("one") == []
    change(place, job_id)
    assert place.store.owed("one") == [job_id]


@pytest.mark.parametrize("change", [say, think])
def test_what_is_said_of_a_job_while_it_is_shipped_is_shipped_too(place: Place, change: Any) -> None:
    [job_id] = place.finished()
    owed = place.claim()
    change(place, job_id)
    assert place.claim() == []  # it is in a shipment
    place.book(Booking(1, owed))
    assert [(again.job_id, again.tries) for again in place.claim()] == [(job_id, 1)]


def test_a_job_that_ends_anew_while_it_is_shipped_is_shipped_as_it_is_then(place: Place) -> None:
    job = place.store.started()
    place.store.settle(settlement(job, Transition.FAIL, attempt=attempt_end(1, Outcome.FAILED), analyzed=True))
    owed = place.claim()
    place.store.operations.retry(job.id, EVERYTHING, "ann")
    [again] = place.store.claim([job.id])
    place.store.settle(settlement(again, Transition.DENY, analyzed=True))
    place.book(Booking(1, owed))
    assert place.store.owed("one") == [job.id]


def test_a_late_booking_makes_the_job_owed_again(place: Place) -> None:
    job = place.store.started()
    place.store.operations.cancel(job.id, EVERYTHING, "ann")
    place.store.update(attempts, attempts.c.job_id == job.id, outcome="lost")
    place.store.update_job(job.id, analyzed_at=utc_in(sa.literal(0)))
    assert place.store.owed("one") == []
    assert not place.store.settle(settlement(job, attempt=attempt_end(1), analyzed=True))
    assert place.store.owed("one") == [job.id]


def test_an_open_job_of_which_something_is_said_is_not_owed_before_its_end(place: Place) -> None:
    job = place.store.started()
    say(place, job.id)
    assert place.store.owed("one") == []


def test_a_destination_rests_for_as_long_as_the_longest_of_its_rests(place: Place) -> None:
    assert place.backlog.rests("one") == 0
    place.book(Booking(rest=Rest(300, "busy"), error="busy"))
    place.book(Booking(rest=Rest(1, "busy"), error="busy"))
    assert place.backlog.rests("one") == pytest.approx(300, abs=5)
    [job_id] = place.finished()
    assert place.store.sweeps.backlog(-60) == []  # nobody is rung for it meanwhile
    place.book(Booking(1, place.claim()))
    assert place.backlog.rests("one") == 0
    say(place, job_id)
    assert [item.id for item in place.store.sweeps.backlog(-60)] == [job_id]


def test_that_a_destination_stops_and_goes_on_is_told_once(place: Place) -> None:
    for _ in range(3):
        place.book(Booking(rest=Rest(600, "401", stopped=True), error="401 Unauthorized"))
    assert (place.standing().stopped, place.told()) == (True, ["export.stopped"])
    assert place.operations.resume("one", ANN)
    assert place.backlog.rests("one") == 0
    place.finished()
    place.book(Booking(1, place.claim()))
    assert (place.standing().stopped, place.told()) == (False, ["export.stopped", "export.resumed"])
    assert not place.operations.resume("nowhere", ANN)


def test_what_is_set_aside_is_retried_or_dropped_by_an_operator(place: Place) -> None:
    first, second, third = place.finished(3)
    place.book(Booking(aside=[Aside(owed, Kind.WITHHELD, "eu") for owed in place.claim()]))
    assert (place.standing().withheld, place.claim()) == (3, [])
    assert place.operations.retry("one", [first], ANN) == 1
    assert [(owed.job_id, owed.tries) for owed in place.claim()] == [(first, 1)]
    assert place.operations.drop("one", [second], ANN) == 1
    assert [aside.job_id for aside in place.operations.set_aside("one")] == [third]
    assert (place.standing().dropped, place.told()) == (1, ["export.dropped"])
    assert place.operations.retry("one", None, ANN) == 1
    assert place.operations.retry("one", None, ANN) == place.operations.drop("one", None, ANN) == 0


def test_what_arrives_after_all_is_set_aside_no_more(place: Place) -> None:
    [job_id] = place.finished()
    place.book(Booking(aside=[Aside(owed, Kind.REFUSED, "no") for owed in place.claim()]))
    say(place, job_id)
    place.book(Booking(1, place.claim()))
    assert place.operations.set_aside("one") == []


def test_what_is_owed_for_too_long_is_dropped_counted_and_told(place: Place) -> None:
    old, young = place.finished(2)
    place.store.update(export_backlog, export_backlog.c.job_id == old, since=utc_in(sa.literal(-8 * DAY)))
    pruning = ExportPruning(place.store.database)
    assert [dict(pruning.too_old(7 * DAY)) for _ in range(2)] == [{"one": 1}, {}]
    assert (place.store.owed("one"), place.standing().dropped) == ([young], 1)
    [told] = place.store.rows(happenings)
    assert (told["kind"], told["subject"], told["data"]["traces"]) == ("export.dropped", "one", 1)


def test_a_backlog_beyond_its_bound_loses_its_oldest(place: Place) -> None:
    ids = place.finished(5)
    pruning = ExportPruning(place.store.database)
    assert [dict(pruning.too_many(3)) for _ in range(2)] == [{"one": 2}, {}]
    assert place.store.owed("one") == ids[2:]


def test_what_was_set_aside_long_ago_is_forgotten(place: Place) -> None:
    place.finished(2)
    place.book(Booking(aside=[Aside(owed, Kind.REFUSED, "no") for owed in place.claim()]))
    place.store.update(export_set_aside, sa.true(), at=utc_in(sa.literal(-8 * DAY)))
    assert [ExportPruning(place.store.database).forgotten(7 * DAY) for _ in range(2)] == [2, 0]


def test_it_is_known_when_the_next_trace_comes_due(place: Place) -> None:
    assert place.backlog.due_in("one") is None
    place.finished()
    place.book(Booking(again=place.claim()))
    due = place.backlog.due_in("one")
    assert due is not None
    assert 3 < due <= 5
