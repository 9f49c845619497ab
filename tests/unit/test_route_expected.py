"""How long an answer is expected to be, where a job does not say: what is known of it, and what plans make of that."""

from decimal import Decimal

from pipelines.limits.outputs import FEWEST, KEPT, Outputs
from pipelines.route.filters import DEFAULT_OUTPUT
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import STRATEGIES
from synthralos.domain.attempts import AttemptEnd, Billed, Outcome
from synthralos.domain.deployments import Catalog
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.limits import DEFAULT_LIMITS, PlanLimits
from synthralos.domain.money import Usage
from synthralos.domain.plans import RoutingPlan
from tests.fakes.stage_jobs import a_deployment, a_job
from tests.fakes.stages import a_config, a_limiter, stages_of

SMALL = a_deployment("a/small@us", window=8_000, max_output=6_000, price=("1", "1"))
BRIEF = a_deployment("a/brief@us", window=8_000, max_output=1_000, price=("2", "2"))
LARGE = a_deployment("a/large@us", window=100_000, max_output=16_000, price=("3", "3"))
LONG = "x" * 4 * 4_000
"""A prompt of about 4,000 tokens."""


def told(*answers: int) -> Outputs:
    outputs = Outputs()
    for tokens in answers:
        outputs.learn("acme", "auto", tokens)
    return outputs


def plan_of(job: Job, outputs: Outputs, *deployments: str) -> RoutingPlan:
    catalog = Catalog([each for each in (SMALL, BRIEF, LARGE) if not deployments or each.id in deployments])
    [plan] = RouteStage(catalog, STRATEGIES, lambda _: None, expected=outputs.told).plan([job])
    assert isinstance(plan, RoutingPlan), plan
    return plan


def names(plan: RoutingPlan) -> list[str]:
    return [step.deployment for step in plan.steps]


def test_too_few_answers_tell_nothing() -> None:
    assert told(*[900] * (FEWEST - 1)).told("acme", "auto") is None
    known = told(*[900] * FEWEST)
    assert known.told("acme", "auto") == 1_024
    assert (known.told("other", "auto"), known.told("acme", "gpt")) == (None, None)


def test_what_is_told_is_the_95th_percentile_of_the_last_answers_in_coarse_steps() -> None:
    assert told(*[100] * 190, *[3_000] * 10).told("acme", "auto") == 3_072
    assert told(*[100] * 191, *[3_000] * 9).told("acme", "auto") == 128
    assert told(*[3_000] * 50, *[100] * KEPT).told("acme", "auto") == 128
    assert len({told(*[tokens] * FEWEST).told("acme", "auto") for tokens in range(1_025, 1_537)}) == 1
    assert told(*[0] * FEWEST).told("acme", "auto") == 1
    for tokens in range(1, 5_000, 7):
        known = told(*[tokens] * FEWEST).told("acme", "auto")
        assert known is not None
        assert tokens <= known <= 1.5 * tokens


def test_an_answer_as_the_last_ones_were_needs_room_in_the_window() -> None:
    plan = plan_of(a_job(LONG), told(*[5_000] * FEWEST))
    assert names(plan) == [BRIEF.id, LARGE.id]
    [gone] = plan.exclusions
    assert (gone.deployment, gone.cause.rule, gone.cause.details["output"]) == (SMALL.id, "context_window", "expected")
    assert gone.cause.details["output_tokens"] == 6_000
    assert "of answer, as the last ones were" in gone.reason


def test_what_is_only_expected_leaves_nobody_without_a_deployment() -> None:
    outputs = told(*[5_000] * FEWEST)
    assert names(plan_of(a_job(LONG), outputs, SMALL.id)) == [SMALL.id]


def test_the_estimated_cost_counts_with_the_expected_answer_and_no_more_than_is_given() -> None:
    outputs = told(*[5_000] * FEWEST)
    before, after = plan_of(a_job(), told()), plan_of(a_job(), outputs)
    found = {step.deployment: step.estimated_cost for step in after.steps}
    for step in before.steps:
        deployment = next(each for each in (SMALL, BRIEF, LARGE) if each.id == step.deployment)
        assert deployment.price is not None
        assert step.estimated_cost is not None
        more = min(6_144, deployment.max_output) - DEFAULT_OUTPUT
        assert found[step.deployment] == step.estimated_cost + more * deployment.price.output / 1_000_000


def test_what_a_job_asks_for_counts_and_its_money_bounds_the_worst_case() -> None:
    outputs, asked = told(*[5_000] * FEWEST), a_job(LONG, body={"max_output_tokens": 100})
    assert plan_of(asked, outputs) == plan_of(asked, told())
    bounded = a_job(constraints=Constraints(max_cost=Decimal("0.001")))
    assert set(names(plan_of(bounded, outputs))) == set(names(plan_of(bounded, told())))


def test_jobs_that_are_alike_share_a_plan_until_there_is_something_to_tell() -> None:
    outputs = told(*[900] * FEWEST)
    stage = RouteStage(Catalog([SMALL, LARGE]), STRATEGIES, lambda _: None, expected=outputs.told)
    [first] = stage.plan([a_job()])
    for _ in range(30):
        outputs.learn("acme", "auto", 910)
    assert stage.plan([a_job()])[0] is first
    for _ in range(KEPT):
        outputs.learn("acme", "auto", 5_000)
    assert stage.plan([a_job()])[0] != first


def test_what_a_worker_sees_of_answers_reaches_its_plans() -> None:
    stages = stages_of(Catalog([SMALL, LARGE]))
    [before] = stages.route.plan([a_job(LONG)])
    for _ in range(FEWEST):
        stages.limiter.used(stages.config, a_job(), AttemptEnd(1, Outcome.SUCCEEDED, Billed.YES, Usage(9, 5_000), None))
    [after] = stages.route.plan([a_job(LONG)])
    assert isinstance(before, RoutingPlan)
    assert isinstance(after, RoutingPlan)
    assert (names(before), names(after)) == ([SMALL.id, LARGE.id], [LARGE.id])


def test_answers_are_learned_where_no_rate_is_limited_and_vectors_are_none() -> None:
    config = a_config(Catalog([SMALL]), limits={**DEFAULT_LIMITS, "pro": PlanLimits(1_000_000, 100_000)})
    limiter, end = a_limiter(), AttemptEnd(1, Outcome.SUCCEEDED, Billed.YES, Usage(10, 900), None)
    vectors = a_job(body={"kind": "embedding", "input": "text"}, model="vectors")
    for _ in range(FEWEST):
        limiter.used(config, a_job(), end)
        limiter.used(config, vectors, end)
    assert limiter.outputs.told("acme", "auto") == 1_024
    assert limiter.outputs.told("acme", "vectors") is None
