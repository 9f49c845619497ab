"""Rate limits on real workers: jobs wait and come back, are charged once, and go on where Redis is away."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from synthralos.domain.findings import Decision
from synthralos.domain.jobs import Constraints
from synthralos.domain.limits import DEFAULT_LIMITS, Per, PlanLimits, Rate, Unit, Window
from synthralos.domain.states import Stage, State
from tests.fakes.jobs import new_job
from tests.fakes.stores import Store
from tests.fakes.tcp_proxy import TcpProxy
from tests.integration.worker_place import WorkerPlace, worker_place
from tests.servers import REDIS

HOUR_OF_TWO = Rate(Per.ORGANIZATION, Unit.REQUESTS, Window.HOUR, 2)


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


def limits(*rates: Rate) -> dict[str, PlanLimits]:
    return {plan: replace(each, rates=rates) for plan, each in DEFAULT_LIMITS.items()}


@pytest.fixture(params=["memory", "redis"])
def counted(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings for counting in this process, or in Redis."""
    if request.param == "memory":
        return {}
    return {
        "redis_url": request.getfixturevalue("redis_server_url"),
        "broker_namespace": request.getfixturevalue("redis_prefix"),
    }


def test_jobs_over_the_limit_wait_with_their_reason_and_time(place: WorkerPlace, counted: dict[str, Any]) -> None:
    place.start(place.core(limits=limits(HOUR_OF_TWO), **counted))
    first, second = place.submit(new_job(), new_job())
    assert place.finished(first, second) == [State.SUCCEEDED] * 2
    [third] = place.submit(new_job())
    place.reaches(third, State.PARKED)
    parked = place.store.job(third)
    assert (parked["stage"], parked["attempts"], parked["verdict"]["decision"]) == (Stage.GUARD, 0, Decision.DEFER)
    assert 1_700 < (parked["run_at"] - place.store.now()).total_seconds() <= 1_800
    # It comes early, as the sweeper never does: it waits again and is not charged.
    place.wake(third)
    place.reaches(third, State.PARKED)
    [hasty] = place.submit(new_job(constraints=Constraints(on_limit="reject")))
    assert place.finished(hasty) == [State.DENIED]
    assert "2 requests an hour" in place.store.job(hasty)["verdict"]["findings"][-1]["reason"]


def test_what_answers_use_is_counted(place: WorkerPlace, counted: dict[str, Any]) -> None:
    place.start(place.core(limits=limits(Rate(Per.ORGANIZATION, Unit.TOKENS, Window.HOUR, 1_000)), **counted))
    answer = {"sandbox": {"output_tokens": 900}}
    [first] = place.submit(new_job("Write.", provider_options=answer))
    assert place.finished(first) == [State.SUCCEEDED]
    # Settled in the background: asked until it is.
    reject = Constraints(on_limit="reject")
    while True:
        [next_one] = place.submit(new_job("Write.", constraints=reject, provider_options=answer))
        [state] = place.finished(next_one)
        if state == State.DENIED:
            break
    assert "1,000 tokens an hour" in place.store.job(next_one)["verdict"]["findings"][-1]["reason"]


def test_two_workers_count_together_in_redis(place: WorkerPlace, redis_server_url: str, redis_prefix: str) -> None:
    settings = {"redis_url": redis_server_url, "broker_namespace": redis_prefix}
    chosen = limits(HOUR_OF_TWO)
    states = []
    for _ in range(2):
        place.start(place.core(limits=chosen, **settings))
        jobs = [new_job(constraints=Constraints(on_limit="reject")) for _ in range(2)]
        states += place.finished(*place.submit(*jobs))
    assert states == [State.SUCCEEDED, State.SUCCEEDED, State.DENIED, State.DENIED]


@pytest.mark.parametrize(("failure", "state"), [("open", State.SUCCEEDED), ("closed", State.PARKED)])
def test_without_redis_jobs_go_on_uncounted_or_wait(
    place: WorkerPlace, redis_server_url: str, redis_prefix: str, failure: str, state: State
) -> None:
    with TcpProxy("127.0.0.1", int(REDIS.url.rpartition(":")[2].partition("/")[0])) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        worker = place.start(
            place.core(
                limits=limits(HOUR_OF_TWO), redis_url=url, broker_namespace=redis_prefix, rate_limit_failure=failure
            )
        )
        proxy.refuse()
        [job_id] = place.submit(new_job())
        place.reaches(job_id, state)
        verdict = place.store.job(job_id)["verdict"]
        assert verdict["findings"][-1]["signals"] == {"uncounted": True}
        proxy.restore()
        if state == State.PARKED:
            place.heard.until(lambda: _wakes(place, job_id))
        place.stop(worker)


def _wakes(place: WorkerPlace, job_id: str) -> bool:
    """Whether the job was done; woken as often as it is put off."""
    if place.store.state(job_id) == State.PARKED:
        place.wake(job_id)
    return place.store.state(job_id) == State.SUCCEEDED
