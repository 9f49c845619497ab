"""Hedged calls whose answers are streamed: the first word decides, and no reader ever hears of the other answer."""

from collections.abc import Iterator
from contextlib import ExitStack
from random import Random
from typing import Any

import pytest

from pipelines.flow.stages import BuildStages, Stages, stage_builder
from pipelines.route.observed import KEPT
from synthralos.config.config import Config
from synthralos.core import Core
from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.deltas import Place
from synthralos.domain.jobs import Constraints, NewJob
from synthralos.domain.states import Lane, State
from synthralos.telemetry.families import FIRST_TOKEN_SECONDS
from synthralos_client import Client
from tests.fakes.held_streams import HeldStreams, Model
from tests.fakes.jobs import new_job
from tests.fakes.stages import a_limiter
from tests.fakes.stores import Store
from tests.integration.api_place import api_over
from tests.integration.test_worker_hedging import HEDGE, SEEN
from tests.integration.worker_place import WorkerPlace, deployments_at

A = "fake/a@us"


@pytest.fixture
def models() -> Iterator[HeldStreams]:
    with HeldStreams("a", "b").running() as server:
        yield server


class Scene:
    """A worker that has seen how quick `a` is; then both models hold their first words."""

    def __init__(self, store: Store, stack: ExitStack, models: HeldStreams, build: BuildStages | None = None) -> None:
        self.place, self.models, self._stack = WorkerPlace(store, stack), models, stack
        self.core: Core = self.place.core(deployments_at(models.url, "a", "b"), policies=(HEDGE,))
        self.place.start(self.core, build)
        for _ in range(SEEN):
            self.place.run(chat())
        for model in (self.a, self.b):
            for event in (model.first, model.rest, model.came, model.gone):
                event.clear()

    @property
    def a(self) -> Model:
        return self.models.models["a"]

    @property
    def b(self) -> Model:
        return self.models.models["b"]

    def hedged(self, **constraints: Any) -> str:
        """A job of which both calls are under way."""
        [job_id] = self.place.submit(chat(**constraints), lane=Lane.INTERACTIVE)
        assert self.b.came.wait(60)
        return job_id

    def told(self, job_id: str) -> list[tuple[int, str]]:
        """The attempts and texts of all chunks."""
        chunks = self.core.streams.after({job_id: Place()}).get(job_id, [])
        return [(chunk.place.attempt, chunk.text) for chunk in chunks]

    def until_told(self, job_id: str) -> None:
        self.place.heard.until(lambda: bool(self.told(job_id)))

    def read(self, job_id: str) -> list[Any]:
        """What a reader gets who comes afterwards."""
        place = self._stack.enter_context(api_over(self.core))
        key = place.client().headers["Authorization"].removeprefix("Bearer ")
        with Client(place.url, key) as client:
            return list(client.stream(job_id))


@pytest.fixture
def scene(store: Store, models: HeldStreams) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(store, stack, models)


def chat(**constraints: Any) -> NewJob:
    return new_job("Hello", lane=Lane.INTERACTIVE, constraints=Constraints(stream=True, **constraints))


def test_the_second_call_says_the_first_word_and_the_first_call_is_cut_at_once(scene: Scene) -> None:
    job_id = scene.hedged()
    scene.b.first.set()
    assert scene.a.gone.wait(60)  # while the second one still speaks
    scene.b.rest.set()
    assert scene.place.finished(job_id) == [State.SUCCEEDED]
    assert scene.place.store.job(job_id)["result"]["text"] == "b says hello"
    first, second = scene.place.store.attempts(job_id)
    assert (first["outcome"], first["billed"], first["cost_picousd"]) == (Outcome.CANCELLED, Billed.MAYBE, None)
    assert (second["outcome"], second["billed"]) == (Outcome.SUCCEEDED, Billed.YES)
    assert {attempt for attempt, _ in scene.told(job_id)} == {2}


def test_the_first_call_says_the_first_word_after_all_and_its_reader_hears_nothing_else(scene: Scene) -> None:
    job_id = scene.hedged()
    scene.a.first.set()
    assert scene.b.gone.wait(60)
    scene.a.rest.set()
    assert scene.place.finished(job_id) == [State.SUCCEEDED]
    scene.place.heard.until(lambda: scene.place.store.attempts(job_id)[0]["outcome"] == Outcome.SUCCEEDED)
    first, second = scene.place.store.attempts(job_id)
    assert (first["billed"], first["late"], second["billed"]) == (Billed.YES, True, Billed.MAYBE)
    heard = scene.read(job_id)
    assert "".join(delta.text for delta in heard) == "a says hello"
    assert not any(delta.restarted for delta in heard)


def test_a_stream_that_has_begun_is_not_hedged(scene: Scene) -> None:
    scene.a.first.set()
    [job_id] = scene.place.submit(chat(), lane=Lane.INTERACTIVE)
    assert not scene.b.came.wait(0.5)  # ten times as long as `a` ever took
    scene.a.rest.set()
    assert scene.place.finished(job_id) == [State.SUCCEEDED]
    assert len(scene.place.store.attempts(job_id)) == 1


def test_a_stream_is_hedged_by_the_time_to_the_first_word_and_not_to_the_last(
    store: Store, models: HeldStreams
) -> None:
    make = stage_builder(Random(1), a_limiter())

    def build(config: Config) -> Stages:
        """Whole answers of `a` take ten minutes, as far as is known."""
        stages = make(config)
        for _ in range(KEPT):
            stages.latencies.learn(A, 600.0)
        return stages

    with ExitStack() as stack:
        scene = Scene(store, stack, models, build)
        job_id = scene.hedged()
        scene.b.first.set()
        scene.b.rest.set()
        assert scene.place.finished(job_id) == [State.SUCCEEDED]
        first, second = scene.place.store.attempts(job_id)
        assert (first["outcome"], second["outcome"]) == (Outcome.CANCELLED, Outcome.SUCCEEDED)
        [family] = scene.core.metrics.histogram(FIRST_TOKEN_SECONDS).collect()
        of_a = {each.name: each.value for each in family.samples if each.labels["deployment"] == A}
        assert of_a["synthralos_first_token_seconds_count"] == SEEN
        assert of_a["synthralos_first_token_seconds_sum"] < 60


@pytest.mark.parametrize(("on_cut", "state", "calls"), [("fail", State.FAILED, 2), ("restart", State.SUCCEEDED, 3)])
def test_a_stream_that_counts_and_breaks_off_is_a_broken_stream(
    scene: Scene, on_cut: Any, state: State, calls: int
) -> None:
    job_id = scene.hedged(on_cut=on_cut)
    scene.a.broken = True
    scene.a.first.set()
    assert scene.b.gone.wait(60)
    scene.b.first.set()
    scene.b.rest.set()
    scene.a.rest.set()
    assert scene.place.finished(job_id) == [state]
    attempts = scene.place.store.attempts(job_id)
    assert len(attempts) == calls
    assert (attempts[0]["outcome"], attempts[0]["billed"]) == (Outcome.FAILED, Billed.MAYBE)
    assert (attempts[1]["outcome"], attempts[1]["billed"]) == (Outcome.CANCELLED, Billed.MAYBE)


def test_where_the_first_call_fails_without_a_word_the_second_is_heard(scene: Scene) -> None:
    job_id = scene.hedged()
    scene.b.first.set()
    scene.until_told(job_id)
    scene.b.rest.set()
    assert scene.place.finished(job_id) == [State.SUCCEEDED]
    assert "".join(text for _, text in scene.told(job_id)) == "b says hello"
