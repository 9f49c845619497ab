"""What every remedy of the table promises. A new one is covered by adding it to a row there."""

import copy
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.heal.protocol import Case, GiveUp, NextDeployment, Remedy, RouteAgain, Treatment, Wait
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


NAMES = sorted(remedies())


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


# Making a case takes most of the time, so that each is shown to every remedy.
any_case = settings(max_examples=80)


def treatments(case: Case) -> dict[str, Treatment | None]:
    """What each remedy does with the case, by its name; each with the randomness of `SEED`."""
    return {name: remedies()[name].treat(case) for name in NAMES}


@any_case
@given(case=cases())
def test_a_treatment_says_why_and_is_possible(case: Case) -> None:
    for name, treatment in treatments(case).items():
        assert treatment is None or treatment.reason, name
        match treatment:
            case Wait(seconds):
                assert 0.0 <= seconds < float("inf"), name
                assert case.history, name
            case NextDeployment(cursor):
                assert case.job.plan is not None, name
                step = case.job.plan.steps[cursor]
                assert step.deployment not in case.job.constraints.exclude, name
                assert step.deployment not in {attempt.deployment for attempt in case.history}, name
            case RouteAgain(exclude, _, seconds):
                assert set(exclude) - set(case.job.constraints.exclude), name
                assert 0.0 <= seconds < float("inf"), name
                assert case.job.constraints.fallback, name
                assert case.job.constraints.pin is None, name


@any_case
@given(case=cases())
def test_the_case_is_not_changed(case: Case) -> None:
    before = copy.deepcopy(case)
    for name in NAMES:
        remedies()[name].treat(case)
        assert case == before, name


@any_case
@given(case=cases())
def test_the_same_randomness_gives_the_same_treatment(case: Case) -> None:
    assert treatments(case) == treatments(case)


@pytest.mark.parametrize("failure_class", FailureClass)
def test_every_failure_has_a_row_that_ends_in_giving_up(failure_class: FailureClass) -> None:
    row = build_remedies(Random(SEED), CATALOG)[failure_class]
    assert isinstance(row[-1].treat(a_case(failure_class, [IDS[0]], [IDS[0]])), GiveUp)


def test_no_two_remedies_share_a_name() -> None:
    found = {id(remedy): remedy.name for row in build_remedies(Random(SEED), CATALOG).values() for remedy in row}
    assert len(set(found.values())) == len(found)
