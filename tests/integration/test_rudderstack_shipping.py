"""From a job to its events at a data plane, by a worker: what goes there, what may not, and what nobody may see."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from synthralos.domain.exports import Kind
from synthralos.domain.jobs import Constraints, NewJob
from synthralos.domain.states import State
from synthralos.logs import log_as
from synthralos.store.admin.feedback import FeedbackStore, Said
from synthralos.store.exports.operating import ExportOperations
from synthralos.store.sql.database import Database
from synthralos.store.tables import export_backlog
from tests.fakes.data_plane import WRITE_KEY, DataPlane, data_plane, message
from tests.fakes.jobs import new_job
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, ordered, worker_place


@pytest.fixture
def plane() -> Iterator[DataPlane]:
    with data_plane() as running:
        yield running


@pytest.fixture
def place(database: Database) -> Iterator[WorkerPlace]:
    with worker_place(Store(database)) as place:
        yield place


def settings(plane: DataPlane, **more: object) -> dict[str, object]:
    return {"rudderstack_write_key": WRITE_KEY, "rudderstack_data_plane_url": plane.url, **more}


def eu() -> NewJob:
    job = new_job()
    return replace(job, constraints=replace(job.constraints or Constraints(), classification="eu"))


def test_every_end_every_call_that_costs_and_every_comparison_of_prompts_arrives(
    place: WorkerPlace, plane: DataPlane
) -> None:
    place.worker(**settings(plane))
    job_ids = place.submit(new_job(), new_job(), ordered("invalid_request"))
    assert place.finished(*job_ids) == [State.SUCCEEDED, State.SUCCEEDED, State.FAILED]
    plane.until(lambda: plane.jobs() == set(job_ids))
    states = sorted(event["properties"]["state"] for event in plane.named("Job Ended"))
    assert states == ["failed", "succeeded", "succeeded"]
    costs = {event["properties"]["job_id"] for event in plane.named("Model Cost Logged")}
    assert set(job_ids[:2]) <= costs
    compared = [event["properties"] for event in plane.named("Prompt Similarity Logged")]
    assert {each["job_id"] for each in compared} >= set(job_ids[:2])
    assert [event["context"]["traits"]["user"] for event in plane.kept.values() if event["type"] == "identify"] == [
        "ann"
    ]


def test_feedback_that_comes_later_is_an_event_and_repeats_nothing_else(place: WorkerPlace, plane: DataPlane) -> None:
    place.worker(**settings(plane))
    [job_id] = place.submit(new_job())
    plane.until(lambda: plane.jobs() == {job_id})
    place.heard.until(lambda: not place.store.rows(export_backlog))
    before = set(plane.kept)
    FeedbackStore(place.store.database).add(job_id, Said("human", "helpful", 1.0, None), "key:x")
    place.worker(**settings(plane))
    plane.until(lambda: bool(plane.named("Feedback Given")))
    assert len(set(plane.kept) - before) == 1


@pytest.mark.parametrize("residency", [None, "us", "global"])
def test_eu_data_stays_away_from_a_data_plane_that_is_not_declared_to_be_there(
    place: WorkerPlace, plane: DataPlane, residency: str | None
) -> None:
    place.worker(**settings(plane, rudderstack_residency=residency))
    kept, sent = place.submit(eu(), new_job())
    place.finished(kept, sent)
    plane.until(lambda: plane.jobs() == {sent})
    place.heard.until(lambda: not place.store.rows(export_backlog))
    assert kept not in json.dumps(plane.seen)
    [aside] = ExportOperations(place.store.database).set_aside("rudderstack")
    assert (aside.job_id, aside.kind) == (kept, Kind.WITHHELD)


def test_eu_data_goes_to_a_data_plane_that_is_declared_to_be_there(place: WorkerPlace, plane: DataPlane) -> None:
    place.worker(**settings(plane, rudderstack_residency=" EU "))
    [job_id] = place.submit(eu())
    plane.until(lambda: plane.jobs() == {job_id})


def test_a_data_plane_that_is_away_holds_up_no_job_and_gets_everything_later(
    place: WorkerPlace, plane: DataPlane
) -> None:
    plane.whim = lambda events: message(503, "away")
    place.worker(**settings(plane))
    job_ids = place.submit(*(new_job() for _ in range(30)))
    assert set(place.finished(*job_ids)) == {State.SUCCEEDED}
    plane.until(lambda: bool(plane.requests))
    plane.whim = lambda events: None
    plane.until(lambda: plane.jobs() == set(job_ids))


def test_the_write_key_is_in_no_log_line_no_row_and_no_event(
    place: WorkerPlace, plane: DataPlane, capfd: pytest.CaptureFixture[str]
) -> None:
    core = place.core(**settings(plane, rudderstack_content="all"))
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    try:
        log_as("worker", core.settings)
        plane.whim = lambda events: message(401, f"invalid write key {WRITE_KEY}")
        place.start(core)
        job_ids = place.submit(new_job(f"my key is {WRITE_KEY}"))
        place.finished(*job_ids)
        plane.until(lambda: bool(plane.requests))
        operations = ExportOperations(place.store.database)
        place.heard.until(lambda: (operations.standings() or [None])[0] is not None)
        logging.getLogger("test").error("the key is %s", WRITE_KEY)
        plane.whim = lambda events: None
        with worker_place(place.store) as later:
            later.worker(**settings(plane, rudderstack_content="all"))
    finally:
        root.handlers[:], root.level = handlers, level
    assert WRITE_KEY not in capfd.readouterr().err
    assert WRITE_KEY not in repr(core.settings)
    assert WRITE_KEY not in str([standing.last_error for standing in operations.standings()])
