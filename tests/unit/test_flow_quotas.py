"""Quotas in the flow: who calls at once, who waits, who goes elsewhere, who is parked, and what answers teach."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from itertools import pairwise
from typing import Any

from pipelines.flow.quota_reports import Refusal, Wanted
from pipelines.flow.quotas import LONGEST_PARK
from pipelines.flow.work import Work
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Job
from synthralos.domain.money import Usage
from synthralos.domain.quota_units import Left, Unit
from synthralos.domain.quotas import Grant, Standing
from synthralos.domain.states import Lane, Stage, Transition
from tests.fakes.flow import FIRST, SECOND, Scene, planned
from tests.fakes.stage_jobs import NOON, a_deployment

RATE = {Unit.REQUESTS: 1.0}


def in_a_loop(scenario: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The scenario as a test."""

    @wraps(scenario)
    def test() -> None:
        asyncio.run(scenario())

    return test


async def _until(ready: Callable[[], bool]) -> None:
    """Let the loop turn until it is so."""
    for _ in range(1_000):
        if ready():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


def _name(deployment_id: str) -> str:
    deployment = a_deployment(deployment_id, adapter="fake")
    return f"{deployment.api_key_env or deployment.provider}/{deployment.upstream_model}"


def _limited(scene: Scene, deployment_id: str, rates: dict[Unit, float] = RATE, closed: float = 0.0) -> None:
    scene.quotas.update({_name(deployment_id): Standing(rates, closed, "full" if closed else "")})


def _grant(scene: Scene, deployment_id: str, amount: float, wait: float = 1.0) -> None:
    scene.quotas.granted(_name(deployment_id), Grant({Unit.REQUESTS: amount}, wait, Standing(RATE)))


def _asked(scene: Scene) -> dict[str, float]:
    return {each.name: each.asks[Unit.REQUESTS].want for each in scene.asked if isinstance(each, Wanted) and each.asks}


@in_a_loop
async def test_while_no_quota_is_known_nothing_is_asked_for() -> None:
    scene = Scene()
    await scene.run(planned(FIRST))
    assert scene.endings() == [(Transition.SUCCEED, Stage.ANALYZE)]
    assert not scene.asked


@in_a_loop
async def test_a_job_waits_in_line_for_what_is_granted() -> None:
    scene = Scene()
    _limited(scene, FIRST)
    waiting = asyncio.ensure_future(scene.run(planned(FIRST)))
    await _until(lambda: bool(scene.asked))
    assert _asked(scene) == {_name(FIRST): 1.0}
    assert (scene.calls, scene.quotas.waiting()) == ([], 1)
    _grant(scene, FIRST, 1.0)
    await waiting
    assert scene.endings() == [(Transition.SUCCEED, Stage.ANALYZE)]
    assert scene.quotas.waiting() == 0


@in_a_loop
async def test_a_batch_that_finds_enough_goes_on_and_the_rest_waits() -> None:
    scene = Scene(max_in_flight=10)
    _limited(scene, FIRST)
    _grant(scene, FIRST, 2.0)
    works = [Work(planned(FIRST), NOON) for _ in range(3)]
    running = asyncio.ensure_future(scene.run_batch(*works))
    await _until(lambda: scene.quotas.waiting() == 1 and len(scene.settled) == 2)
    assert len(scene.calls) == 2
    _grant(scene, FIRST, 1.0)
    await running
    assert len(scene.calls) == 3


@in_a_loop
async def test_where_one_quota_is_closed_the_job_goes_on_with_its_plan() -> None:
    scene = Scene()
    _limited(scene, FIRST, closed=60.0)
    await scene.run(planned(FIRST, SECOND))
    assert [call.deployment.id for call in scene.calls] == [SECOND]
    [settled] = scene.settled
    assert settled.transition is Transition.SUCCEED
    assert any(span.name == "quota" for span in settled.spans)


@in_a_loop
async def test_where_all_are_closed_it_is_parked_with_reason_and_time_and_no_attempt() -> None:
    scene = Scene()
    for deployment_id in (FIRST, SECOND):
        _limited(scene, deployment_id, closed=60.0)
    await scene.run(planned(FIRST, SECOND))
    [settled] = scene.settled
    assert (settled.transition, settled.stage, scene.begun) == (Transition.PARK, Stage.EXECUTE, [])
    assert settled.failure is not None
    assert settled.failure["class"] == FailureClass.RATE_LIMITED
    assert "full" in settled.failure["message"]
    assert settled.delay is not None
    assert 25 < settled.delay < 62


@in_a_loop
async def test_parked_jobs_come_back_one_by_one_and_not_after_their_deadline() -> None:
    scene = Scene(max_in_flight=100)
    _limited(scene, FIRST, closed=5.0)
    await scene.run_batch(*(Work(planned(FIRST), NOON) for _ in range(12)))
    delays = sorted(each.delay or 0.0 for each in scene.settled)
    gaps = [later - sooner for sooner, later in pairwise(delays)]
    assert all(gap > 0.8 for gap in gaps)
    await scene.run(planned(FIRST, deadline=NOON + timedelta(seconds=3)))
    assert scene.settled[-1].delay == 3.0
    for _ in range(2_000):
        await scene.run(planned(FIRST))
    assert max(each.delay or 0.0 for each in scene.settled) == LONGEST_PARK


@in_a_loop
async def test_people_come_before_bulk() -> None:
    scene, order = Scene(max_in_flight=10), list[str]()
    scene.beginning = lambda call: order.append(call.job_id)
    _limited(scene, FIRST)
    bulk, person = planned(FIRST), planned(FIRST)
    works = [Work(bulk, NOON, lane=Lane.BULK), Work(person, NOON, lane=Lane.INTERACTIVE)]
    running = asyncio.ensure_future(scene.run_batch(*works))
    await _until(lambda: scene.quotas.waiting() == 2)
    _grant(scene, FIRST, 1.0)
    await _until(lambda: bool(order))
    _grant(scene, FIRST, 1.0)
    await running
    assert order == [person.id, bulk.id]


@in_a_loop
async def test_a_refusal_closes_at_once_here_and_is_told() -> None:
    scene = Scene()

    async def refuse(_: object) -> Reply | Failure:
        left = (Left(Unit.REQUESTS, 600, 0),)
        return Failure(FailureClass.RATE_LIMITED, "HTTP 429", retry_after=30.0, http_status=429, limits=left)

    scene.answering = refuse
    await scene.run(planned(FIRST))
    [refusal] = [each for each in scene.asked if isinstance(each, Refusal)]
    assert (refusal.seconds, refusal.lefts) == (30.0, (Left(Unit.REQUESTS, 600, 0),))
    await scene.run(planned(FIRST))
    assert (scene.settled[-1].transition, len(scene.calls)) == (Transition.PARK, 1)
    assert scene.quotas.closed() == 1


@in_a_loop
async def test_what_a_call_did_not_use_is_there_for_the_next() -> None:
    scene = Scene(max_in_flight=10)
    rates = {Unit.TOKENS: 100.0}
    _limited(scene, FIRST, rates)
    scene.quotas.granted(_name(FIRST), Grant({Unit.TOKENS: 600.0}, 1.0, Standing(rates)))
    scene.answering = _short_answer
    for _ in range(5):
        await scene.run(_bounded(500))
    assert len(scene.calls) == 5


@in_a_loop
async def test_what_answers_tell_is_passed_on_and_a_learned_quota_is_gone_by() -> None:
    scene = Scene()

    async def telling(_: object) -> Reply | Failure:
        return Reply("Hi", Usage(1, 1), "stop", "fake", limits=(Left(Unit.REQUESTS, 60, 40),))

    scene.answering = telling
    await scene.run(planned(FIRST))
    [wanted] = [each for each in scene.asked if isinstance(each, Wanted)]
    assert (wanted.name, wanted.lefts) == (_name(FIRST), (Left(Unit.REQUESTS, 60, 40),))
    scene.quotas.granted(_name(FIRST), Grant({}, 0.0, Standing(RATE)))
    assert scene.quotas.pacers
    scene.quotas.update({_name(FIRST): Standing({})}, [_name(FIRST)])
    assert not scene.quotas.pacers


@in_a_loop
async def test_what_nobody_uses_is_given_back() -> None:
    scene = Scene()
    _limited(scene, FIRST)
    _grant(scene, FIRST, 0.75)
    scene.seconds = 10.0
    scene.quotas.update({})
    assert _asked(scene) == {_name(FIRST): -0.75}


@in_a_loop
async def test_a_drain_gives_back_who_waits() -> None:
    scene = Scene()
    _limited(scene, FIRST)
    waiting = asyncio.ensure_future(scene.run(planned(FIRST)))
    await _until(lambda: scene.quotas.waiting() == 1)
    scene.registry.release_waiting()
    await waiting
    assert [settled.transition for settled in scene.settled] == [Transition.RELEASE]
    assert scene.quotas.waiting() == 0


async def _short_answer(_: object) -> Reply | Failure:
    return Reply("Hi", Usage(10, 10), "stop", "fake")


def _bounded(tokens: int) -> Job:
    job = planned(FIRST)
    job.request = replace(job.request, body={**job.request.body, "max_output_tokens": tokens})
    return job
