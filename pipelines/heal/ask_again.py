"""The remedy for an answer that does not fit: the same deployment at once, which may be told what was wrong."""

from pipelines.heal.budget import RetryBudget
from pipelines.heal.protocol import AskAgain as Again
from pipelines.heal.protocol import Case, Treatment
from pipelines.heal.remedies import failed_attempt, tries_at

TRIES = 2
"""Calls at one deployment for the same answer."""


class AskAgain:
    """Asks once more, where the sender lets it (`constraints.repair`) and the deployment has a retry left."""

    name = "ask_again"

    def __init__(self, budget: RetryBudget) -> None:
        self._budget = budget

    def treat(self, case: Case) -> Treatment | None:
        """See `Remedy.treat`. Needs an attempt that was answered."""
        failed = failed_attempt(case)
        if failed is None or case.job.constraints.repair == "none":
            return None
        tried = tries_at(case, failed.deployment)
        if tried >= TRIES or not self._budget.take(failed.deployment):
            return None
        return Again(f"{case.failure.failure_class} at {failed.deployment}: call {tried + 1} of {TRIES}")
