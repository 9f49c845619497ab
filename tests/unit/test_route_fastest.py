"""The strategy `fastest`, what it knows, and what a deadline makes of it."""

from datetime import timedelta

from pipelines.route.fastest import Fastest
from pipelines.route.observed import FEWEST, NOTHING, Latencies, Observed, Seconds
from pipelines.route.protocol import Candidate
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import strategies
from synthralos.config.quality import built_in_quality
from synthralos.domain.deployments import Catalog
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.plans import RoutingPlan
from tests.fakes.stage_jobs import NOON, a_deployment, a_job

QUICK = a_deployment("a/quick@us", price=("9", "9"))
SLOW = a_deployment("a/slow@us", price=("1", "1"))
NEW = a_deployment("a/new@us", price=("5", "5"))
CATALOG = Catalog([SLOW, NEW, QUICK])
SEEN = Observed({QUICK.id: Seconds(1.0, 2.0), SLOW.id: Seconds(30.0, 60.0), "a/gone@us": Seconds(5.0, 6.0)})


def plan_of(job: Job, observed: Observed = SEEN) -> RoutingPlan:
    table = strategies(built_in_quality(), lambda: observed)
    stage = RouteStage(CATALOG, table, lambda _: None, now=lambda: NOON, observed=lambda: observed)
    [plan] = stage.plan([job])
    assert isinstance(plan, RoutingPlan), plan
    return plan


def names(plan: RoutingPlan) -> list[str]:
    return [step.deployment for step in plan.steps]


def due(seconds: float, strategy: str = "cheapest") -> Job:
    job = a_job(constraints=Constraints(strategy=strategy))
    job.deadline = NOON + timedelta(seconds=seconds)
    return job


def test_fastest_goes_by_the_median_and_takes_the_unknown_for_usual() -> None:
    assert names(plan_of(a_job(constraints=Constraints(strategy="fastest")))) == [QUICK.id, NEW.id, SLOW.id]


def test_where_nothing_is_known_the_cheapest_is_first() -> None:
    assert names(plan_of(a_job(constraints=Constraints(strategy="fastest")), NOTHING)) == [SLOW.id, NEW.id, QUICK.id]


def test_the_same_observations_make_the_same_plan() -> None:
    candidates = [Candidate(deployment, None) for deployment in CATALOG]
    assert Fastest(lambda: SEEN).rank(a_job(), candidates) == Fastest(lambda: SEEN).rank(a_job(), candidates[::-1])


def test_what_is_too_slow_for_the_deadline_is_left_out_with_the_reason() -> None:
    plan = plan_of(due(20))
    assert names(plan) == [NEW.id, QUICK.id]
    [gone] = plan.exclusions
    assert gone.deployment == SLOW.id
    assert "deadline" in gone.reason
    assert names(plan_of(due(60))) == [SLOW.id, NEW.id, QUICK.id]


def test_late_is_better_than_never() -> None:
    all_slow = Observed({deployment.id: Seconds(50.0, 60.0) for deployment in CATALOG})
    assert sorted(names(plan_of(due(20), all_slow))) == sorted(deployment.id for deployment in CATALOG)


def test_nothing_is_said_of_a_deployment_before_some_answers_are_known() -> None:
    latencies = Latencies()
    for _ in range(FEWEST - 1):
        latencies.learn(SLOW.id, 2.0)
    assert latencies.now() is NOTHING
    latencies.learn(SLOW.id, 2.0)
    assert latencies.now().seconds == {SLOW.id: Seconds(2.0, 2.0)}


def test_what_was_observed_is_replaced_only_where_it_tells_something_new() -> None:
    latencies = Latencies()
    for _ in range(200):
        latencies.learn(SLOW.id, 2.0)
    known = latencies.now()
    for _ in range(100):
        latencies.learn(SLOW.id, 2.0001)
    assert latencies.now() is known
    for _ in range(200):
        latencies.learn(SLOW.id, 9.0)
    assert latencies.now().seconds[SLOW.id] == Seconds(9.0, 9.0)
    assert known.seconds[SLOW.id] == Seconds(2.0, 2.0)


def test_what_others_saw_counts_until_this_process_saw_enough_itself() -> None:
    latencies = Latencies()
    latencies.hear({SLOW.id: [30.0] * FEWEST, QUICK.id: [1.0] * FEWEST, NEW.id: [1.0] * (FEWEST - 1)})
    heard = latencies.now()
    assert heard.seconds == {SLOW.id: Seconds(30.0, 30.0), QUICK.id: Seconds(1.0, 1.0)}
    latencies.hear({SLOW.id: [30.0] * 50, QUICK.id: [1.001] * 9})
    assert latencies.now() is heard
    for _ in range(FEWEST):
        latencies.learn(SLOW.id, 2.0)
    latencies.hear({SLOW.id: [40.0] * FEWEST})
    assert latencies.now().seconds == {SLOW.id: Seconds(2.0, 2.0)}
