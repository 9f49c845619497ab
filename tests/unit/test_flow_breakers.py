"""How a job's way goes round deployments whose breaker is open."""

import asyncio
from collections import Counter
from dataclasses import replace

from pipelines.flow.breakers import Breakers, Report, Said, Shut
from pipelines.flow.work import Work
from pipelines.providers.protocol import Call
from synthralos.domain.attempts import Reply
from synthralos.domain.breakers import BreakerState, credential_breaker
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.money import Usage
from synthralos.domain.states import Stage, Transition
from tests.fakes.flow import FIRST, SECOND, THIRD, Scene, planned
from tests.fakes.stage_jobs import NOON, a_deployment, a_plan

AWAY = Failure(FailureClass.SERVER_ERROR, "500", http_status=500)
OK = Reply("Hi", Usage(1, 1), "stop", "fake")


def _shut(state: BreakerState = BreakerState.OPEN, until: float = 10.0, tokens: int = 0) -> Shut:
    return Shut(state, until, "away", tokens)


def test_a_batch_passes_over_what_is_open_and_says_so_in_the_trace() -> None:
    asyncio.run(_a_batch_passes_over_what_is_open_and_says_so_in_the_trace())


async def _a_batch_passes_over_what_is_open_and_says_so_in_the_trace() -> None:
    scene = Scene(max_in_flight=5)
    scene.breakers.update({FIRST: _shut()})
    await scene.run_batch(*(Work(planned(), NOON) for _ in range(3)))
    assert [call.deployment.id for call in scene.calls] == [SECOND] * 3
    assert scene.endings() == [(Transition.SUCCEED, Stage.ANALYZE)] * 3
    [span] = [span for span in scene.settled[0].spans if span.name == "breaker"]
    assert FIRST in span.attributes["passed_over"]


def test_a_job_whose_every_deployment_is_open_waits_until_one_may_be_tried() -> None:
    asyncio.run(_a_job_whose_every_deployment_is_open_waits_until_one_may_be_tried())


async def _a_job_whose_every_deployment_is_open_waits_until_one_may_be_tried() -> None:
    scene = Scene()
    scene.breakers.update({name: _shut(until=until) for name, until in ((FIRST, 40.0), (SECOND, 20.0), (THIRD, 30.0))})
    await scene.run_batch(Work(planned(), NOON))
    assert not scene.calls
    [settled] = scene.settled
    assert settled.transition is Transition.PARK
    assert settled.delay is not None
    assert 20 <= settled.delay <= 40
    assert settled.failure is not None
    assert "away" in settled.failure["message"]


def test_only_as_many_jobs_as_there_are_probes_go_to_one_that_is_half_open() -> None:
    asyncio.run(_only_as_many_jobs_as_there_are_probes_go_to_one_that_is_half_open())


async def _only_as_many_jobs_as_there_are_probes_go_to_one_that_is_half_open() -> None:
    scene = Scene(max_in_flight=5)
    scene.breakers.update({FIRST: _shut(BreakerState.HALF_OPEN, tokens=2)})
    await scene.run_batch(*(Work(planned(), NOON) for _ in range(5)))
    assert sorted(call.deployment.id for call in scene.calls) == sorted([FIRST] * 2 + [SECOND] * 3)
    assert scene.reports.count(Report(Said.PASSED, FIRST)) == 2
    assert Report(Said.WANTED, FIRST) in scene.reports


def test_failures_in_a_row_open_it_here_at_once() -> None:
    asyncio.run(_failures_in_a_row_open_it_here_at_once())


async def _failures_in_a_row_open_it_here_at_once() -> None:
    scene = Scene(max_in_flight=50)

    async def answer(call: Call) -> Reply | Failure:
        return AWAY if call.deployment.id == FIRST else OK

    scene.answering = answer
    for _ in range(5):
        await scene.run(planned())
    assert [report.said for report in scene.reports] == [Said.BROKEN]
    await scene.run(planned())
    assert scene.calls[-1].deployment.id == SECOND


def test_a_probe_that_is_never_made_is_given_back() -> None:
    asyncio.run(_a_probe_that_is_never_made_is_given_back())


async def _a_probe_that_is_never_made_is_given_back() -> None:
    scene = Scene()
    scene.breakers.update({FIRST: _shut(BreakerState.HALF_OPEN, tokens=1)})
    scene.registry.release_all()
    await scene.run(planned(FIRST))
    scene.breakers.update({FIRST: _shut(BreakerState.HALF_OPEN)})
    scene.seconds = 60.0
    scene.breakers.update({FIRST: _shut(BreakerState.HALF_OPEN)})
    assert Report(Said.UNUSED, FIRST) in scene.reports


def _alone(**deployment: object) -> tuple[Breakers, list[Report]]:
    reports: list[Report] = []
    catalog = Catalog([replace(a_deployment(FIRST, adapter="fake"), **deployment)])  # type: ignore[arg-type]
    return Breakers(lambda: catalog, reports.append, 60.0, lambda: 0.0), reports


def test_what_a_deployment_answered_is_not_held_against_it() -> None:
    breakers, reports = _alone()
    [deployment] = breakers._catalog()
    for failure_class in FailureClass:
        if failure_class in {"overloaded", "server_error", "connection", "timeout", "ambiguous"}:
            continue
        for number in range(30):
            breakers.answered(str(number), deployment, Failure(failure_class, "no", http_status=429), 0.1)
    breakers.answered("x", deployment, Failure(FailureClass.TIMEOUT, "the job's deadline"), 1.0)
    assert [report.name for report in reports] == []


def test_a_key_that_is_refused_shuts_off_all_that_use_it() -> None:
    breakers, reports = _alone(api_key_env="SOME_API_KEY")
    [deployment] = breakers._catalog()
    for number in range(5):
        refused = Failure(FailureClass.CREDENTIAL, "no such key", http_status=401)
        breakers.answered(str(number), deployment, refused, 0.1, "some")
    assert [report.name for report in reports] == [credential_breaker("some")]
    assert breakers.shuts_off(deployment)
    assert breakers.admit("job", a_plan(FIRST)) is None


REFUSED = Failure(FailureClass.CREDENTIAL, "no such key", http_status=401)
KEYS = ("some", "some:2", "some:3")


def _with_keys() -> tuple[Breakers, list[Report], Deployment]:
    reports: list[Report] = []
    deployment = replace(a_deployment(FIRST, adapter="fake"), api_key_env="SOME_API_KEY")
    catalog = Catalog([deployment])
    return Breakers(lambda: catalog, reports.append, 60.0, lambda: 0.0, lambda _: KEYS), reports, deployment


def test_living_keys_share_the_calls_and_each_attempt_has_its_own() -> None:
    breakers, _, deployment = _with_keys()
    chosen = Counter(breakers.key_for(str(number), 1, deployment) for number in range(300))
    assert set(chosen) == set(KEYS)
    assert min(chosen.values()) > 60
    assert breakers.key_for("7", 1, deployment) == breakers.key_for("7", 1, deployment)


def test_one_refusal_takes_a_key_out_while_another_lives_and_nothing_is_held_against_the_deployment() -> None:
    breakers, reports, deployment = _with_keys()
    breakers.answered("1", deployment, REFUSED, 0.1, "some")
    breakers.answered("2", deployment, REFUSED, 0.1, "some:2")
    assert [report.name for report in reports] == [credential_breaker("some"), credential_breaker("some:2")]
    assert {breakers.key_for(str(number), 1, deployment) for number in range(50)} == {"some:3"}
    assert not breakers.shuts_off(deployment)
    assert breakers.admit("job", a_plan(FIRST)) == 0
    for number in range(5):
        breakers.answered(str(number), deployment, REFUSED, 0.1, "some:3")
    assert breakers.shuts_off(deployment)
    assert breakers.admit("job", a_plan(FIRST)) is None
    assert FIRST in breakers.soonest(a_plan(FIRST))[1]
    assert FIRST not in {report.name for report in reports}


def test_a_key_that_may_not_use_one_deployment_is_taken_out_there_alone() -> None:
    breakers, reports, deployment = _with_keys()
    other = replace(deployment, id=SECOND)
    breakers.answered("1", deployment, replace(REFUSED, http_status=403), 0.1, "some")
    assert [report.name for report in reports] == [credential_breaker("some", FIRST)]
    assert "some" not in {breakers.key_for(str(number), 1, deployment) for number in range(50)}
    assert "some" in {breakers.key_for(str(number), 1, other) for number in range(50)}


def test_a_key_that_is_out_is_probed_by_one_job_and_comes_back() -> None:
    breakers, reports, deployment = _with_keys()
    name = credential_breaker("some")
    breakers.update({name: _shut(BreakerState.HALF_OPEN, tokens=1)})
    assert breakers.admit("probe", a_plan(FIRST)) == 0
    assert breakers.key_for("probe", 1, deployment) == "some"
    assert breakers.admit("other", a_plan(FIRST)) == 0
    assert breakers.key_for("other", 1, deployment) != "some"
    breakers.answered("probe", deployment, OK, 0.1, "some")
    assert Report(Said.PASSED, name) in reports


def test_the_end_of_a_call_with_a_key_that_was_renewed_says_nothing_and_gives_its_probe_back() -> None:
    breakers, reports, deployment = _with_keys()
    name = credential_breaker("some")
    breakers.update({name: _shut(BreakerState.HALF_OPEN, tokens=1)})
    breakers.admit("probe", a_plan(FIRST))
    breakers.answered("probe", deployment, REFUSED, 0.1, None)
    assert reports == [Report(Said.UNUSED, name)]


def test_stackstorms_breaker_keeps_no_job_from_its_call() -> None:
    scene = Scene()
    scene.breakers.update({"stackstorm": _shut()})
    assert scene.breakers.stackstorm_shut
    assert scene.breakers.states() == dict.fromkeys(scene.breakers.states(), 0)
    assert not scene.breakers.shuts_off(a_deployment(FIRST))
    scene.breakers.update({})
    assert not scene.breakers.stackstorm_shut
