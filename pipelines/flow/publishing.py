"""What is said about a policy set before it is published: what its rules say, and what they would do to recent jobs."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pipelines.flow.trial import trial
from pipelines.policies.lint import Kind, PolicyWarning, lint
from synthralos.config.config import Config
from synthralos.domain.policies import PolicySet

LEAST_JOBS = 20
"""Jobs of which a share tells something."""

Pages = Iterable[Sequence[Mapping[str, Any]]]


def warnings_about(
    config: Config, policy: PolicySet, newest: Pages, stop_percent: float, now: datetime
) -> list[PolicyWarning]:
    """The warnings about a set: those of `newest` come first. `stop_percent`: it may stop so many of these jobs.

    A set that decides nothing, being switched off or in shadow mode, is tried on no jobs.
    """
    found = lint(policy.to_json(), now, config.catalog)
    if not decides(policy):
        return found
    simulation = trial(config, policy, now)
    for page in newest:
        simulation.take(page)
    if simulation.going < LEAST_JOBS or simulation.stopped_percent <= stop_percent:
        return found
    problem = (
        f"would stop {simulation.stopped:,} of the newest {simulation.going:,} jobs that reached a provider "
        f"({simulation.stopped_percent:.1f} %, and {stop_percent:g} % are let pass)"
    )
    remedy = "narrow the rules, begin with a share or in shadow mode, or send force where this is meant"
    return [PolicyWarning(Kind.STOPS_TRAFFIC, "rules", problem, remedy, severe=True), *found]


def decides(policy: PolicySet) -> bool:
    """Whether the set decides about jobs, now or later."""
    return policy.enabled and not policy.shadow and policy.share > 0


def refusals(policy: PolicySet, warnings: Sequence[PolicyWarning]) -> list[PolicyWarning]:
    """The warnings that keep the set from being published, unless that is forced."""
    return [each for each in warnings if each.severe] if decides(policy) else []
