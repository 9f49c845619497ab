"""Outages: one line at the start, one a minute, one at the end, however many meet them."""

import logging
import threading

import pika.exceptions
import psycopg
import pytest

from synthralos.broker import outage as broker_outage
from synthralos.store.sql.outage import DIAGNOSES, tell
from synthralos.telemetry.outages import BROKER, DATABASE, Outages


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outages(clock: Clock, caplog: pytest.LogCaptureFixture) -> Outages:
    caplog.set_level(logging.INFO, "synthralos.telemetry.outages")
    return Outages(clock=clock)


def test_an_outage_has_a_line_at_its_start_one_a_minute_and_one_at_its_end(
    outages: Outages, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1300):
        outages.failed(DATABASE, "nothing listens there", "start it")
        clock.now += 0.1
    assert len(caplog.records) == 3
    assert all("nothing listens there" in r.getMessage() and "start it" in r.getMessage() for r in caplog.records)
    outages.works(DATABASE)
    assert len(caplog.records) == 4
    assert caplog.records[-1].__dict__["seconds"] == pytest.approx(130)


def test_what_never_failed_says_nothing_when_it_works(outages: Outages, caplog: pytest.LogCaptureFixture) -> None:
    outages.works(DATABASE)
    assert not caplog.records


def test_what_comes_and_goes_is_told_once_a_minute(
    outages: Outages, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        outages.failed(DATABASE, "it ended the connection", "look")
        outages.works(DATABASE)
        clock.now += 0.5
    assert len(caplog.records) == 2
    assert outages.seconds() == {}


def test_each_thing_that_is_away_has_its_own_lines(
    outages: Outages, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    outages.failed(DATABASE, "a", "b")
    clock.now += 5
    outages.failed(BROKER, "c", "d")
    assert len(caplog.records) == 2
    assert outages.seconds() == {DATABASE: 5.0, BROKER: 0.0}
    outages.works(BROKER)
    assert list(outages.seconds()) == [DATABASE]


def test_many_threads_that_meet_an_outage_write_one_line(outages: Outages, caplog: pytest.LogCaptureFixture) -> None:
    begin = threading.Barrier(8)

    def meet() -> None:
        begin.wait()
        for _ in range(100):
            outages.failed(DATABASE, "refused", "start it")

    threads = [threading.Thread(target=meet) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ('connection to server at "127.0.0.1", port 5403 failed: Connection refused', "start PostgreSQL"),
        ('FATAL:  password authentication failed for user "x"', "password"),
        ('FATAL:  database "x" does not exist', "create it"),
        ("FATAL:  sorry, too many clients already", "max_connections"),
        ("FATAL:  the database system is starting up", "wait"),
        ('could not translate host name "nowhere" to address', "host"),
        ("server closed the connection unexpectedly", "start it again"),
    ],
)
def test_the_remedy_is_for_the_reason_that_the_database_gives(message: str, word: str) -> None:
    assert word in DIAGNOSES.of(psycopg.OperationalError(message))[1]


def test_a_lock_that_somebody_holds_is_no_outage(outages: Outages) -> None:
    tell(outages, psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"))
    assert outages.seconds() == {}


@pytest.mark.parametrize(
    ("error", "subject", "word"),
    [
        (ConnectionRefusedError(111, "Connection refused"), BROKER, "start the broker"),
        (pika.exceptions.ProbableAuthenticationError("ConnectionClosedByBroker: (403)"), BROKER, "password"),
        (pika.exceptions.ConnectionClosedByBroker(530, "NOT_ALLOWED - vhost x not found"), BROKER, "virtual host"),
        (
            pika.exceptions.ChannelClosedByBroker(406, "PRECONDITION_FAILED - inequivalent arg 'x-queue-type'"),
            f"{BROKER} queue q",
            "BROKER_NAMESPACE",
        ),
    ],
)
def test_the_remedy_is_for_the_reason_that_the_broker_gives(
    error: Exception, subject: str, word: str, outages: Outages, caplog: pytest.LogCaptureFixture
) -> None:
    broker_outage.tell(outages, error, "q")
    assert list(outages.seconds()) == [subject]
    assert word in caplog.records[-1].__dict__["remedy"]
    broker_outage.works(outages, "q")
    assert outages.seconds() == {}
