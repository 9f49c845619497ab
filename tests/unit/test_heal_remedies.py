from dataclasses import replace
from random import Random

import pytest

from pipelines.heal import protocol
from pipelines.heal.next_key import NextKey
from pipelines.heal.remedies import LONGEST_WAIT, GiveUp, LargerWindow, NextDeployment, RouteElsewhere, WaitAndRetry
from synthralos.domain.attempts import Outcome
from synthralos.domain.backoff import Backoff
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Constraints
from tests.fakes.stage_jobs import a_case, a_deployment

A, A2, B = "openai/a@us", "openai/a2@us", "google/b@us"
WINDOWS = Catalog([a_deployment(A, window=8_000), a_deployment(A2, window=8_000), a_deployment(B, window=100_000)])
LIMITED = FailureClass.RATE_LIMITED
TOO_LONG = FailureClass.CONTEXT_LENGTH


def refused(*keys: str) -> protocol.Case:
    """A job that was refused with these keys, one after the other, at one deployment."""
    case = a_case(FailureClass.CREDENTIAL, [A, B], [A] * len(keys))
    return replace(case, history=[replace(past, credential=key) for past, key in zip(case.history, keys, strict=True)])


@pytest.mark.parametrize(
    ("keys", "goes_on"),
    [
        (("openai",), True),
        (("openai", "openai:2"), False),
        (("openai", "openai", "openai"), True),
        (("openai", "openai", "openai", "openai"), False),
    ],
)
def test_another_key_is_the_first_remedy_while_one_was_not_refused(keys: tuple[str, ...], goes_on: bool) -> None:
    remedy = NextKey(WINDOWS, lambda _: ("openai", "openai:2"))
    assert isinstance(remedy.treat(refused(*keys)), protocol.NextKey) is goes_on
    assert remedy.treat(replace(refused(*keys), shut_keys=frozenset({"openai:2"}))) is None


def test_a_deployment_with_one_key_has_no_other() -> None:
    assert NextKey(WINDOWS, lambda _: ("openai",)).treat(refused("openai")) is None
    assert NextKey(WINDOWS, lambda _: ()).treat(a_case(FailureClass.CREDENTIAL, [A, B], [A])) is None


def wait(tries: int = 3, base: float = 1.0, cap: float = 60.0) -> WaitAndRetry:
    return WaitAndRetry(Random(1), Backoff(base=base, cap=cap), tries)


def elsewhere() -> RouteElsewhere:
    return RouteElsewhere(Random(1), Backoff(base=1.0))


def seconds(treatment: protocol.Treatment | None) -> float:
    assert isinstance(treatment, protocol.Wait | protocol.RouteAgain)
    return treatment.seconds


def cursor(treatment: protocol.Treatment | None) -> int:
    assert isinstance(treatment, protocol.NextDeployment)
    return treatment.cursor


@pytest.mark.parametrize(
    ("asked", "waited"), [(0.25, 0.25), (30.0, 30.0), (86_400.0, LONGEST_WAIT), (float("inf"), LONGEST_WAIT)]
)
def test_the_provider_says_how_long_to_wait_within_reason(asked: float, waited: float) -> None:
    failure = Failure(LIMITED, "slow down", retry_after=asked)
    assert seconds(wait().treat(a_case(failure, [A], [A]))) == waited


@pytest.mark.parametrize("asked", [None, 0.0, -5.0, float("nan")])
def test_without_a_usable_wish_the_backoff_decides(asked: float | None) -> None:
    failure = Failure(LIMITED, "slow down", retry_after=asked)
    assert 0.0 < seconds(wait().treat(a_case(failure, [A], [A]))) <= 1.0


def test_waiting_ends_after_the_tries_of_a_deployment() -> None:
    assert wait(tries=2).treat(a_case(LIMITED, [A], [A])) is not None
    assert wait(tries=2).treat(a_case(LIMITED, [A], [A, A])) is None


def test_calls_to_other_deployments_do_not_use_up_the_tries() -> None:
    assert wait(tries=2).treat(a_case(LIMITED, [A, B], [A, A, B])) is not None


def test_a_call_cut_off_by_our_shutdown_does_not_use_up_the_tries() -> None:
    outcomes = [Outcome.CANCELLED, Outcome.FAILED]
    assert wait(tries=2).treat(a_case(LIMITED, [A], [A, A], outcomes=outcomes)) is not None


def test_a_lost_call_uses_up_a_try() -> None:
    assert wait(tries=2).treat(a_case(LIMITED, [A], [A, A], outcomes=[Outcome.LOST, Outcome.FAILED])) is None


def test_what_failed_before_any_call_is_not_waited_for() -> None:
    assert wait().treat(a_case(FailureClass.INTERNAL, [A], [])) is None
    assert wait().treat(a_case(FailureClass.INTERNAL, [], [])) is None


def test_the_next_deployment_is_the_next_untried_step() -> None:
    assert cursor(NextDeployment().treat(a_case(LIMITED, [A, A2, B], [A]))) == 1
    assert cursor(NextDeployment().treat(a_case(LIMITED, [A, A2, B], [A2, A]))) == 2


def test_steps_that_were_passed_over_come_last() -> None:
    assert cursor(NextDeployment().treat(a_case(LIMITED, [A, A2, B], [A, B]))) == 1


def test_no_untried_step_is_no_next_deployment() -> None:
    assert NextDeployment().treat(a_case(LIMITED, [A, B], [A, B])) is None
    assert NextDeployment().treat(a_case(LIMITED, [], [])) is None


def test_a_step_that_was_excluded_since_is_not_next() -> None:
    assert NextDeployment().treat(a_case(LIMITED, [A, B], [A], constraints=Constraints(exclude=(B,)))) is None


def test_another_provider_passes_over_the_same_one() -> None:
    remedy = NextDeployment(other_provider=True)
    assert cursor(remedy.treat(a_case(FailureClass.CONTENT_FILTERED, [A, A2, B], [A]))) == 2
    assert remedy.treat(a_case(FailureClass.CONTENT_FILTERED, [A, A2], [A])) is None


def test_a_larger_window_excludes_all_that_are_not_larger() -> None:
    treatment = LargerWindow(WINDOWS).treat(a_case(TOO_LONG, [A, A2, B], [A]))
    assert isinstance(treatment, protocol.RouteAgain)
    assert (set(treatment.exclude), treatment.seconds) == ({A, A2}, 0.0)


@pytest.mark.parametrize(
    "case",
    [
        a_case(TOO_LONG, [B], [B]),
        a_case(TOO_LONG, [A], [A], model="openai/a"),
        a_case(TOO_LONG, [A], [A], constraints=Constraints(fallback=False)),
        a_case(TOO_LONG, [A], [A], constraints=Constraints(pin=A)),
        a_case(TOO_LONG, [A], [A], constraints=Constraints(exclude=(B,))),
        a_case(TOO_LONG, [A, B], [A], constraints=Constraints(exclude=(A, A2))),
        a_case(TOO_LONG, ["gone/from@catalog"], ["gone/from@catalog"]),
        a_case(TOO_LONG, [], []),
    ],
)
def test_without_a_larger_window_to_go_to_the_remedy_does_not_apply(case: protocol.Case) -> None:
    assert LargerWindow(WINDOWS).treat(case) is None


def test_routing_elsewhere_leaves_out_the_deployment_that_failed_last() -> None:
    treatment = elsewhere().treat(a_case(LIMITED, [A, B], [A, B]))
    assert isinstance(treatment, protocol.RouteAgain)
    assert treatment.exclude == (B,)
    assert 0.0 <= treatment.seconds <= 2.0


@pytest.mark.parametrize(
    "case",
    [
        a_case(LIMITED, [A, B], [A]),
        a_case(LIMITED, [A], [A]),
        a_case(LIMITED, [A, B], [A, B], constraints=Constraints(fallback=False)),
        a_case(LIMITED, [A, B], [A, B], constraints=Constraints(pin=B)),
        a_case(LIMITED, [A, B], [A, B], constraints=Constraints(exclude=(A,))),
        a_case(LIMITED, [A, B], [A, B], constraints=Constraints(exclude=(B,))),
        a_case(LIMITED, [], []),
    ],
)
def test_routing_elsewhere_needs_a_used_up_plan_with_somewhere_to_go_back_to(case: protocol.Case) -> None:
    assert elsewhere().treat(case) is None


def test_giving_up_names_the_failure() -> None:
    assert "invalid_request" in GiveUp().treat(a_case(FailureClass.INVALID_REQUEST, [A], [A])).reason
