"""Retries at a deployment are bounded for all jobs together."""

from random import Random

from pipelines.heal.budget import SAVED, RetryBudget
from pipelines.heal.protocol import NextDeployment, Wait
from pipelines.heal.remedies import LONGEST_WAIT
from pipelines.heal.stage import build_heal_stage
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import FailureClass
from tests.fakes.stage_jobs import a_case, a_deployment

A, B = "openai/a@us", "google/b@us"
CATALOG = Catalog([a_deployment(A), a_deployment(B)])


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _emptied() -> tuple[RetryBudget, _Clock]:
    clock = _Clock()
    budget = RetryBudget(clock)
    while budget.take(A):
        pass
    return budget, clock


def test_a_tenth_of_the_calls_and_one_a_second_may_be_repeated() -> None:
    budget, clock = _emptied()
    for _ in range(9):
        budget.called(A)
    assert not budget.take(A)
    budget.called(A)
    budget.called(A)
    assert budget.take(A)
    clock.now += 3.0
    assert [budget.take(A) for _ in range(4)] == [True, True, True, False]
    assert budget.take(B)


def test_what_is_saved_is_bounded() -> None:
    budget, clock = _emptied()
    clock.now += 3600.0
    assert sum(budget.take(A) for _ in range(100)) == SAVED


def test_who_queues_waits_for_the_retries_that_others_have_reserved() -> None:
    budget, clock = _emptied()
    assert [round(budget.reserve(A)) for _ in range(3)] == [1, 2, 3]
    clock.now += 10.0
    assert budget.reserve(A) == 0.0


def test_without_retries_left_a_job_goes_on_elsewhere_and_else_waits_longer_and_never_fails() -> None:
    budget, _ = _emptied()
    heal = build_heal_stage(Random(1), CATALOG, budget)
    [(remedy, treatment)] = heal.treat([a_case(FailureClass.OVERLOADED, [A, B], [A])])
    assert (remedy, isinstance(treatment, NextDeployment)) == ("next_deployment", True)
    waits = []
    for _ in range(200):
        [(remedy, treatment)] = heal.treat([a_case(FailureClass.OVERLOADED, [A], [A])])
        assert isinstance(treatment, Wait)
        waits.append(treatment.seconds)
    assert waits[-1] > 150
    assert max(waits) <= LONGEST_WAIT
