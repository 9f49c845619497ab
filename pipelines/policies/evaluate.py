"""All policy sets, compiled once for a configuration, and what they decide about a job.

Every rule that matches counts. The severest decision wins (deny before defer before flag), demands add up and never
loosen one another, and where only one can hold (the order of preference) the narrower scope comes before the wider one,
then the higher priority, then the order in which the sets were made and the rules are written.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pipelines.policies.actions import NARROWING
from pipelines.policies.facts import Facts
from pipelines.policies.index import RuleIndex
from pipelines.policies.problems import Problems
from pipelines.policies.rules import Decided, Rule, read_rules
from synthralos.domain.findings import Decision
from synthralos.domain.flags import place
from synthralos.domain.overlays import NO_DEMANDS, Overlay
from synthralos.domain.policies import UNRULED, PolicySet, Reason, Ruling
from synthralos.domain.waits import approval_of

log = logging.getLogger(__name__)

NOTHING_GRANTED: Mapping[str, str] = {}

_SEVERITY = {decision: number for number, decision in enumerate(Decision)}
_TENANTS_KEPT = 4_096

_CONTRADICTION = "policies contradict one another"
_MOST_NAMED = 5
"""Rules that contradict one another, and are named."""

_MOST_TOLD = 300
"""Characters of the condition that decided."""

_COMBINATIONS_KEPT = 1_024


@dataclass(frozen=True, slots=True, eq=False)
class _Compiled:
    """`allowing`: what is told of the rules that stop no job."""

    policy: PolicySet
    rules: tuple[Rule, ...]
    index: RuleIndex
    allowing: Mapping[Rule, Reason]


_Matched = tuple[_Compiled, Rule, str | None]
"""A rule that matched, or that could not be asked, and then why."""

_Demands = tuple[Overlay, Rule | None, str]
"""What rules demand together; the first one with which nothing is left that all of them allow, and what is not."""


class CompiledPolicies:
    """Thread-safe. A stored rule that cannot be read any more is left out, and the log says so."""

    def __init__(self, policies: Sequence[PolicySet]) -> None:
        ordered = sorted(policies, key=lambda each: (-each.width, -each.priority, each.id))
        self._sets = [_compiled(policy) for policy in ordered if policy.enabled and policy.share > 0]
        self._of = lru_cache(_TENANTS_KEPT)(self._applicable)
        self._demands = lru_cache(_COMBINATIONS_KEPT)(_together)

    def __bool__(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self._sets)

    def decide(self, facts: Facts, granted: Mapping[str, str] = NOTHING_GRANTED) -> Ruling:
        """What all rules that match decide together. `granted`: what was approved (`approval_of`), and by whom."""
        found: list[_Matched] = []
        shadows: list[Ruling] = []
        for compiled in self._of(facts["organization"], facts["workspace"]):
            if not compiled.policy.effective(facts.now):
                continue
            matched = _matched(compiled, facts)
            if compiled.policy.shadow:
                shadows += [self._ruling(matched, facts, granted)] if matched else []
            else:
                found += matched
        if not found and not shadows:
            return UNRULED
        return self._ruling(found, facts, granted, tuple(shadows))

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

    def _ruling(
        self, found: Sequence[_Matched], facts: Facts, granted: Mapping[str, str], shadows: tuple[Ruling, ...] = ()
    ) -> Ruling:
        """What the rules decide together. The one after which nothing is left that all of them allow denies the job."""
        overlay, last, why = self._demands(tuple(rule for _, rule, error in found if error is None))
        reasons, seconds, approvals = list[Reason](), 0.0, list[str]()
        for compiled, rule, error in found:
            if error is not None:
                reasons.append(_unasked(compiled.policy, rule, error))
                continue
            decided = _decided(compiled.policy, rule, facts, granted)
            if rule is last:
                decided = replace(decided, decision=Decision.DENY, text=f"{_CONTRADICTION}: {why}{_with(reasons)}")
            seconds = max(seconds, decided.seconds)
            approvals += [] if decided.approval is None else [decided.approval.by]
            reasons.append(_reason(compiled, rule, decided, facts))
        decision = max((reason.decision for reason in reasons), key=_SEVERITY.__getitem__, default=Decision.ALLOW)
        return Ruling(decision, tuple(reasons), overlay, seconds, tuple(dict.fromkeys(approvals)), shadows)

    def _applicable(self, organization: str, workspace: str) -> tuple[_Compiled, ...]:
        return tuple(each for each in self._sets if _is_meant_for(each.policy, organization, workspace))


def _decided(policy: PolicySet, rule: Rule, facts: Facts, granted: Mapping[str, str]) -> Decided:
    decided = rule.decided(facts)
    if decided.approval is None or not granted:
        return decided
    by = granted.get(approval_of(policy.id, policy.version, rule.id))
    return decided if by is None else rule.approved(facts, by)


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
    allowing = {
        rule: _plain(policy, rule, rule.always)
        for rule in rules
        if rule.always is not None and rule.always.decision is Decision.ALLOW
    }
    return _Compiled(policy, rules, RuleIndex([rule.condition.needs for rule in rules]), allowing)


def _matched(compiled: _Compiled, facts: Facts) -> list[_Matched]:
    found: list[_Matched] = []
    for number in compiled.index.candidates(facts):
        rule = compiled.rules[number]
        try:
            if rule.condition.holds(facts):
                found.append((compiled, rule, None))
        except Exception as error:  # noqa: BLE001 - the edge to what people wrote: it says itself what becomes of a job
            found.append((compiled, rule, f"{type(error).__name__}: {error}"[:200]))
    return found


def _together(rules: tuple[Rule, ...]) -> _Demands:
    overlay, last, why = NO_DEMANDS, None, ""
    for rule in rules:
        overlay = overlay.merged(rule.overlay)
        if last is None and (found := overlay.impossible()) is not None:
            last, why = rule, found
    return overlay, last, why


def _reason(compiled: _Compiled, rule: Rule, decided: Decided, facts: Facts) -> Reason:
    if decided.decision is Decision.ALLOW:
        return compiled.allowing.get(rule) or _plain(compiled.policy, rule, decided)
    condition = rule.condition.why(facts, compiled.policy.organization is not None)[:_MOST_TOLD]
    return replace(_plain(compiled.policy, rule, decided), condition=condition)


def _plain(policy: PolicySet, rule: Rule, decided: Decided) -> Reason:
    actions = tuple(action.name for action in rule.actions)
    said = (policy.id, policy.name, policy.version, rule.id, decided.decision, decided.text, actions)
    return Reason(*said, approval=decided.approval)


def _with(reasons: Sequence[Reason]) -> str:
    """The rules before that left only some regions or models."""
    labels = [each.label for each in reasons if NARROWING & {*each.actions}]
    return f"; with {'; '.join(labels[:_MOST_NAMED])}" if labels else ""


def _unasked(policy: PolicySet, rule: Rule, error: str) -> Reason:
    decision = Decision.DENY if rule.on_error == "deny" else Decision.FLAG
    text = "the rule could not be asked: tell the operator"
    return Reason(policy.id, policy.name, policy.version, rule.id, decision, text, (), error)


def _explained(rule: Rule, facts: Facts) -> dict[str, Any]:
    try:
        seen = rule.condition.seen(facts)
    except Exception as error:  # noqa: BLE001 - as in `_matched`
        return {"matched": False, "error": f"{type(error).__name__}: {error}"[:200], "condition": None}
    return {"matched": bool(seen["holds"]), "error": None, "condition": seen}
