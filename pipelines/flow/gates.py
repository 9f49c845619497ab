"""What stands before a deployment: its circuit breakers, and the provider's quota. Both filter the plan's cursor."""

from collections.abc import Callable
from typing import NamedTuple

from pipelines.flow.breakers import Breakers
from pipelines.flow.quotas import Quotas
from pipelines.flow.work import Work
from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.plans import RoutingPlan, Step


class Turn(NamedTuple):
    """When a job that finds all gates shut is to come back, and why. `exact`: the seconds are its own."""

    seconds: float
    failure: Failure
    exact: bool


class Gates:
    """Lives on the event loop. While all are open, a job costs one look at each."""

    def __init__(self, breakers: Breakers, quotas: Quotas, catalog: Callable[[], Catalog]) -> None:
        self._breakers, self._quotas, self._catalog = breakers, quotas, catalog
        self._known = quotas.pacers

    def admit(self, work: Work) -> int | None:
        """The first step that may be called now or in a moment, from the cursor on and then those before it.

        None: all are shut off. See `Breakers.admit`.
        """
        if not self._known:
            return self._breakers.admit(work.job.id, work.plan)
        return self._breakers.admit(work.job.id, work.plan, lambda step: self._lets(work, step))

    def key_for(self, work: Work, deployment: Deployment) -> str | None:
        """The name of the key that the job's next call there is to be made with: see `Breakers.key_for`.

        Of several keys, one whose quota lets the job through comes first; what was taken of a key's quota binds to it.
        """
        job = work.job
        ticket = work.ticket or job.id
        taken = self._quotas.key_taken(ticket, deployment) if self._known else None
        if taken is not None:
            return taken
        refused = [name for where, name in work.refused if where == deployment.id] if work.refused else ()
        lets = (lambda name: self._quotas.lets(work, deployment, name)) if self._known else None
        return self._breakers.key_for(ticket, job.attempts + 1, deployment, refused, lets)

    def shut_keys(self, deployment: Deployment) -> frozenset[str]:
        """See `Breakers.shut_keys`."""
        return self._breakers.shut_keys(deployment)

    @property
    def stackstorm_shut(self) -> bool:
        """See `Breakers.stackstorm_shut`."""
        return self._breakers.stackstorm_shut

    def admits_another(self, work: Work, deployment: Deployment) -> bool:
        """Whether another step than that of `deployment` may be called; no probe is taken."""
        for step in work.plan.steps:
            other = self._catalog().get(step.deployment)
            if other is None or other.id == deployment.id or self._breakers.shuts_off(other):
                continue
            if self._quotas.lets(work, other, self.key_for(work, other)):
                return True
        return False

    def passed_over(self, plan: RoutingPlan) -> tuple[str, str] | None:
        """Which kind of gate made the cursor move (`breaker` or `quota`), and why; None: neither."""
        _, why = self._breakers.soonest(plan)
        if why:
            return "breaker", why
        return ("quota", "the quota lets others go first") if self._known else None

    def shuts_off(self, deployment: Deployment) -> bool:
        """Whether the deployment gets no ordinary calls now."""
        if self._breakers.shuts_off(deployment):
            return True
        return bool(self._known) and self._quotas.shuts_off(deployment, self._breakers.key_names(deployment))

    def soonest(self, work: Work) -> Turn:
        """When one of the plan's steps may be worth a look, of a job that none admits."""
        found = (self._catalog().get(step.deployment) for step in work.plan.steps)
        whole = [deployment for deployment in found if deployment is not None]
        alive = [each for each in whole if not self._breakers.shuts_off(each)]
        place = self._quotas.place(work, [(each, self.key_for(work, each)) for each in alive])
        if place is not None:
            seconds, why = place
            return Turn(seconds, Failure(FailureClass.RATE_LIMITED, f"it waits for a quota: {why}"), exact=True)
        seconds, why = self._breakers.soonest(work.plan)
        return Turn(seconds, Failure(FailureClass.OVERLOADED, f"no calls are made now: {why}"), exact=False)

    def take(self, work: Work, deployment: Deployment) -> bool:
        """Take what the call is expected to use of the quota; False where it has to wait."""
        return not self._known or self._quotas.take(work, deployment, self.key_for(work, deployment))

    async def wait(self, work: Work, deployment: Deployment) -> bool:
        """Wait until the quota lets the job call; False where that does not come soon enough. May be cancelled."""
        if not self._known:
            return True
        return await self._quotas.wait(work, deployment, self.key_for(work, deployment))

    def answered(
        self,
        job_id: str,
        deployment: Deployment,
        answer: Reply | Failure,
        seconds: float,
        key: str | None = None,
        judged_key: str | None = None,
    ) -> None:
        """A call with that key has ended after so many seconds. `judged_key`: the key, where its breaker is to hear."""
        self._breakers.answered(job_id, deployment, answer, seconds, judged_key)
        self._quotas.answered(job_id, deployment, answer, key)

    def unused(self, job_id: str) -> None:
        """A call that was admitted was not made."""
        self._breakers.unused(job_id)
        self._quotas.unused(job_id)

    def cut(self, job_id: str) -> None:
        """A call was cut by us while it ran."""
        self._breakers.unused(job_id)
        self._quotas.cut(job_id)

    def _lets(self, work: Work, step: Step) -> bool:
        deployment = self._catalog().get(step.deployment)
        return deployment is None or self._quotas.lets(work, deployment, self.key_for(work, deployment))
