"""The heal stage: asks the remedies of the table in order and keeps what they must not do.

What a treatment must not do, whichever remedy it came from: make more provider calls than the job allows, wait past
the job's deadline, or go round without ever making a call.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

from pipelines.heal.budget import RetryBudget
from pipelines.heal.next_key import KeyNames, no_keys
from pipelines.heal.protocol import Ask, Case, GiveUp, RouteAgain, Treatment, Wait
from pipelines.heal.stackstorm import AskStackStorm
from pipelines.heal.table import RemedyTable, build_remedies
from synthralos.domain.attempts import Outcome, PastAttempt
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import FailureClass

GIVE_UP = "give_up"

MOST_CLAIMS = 1000
"""Claims after which a job is given up whatever its remedies say: it is going round without making calls."""

Healed = tuple[str, Treatment]
"""The name of the remedy, and what it says to do."""


class HealStage:
    """Decides about failed jobs."""

    def __init__(self, table: RemedyTable) -> None:
        self._table = table

    def treat(self, cases: Sequence[Case]) -> list[Healed]:
        """One remedy and treatment per case, in the order of `cases`."""
        return [self._treat(case) for case in cases]

    def _treat(self, case: Case) -> Healed:
        spent = _spent(case)
        if spent is not None:
            return GIVE_UP, GiveUp(spent)
        too_late, proposed = False, None
        for remedy in self._table[case.failure.failure_class]:
            treatment = remedy.treat(case)
            if isinstance(treatment, Ask) and not treatment.executes:
                proposed = treatment
                continue
            if treatment is None:
                continue
            if _passes_deadline(case, treatment):
                too_late = True
                continue
            if isinstance(treatment, GiveUp) and proposed is not None:
                treatment = replace(treatment, proposed=proposed)
            return remedy.name, _because_of_deadline(case, treatment) if too_late else treatment
        nothing = GiveUp(f"no remedy applies to {case.failure.failure_class}: {case.failure.message}")
        return GIVE_UP, _because_of_deadline(case, nothing) if too_late else nothing


def build_heal_stage(
    rng: Random,
    catalog: Catalog,
    budget: RetryBudget | None = None,
    key_names: KeyNames = no_keys,
    ask: AskStackStorm | None = None,
) -> HealStage:
    """The heal stage with the built-in remedies, and with StackStorm where it may be asked; see `build_remedies`."""
    return HealStage(build_remedies(rng, catalog, budget, key_names, ask))


def calls_made(case: Case) -> int:
    """The provider calls that count against `max_attempts`.

    A lost call counts: it was made, and perhaps paid for. One that our own shutdown cut off does not: a worker that
    shuts down releases its jobs without counting an attempt. Nor does one of which nothing was sent, for no provider
    ever had it; nor one whose key was refused, before anything was done for it. Each remedy bounds those by itself.
    """
    return sum(attempt.outcome is not Outcome.CANCELLED and not _not_begun(attempt) for attempt in case.history)


def _not_begun(attempt: PastAttempt) -> bool:
    failure = attempt.failure
    return failure is not None and failure.failure_class in (FailureClass.CONNECTION, FailureClass.CREDENTIAL)


def _spent(case: Case) -> str | None:
    calls, most = calls_made(case), case.job.constraints.max_attempts
    last = f"{case.failure.failure_class}: {case.failure.message}"
    if calls >= most:
        return f"{calls} of constraints.max_attempts {most} calls were made; the last failed with {last}"
    if case.job.claim.claim_no >= MOST_CLAIMS:
        return f"claimed {case.job.claim.claim_no} times with only {calls} calls made; the last failed with {last}"
    if case.job.deadline is not None and case.job.deadline <= case.now:
        return f"the deadline {case.job.deadline.isoformat()} has passed; the last call failed with {last}"
    return None


def _passes_deadline(case: Case, treatment: Treatment) -> bool:
    if case.job.deadline is None or not isinstance(treatment, Wait | RouteAgain | Ask):
        return False
    return case.now + timedelta(seconds=treatment.seconds) >= case.job.deadline


def _because_of_deadline(case: Case, treatment: Treatment) -> Treatment:
    if not isinstance(treatment, GiveUp) or case.job.deadline is None:
        return treatment
    why = f"waiting would pass the deadline {case.job.deadline.isoformat()}; {treatment.reason}"
    return replace(treatment, reason=why)
