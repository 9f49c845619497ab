"""Policies rule between guard and route, on jobs that the guards let through or that an earlier result answers."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pipelines.flow.rule_counts import RuleCounts
from pipelines.flow.waiting import APPROVAL
from pipelines.guard.private_data import redaction_finding
from pipelines.policies.actions import NARROWING
from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts
from pipelines.policies.fields import Source
from pipelines.route.stage import RouteStage
from synthralos.config.config import Config
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.findings import Decision, Finding, Verdict, verdict_of
from synthralos.domain.flags import Flag
from synthralos.domain.jobs import Job
from synthralos.domain.money import Costs
from synthralos.domain.overlays import NO_DEMANDS
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.policies import POLICIES, UNRULED, Reason, Ruling
from synthralos.telemetry.context import about

log = logging.getLogger(__name__)

_WANT_GUARD = "require_guard"
_MOST_NAMED = 5
"""Rules that are named in one reason."""

CostsOf = Callable[[Job], Costs]


class Rulings:
    """The policies of one configuration. Thread-safe."""

    def __init__(
        self, config: Config, costs: CostsOf, guards: frozenset[str], counts: RuleCounts | None = None
    ) -> None:
        """`costs` tells what an attempt at a job costs; `guards` are the names of those that there are.

        `counts` counts what matches.
        """
        self._counts = counts or RuleCounts()
        self._policies = CompiledPolicies(config.policies)
        self._flags = config.flags
        self._costs = costs
        self._guards = guards
        self._off = _guards_off(config)

    def rule(self, jobs: Sequence[Job], verdicts: Sequence[Verdict], now: datetime) -> list[Verdict]:
        """The verdicts with what policies say, in the order of `jobs`."""
        if not self._policies:
            return list(verdicts)
        return [self._ruled(job, verdict, now) for job, verdict in zip(jobs, verdicts, strict=True)]

    def _ruled(self, job: Job, verdict: Verdict, now: datetime) -> Verdict:
        asked = verdict.goes_on or verdict.decision is Decision.REUSE
        if not asked or not self._flags.on(Flag.ENABLE_POLICY_ENGINE, job.tenant.organization):
            return verdict
        try:
            granted = {grant.what: grant.by for grant in job.constraints.granted}
            ruling = self._policies.decide(Facts(now, Source(job, verdict, lambda: self._costs(job))), granted)
            if ruling is not UNRULED:
                self._counts.note(ruling)
            findings = [*_findings(ruling), *self._demanded(job, verdict, ruling)]
        except Exception as error:  # a bug here must neither stop the traffic of all, nor let a job pass unruled
            log.exception("policies failed on job %s", job.id, extra=about(job))
            reason = "the policies failed and did not look at this job: tell the operator"
            return verdict_of([*verdict.findings, _finding(Decision.DENY, reason, error=type(error).__name__)])
        if not findings:
            return verdict
        return verdict_of([*verdict.findings, *findings]).demanding(ruling.overlay)

    def _demanded(self, job: Job, verdict: Verdict, ruling: Ruling) -> list[Finding]:
        """What the demands say at once: guards that did not look, and values to be replaced."""
        found: list[Finding] = []
        errored = {f.guard for f in verdict.findings if "error" in f.signals or f.signals.get("broken")}
        for guard in sorted(ruling.overlay.guards):
            why = None if guard in self._guards else "there is no such guard here"
            why = self._off.get(guard, why)
            why = "it could not look at this job" if guard in errored else why
            if why is not None:
                text = f"a policy wants the guard {guard}, and {why}{_by(ruling.reasons, _WANT_GUARD)}"
                found.append(_finding(Decision.DENY, text, guard=guard))
        if ruling.overlay.redact and (finding := redaction_finding(job.request, ruling.overlay.redact)) is not None:
            found.append(finding)
        return found


def denied_for_good(route: RouteStage, job: Job, failure: Failure) -> Verdict | None:
    """The denial of a job that, but for what policies demand, could be routed; None where it is no matter of policies.

    Asked at the first routing alone: a later one had deployments, and heal knows what to do about those that failed.
    """
    verdict = job.verdict
    if verdict is None or job.plan is not None or job.attempts or verdict.overlay is NO_DEMANDS:
        return None
    if failure.failure_class not in (FailureClass.INVALID_REQUEST, FailureClass.BUDGET):
        return None
    [undemanded] = route.plan([replace(job, verdict=None)])
    if not isinstance(undemanded, RoutingPlan):
        return None
    by = [f for f in verdict.findings if f.guard == POLICIES and NARROWING & {*f.signals.get("actions", ())}]
    names = [f"policy set {f.signals['name']} version {f.signals['version']}, rule {f.signals['rule']}" for f in by]
    text = f"policies leave nothing: {failure.message} ({'; '.join(names[:_MOST_NAMED])})"
    signals = {name: by[0].signals[name] for name in ("set", "name", "version", "rule")} if by else {}
    return verdict_of([*verdict.findings, _finding(Decision.DENY, text, **signals)]).demanding(verdict.overlay)


def _by(reasons: Sequence[Reason], action: str) -> str:
    """The rules that did it, to be told."""
    return f" ({'; '.join([each.label for each in reasons if action in each.actions][:_MOST_NAMED])})"


def _guards_off(config: Config) -> dict[str, str]:
    """The guards that do not look under this configuration, and why."""
    guards, off = config.guards, dict[str, str]()
    if guards.abuse == "off":
        off["abuse"] = off["abuse_patterns"] = "it is off (ABUSE_GUARD)"
    if guards.secrets == guards.personal_data == "off":
        off["private_data"] = "it is off (SECRETS_GUARD, PERSONAL_DATA_GUARD)"
    return off


def _findings(ruling: Ruling) -> list[Finding]:
    found = [_of_reason(reason, ruling) for reason in ruling.reasons]
    return found + [_finding(Decision.ALLOW, reason.told, **_signals(reason, shadow=True))
                    for shadow in ruling.shadows for reason in shadow.reasons]  # fmt: skip


def _of_reason(reason: Reason, ruling: Ruling) -> Finding:
    seconds = ruling.defer_seconds if reason.decision is Decision.DEFER else None
    return _finding(reason.decision, reason.told, seconds, **_signals(reason))


def _signals(reason: Reason, *, shadow: bool = False) -> dict[str, Any]:
    signals: dict[str, Any] = {
        "set": reason.set_id,
        "name": reason.set_name,
        "version": reason.version,
        "rule": reason.rule,
        "actions": list(reason.actions),
    }
    if reason.error is not None:
        signals["error"] = reason.error
    if reason.approval is not None:
        signals[APPROVAL] = reason.approval.to_json()
    return signals | ({"shadow": str(reason.decision)} if shadow else {})


def _finding(decision: Decision, reason: str, seconds: float | None = None, **signals: object) -> Finding:
    return Finding(POLICIES, decision, reason, defer_seconds=seconds, signals=signals)
