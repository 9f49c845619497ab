"""Policies rule between guard and route, on jobs that the guards let through or that an earlier result answers."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from pipelines.flow.rule_counts import RuleCounts
from pipelines.guard.private_data import redaction_finding
from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts
from pipelines.policies.fields import Source
from synthralos.config.config import Config
from synthralos.domain.findings import Decision, Finding, Verdict, verdict_of
from synthralos.domain.flags import Flag
from synthralos.domain.jobs import Job
from synthralos.domain.money import Costs
from synthralos.domain.policies import UNRULED, Reason, Ruling

log = logging.getLogger(__name__)

NAME = "policies"
"""The name that findings carry."""

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
            ruling = self._policies.decide(Facts(now, Source(job, verdict, lambda: self._costs(job))))
            if ruling is not UNRULED:
                self._counts.note(ruling)
            findings = [*_findings(ruling), *self._demanded(job, verdict, ruling)]
        except Exception as error:  # a bug here must neither stop the traffic of all, nor let a job pass unruled
            log.exception("policies failed on job %s", job.id)
            reason = "the policies failed and did not look at this job: tell the operator"
            return verdict_of([*verdict.findings, _finding(Decision.DENY, reason, error=type(error).__name__)])
        if not findings:
            return verdict
        return verdict_of([*verdict.findings, *findings]).demanding(ruling.overlay)

    def _demanded(self, job: Job, verdict: Verdict, ruling: Ruling) -> list[Finding]:
        """What the demands say at once: guards that did not look, values to be replaced, nothing that is left."""
        found: list[Finding] = []
        errored = {f.guard for f in verdict.findings if "error" in f.signals or f.signals.get("broken")}
        for guard in sorted(ruling.overlay.guards):
            why = None if guard in self._guards else "there is no such guard here"
            why = self._off.get(guard, why)
            why = "it could not look at this job" if guard in errored else why
            if why is not None:
                found.append(_finding(Decision.DENY, f"a policy wants the guard {guard}, and {why}", guard=guard))
        if ruling.overlay.redact and (finding := redaction_finding(job.request, ruling.overlay.redact)) is not None:
            found.append(finding)
        if (why := ruling.overlay.impossible()) is not None:
            found.append(_finding(Decision.DENY, f"policies contradict one another: {why}"))
        return found


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
    return found + [_finding(Decision.ALLOW, reason.text, **_signals(reason, shadow=True))
                    for shadow in ruling.shadows for reason in shadow.reasons]  # fmt: skip


def _of_reason(reason: Reason, ruling: Ruling) -> Finding:
    seconds = ruling.defer_seconds if reason.decision is Decision.DEFER else None
    return _finding(reason.decision, reason.text, seconds, **_signals(reason))


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
    return signals | ({"shadow": str(reason.decision)} if shadow else {})


def _finding(decision: Decision, reason: str, seconds: float | None = None, **signals: object) -> Finding:
    return Finding(NAME, decision, reason, defer_seconds=seconds, signals=signals)
