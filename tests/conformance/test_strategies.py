"""What every routing strategy of the table promises. A new one is covered by adding its line there."""

import copy
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.route.protocol import Candidate, Strategy
from pipelines.route.strategies import STRATEGIES
from synthralos.domain.jobs import Job
from tests.fakes.generated import IDS, costs, jobs
from tests.fakes.stage_jobs import a_deployment

candidates = st.builds(lambda name, cost: Candidate(a_deployment(name), cost), st.sampled_from(IDS), costs)
batches = st.lists(candidates, unique_by=lambda candidate: candidate.deployment.id, max_size=8)


@pytest.fixture(params=sorted(STRATEGIES))
def strategy(request: pytest.FixtureRequest) -> Strategy:
    return STRATEGIES[request.param]


any_choice = settings(
    deadline=None,
    database=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@any_choice
@given(job=jobs(), found=batches)
def test_every_candidate_is_ranked_once(strategy: Strategy, job: Job, found: list[Candidate]) -> None:
    ranked = strategy.rank(job, found)
    assert sorted(step.deployment for step in ranked) == sorted(candidate.deployment.id for candidate in found)


@any_choice
@given(job=jobs(), found=batches)
def test_every_step_says_why_and_keeps_its_estimate(strategy: Strategy, job: Job, found: list[Candidate]) -> None:
    estimates = {candidate.deployment.id: candidate.estimated_cost for candidate in found}
    for step in strategy.rank(job, found):
        assert step.reason
        assert step.estimated_cost == estimates[step.deployment]


@any_choice
@given(job=jobs(), found=batches)
def test_neither_job_nor_candidates_are_changed(strategy: Strategy, job: Job, found: list[Candidate]) -> None:
    before = copy.deepcopy((job, found))
    strategy.rank(job, found)
    assert (job, found) == before


@any_choice
@given(job=jobs(), found=batches, seed=st.integers())
def test_a_repeatable_strategy_ranks_alike_whatever_the_order(
    strategy: Strategy, job: Job, found: list[Candidate], seed: int
) -> None:
    if strategy.repeatable:
        shuffled = Random(seed).sample(found, len(found))
        assert strategy.rank(job, shuffled) == strategy.rank(job, found)


def test_it_has_the_name_of_its_line(strategy: Strategy) -> None:
    assert STRATEGIES[strategy.name] is strategy
