"""The built-in remedies. Each is asked in the order of the table and steps back with None where it does not apply.

None of them names a deployment that routing did not allow: they move along the job's plan, or send the job back
through routing and its filters with less to choose from. So EU-classified data stays in the EU here too.
"""

import math
from random import Random

from pipelines.heal.budget import RetryBudget
from pipelines.heal.protocol import Case, RouteAgain, Treatment, Wait
from pipelines.heal.protocol import GiveUp as GivenUp
from pipelines.heal.protocol import NextDeployment as Next
from synthralos.domain.attempts import Outcome, PastAttempt
from synthralos.domain.backoff import Backoff
from synthralos.domain.deployments import Catalog
from synthralos.domain.jobs import Constraints
from synthralos.domain.plans import RoutingPlan

LONGEST_WAIT = 900.0
"""Seconds: a provider that asks for a longer wait than this is tried again after this."""


class WaitAndRetry:
    """The same deployment again, after the wait that the provider asked for, else after `backoff`.

    At most `tries` calls go to one deployment; calls that our own shutdown cut off are not held against it.
    With a `patience` in seconds, a provider that asks for a longer wait is left to the remedies that follow. Of the
    retries that all jobs have at a deployment (`budget`) each wait takes one: where none is left, the remedies that
    follow are asked, or the wait is as long as the next one takes to come (`queues`).
    """

    def __init__(
        self,
        rng: Random,
        backoff: Backoff,
        tries: int,
        name: str = "wait_and_retry",
        patience: float = math.inf,
        budget: RetryBudget | None = None,
        queues: bool = False,
    ) -> None:
        self.name = name
        self._budget, self._queues = budget or RetryBudget(), queues
        self._rng, self._backoff, self._tries, self._patience = rng, backoff, tries, patience

    def treat(self, case: Case) -> Treatment | None:
        """See `Remedy.treat`. Needs a failed attempt: what failed before any call is not healed by time."""
        failed = failed_attempt(case)
        if failed is None:
            return None
        tried = tries_at(case, failed.deployment)
        if tried >= self._tries or (case.failure.retry_after or 0.0) > self._patience:
            return None
        if not self._queues and not self._budget.take(failed.deployment):
            return None
        queue = self._budget.reserve(failed.deployment) if self._queues else 0.0
        seconds = min(LONGEST_WAIT, max(queue, self._seconds(case.failure.retry_after, tried - 1)))
        return Wait(seconds, f"{case.failure.failure_class} at {failed.deployment}: call {tried + 1} of {self._tries}")

    def _seconds(self, retry_after: float | None, retry: int) -> float:
        if retry_after is not None and retry_after > 0:
            return min(retry_after, LONGEST_WAIT)
        return self._backoff.seconds(max(0, retry), self._rng)


class NextDeployment:
    """The next step of the plan that has not been tried.

    With `other_provider`, only at a provider that has not failed in this way yet. Steps after the cursor come first,
    then those that an earlier choice of another provider had passed over.
    """

    def __init__(self, name: str = "next_deployment", *, other_provider: bool = False) -> None:
        self.name = name
        self._other_provider = other_provider

    def treat(self, case: Case) -> Treatment | None:
        """See `Remedy.treat`."""
        plan, failed = case.job.plan, failed_deployment(case)
        if plan is None or failed is None:
            return None
        failing = failing_providers(case, failed) if self._other_provider else frozenset()
        for cursor in untried(case, plan):
            deployment = plan.steps[cursor].deployment
            if provider_of(deployment) not in failing:
                return Next(cursor, f"{case.failure.failure_class} at {failed}: go on with {deployment}")
        return None


class StandardTier:
    """The plan's next step, where it is the same deployment at its standard service tier."""

    name = "standard_tier"

    def treat(self, case: Case) -> Treatment | None:
        """See `Remedy.treat`."""
        plan = case.job.plan
        cursor = None if plan is None else plan.standard_of(plan.cursor)
        if plan is None or cursor is None:
            return None
        step = plan.steps[cursor]
        return Next(cursor, f"{case.failure.failure_class} at {step.deployment}: go on at its standard tier")


class LargerWindow:
    """Routing again, without the deployments whose window is no larger than the one that was too small.

    Does not apply where the sender allows one deployment only, or where nothing that the request may mean is larger.
    """

    name = "larger_window"

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def treat(self, case: Case) -> Treatment | None:
        """See `Remedy.treat`."""
        failed = failed_attempt(case)
        known = None if failed is None else self._catalog.get(failed.deployment)
        if known is None or not may_move(case.job.constraints):
            return None
        window, excluded = known.context_window, case.job.constraints.exclude
        choices = [d for d in self._catalog.matching(case.job.request.model) if d.id not in excluded]
        too_small = tuple(d.id for d in choices if d.context_window <= window)
        if known.id not in too_small or len(too_small) == len(choices):
            return None
        return RouteAgain(too_small, f"the window of {known.id} ({window} tokens) is too small: look for a larger one")


class RouteElsewhere:
    """Routing again without the failed deployment, after a pause, once every step of the plan has been tried.

    Applies only where the plan has another deployment to go back to.
    """

    name = "route_elsewhere"

    def __init__(self, rng: Random, pause: Backoff) -> None:
        self._rng, self._pause = rng, pause

    def treat(self, case: Case) -> Treatment | None:
        """See `Remedy.treat`."""
        plan, failed, constraints = case.job.plan, failed_attempt(case), case.job.constraints
        if plan is None or failed is None or not may_move(constraints) or untried(case, plan):
            return None
        excluded = {*constraints.exclude, failed.deployment}
        if failed.deployment in constraints.exclude or all(step.deployment in excluded for step in plan.steps):
            return None
        seconds = self._pause.seconds(len(case.history) - 1, self._rng)
        reason = f"every step of the plan was tried: route again without {failed.deployment}"
        return RouteAgain((failed.deployment,), reason, seconds)


class GiveUp:
    """The end of every row: the job becomes a dead letter."""

    name = "give_up"

    def treat(self, case: Case) -> Treatment:
        """See `Remedy.treat`. Always applies."""
        return GivenUp(f"no remedy is left for {case.failure.failure_class}: {case.failure.message}")


def failed_attempt(case: Case) -> PastAttempt | None:
    """The attempt that the failure belongs to; None where the failure came before any call of the plan's step."""
    last = case.history[-1] if case.history else None
    if last is None or last.failure is None or last.outcome is not Outcome.FAILED:
        return None
    step = case.job.plan.current if case.job.plan is not None else None
    belongs = last.failure.failure_class is case.failure.failure_class
    return last if belongs and step is not None and step.deployment == last.deployment else None


def tries_at(case: Case, deployment: str) -> int:
    """The calls that were made there; those that our own shutdown cut off are not held against it."""
    return sum(a.deployment == deployment and a.outcome is not Outcome.CANCELLED for a in case.history)


def failed_deployment(case: Case) -> str | None:
    """Where the failure happened: the deployment called last, or the plan's step that was to be called."""
    failed = failed_attempt(case)
    if failed is not None:
        return failed.deployment
    step = case.job.plan.current if case.job.plan is not None else None
    return None if step is None else step.deployment


def untried(case: Case, plan: RoutingPlan) -> list[int]:
    """The indices of the plan's steps that may be called next and were not called yet, those after the cursor first.

    Steps before the cursor count only after a call: without one, going back could go round for ever.
    """
    gone = {attempt.deployment for attempt in case.history} | set(case.job.constraints.exclude)
    passed_over = range(plan.cursor) if failed_attempt(case) is not None else ()
    cursors = [*range(plan.cursor + 1, len(plan.steps)), *passed_over]
    return [cursor for cursor in cursors if plan.steps[cursor].deployment not in gone]


def failing_providers(case: Case, failed: str) -> frozenset[str]:
    """The providers at which this job has met this class of failure, that of the deployment `failed` among them."""
    same = (a.deployment for a in case.history if a.failure and a.failure.failure_class is case.failure.failure_class)
    return frozenset(map(provider_of, (failed, *same)))


def may_move(constraints: Constraints) -> bool:
    """Whether the sender lets the job go to a deployment other than the first choice."""
    return constraints.fallback and constraints.pin is None


def provider_of(deployment_id: str) -> str:
    """The provider's part of `provider/model@region`."""
    return deployment_id.partition("/")[0]
