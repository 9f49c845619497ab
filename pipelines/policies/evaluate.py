"""All policy sets, compiled once for a configuration, and what they decide about a job.

Every rule that matches counts. The severest decision wins (deny before defer before flag), demands add up and never
loosen one another, and where only one can hold (the order of preference) the narrower scope comes before the wider one,
then the higher priority, then the order in which the sets were made and the rules are written.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipelines.policies.facts import Facts
from pipelines.policies.problems import Problems
from pipelines.policies.rules import Rule, read_rules
from synthralos.domain.findings import Decision
from synthralos.domain.flags import place
from synthralos.domain.overlays import NO_DEMANDS
from synthralos.domain.policies import UNRULED, PolicySet, Reason, Ruling

log = logging.getLogger(__name__)

_SEVERITY = {decision: number for number, decision in enumerate(Decision)}
_TENANTS_KEPT = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class _Compiled:
    policy: PolicySet
    rules: tuple[Rule, ...]


class CompiledPolicies:
    """Thread-safe. A stored rule that cannot be read any more is left out, and the log says so."""

    def __init__(self, policies: Sequence[PolicySet]) -> None:
        ordered = sorted(policies, key=lambda each: (-each.width, -each.priority, each.id))
        self._sets = [_compiled(policy) for policy in ordered if policy.enabled and policy.share > 0]
        self._of = lru_cache(_TENANTS_KEPT)(self._applicable)

    def __bool__(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self._sets)

    def decide(self, facts: Facts) -> Ruling:
        """What all rules that match decide together."""
        found: list[tuple[PolicySet, Rule, str | None]] = []
        shadows: list[Ruling] = []
        for compiled in self._of(facts["organization"], facts["workspace"]):
            if not compiled.policy.effective(facts.now):
                continue
            matched = _matched(compiled, facts)
            if compiled.policy.shadow:
                shadows += [_ruling(matched)] if matched else []
            else:
                found += matched
        if not found and not shadows:
            return UNRULED
        return _ruling(found, tuple(shadows))

    def explain(self, facts: Facts) -> list[dict[str, Any]]:
        """Each rule of each set that is meant for the job: whether it matched, and what was seen."""
        return [
            {
                "set_id": compiled.policy.id,
                "set_name": compiled.policy.name,
                "version": compiled.policy.version,
                "shadow": compiled.policy.shadow,
                "effective": compiled.policy.effective(facts.now),
                "rule": rule.id,
                **_explained(rule, facts),
            }
            for compiled in self._of(facts["organization"], facts["workspace"])
            for rule in compiled.rules
        ]

    def _applicable(self, organization: str, workspace: str) -> tuple[_Compiled, ...]:
        return tuple(each for each in self._sets if _is_meant_for(each.policy, organization, workspace))


def _is_meant_for(policy: PolicySet, organization: str, workspace: str) -> bool:
    if policy.organization not in (None, organization) or policy.workspace not in (None, workspace):
        return False
    return policy.share >= 100 or place(policy.id, organization) < policy.share


def _compiled(policy: PolicySet) -> _Compiled:
    problems = Problems()
    rules = read_rules(policy.rules, problems)
    for problem in problems.found:
        log.error(
            "policy set %s (%s): %s %s; the rule is left out", policy.name, policy.id, problem.path, problem.problem
        )
    return _Compiled(policy, rules)


def _matched(compiled: _Compiled, facts: Facts) -> list[tuple[PolicySet, Rule, str | None]]:
    found: list[tuple[PolicySet, Rule, str | None]] = []
    for rule in compiled.rules:
        try:
            if rule.condition.holds(facts):
                found.append((compiled.policy, rule, None))
        except Exception as error:  # noqa: BLE001 - the edge to what people wrote: it says itself what becomes of a job
            found.append((compiled.policy, rule, f"{type(error).__name__}: {error}"[:200]))
    return found


def _ruling(found: Sequence[tuple[PolicySet, Rule, str | None]], shadows: tuple[Ruling, ...] = ()) -> Ruling:
    reasons = tuple(_reason(*each) for each in found)
    overlay, seconds, approvals = NO_DEMANDS, 0.0, list[str]()
    for _, rule, error in found:
        if error is None:
            overlay = overlay.merged(rule.overlay)
            seconds = max(seconds, rule.seconds)
            approvals += [action.approval for action in rule.actions if action.approval is not None]
    decision = max((reason.decision for reason in reasons), key=_SEVERITY.__getitem__, default=Decision.ALLOW)
    return Ruling(decision, reasons, overlay, seconds, tuple(dict.fromkeys(approvals)), shadows)


def _reason(policy: PolicySet, rule: Rule, error: str | None) -> Reason:
    if error is None:
        actions = tuple(action.name for action in rule.actions)
        return Reason(policy.id, policy.name, policy.version, rule.id, rule.decision, rule.text, actions)
    decision = Decision.DENY if rule.on_error == "deny" else Decision.FLAG
    text = f"the rule {rule.id} of {policy.name} could not be asked: tell the operator"
    return Reason(policy.id, policy.name, policy.version, rule.id, decision, text, (), error)


def _explained(rule: Rule, facts: Facts) -> dict[str, Any]:
    try:
        seen = rule.condition.seen(facts)
    except Exception as error:  # noqa: BLE001 - as in `_matched`
        return {"matched": False, "error": f"{type(error).__name__}: {error}"[:200], "condition": None}
    return {"matched": bool(seen["holds"]), "error": None, "condition": seen}
