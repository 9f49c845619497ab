from hypothesis import given
from hypothesis import strategies as st

from pipelines.route.filters import PLAN_TIERS
from pipelines.route.stage import RouteStage, rounded_up
from pipelines.route.strategies import STRATEGIES
from pipelines.tokens import TokenCounter
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.plans import RoutingPlan
from tests.fakes.generated import IDS, catalogs, constraints, jobs

COUNTER = TokenCounter()
closed = st.frozensets(st.sampled_from(IDS), max_size=4)


def route(catalog: Catalog, batch: list[Job], not_offered: frozenset[str] = frozenset()) -> list[RoutingPlan | Failure]:
    def why_not_offered(deployment: Deployment) -> str | None:
        return "closed" if deployment.id in not_offered else None

    return RouteStage(catalog, STRATEGIES, why_not_offered, counter=COUNTER).plan(batch)


def steps(catalog: Catalog, plan: RoutingPlan | Failure) -> list[Deployment]:
    if isinstance(plan, Failure):
        return []
    return [deployment for step in plan.steps if (deployment := catalog.get(step.deployment)) is not None]


@given(catalogs(), st.lists(jobs(), max_size=4), closed)
def test_a_plan_has_every_deployment_exactly_once(
    catalog: Catalog, batch: list[Job], not_offered: frozenset[str]
) -> None:
    for plan in route(catalog, batch, not_offered):
        if isinstance(plan, RoutingPlan):
            listed = [step.deployment for step in plan.steps] + [gone.deployment for gone in plan.exclusions]
            assert sorted(listed) == sorted(deployment.id for deployment in catalog)
            assert plan.steps
            assert plan.cursor == 0


in_the_eu = constraints().map(lambda c: Constraints.from_json({**c.to_json(), "classification": "eu"}))


@given(catalogs(), st.lists(jobs(in_the_eu), min_size=1, max_size=4))
def test_eu_data_never_has_a_step_outside_the_eu(catalog: Catalog, batch: list[Job]) -> None:
    for plan in route(catalog, batch):
        assert all(deployment.residency == "eu" for deployment in steps(catalog, plan))


@given(catalogs(), jobs(), closed)
def test_no_step_breaks_what_the_sender_demands(catalog: Catalog, job: Job, not_offered: frozenset[str]) -> None:
    [plan] = route(catalog, [job], not_offered)
    demands, output = job.constraints, job.request.max_output_tokens or 0
    for deployment in steps(catalog, plan):
        assert deployment in catalog.matching(job.request.model)
        assert deployment.id not in (*demands.exclude, *not_offered)
        assert demands.region in (None, deployment.region)
        assert demands.pin in (None, deployment.id)
        assert deployment.zero_retention >= demands.zero_retention
        assert output <= min(deployment.max_output, deployment.context_window)
        assert deployment.adapter == "sandbox" or deployment.tier in PLAN_TIERS.get(
            job.tenant.account_plan, PLAN_TIERS["free"]
        )


@given(catalogs(), jobs())
def test_no_step_costs_more_than_allowed(catalog: Catalog, job: Job) -> None:
    [plan] = route(catalog, [job])
    most = job.constraints.max_cost
    if isinstance(plan, RoutingPlan) and most is not None:
        assert all(step.estimated_cost is not None and step.estimated_cost <= most for step in plan.steps)


@given(catalogs(), jobs())
def test_without_fallback_there_is_one_step(catalog: Catalog, job: Job) -> None:
    [plan] = route(catalog, [job])
    if isinstance(plan, RoutingPlan) and not job.constraints.fallback:
        assert len(plan.steps) == 1


@given(catalogs(), st.lists(jobs(), max_size=5))
def test_a_job_is_routed_alike_alone_and_among_others(catalog: Catalog, batch: list[Job]) -> None:
    assert route(catalog, batch) == [plan for job in batch for plan in route(catalog, [job])]


@given(st.integers(0, 10**9))
def test_rounding_adds_at_most_a_thirty_second(tokens: int) -> None:
    assert tokens <= rounded_up(tokens) <= tokens + tokens / 32


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_rounding_keeps_the_order(one: int, two: int) -> None:
    assert (rounded_up(one) <= rounded_up(two)) or one > two
