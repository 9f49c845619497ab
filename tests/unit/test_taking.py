"""Taking jobs: patient with the database, never without a heartbeat, at once over when the worker stops."""

import threading
from collections.abc import Sequence

import psycopg
import pytest

from synthralos.domain.jobs import Claim, Job
from synthralos.domain.states import Stage
from synthralos.store.sql.errors import DatabaseFailed
from tests.fakes.stage_jobs import a_job
from workers.taking import Taking


class Store:
    """A store that fails as told before it gives its jobs."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked: list[tuple[str, bool]] = []
        self.jobs = [a_job()]
        self.gone: list[tuple[str, Claim]] = []

    def take(self, stage: Stage, job_ids: Sequence[str], worker_id: str, *, doubtful: bool = False) -> list[Job]:
        """See `Claims.take`."""
        self.asked.append((worker_id, doubtful))
        if self.errors:
            raise self.errors.pop(0)
        return self.jobs

    def claim(self, stage: Stage, job_ids: Sequence[str], worker_id: str) -> list[Job]:
        """See `Claims.claim`."""
        return self.take(stage, job_ids, worker_id)

    def let_go(self, claims: Sequence[tuple[str, Claim]]) -> None:
        """See `Claims.let_go`."""
        if self.errors:
            raise self.errors.pop(0)
        self.gone += claims


class Pulse:
    """A heartbeat that beats as told, and then as it did last."""

    process_id = "me"

    def __init__(self, *beats: bool) -> None:
        self._beats = list(beats)

    @property
    def beats(self) -> bool:
        """See `Heartbeat.beats`."""
        return self._beats.pop(0) if len(self._beats) > 1 else self._beats[0]


class Impatient(threading.Event):
    """Nobody waits for real: each wait moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0
        self.now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        """At once."""
        self.waits += 1
        self.now += timeout or 0.0
        return self.is_set()


def taking(store: Store, pulse: Pulse, stopping: Impatient) -> Taking:
    return Taking(store, pulse, stopping, 30.0, lambda: stopping.now)


def away() -> DatabaseFailed:
    return DatabaseFailed(psycopg.OperationalError("the connection is lost"))


def test_jobs_are_taken_for_this_worker_doubtful_or_not() -> None:
    store = Store()
    assert taking(store, Pulse(True), Impatient()).take(Stage.GUARD, ["a"], True) == store.jobs
    assert store.asked == [("me", True)]


def test_a_database_that_is_away_is_waited_for() -> None:
    store, stopping = Store(away(), away()), Impatient()
    assert taking(store, Pulse(True), stopping).take(Stage.GUARD, ["a"], False) == store.jobs
    assert (len(store.asked), stopping.waits) == (3, 2)


def test_what_is_wrong_for_good_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        taking(Store(ZeroDivisionError()), Pulse(True), Impatient()).take(Stage.GUARD, ["a"], False)


def test_a_worker_that_stops_takes_nothing() -> None:
    store, stopping = Store(), Impatient()
    stopping.set()
    assert taking(store, Pulse(True), stopping).take(Stage.GUARD, ["a"], False) == []
    assert store.asked == []


def test_a_worker_without_a_heartbeat_takes_nothing_until_it_beats_again() -> None:
    store, stopping = Store(), Impatient()
    assert taking(store, Pulse(False, False, True), stopping).take(Stage.GUARD, ["a"], False) == store.jobs
    assert stopping.waits == 2


def test_a_worker_whose_heart_stays_silent_leaves_the_jobs_to_others(caplog: pytest.LogCaptureFixture) -> None:
    store, stopping = Store(), Impatient()
    assert taking(store, Pulse(False), stopping).take(Stage.GUARD, ["a"], False) == []
    assert (store.asked, stopping.now >= 30.0) == ([], True)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_jobs_are_held_again_under_new_claims_but_not_by_a_worker_that_stops() -> None:
    store, stopping = Store(away()), Impatient()
    [job] = store.jobs
    assert taking(store, Pulse(True), stopping).hold(Stage.GUARD, [job.id]) == {job.id: job.claim}
    stopping.set()
    assert taking(store, Pulse(True), stopping).hold(Stage.GUARD, [job.id]) == {}


def test_jobs_are_let_go_by_a_worker_that_stops_too() -> None:
    store, stopping = Store(away(), away()), Impatient()
    claims = [("a", Claim("me", 1))]
    taking(store, Pulse(True), stopping).let_go(claims)
    stopping.set()
    taking(store, Pulse(True), stopping).let_go(claims)
    assert store.gone == [*claims, *claims]
