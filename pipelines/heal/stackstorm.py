"""The remedy that asks StackStorm: the job is parked until its workflow acts, or until the built-in remedies go on.

A worker never speaks to StackStorm: what it books is taken up by the leader (`scheduler/stackstorm`).
"""

from collections.abc import Mapping

from pipelines.heal.protocol import Ask, Case, Treatment
from pipelines.heal.remedies import failed_attempt, may_move
from synthralos.config.config import RepairTerms
from synthralos.domain.failures import FailureClass
from synthralos.domain.flags import Flag, Flags
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.repairs import RepairKind
from synthralos.domain.residency import kept_from

SHORTEST = 5.0
"""Seconds before its deadline in which a job does not ask: StackStorm would not have begun."""

_ELSEWHERE_FIRST = (RepairKind.REROUTE, RepairKind.RETRY)

WANTED: Mapping[FailureClass, tuple[RepairKind, ...]] = {
    FailureClass.RATE_LIMITED: (RepairKind.RETRY,),
    FailureClass.QUOTA_EXHAUSTED: _ELSEWHERE_FIRST,
    FailureClass.OVERLOADED: _ELSEWHERE_FIRST,
    FailureClass.SERVER_ERROR: _ELSEWHERE_FIRST,
    FailureClass.CONNECTION: _ELSEWHERE_FIRST,
    FailureClass.TIMEOUT: _ELSEWHERE_FIRST,
    FailureClass.CREDENTIAL: _ELSEWHERE_FIRST,
    FailureClass.INTERNAL: (RepairKind.RETRY,),
}
"""What is asked for, the first that may be: about other failures StackStorm is not asked. A job of a run is recovered
with its run where it may be retried."""

_FLAGS: Mapping[RepairKind, Flag] = {
    RepairKind.RETRY: Flag.ENABLE_STACKSTORM_RETRY,
    RepairKind.RECOVER: Flag.ENABLE_STACKSTORM_RETRY,
    RepairKind.REROUTE: Flag.ENABLE_STACKSTORM_REROUTE,
}


class AskStackStorm:
    """Applies once to a job and class of failure, and nowhere where StackStorm is off, unknown, or gets no calls now.

    Where StackStorm may not execute repairs, the repair is proposed and the remedies that follow decide.
    """

    name = "ask_stackstorm"

    def __init__(self, terms: RepairTerms | None = None, flags: Flags | None = None) -> None:
        """`terms`: None where there is no StackStorm."""
        self._terms, self._flags = terms, flags or Flags()

    def treat(self, case: Case) -> Treatment | None:
        """See `Remedy.treat`. Needs a failed attempt: what failed before any call is not StackStorm's to mend."""
        terms, failed, job = self._terms, failed_attempt(case), case.job
        if terms is None or failed is None or not self._may_ask(terms, case):
            return None
        kind = self._kind(case, failed.deployment)
        if kind is None:
            return None
        seconds = terms.patience
        if job.deadline is not None:
            seconds = min(seconds, (job.deadline - case.now).total_seconds() - SHORTEST)
        executes = self._flags.on(Flag.ENABLE_STACKSTORM_REPAIR_EXECUTION, job.tenant.organization)
        if executes and seconds < SHORTEST:
            return None
        reason = f"{case.failure.failure_class} at {failed.deployment}"
        return Ask(kind, max(seconds, 0.0), reason, _parameters(case, kind, failed.deployment), executes=executes)

    def _may_ask(self, terms: RepairTerms, case: Case) -> bool:
        """EU-classified data, of which the workflow would read, goes nowhere that is not declared to be in the EU."""
        job, failure_class = case.job, case.failure.failure_class
        return (
            self._flags.on(Flag.ENABLE_STACKSTORM, job.tenant.organization)
            and not case.stackstorm_shut
            and failure_class not in job.constraints.asked
            and kept_from(job.constraints.classification, terms.residency) is None
        )

    def _kind(self, case: Case, failed: str) -> RepairKind | None:
        for kind in WANTED.get(case.failure.failure_class, ()):
            if not self._flags.on(_FLAGS[kind], case.job.tenant.organization):
                continue
            if kind is RepairKind.RETRY:
                return RepairKind.RETRY if case.job.run_id is None else RepairKind.RECOVER
            if may_move(case.job.constraints) and _has_other(case.job.plan, failed):
                return kind
        return None


def _has_other(plan: RoutingPlan | None, failed: str) -> bool:
    return plan is not None and any(step.deployment != failed for step in plan.steps)


def _parameters(case: Case, kind: RepairKind, failed: str) -> dict[str, object]:
    """What the workflow is told: ids alone. Of calls, it acts only on a job that may still make one."""
    job = case.job
    if kind is RepairKind.RECOVER:
        return {"run_id": job.run_id}
    told: dict[str, object] = {"job_id": job.id, "max_attempts": max(0, job.attempts)}
    if kind is RepairKind.REROUTE:
        told["exclude"] = sorted({*job.constraints.exclude, failed})
    return told
