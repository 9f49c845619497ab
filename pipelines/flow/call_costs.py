"""What a job's call may cost at a deployment, and what it asks for where its money is bounded."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from pipelines.flow.asking import asked_of
from pipelines.flow.gates import Gates
from pipelines.flow.stages import StagesNow
from pipelines.flow.work import Work
from pipelines.route.filters import closed_to
from pipelines.spending import capped, most_of_call
from pipelines.tokens import TokenCounter
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Request
from synthralos.domain.money import ServiceTier


class CallCosts:
    """Costs at the prices of `now`. Lives on the event loop."""

    def __init__(self, stages: StagesNow, gates: Gates, now: Callable[[], datetime]) -> None:
        self._stages, self._gates, self._now = stages, gates, now
        self._counter = TokenCounter()

    def request(self, work: Work, deployment: Deployment, tier: ServiceTier = ServiceTier.STANDARD) -> Request | None:
        """What is asked of the deployment; None where the job's money does not allow it."""
        asked, most = asked_of(work, deployment), work.job.max_cost
        if most is None:
            return asked
        price = deployment.price and deployment.price.at(self._now())
        return capped(asked, deployment, most, self._counter, price, tier)

    def worst(self, work: Work, deployment: Deployment, tier: ServiceTier) -> Decimal | None:
        """USD that the call may cost at most; None where the price is unknown."""
        request = self.request(work, deployment, tier) or asked_of(work, deployment)
        price = deployment.price and deployment.price.at(self._now())
        return most_of_call(request, deployment, self._counter, price, tier)

    def cheaper(self, work: Work, deployment: Deployment) -> int | None:
        """The plan's step whose call may cost most, of those that may cost less than at `deployment`."""
        if not work.job.constraints.fallback:
            return None
        now = work.plan.current
        most = self.worst(work, deployment, ServiceTier.STANDARD if now is None else now.service_tier)
        found: list[tuple[Decimal, int]] = []
        catalog = self._stages().config.catalog
        for cursor, step in enumerate(work.plan.steps):
            other = catalog.get(step.deployment)
            if other is None or self._gates.shuts_off(other) or closed_to(work.job.constraints, other) is not None:
                continue
            worst = self.worst(work, other, step.service_tier)
            if worst is not None and (most is None or worst < most):
                found.append((worst, -cursor))
        return -max(found)[1] if found else None
