"""Analysis: traces that no worker closed are closed, and every finished job's trace reaches its destination."""

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipelines.analyze.exporters.jsonl import JsonLinesExporter
from pipelines.analyze.protocol import Answer, Exporter, Trace, accepted
from synthralos.domain.exports import Destination, Owed
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import State, Transition
from synthralos.store.exports.backlog import Backlog
from synthralos.store.sql.clock import DatabaseClock
from synthralos.store.sql.database import Database
from synthralos.store.tables import export_backlog, jobs
from tests.fakes.jobs import attempt_end, new_job, settlement
from tests.fakes.stores import Store
from workers.exporting import TraceExporter

SHIPMENT = Destination("jsonl").batch


class Place:
    """A store whose finished jobs are owed to a file, and the analyst that ships them there."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.store = Store(database, ["jsonl"])
        self.folder = folder / "traces"
        self.path = self.folder / "traces.jsonl"
        self._analysts: list[TraceExporter] = []
        self.analyst = self.analyst_with(JsonLinesExporter(self.path))

    def analyst_with(self, exporter: Exporter) -> TraceExporter:
        """An analyst that ships by `exporter`."""
        name = exporter.destination.name
        analyst = TraceExporter(self.store.database, {name: exporter}, DatabaseClock(), damping=0, linger=0)
        self._analysts.append(analyst)
        analyst.start()
        return analyst

    def close(self) -> None:
        """Stop the analysts."""
        for analyst in self._analysts:
            analyst.stop(60)

    def analyze(self, job_ids: Sequence[str], analyst: TraceExporter | None = None) -> None:
        """Let an analyst look at the jobs, and wait until it has shipped what it could."""
        analyst = analyst or self.analyst
        analyst.analyze(job_ids)
        assert analyst.rest(60)

    def shipped(self) -> list[str]:
        """The jobs whose traces have arrived, in order."""
        return [trace["job"]["id"] for trace in self.traces()]

    def traces(self) -> list[dict[str, Any]]:
        """What has arrived."""
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def owed(self) -> list[str]:
        """The jobs on the backlog."""
        return sorted(row["job_id"] for row in self.store.rows(export_backlog))

    def finished(self, count: int) -> list[str]:
        """Jobs that a worker brought to their end, and closed; oldest first."""
        done = [self.store.started() for _ in range(count)]
        for job in done:
            assert self.store.settle(settlement(job, attempt=attempt_end(1), analyzed=True))
        return [job.id for job in done]

    def analyze_spans(self, job_id: str) -> list[dict[str, Any]]:
        """What closes the job's trace."""
        return [span for span in self.store.spans(job_id) if span["name"] == "analyze"]


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Iterator[Place]:
    place = Place(database, tmp_path)
    yield place
    place.close()


def cancelled(store: Store) -> str:
    [job_id] = store.submit()
    store.operations.cancel(job_id, EVERYTHING, "ann")
    return job_id


def expired(store: Store) -> str:
    [job_id] = store.submit(new_job(deadline=store.now() - timedelta(seconds=1)))
    assert [step.id for step in store.sweeps.expire()] == [job_id]
    return job_id


def buried(store: Store) -> str:
    worker = store.worker()
    job = store.started(worker=worker)
    store.update_job(job.id, losses=2)
    store.lose(worker)
    assert [step.id for step in store.sweeps.rescue()] == [job.id]
    return job.id


@pytest.mark.parametrize(
    ("end", "state", "attempts"),
    [(cancelled, State.CANCELLED, 0), (expired, State.EXPIRED, 0), (buried, State.FAILED, 1)],
)
def test_the_trace_of_a_job_that_ended_elsewhere_is_closed_once(
    place: Place, end: Any, state: State, attempts: int
) -> None:
    job_id = end(place.store)
    assert place.store.job(job_id)["analyzed_at"] is None
    place.analyze([job_id])
    closed = place.store.job(job_id)
    assert (closed["state"], closed["analyzed_at"] is not None) == (state, True)
    [span] = place.analyze_spans(job_id)
    assert (span["attributes"]["state"], span["attributes"]["attempts"]) == (state, attempts)
    place.analyze([job_id, job_id])
    assert place.analyze_spans(job_id) == [span]
    assert (place.shipped(), place.owed()) == ([job_id], [])


def test_jobs_that_are_still_open_or_unknown_are_left_alone(place: Place) -> None:
    [queued] = place.store.submit()
    under_way = place.store.started().id
    place.analyze([queued, under_way, "018f0000-0000-7000-8000-000000000000"])
    assert place.store.spans(queued) == place.store.spans(under_way) == []
    assert place.shipped() == []


def test_a_trace_that_two_close_at_once_is_closed_once(place: Place) -> None:
    job_ids = [cancelled(place.store) for _ in range(10)]
    together = threading.Barrier(4)

    def analyze() -> None:
        together.wait()
        place.analyze(job_ids)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(analyze) for _ in range(4)]:
            done.result()
    assert [len(place.analyze_spans(job_id)) for job_id in job_ids] == [1] * 10


def test_the_backlog_is_shipped_oldest_first_whoever_is_rung_for(place: Place) -> None:
    job_ids = place.finished(2 * SHIPMENT + 3)
    assert place.owed() == job_ids
    place.analyze(job_ids[-1:])
    assert (place.shipped(), place.owed()) == (job_ids, [])
    place.analyze(job_ids)
    assert place.shipped() == job_ids


def test_a_destination_that_refuses_keeps_its_backlog_until_it_accepts(place: Place) -> None:
    place.folder.write_text("a file stands where the folder should be")
    job_ids = [*place.finished(SHIPMENT + 1), cancelled(place.store)]
    place.analyze(job_ids)
    place.analyze(job_ids)
    assert place.owed() == sorted(job_ids)
    assert {place.store.state(job_id) for job_id in job_ids} == {State.SUCCEEDED, State.CANCELLED}
    place.folder.unlink()
    place.store.let_exports_come_due()
    place.analyze(job_ids[:1])
    assert (place.shipped(), place.owed()) == (job_ids, [])


def test_a_job_that_is_gone_from_the_tables_leaves_the_backlog(place: Place) -> None:
    first, gone, last = place.finished(3)
    with place.store.database.transaction() as connection:
        connection.execute(sa.delete(jobs).where(jobs.c.id == gone))
    place.analyze([last])
    assert (place.shipped(), place.owed()) == ([first, last], [])


def test_a_backlog_of_nothing_but_jobs_that_are_gone_does_not_keep_the_rest(place: Place) -> None:
    *gone, last = place.finished(SHIPMENT + 1)
    with place.store.database.transaction() as connection:
        connection.execute(sa.delete(jobs).where(jobs.c.id.in_(gone)))
    place.analyze([last])
    assert (place.shipped(), place.owed()) == ([last], [])


def test_a_job_that_was_retried_is_shipped_again_when_it_ends(place: Place) -> None:
    job_id = cancelled(place.store)
    place.analyze([job_id])
    place.store.operations.retry(job_id, EVERYTHING, "ann")
    [job] = place.store.claim([job_id])
    assert place.store.settle(settlement(job, Transition.DENY, analyzed=True))
    place.analyze([job_id])
    assert [trace["job"]["state"] for trace in place.traces()] == [State.CANCELLED, State.DENIED]


class Choosy:
    """Accepts the jobs that it likes."""

    destination = Destination("jsonl")

    def __init__(self, liked: set[str]) -> None:
        self.liked = liked
        self.seen: list[list[str]] = []
        self.came = threading.Event()

    def ship(self, traces: Sequence[Trace]) -> Answer:
        """Take it down."""
        self.seen.append([trace["job"]["id"] for trace in traces])
        self.came.set()
        return Answer([job_id for job_id in self.seen[-1] if job_id in self.liked])

    def close(self) -> None:
        """Nothing is held."""


def test_what_a_destination_does_not_accept_comes_again(place: Place) -> None:
    first, second, third = place.finished(3)
    choosy = Choosy({first, third})
    analyst = place.analyst_with(choosy)
    place.analyze([first], analyst)
    assert (choosy.seen, place.owed()) == ([[first, second, third]], [second])
    choosy.liked = {second}
    place.analyze([first], analyst)
    assert place.owed() == [second]
    place.store.let_exports_come_due()
    place.analyze([first], analyst)
    assert place.owed() == []


def test_refused_traces_never_hold_up_those_behind_them(place: Place) -> None:
    poisoned = place.finished(2 * SHIPMENT)
    good = place.finished(SHIPMENT)
    analyst = place.analyst_with(Choosy(set(good)))
    place.analyze(good, analyst)
    assert place.owed() == poisoned


def test_what_is_owed_since_the_last_look_of_whoever_ships_is_shipped_too(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = place.finished(1)
    late: list[str] = []
    claim = Backlog.claim

    def looking(self: Backlog, destination: str, limit: int) -> list[Owed]:
        found = claim(self, destination, limit)
        if not found and not late:
            late.extend(place.finished(1))
            with ThreadPoolExecutor(1) as threads:
                threads.submit(place.analyst.analyze, late).result()
        return found

    monkeypatch.setattr(Backlog, "claim", looking)
    place.analyze([first])
    assert (place.shipped(), place.owed()) == ([first, *late], [])


class Hanging:
    """Accepts nothing until it is let go."""

    destination = Destination("hanging")

    def __init__(self) -> None:
        self.came, self.let_go = threading.Event(), threading.Event()
        self.closed = threading.Event()

    def ship(self, traces: Sequence[Trace]) -> Answer:
        """Wait."""
        self.came.set()
        self.let_go.wait(60)
        return accepted(traces)

    def close(self) -> None:
        """Take it down."""
        self.closed.set()


def test_a_destination_that_hangs_holds_up_neither_the_stage_nor_the_others(place: Place, database: Database) -> None:
    hanging, choosy = Hanging(), Choosy(set())
    both = {"hanging": hanging, "jsonl": choosy}
    place.store = Store(database, list(both))
    [job_id] = place.finished(1)
    choosy.liked = {job_id}
    analyst = TraceExporter(database, both, DatabaseClock(), linger=0)
    analyst.start()
    analyst.analyze([job_id])
    assert hanging.came.wait(60)
    assert choosy.came.wait(60)
    analyst.analyze([job_id])
    hanging.let_go.set()
    assert analyst.rest(60)
    assert (choosy.seen[0], place.owed()) == ([job_id], [])
    analyst.stop(60)
    assert hanging.closed.is_set()
