"""Jobs whose every call fails, carried from routing through healing to their end."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pipelines.heal.protocol import Case, GiveUp, NextDeployment, RouteAgain, Wait
from pipelines.heal.stage import HealStage, build_heal_stage
from pipelines.route.stage import RouteStage
from pipelines.route.strategies import STRATEGIES
from pipelines.tokens import TokenCounter
from synthralos.domain.attempts import Outcome, PastAttempt
from synthralos.domain.backoff import Backoff
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Job
from synthralos.domain.plans import RoutingPlan
from tests.fakes.generated import IDS, catalogs, constraints, failures, jobs
from tests.fakes.stage_jobs import NOON

COUNTER = TokenCounter()
MOST_ROUNDS = 100
"""Ten deployments, eight calls: each call may lead past every deployment once."""


class Misfortune:
    """Does what worker and store do with a job, and lets every call fail; `gone` deployments cannot even be called."""

    def __init__(self, job: Job, catalog: Catalog, data: st.DataObject) -> None:
        self.job, self.data = job, data
        self.route = RouteStage(catalog, STRATEGIES, lambda deployment: None, counter=COUNTER)
        self.heal: HealStage = build_heal_stage(Random(1), catalog)
        self.history: list[PastAttempt] = []
        self.gone = data.draw(st.frozensets(st.sampled_from(IDS)))
        self.rounds = 0

    def run(self) -> GiveUp:
        failure = self._route()
        while True:
            self.rounds += 1
            assert self.rounds <= MOST_ROUNDS
            failure = failure or self._call()
            [(_, treatment)] = self.heal.treat([Case(self.job, failure, tuple(self.history), NOON)])
            failure = None
            match treatment:
                case GiveUp():
                    return treatment
                case Wait(seconds):
                    assert 0.0 <= seconds <= 900.0
                case NextDeployment(cursor):
                    assert self.job.plan is not None
                    self.job.plan = self.job.plan.at(cursor)
                case RouteAgain(exclude):
                    assert set(exclude) - set(self.job.constraints.exclude)
                    excluded = self.job.constraints.exclude + exclude
                    self.job.constraints = replace(self.job.constraints, exclude=excluded)
                    failure = self._route()

    def _route(self) -> Failure | None:
        [result] = self.route.plan([self.job])
        if isinstance(result, RoutingPlan):
            self.job.plan = result
            return None
        if self.data.draw(st.booleans()):
            self.job.plan = None
        return result

    def _call(self) -> Failure:
        assert self.job.plan is not None
        step = self.job.plan.current
        assert step is not None
        if step.deployment in self.gone:
            return Failure(FailureClass.INTERNAL, "gone")
        failure = self.data.draw(failures)
        self.history.append(PastAttempt(len(self.history) + 1, step.deployment, Outcome.FAILED, failure, NOON))
        return failure


@given(catalogs(), jobs(), st.data())
def test_every_failing_job_comes_to_an_end_within_its_calls(catalog: Catalog, job: Job, data: st.DataObject) -> None:
    misfortune = Misfortune(job, catalog, data)
    misfortune.run()
    assert len(misfortune.history) <= job.constraints.max_attempts


@given(catalogs(), jobs(constraints().map(lambda c: replace(c, classification="eu", max_attempts=8))), st.data())
def test_eu_data_stays_in_the_eu_whatever_fails(catalog: Catalog, job: Job, data: st.DataObject) -> None:
    misfortune = Misfortune(job, catalog, data)
    misfortune.run()
    called = [catalog.get(attempt.deployment) for attempt in misfortune.history]
    assert all(deployment is not None and deployment.residency == "eu" for deployment in called)


@given(catalogs(), jobs(), st.data())
def test_what_the_sender_excludes_or_pins_is_kept_to_whatever_fails(
    catalog: Catalog, job: Job, data: st.DataObject
) -> None:
    demanded = job.constraints
    misfortune = Misfortune(job, catalog, data)
    misfortune.run()
    called = {attempt.deployment for attempt in misfortune.history}
    assert not called & set(demanded.exclude)
    assert demanded.pin is None or called <= {demanded.pin}
    assert demanded.fallback or len(called) <= 1


@given(
    st.builds(Backoff, base=st.floats(0, 1e3), factor=st.floats(1, 10), cap=st.floats(0, 1e4)),
    st.integers(0, 10**4),
    st.randoms(use_true_random=False),
)
def test_a_backoff_stays_between_nothing_and_its_cap(backoff: Backoff, retry: int, rng: Random) -> None:
    assert 0.0 <= backoff.seconds(retry, rng) <= backoff.ceiling(retry) <= backoff.cap
    assert backoff.ceiling(retry) <= backoff.ceiling(retry + 1)
