"""What every remedy of the table promises. A new one is covered by adding it to a row there."""

import copy
from datetime import timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.heal.protocol import Case, GiveUp, NextDeployment, Remedy, RouteAgain, Wait
from pipelines.heal.table import build_remedies
from synthralos.domain.attempts import Outcome
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import FailureClass
from tests.fakes.generated import IDS, constraints, failures
from tests.fakes.stage_jobs import NOON, a_case, a_deployment

CATALOG = Catalog([a_deployment(name, window=1_000 * (number + 1)) for number, name in enumerate(IDS)])
SEED = 7


def remedies() -> dict[str, Remedy]:
    """Every remedy of the table once, with the randomness of `SEED`."""
    return {remedy.name: remedy for row in build_remedies(Random(SEED), CATALOG).values() for remedy in row}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    plan = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=5))
    tried = draw(st.lists(st.sampled_from(plan), max_size=6)) if plan else []
    return a_case(
        draw(failures),
        plan,
        tried,
        constraints=draw(constraints()),
        deadline=draw(st.none() | st.integers(-10, 1_000).map(lambda seconds: NOON + timedelta(seconds=seconds))),
        outcomes=[*draw(st.lists(st.sampled_from(Outcome), min_size=len(tried), max_size=len(tried)))],
    )


@pytest.fixture(params=sorted(remedies()))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


any_case = settings(
    deadline=None,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@any_case
@given(case=cases())
def test_a_treatment_says_why_and_is_possible(name: str, case: Case) -> None:
    treatment = remedies()[name].treat(case)
    assert treatment is None or treatment.reason
    match treatment:
        case Wait(seconds):
            assert 0.0 <= seconds < float("inf")
            assert case.history
        case NextDeployment(cursor):
            assert case.job.plan is not None
            step = case.job.plan.steps[cursor]
            assert step.deployment not in case.job.constraints.exclude
            assert step.deployment not in {attempt.deployment for attempt in case.history}
        case RouteAgain(exclude, _, seconds):
            assert set(exclude) - set(case.job.constraints.exclude)
            assert 0.0 <= seconds < float("inf")
            assert case.job.constraints.fallback
            assert case.job.constraints.pin is None


@any_case
@given(case=cases())
def test_the_case_is_not_changed(name: str, case: Case) -> None:
    before = copy.deepcopy(case)
    remedies()[name].treat(case)
    assert case == before


@any_case
@given(case=cases())
def test_the_same_randomness_gives_the_same_treatment(name: str, case: Case) -> None:
    assert remedies()[name].treat(case) == remedies()[name].treat(case)


@pytest.mark.parametrize("failure_class", FailureClass)
def test_every_failure_has_a_row_that_ends_in_giving_up(failure_class: FailureClass) -> None:
    row = build_remedies(Random(SEED), CATALOG)[failure_class]
    assert isinstance(row[-1].treat(a_case(failure_class, [IDS[0]], [IDS[0]])), GiveUp)


def test_no_two_remedies_share_a_name() -> None:
    found = {id(remedy): remedy.name for row in build_remedies(Random(SEED), CATALOG).values() for remedy in row}
    assert len(set(found.values())) == len(found)
