"""The table of guards: adding a guard is one file, one line here, and its tests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipelines.guard.abuse.reading import Reader
from pipelines.guard.abuse_guard import AbuseGuard
from pipelines.guard.abuse_patterns import AbusePatternsGuard
from pipelines.guard.private_data import PrivateDataGuard
from pipelines.guard.prompt_size import PromptSizeGuard
from pipelines.guard.protocol import Guard
from pipelines.guard.rate_limits import RateLimitGuard
from pipelines.guard.similar_prompts import SimilarPromptsGuard
from pipelines.guard.stage import Counted, GuardStage
from pipelines.limits.limiter import Limiter
from pipelines.repeats.memory import PromptMemory
from pipelines.tokens import TokenCounter
from synthralos.config.config import Config
from synthralos.telemetry.families import FINDINGS
from synthralos.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Tools:
    """What guards share, and what outlives a configuration. Without a `memory` no prompts are compared."""

    counter: TokenCounter
    limiter: Limiter
    memory: PromptMemory | None = None
    metrics: Metrics = field(default_factory=Metrics)
    reader: Reader = field(default_factory=Reader)


GuardFactory = Callable[[Config, Tools], Guard]

GUARDS: Mapping[str, GuardFactory] = {
    "abuse": lambda config, tools: AbuseGuard(config.guards.abuse, reader=tools.reader),
    "abuse_patterns": lambda config, tools: AbusePatternsGuard(config, tools.reader),
    "private_data": lambda config, _: PrivateDataGuard(config.guards.secrets, config.guards.personal_data),
    "prompt_size": lambda config, tools: PromptSizeGuard(config.catalog, tools.counter, config.limits_for),
    "similar_prompts": lambda config, tools: SimilarPromptsGuard(config, tools.memory),
}

GATES: Mapping[str, GuardFactory] = {"rate_limits": lambda config, tools: RateLimitGuard(config, tools.limiter)}
"""Guards that charge those whom they let through: asked after the others, about those that nobody stopped."""


def build_guard_stage(config: Config, tools: Tools) -> GuardStage:
    """The guard stage with every guard of the tables, for one configuration."""
    guards = [make(config, tools) for make in GUARDS.values()]
    return GuardStage(guards, [make(config, tools) for make in GATES.values()], _counting(tools.metrics))


def _counting(metrics: Metrics) -> Counted:
    counters = metrics.counters(FINDINGS)
    return lambda finding: counters[finding.guard, finding.decision].inc()
