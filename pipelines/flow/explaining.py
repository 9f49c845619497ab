"""Where a job would go, policies included: what a worker would decide, without guarding, running or counting it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts
from pipelines.policies.fields import Source
from pipelines.policies.problems import Problems
from pipelines.policies.rules import read_rules
from pipelines.route.choice import Explanation
from pipelines.route.stage import RouteStage
from synthralos.config.config import Config
from synthralos.domain.deployments import Deployment
from synthralos.domain.findings import PASSED
from synthralos.domain.flags import Flag
from synthralos.domain.jobs import Job
from synthralos.domain.overlays import NO_DEMANDS, Overlay
from synthralos.domain.policies import UNRULED, PolicySet, Reason, Ruling


@dataclass(frozen=True, slots=True)
class Explained:
    """What a job would meet.

    `asked`: whether policies are asked about jobs of its organization. `rules`: each rule that is meant for it, with
    what was seen (`CompiledPolicies.explain`). `demands`: what each rule that matched demands, by set and rule.
    `kept_away`: the rules that keep a deployment away, by its id.
    """

    explanation: Explanation
    asked: bool
    ruling: Ruling
    rules: Sequence[dict[str, Any]]
    demands: Mapping[tuple[str, str], Overlay]
    kept_away: Mapping[str, Sequence[Reason]]


class Explainer:
    """Explains jobs under one configuration. Thread-safe."""

    def __init__(self, config: Config, route: RouteStage) -> None:
        self._config = config
        self._route = route

    @cached_property
    def _in_force(self) -> CompiledPolicies:
        return CompiledPolicies(self._config.policies)

    def explain(self, job: Job, now: datetime, draft: PolicySet | None = None) -> Explained:
        """What the job would meet now. A `draft` counts as enforced, in the place of the set that has its id."""
        policies = self._config.policies if draft is None else with_draft(self._config.policies, draft)
        asked = self._config.flags.on(Flag.ENABLE_POLICY_ENGINE, job.tenant.organization)
        alone = replace(job, verdict=PASSED)
        plain = self._route.explain(alone)
        if not asked or not policies:
            return Explained(plain, asked, UNRULED, (), {}, {})
        compiled = self._in_force if draft is None else CompiledPolicies(policies)
        facts = Facts(now, Source(alone, PASSED, lambda: self._route.costs(alone)))
        ruling = compiled.decide(facts)
        demands = dict(_demands(policies, ruling))
        ruled = self._route.explain(replace(job, verdict=PASSED.demanding(ruling.overlay)))
        away = self._away(plain, ruled, ruling, demands)
        return Explained(ruled, asked, ruling, compiled.explain(facts), demands, away)

    def _away(
        self, plain: Explanation, ruled: Explanation, ruling: Ruling, demands: Mapping[tuple[str, str], Overlay]
    ) -> dict[str, Sequence[Reason]]:
        """Of the deployments that are excluded otherwise than without policies: the rules that do it."""
        before = {each.deployment: each.cause for each in plain.exclusions}
        found: dict[str, Sequence[Reason]] = {}
        for each in ruled.exclusions:
            deployment = self._config.catalog.get(each.deployment)
            if deployment is not None and before.get(each.deployment) != each.cause:
                found[each.deployment] = [
                    reason
                    for reason in ruling.reasons
                    if _keeps_away(demands.get((reason.set_id, reason.rule), NO_DEMANDS), deployment, ruling.overlay)
                ]
        return found


def with_draft(policies: Sequence[PolicySet], draft: PolicySet) -> tuple[PolicySet, ...]:
    """The sets with a draft, enforced and for everybody of its scope, beside them or in place of the old one."""
    tried = replace(draft, enabled=True, shadow=False, share=100.0, effective_from=None, effective_until=None)
    return (*(each for each in policies if each.id != draft.id), tried)


def _demands(policies: Sequence[PolicySet], ruling: Ruling) -> Iterator[tuple[tuple[str, str], Overlay]]:
    """What each rule that matched demands; nothing where it could not be asked."""
    said = [*ruling.reasons, *(reason for shadow in ruling.shadows for reason in shadow.reasons)]
    matched = {(reason.set_id, reason.rule) for reason in said if reason.error is None}
    for policy in policies:
        if any(set_id == policy.id for set_id, _ in matched):
            for rule in read_rules(policy.rules, Problems()):
                if (policy.id, rule.id) in matched:
                    yield (policy.id, rule.id), rule.overlay


def _keeps_away(demands: Overlay, deployment: Deployment, whole: Overlay) -> bool:
    """Whether a rule that demands this keeps the deployment away, by itself or by the cap that counts."""
    if demands is NO_DEMANDS:
        return False
    if demands.refusal(deployment) is not None:
        return True
    # Not refused by any rule: the cap of costs is left, of which the lowest counts.
    return whole.refusal(deployment) is None and demands.max_cost is not None and demands.max_cost == whole.max_cost
