"""A worker that starts knows how long deployments took when others asked them."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from random import Random

import pytest
import sqlalchemy as sa

from pipelines.flow.stages import Stages, stage_builder
from pipelines.route.observed import FEWEST
from synthralos.config.config import Config
from synthralos.domain.deployments import Catalog
from synthralos.domain.jobs import Constraints
from synthralos.domain.states import State
from synthralos.store.read.answer_times import AnswerTimes
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import attempts
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, ScriptedServer, scripted_server
from tests.fakes.stages import a_limiter
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

CHOICES = [{"message": {"role": "assistant", "content": "Done"}, "finish_reason": "stop"}]
USAGE = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
FINE = Answer(200, {"choices": CHOICES, "usage": USAGE})


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.script = lambda asked: FINE
        yield server


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


def test_a_new_worker_goes_by_what_others_saw(place: WorkerPlace, provider: ScriptedServer) -> None:
    built, heard = list[Stages](), threading.Event()
    make = stage_builder(Random(1), a_limiter())

    def build(config: Config) -> Stages:
        stages = make(config)
        hear = stages.latencies.hear

        def telling(others: Mapping[str, Sequence[float]]) -> None:
            hear(others)
            heard.set()

        setattr(stages.latencies, "hear", telling)  # noqa: B010
        built.append(stages)
        return stages

    slow, quick = deployments_at(f"{provider.url}/v1", "slow", "quick")
    catalog, took = Catalog([slow, quick]), {slow.id: 8.0, quick.id: 0.25}
    before = place.worker(catalog)
    for name, seconds in took.items():
        jobs = [new_job(constraints=Constraints(pin=name)) for _ in range(FEWEST)]
        place.run(*jobs)
        place.store.update(attempts, attempts.c.job_id.in_([job.id for job in jobs]), seconds=seconds)
    place.stop(before)
    place.start(place.core(catalog), build)
    assert heard.wait(10)
    assert {name: each.median for name, each in built[0].latencies.now().seconds.items()} == took
    job = place.run(new_job(constraints=Constraints(strategy="fastest")))
    assert job["state"] == State.SUCCEEDED
    [line] = place.store.cost_logs(job["id"])
    assert line["deployment"] == quick.id


def test_failures_other_tiers_and_what_is_long_past_say_nothing(place: WorkerPlace, provider: ScriptedServer) -> None:
    [known] = deployments_at(f"{provider.url}/v1", "known")
    place.worker(Catalog([known]))
    jobs = [new_job() for _ in range(4)]
    place.run(*jobs)
    changes = ({"outcome": "failed"}, {"service_tier": "flex"}, {"ended_at": utc_in(sa.literal(-7 * 3_600.0))}, {})
    for job, change in zip(jobs, changes, strict=True):
        place.store.update(attempts, attempts.c.job_id == job.id, seconds=3.5, **change)
    assert AnswerTimes(place.store.database).read() == {known.id: [3.5]}
