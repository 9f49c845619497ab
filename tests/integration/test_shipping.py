"""Shipping: what leaves for whom, what is set aside, and how a destination is left alone and tried again by itself."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from pipelines.analyze.exporters.langfuse_spans import Filing, langfuse_spans
from pipelines.analyze.otlp_spans import otlp_spans
from pipelines.analyze.protocol import Answer, Trace, accepted
from synthralos.domain.events import Event, Thought
from synthralos.domain.exports import Destination, Rest
from synthralos.domain.findings import Decision, Finding, Verdict
from synthralos.domain.flags import Flag
from synthralos.domain.jobs import Constraints, NewJob
from synthralos.domain.prompts import ComparedPrompt, Match
from synthralos.domain.spans import Span
from synthralos.store.admin.feedback import FeedbackStore, Said
from synthralos.store.exports.operating import ExportOperations
from synthralos.store.sql.clock import DatabaseClock
from synthralos.store.sql.database import Database
from synthralos.telemetry.redaction import Redactor
from tests.fakes.jobs import attempt_end, new_job, settlement
from tests.fakes.stores import Store
from workers.exporting import TraceExporter

Answers = Callable[[Sequence[Trace]], Answer]


class Told:
    """A destination that answers as it is told to, one answer after the other; the last one for ever."""

    def __init__(self, destination: Destination, *answers: Answers) -> None:
        self.destination = destination
        self._answers = [*answers]
        self.shipments: list[list[Trace]] = []
        self.times: list[float] = []
        self._shipped = threading.Condition()

    def ship(self, traces: Sequence[Trace]) -> Answer:
        with self._shipped:
            self.shipments.append([*traces])
            self.times.append(time.monotonic())
            self._shipped.notify_all()
        answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        return answer(traces)

    def await_shipments(self, count: int) -> None:
        with self._shipped:
            assert self._shipped.wait_for(lambda: len(self.shipments) >= count, 30)

    def sizes(self) -> list[int]:
        return [len(shipment) for shipment in self.shipments]

    def close(self) -> None:
        """Nothing is held."""


class Place:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.store = Store(database, ["one"])
        self.operations = ExportOperations(database)
        self._analysts: list[TraceExporter] = []

    def finished(self, count: int = 1, job: Callable[[], NewJob] = new_job) -> list[str]:
        done = [self.store.started(job()) for _ in range(count)]
        for each in done:
            assert self.store.settle(settlement(each, attempt=attempt_end(1), analyzed=True))
        return [each.id for each in done]

    def ship(self, told: Told, **more: Any) -> TraceExporter:
        """Start to ship, and wait until nothing is to be done for now."""
        analyst = TraceExporter(self.database, {"one": told}, DatabaseClock(), damping=0, linger=0, **more)
        self._analysts.append(analyst)
        analyst.start()
        assert analyst.rest(60)
        return analyst

    def close(self) -> None:
        for analyst in self._analysts:
            analyst.stop(60)

    def standing(self) -> Any:
        return self.operations.standing("one")


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    place = Place(database)
    yield place
    place.close()


def eu() -> NewJob:
    job = new_job()
    return replace(job, constraints=replace(job.constraints or Constraints(), classification="eu"))


def test_what_is_owed_from_before_is_shipped_without_being_rung_for(place: Place) -> None:
    job_ids = place.finished(3)
    told = Told(Destination("one"), accepted)
    place.ship(told)
    assert [[trace["job"]["id"] for trace in shipment] for shipment in told.shipments] == [job_ids]
    assert (place.standing().sent, place.standing().pending) == (3, 0)


@pytest.mark.parametrize(("residency", "withheld"), [(None, 1), ("us", 1), ("global", 1), ("eu", 0)])
def test_eu_data_goes_only_where_it_is_declared_to_stay_in_the_eu(
    place: Place, residency: str | None, withheld: int
) -> None:
    [bound], [free] = place.finished(1, eu), place.finished(1)
    told = Told(Destination("one", residency), accepted)
    place.ship(told)
    arrived = [trace["job"]["id"] for shipment in told.shipments for trace in shipment]
    assert arrived == ([free] if withheld else [bound, free])
    assert (place.standing().withheld, place.standing().pending) == (withheld, 0)
    assert [aside.job_id for aside in place.operations.set_aside("one")] == [bound] * withheld


def test_data_of_an_unknown_class_goes_nowhere(place: Place) -> None:
    place.finished(1, lambda: replace(new_job(), constraints=Constraints(classification="martian")))
    told = Told(Destination("one", "eu"), accepted)
    place.ship(told)
    assert (told.shipments, place.standing().withheld) == ([], 1)


def test_organizations_without_the_flag_are_not_exported(place: Place) -> None:
    place.finished(2)
    told = Told(Destination("one", flag=Flag.ENABLE_LANGFUSE_EXPORT), accepted)
    place.ship(told, on=lambda flag, organization: flag is not Flag.ENABLE_LANGFUSE_EXPORT or organization != "acme")
    assert (told.shipments, place.store.owed("one"), place.standing().sent) == ([], [], 0)


def test_a_poisoned_trace_is_set_aside_and_the_others_arrive(place: Place) -> None:
    first, bad, last = place.finished(3)
    told = Told(Destination("one"), lambda traces: Answer([first, last], {bad: "400: no"}))
    place.ship(told)
    [aside] = place.operations.set_aside("one")
    assert (aside.job_id, aside.reason, place.store.owed("one")) == (bad, "400: no", [])
    assert told.sizes() == [3]


def test_a_shipment_grows_while_all_of_it_is_taken(place: Place) -> None:
    place.finished(30)
    told = Told(Destination("one", batch=2, most=8), accepted)
    place.ship(told)
    assert told.sizes()[:3] == [2, 4, 8]
    assert (max(told.sizes()), sum(told.sizes())) == (8, 30)


def test_a_destination_that_asks_for_rest_is_left_alone_and_tried_again_by_itself(place: Place) -> None:
    place.finished(1)
    told = Told(Destination("one"), lambda traces: Answer(rest=Rest(0.3, "429")), accepted)
    analyst = place.ship(told)
    for _ in range(20):  # jobs that end meanwhile do not have it tried
        analyst.analyze([])
    told.await_shipments(2)
    assert told.times[1] - told.times[0] > 0.25
    assert analyst.rest(60)
    assert (told.sizes(), place.store.owed("one")) == ([1, 1], [])


def test_a_destination_that_does_not_answer_rests_longer_each_time(place: Place) -> None:
    place.finished(1)

    def refuse(traces: Sequence[Trace]) -> Answer:
        raise OSError("connection refused")

    analyst = place.ship(Told(Destination("one"), refuse))
    rests = [place.standing().resting]
    for _ in range(7):
        place.store.let_exports_come_due()
        analyst.analyze([])
        assert analyst.rest(60)
        rests.append(place.standing().resting)
    assert all(0 < rest <= 600 for rest in rests)
    assert max(rests) > 5
    assert place.standing().last_error == "connection refused"


def test_a_stopped_destination_keeps_all_and_goes_on_when_an_operator_says_so(place: Place) -> None:
    job_ids = place.finished(3)
    told = Told(Destination("one"), lambda traces: Answer(rest=Rest(600, "401", stopped=True)), accepted)
    analyst = place.ship(told)
    assert (place.standing().stopped, place.store.owed("one")) == (True, job_ids)
    place.store.let_exports_come_due()
    analyst.analyze([])
    assert analyst.rest(60)
    assert (place.standing().stopped, place.store.owed("one")) == (False, [])


def test_no_secret_that_we_know_leaves_and_what_tenants_say_stays(place: Place) -> None:
    place.finished(1, lambda: new_job("my key is hunter2-of-ours and sk-abcdefgh12345678, tokens: 12"))
    told = Told(Destination("one"), accepted)
    place.ship(told, redactor=Redactor(["hunter2-of-ours"]))
    [[trace]] = told.shipments
    [message] = trace["job"]["request"]["messages"]
    assert message["content"] == "my key is [redacted] and [redacted], tokens: 12"


def test_what_was_said_of_a_job_is_in_its_trace(place: Place) -> None:
    [job_id] = place.finished(1)
    FeedbackStore(place.database).add(job_id, Said("human", "helpful", 0.5, "so so"), "ann")
    told = Told(Destination("one"), accepted)
    place.ship(told)
    [[trace]] = told.shipments
    assert [(said["label"], said["score"], said["comment"]) for said in trace["feedback"]] == [
        ("helpful", 0.5, "so so")
    ]


def test_numbers_under_names_of_secrets_do_not_break_a_document() -> None:
    document = {"token": 123456, "max_token": 5, "api_key": "abcdef", "deep": [{"password": "hunter2"}], "n": None}
    cleaned = Redactor().document(document)
    assert cleaned == {
        "token": 123456,
        "max_token": 5,
        "api_key": "[redacted]",
        "deep": [{"password": "[redacted]"}],
        "n": None,
    }


def names_of(others: Sequence[str]) -> dict[str, Any]:
    """What a settlement writes of a job that is like those others, the first of them the nearest."""
    matches = tuple(Match(job_id, 0.97, exact=True) for job_id in others)
    reason = f"the prompt was asked before, best matched by job {others[0]}"
    signals = {"matches": [match.to_json() for match in matches], "repeats": len(others), "job_id": others[0]}
    now = DatabaseClock().now()
    return {
        "verdict": Verdict(Decision.FLAG, (Finding("similar_prompts", Decision.FLAG, reason, signals=signals),)),
        "compared": ComparedPrompt("f", "k", "e", b"\x00", matches),
        "result": {"text": "Hi", "reused_from": others[0]},
        "spans": [Span("coalesced", now, now, "ok", {"reused_from": others[0]})],
    }


@pytest.mark.parametrize(("residency", "told"), [(None, False), ("us", False), ("eu", True)])
def test_a_trace_names_no_job_whose_data_may_not_go_there(place: Place, residency: str | None, told: bool) -> None:
    [bound], [free] = place.finished(1, eu), place.finished(1)
    job = place.store.started(new_job())
    assert place.store.settle(settlement(job, attempt=attempt_end(1), analyzed=True, **names_of([bound, free])))
    receiver = Told(Destination("one", residency), accepted)
    place.ship(receiver)
    [trace] = [each for shipment in receiver.shipments for each in shipment if each["job"]["id"] == job.id]
    text = orjson.dumps(trace).decode()
    assert (bound in text, free in text) == (told, True)
    assert trace["similarity"]["score"] == (0.97 if told else None)
    assert [match["job_id"] for match in trace["similarity"]["matches"]] == ([bound, free] if told else [free])


def test_a_trace_does_not_name_a_job_that_is_gone_as_nobody_knows_where_its_data_may_go(place: Place) -> None:
    gone = new_job().id
    job = place.store.started(new_job())
    assert place.store.settle(settlement(job, attempt=attempt_end(1), analyzed=True, **names_of([gone])))
    receiver = Told(Destination("one", "eu"), accepted)
    place.ship(receiver)
    [[trace]] = receiver.shipments
    assert gone not in orjson.dumps(trace).decode()


SECRET_WORDS = "a very private matter"


@pytest.mark.parametrize("zero_retention", [True, False])
def test_of_a_job_that_is_to_be_kept_nowhere_no_content_leaves(place: Place, zero_retention: bool) -> None:
    made = new_job(
        SECRET_WORDS, metadata={"about": SECRET_WORDS}, constraints=Constraints(zero_retention=zero_retention)
    )
    job = place.store.started(made)
    failed = {"class": "server_error", "message": SECRET_WORDS, "http_status": 500}
    thought = Event.of(Thought(text=SECRET_WORDS), "agent")
    written: dict[str, Any] = {
        "result": {"text": SECRET_WORDS, "tool_calls": []},
        "failure": failed,
        "events": [thought],
    }
    assert place.store.settle(settlement(job, attempt=attempt_end(1), analyzed=True, **written))
    FeedbackStore(place.database).add(job.id, Said("human", "helpful", 0.5, SECRET_WORDS), "ann")
    told = Told(Destination("one"), accepted)
    place.ship(told)
    trace = told.shipments[-1][0]
    assert (SECRET_WORDS in orjson.dumps(trace).decode()) is not zero_retention
    assert trace["feedback"][0]["score"] == 0.5
    assert [span["kind"] for span in trace["spans"]] == ["job", "attempt"]
    parts = [*otlp_spans(trace, content=True), *langfuse_spans(trace, Filing("default", "1"))]
    assert any(SECRET_WORDS in str(span.attributes) for span in parts) is not zero_retention
