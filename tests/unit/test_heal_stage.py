from datetime import timedelta
from random import Random

import pytest

from pipelines.heal.protocol import AskAgain, Case, GiveUp, NextDeployment, RouteAgain, Treatment, Wait
from pipelines.heal.stage import MOST_CLAIMS, build_heal_stage
from synthralos.domain.attempts import Outcome
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Constraints
from tests.fakes.stage_jobs import NOON, a_case, a_deployment, a_job

A, A2, B = "openai/a@us", "openai/a2@us", "google/b@us"
CATALOG = Catalog([a_deployment(A, window=8_000), a_deployment(A2, window=8_000), a_deployment(B, window=100_000)])


def heal(case: Case) -> tuple[str, Treatment]:
    [healed] = build_heal_stage(Random(1), CATALOG).treat([case])
    return healed


def remedies(failure_class: FailureClass, plan: list[str], tried: list[str]) -> str:
    return heal(a_case(failure_class, plan, tried))[0]


F = FailureClass


@pytest.mark.parametrize(
    ("failure_class", "plan", "tried", "remedy"),
    [
        (F.RATE_LIMITED, [A, B], [A], "next_deployment"),
        (F.RATE_LIMITED, [A], [A], "wait"),
        (F.RATE_LIMITED, [A, B], [A, B], "wait"),
        (F.QUOTA_EXHAUSTED, [A, A2, B], [A], "next_provider"),
        (F.QUOTA_EXHAUSTED, [A, A2, B], [A, B], "next_deployment"),
        (F.QUOTA_EXHAUSTED, [A], [A], "give_up"),
        (F.OVERLOADED, [A, B], [A], "short_wait"),
        (F.OVERLOADED, [A, B], [A, A], "next_deployment"),
        (F.OVERLOADED, [A, B], [A, A, B, B], "wait"),
        (F.SERVER_ERROR, [A, B], [A, A], "next_deployment"),
        (F.CONNECTION, [A, B], [A], "short_wait"),
        (F.TIMEOUT, [A, B], [A], "next_deployment"),
        (F.TIMEOUT, [A], [A], "one_wait"),
        (F.TIMEOUT, [A], [A, A], "give_up"),
        (F.AMBIGUOUS, [A, B], [A], "next_deployment"),
        (F.AMBIGUOUS, [A], [A, A], "give_up"),
        (F.CREDENTIAL, [A, A2, B], [A], "next_provider"),
        (F.CREDENTIAL, [A], [A], "give_up"),
        (F.UNSUPPORTED, [A, B], [A], "next_deployment"),
        (F.UNSUPPORTED, [A, B], [A, B], "give_up"),
        (F.INVALID_REQUEST, [A, B], [A], "give_up"),
        (F.CONTEXT_LENGTH, [A, B], [A], "larger_window"),
        (F.CONTEXT_LENGTH, [B, A], [B], "give_up"),
        (F.CONTENT_FILTERED, [A, A2, B], [A], "next_provider"),
        (F.CONTENT_FILTERED, [A, A2], [A], "give_up"),
        (F.SCHEMA_MISMATCH, [A, B], [A], "ask_again"),
        (F.SCHEMA_MISMATCH, [A, B], [A, A], "next_deployment"),
        (F.SCHEMA_MISMATCH, [A], [A, A], "give_up"),
        (F.BUDGET, [A, B], [], "give_up"),
        (F.INTERNAL, [A, B], [A], "wait"),
        (F.INTERNAL, [A, B], [], "next_deployment"),
        (F.INTERNAL, [A], [], "give_up"),
        (F.INTERNAL, [], [], "give_up"),
    ],
)
def test_each_failure_has_its_remedies_in_order(
    failure_class: FailureClass, plan: list[str], tried: list[str], remedy: str
) -> None:
    assert remedies(failure_class, plan, tried) == remedy


def test_a_used_up_plan_is_routed_again_once_waiting_is_over() -> None:
    case = a_case(F.RATE_LIMITED, [A, B], [A, *[B] * 5], constraints=Constraints(max_attempts=10))
    name, treatment = heal(case)
    assert name == "route_elsewhere"
    assert isinstance(treatment, RouteAgain)


def test_a_malformed_answer_is_asked_for_again_at_once() -> None:
    _, treatment = heal(a_case(F.SCHEMA_MISMATCH, [A], [A]))
    assert isinstance(treatment, AskAgain)


def test_a_malformed_answer_is_not_asked_for_again_where_its_sender_wants_no_repair() -> None:
    case = a_case(F.SCHEMA_MISMATCH, [A, B], [A], constraints=Constraints(repair="none"))
    assert heal(case)[0] == "next_deployment"


@pytest.mark.parametrize("failure_class", [F.OVERLOADED, F.SERVER_ERROR, F.CONNECTION])
def test_a_long_wish_is_no_short_wait(failure_class: FailureClass) -> None:
    failure = Failure(failure_class, "busy", retry_after=120.0)
    assert heal(a_case(failure, [A, B], [A]))[0] == "next_deployment"
    name, treatment = heal(a_case(failure, [A], [A]))
    assert name == "wait"
    assert isinstance(treatment, Wait)
    assert treatment.seconds == 120.0


def test_a_call_of_which_nothing_was_sent_does_not_count_as_one() -> None:
    case = a_case(F.CONNECTION, [A, A2, B], [A, A, A2, A2], constraints=Constraints(max_attempts=1))
    assert heal(case)[0] == "next_deployment"
    all_dead = a_case(F.CONNECTION, [A, B], [*[A] * 5, *[B] * 5], constraints=Constraints(exclude=(A,)))
    assert heal(all_dead)[0] == "give_up"


@pytest.mark.parametrize("failure_class", sorted({*FailureClass} - {F.CONNECTION, F.CREDENTIAL}))
def test_when_all_calls_are_made_every_failure_gives_up(failure_class: FailureClass) -> None:
    case = a_case(failure_class, [A, B], [A, A], constraints=Constraints(max_attempts=2))
    name, treatment = heal(case)
    assert name == "give_up"
    assert isinstance(treatment, GiveUp)
    assert "max_attempts" in treatment.reason


def test_lost_calls_count_and_calls_cut_off_by_our_shutdown_do_not() -> None:
    most = Constraints(max_attempts=2)
    lost = a_case(F.RATE_LIMITED, [A, B], [A, A], constraints=most, outcomes=[Outcome.LOST, Outcome.FAILED])
    cut = a_case(F.RATE_LIMITED, [A, B], [A, A], constraints=most, outcomes=[Outcome.CANCELLED, Outcome.FAILED])
    assert heal(lost)[0] == "give_up"
    assert heal(cut)[0] == "next_deployment"


def test_a_wait_past_the_deadline_gives_up_and_names_it() -> None:
    deadline = NOON + timedelta(seconds=10)
    failure = Failure(F.RATE_LIMITED, "slow down", retry_after=30.0)
    name, treatment = heal(a_case(failure, [A], [A], deadline=deadline))
    assert name == "give_up"
    assert isinstance(treatment, GiveUp)
    assert deadline.isoformat() in treatment.reason


def test_a_wait_within_the_deadline_is_waited() -> None:
    failure = Failure(F.RATE_LIMITED, "slow down", retry_after=5.0)
    name, _ = heal(a_case(failure, [A], [A], deadline=NOON + timedelta(seconds=10)))
    assert name == "wait"


def test_a_wait_past_the_deadline_leaves_the_remedies_after_it() -> None:
    failure = Failure(F.OVERLOADED, "busy", retry_after=30.0)
    name, treatment = heal(a_case(failure, [A, B], [A], deadline=NOON + timedelta(seconds=10)))
    assert name == "next_deployment"
    assert isinstance(treatment, NextDeployment)


def test_a_deadline_that_has_passed_gives_up() -> None:
    assert heal(a_case(F.RATE_LIMITED, [A, B], [A], deadline=NOON))[0] == "give_up"


def test_a_job_that_goes_round_without_calls_is_given_up() -> None:
    case = a_case(F.RATE_LIMITED, [A, B], [A])
    tired = a_job(claim_no=MOST_CLAIMS, routing=case.job.plan)
    assert heal(Case(tired, case.failure, case.history, NOON))[0] == "give_up"


def test_each_case_is_answered_in_its_place() -> None:
    cases = [a_case(F.BUDGET, [A], []), a_case(F.RATE_LIMITED, [A, B], [A]), a_case(F.RATE_LIMITED, [A], [A])]
    healed = build_heal_stage(Random(1), CATALOG).treat(cases)
    assert [name for name, _ in healed] == ["give_up", "next_deployment", "wait"]
    assert build_heal_stage(Random(1), CATALOG).treat([]) == []
