"""The remedy for a key that was refused, or whose account is empty: another key of the same provider."""

from collections.abc import Callable, Sequence

from pipelines.heal.protocol import Case, Treatment
from pipelines.heal.protocol import NextKey as Next
from pipelines.heal.remedies import failed_attempt
from synthralos.domain.deployments import Catalog, Deployment

KeyNames = Callable[[Deployment], Sequence[str]]
"""The names of the keys that a deployment may be called with."""

ROUNDS = 2
"""Refusals for each key of a deployment after which a job goes on elsewhere: its keys may be chosen by several workers,
of which not all know yet what the others were told."""


def no_keys(_: Deployment) -> Sequence[str]:
    """Deployments that are called without a key."""
    return ()


class NextKey:
    """The same deployment at once, where it has a living key with which this job was not refused there."""

    name = "next_key"

    def __init__(self, catalog: Catalog, key_names: KeyNames) -> None:
        self._catalog = catalog
        self._key_names = key_names

    def treat(self, case: Case) -> Treatment | None:
        """See `Remedy.treat`. Needs a failed attempt that says which key it was made with."""
        failed = failed_attempt(case)
        deployment = None if failed is None else self._catalog.get(failed.deployment)
        if failed is None or deployment is None or failed.credential is None:
            return None
        names = self._key_names(deployment)
        refused = [
            attempt.credential
            for attempt in case.history
            if attempt.deployment == deployment.id
            and attempt.failure is not None
            and attempt.failure.failure_class is case.failure.failure_class
        ]
        if not {*names} - {*refused} - case.shut_keys or len(refused) >= ROUNDS * len(names):
            return None
        reason = f"{case.failure.failure_class} with {failed.credential} at {failed.deployment}: go on with another key"
        return Next(reason)
