"""The remedy that asks StackStorm: when it applies, what it asks for, and what goes on where it does not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from pipelines.flow.work import ending_of
from pipelines.heal.protocol import Ask, Case, GiveUp, Treatment, Wait
from pipelines.heal.stackstorm import WANTED, AskStackStorm
from pipelines.heal.stage import build_heal_stage
from synthralos.config.config import RepairTerms
from synthralos.domain.attempts import Outcome, PastAttempt
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.flags import Flag, Flags, FlagState
from synthralos.domain.jobs import Constraints, Job, Tenant
from synthralos.domain.repairs import RepairKind, RepairState
from synthralos.domain.states import Stage, Transition
from tests.fakes.stage_jobs import NOON, a_deployment, a_job, a_plan

HERE, THERE = "here/first@us", "there/second@us"
CATALOG = Catalog([a_deployment(HERE), a_deployment(THERE)])
TERMS = RepairTerms()
ON = {Flag.ENABLE_STACKSTORM: FlagState(True)}


def flags(**off: bool) -> Flags:
    """With StackStorm on, and these set."""
    return Flags({**ON, **{Flag(f"enable_stackstorm_{name}"): FlagState(on) for name, on in off.items()}})


def a_case(
    failure_class: FailureClass = FailureClass.OVERLOADED, *, tried: int = 3, shut: bool = False, **job: object
) -> Case:
    """A job that failed here once, and then there, where its plan has no more steps."""
    made = replace(a_job(), **job)  # type: ignore[arg-type]
    made.plan, made.attempts = a_plan(HERE, THERE).at(1), tried
    failure = Failure(failure_class, "a test made it")
    places = [HERE, *[THERE] * (tried - 1)]
    history = [PastAttempt(n, place, Outcome.FAILED, failure, NOON) for n, place in enumerate(places, 1)]
    return Case(made, failure, history, NOON, stackstorm_shut=shut)


def healed(case: Case, terms: RepairTerms | None = TERMS, which: Flags | None = None) -> tuple[str, Treatment]:
    ask = AskStackStorm(terms, which or flags())
    [found] = build_heal_stage(Random(1), CATALOG, ask=ask).treat([case])
    return found


def constrained(case: Case, **values: object) -> Case:
    job: Job = case.job
    job.constraints = replace(job.constraints, **values)  # type: ignore[arg-type]
    return case


def test_it_is_asked_when_all_deployments_have_failed_and_before_minutes_of_waiting() -> None:
    name, ask = healed(a_case())
    assert name == "ask_stackstorm"
    assert isinstance(ask, Ask)
    assert (ask.kind, ask.seconds, ask.executes) == (RepairKind.REROUTE, 60.0, True)
    assert ask.parameters["exclude"] == [THERE]
    assert healed(a_case(tried=2))[0] == "short_wait"


@pytest.mark.parametrize("failure_class", FailureClass)
def test_whatever_it_is_not_asked_about_is_healed_as_without_it(failure_class: FailureClass) -> None:
    case = a_case(failure_class, tried=6 if failure_class is FailureClass.RATE_LIMITED else 3)
    asked = healed(constrained(case, max_attempts=9))[0] == "ask_stackstorm"
    assert asked <= (failure_class in WANTED)
    for off in (healed(case, terms=None), healed(case, which=Flags())):
        assert type(off[1]) is not Ask
        assert off[0] == healed(case, terms=None)[0]


@pytest.mark.parametrize(
    "case",
    [
        a_case(shut=True),
        constrained(a_case(), asked=("overloaded",)),
        constrained(a_case(), classification="eu"),
        constrained(a_case(), classification="secret"),
        a_case(deadline=NOON + timedelta(seconds=8)),
    ],
    ids=["its breaker is open", "it was asked before", "EU data", "data of no known class", "no time is left"],
)
def test_where_it_does_not_apply_the_built_in_remedies_run(case: Case) -> None:
    name, treatment = healed(case)
    assert name != "ask_stackstorm"
    assert isinstance(treatment, Wait | GiveUp)


def test_eu_data_goes_to_a_stackstorm_that_is_declared_to_be_in_the_eu() -> None:
    case = constrained(a_case(), classification="eu")
    assert healed(case, RepairTerms("eu"))[0] == "ask_stackstorm"
    assert healed(case, RepairTerms("us"))[0] != "ask_stackstorm"
    assert healed(constrained(a_case(), classification="secret"), RepairTerms("eu"))[0] != "ask_stackstorm"


def test_a_job_whose_calls_are_spent_is_given_up_and_not_asked_about() -> None:
    assert healed(constrained(a_case(), max_attempts=3))[0] == "give_up"


@pytest.mark.parametrize(
    ("off", "job", "kind"),
    [
        ({}, {}, RepairKind.REROUTE),
        ({"reroute": False}, {}, RepairKind.RETRY),
        ({"reroute": False}, {"run_id": "night"}, RepairKind.RECOVER),
        ({"retry": False}, {}, RepairKind.REROUTE),
        ({"retry": False, "reroute": False}, {}, None),
    ],
)
def test_each_flag_takes_its_repair_away(off: dict[str, bool], job: dict[str, str], kind: RepairKind | None) -> None:
    _, found = healed(a_case(**job), which=flags(**off))  # type: ignore[arg-type]
    assert (found.kind if isinstance(found, Ask) else None) == kind


def test_a_sender_who_lets_a_job_go_nowhere_else_has_it_retried() -> None:
    for bound in ({"fallback": False}, {"pin": THERE}):
        _, found = healed(constrained(a_case(), **bound))
        assert isinstance(found, Ask)
        assert found.kind is RepairKind.RETRY


def test_what_the_sender_excluded_stays_excluded() -> None:
    _, found = healed(constrained(a_case(), exclude=("x/y@us",)))
    assert isinstance(found, Ask)
    assert found.parameters["exclude"] == [THERE, "x/y@us"]


def test_flags_hold_for_an_organization() -> None:
    share = Flags({Flag.ENABLE_STACKSTORM: FlagState(True, 50)})
    asked: Sequence[bool] = [
        healed(a_case(tenant=Tenant(f"org-{n}")), which=share)[0] == "ask_stackstorm" for n in range(20)
    ]
    assert {True, False} == set(asked)


def test_where_it_may_not_execute_repairs_one_is_proposed_with_what_ends_the_job() -> None:
    case = a_case(FailureClass.CREDENTIAL)
    name, found = healed(case, which=flags(repair_execution=False))
    assert name == "give_up"
    assert isinstance(found, GiveUp)
    assert found.proposed is not None
    ending = ending_of(found, case.job, case.failure, NOON)
    assert (ending.transition, ending.repair and ending.repair.state) == (Transition.FAIL, RepairState.PROPOSED)
    assert healed(a_case(), which=flags(repair_execution=False))[0] != "ask_stackstorm"


def test_asking_parks_the_job_before_heal_and_is_remembered_with_it() -> None:
    case = constrained(a_case(), asked=("timeout",))
    _, found = healed(case)
    ending = ending_of(found, case.job, case.failure, NOON)
    assert (ending.transition, ending.stage, ending.delay) == (Transition.PARK, Stage.HEAL, 60.0)
    assert ending.constraints is not None
    assert Constraints.from_json(ending.constraints).asked == ("overloaded", "timeout")
    assert ending.repair is not None
    assert ending.repair.until == NOON + timedelta(seconds=60)
