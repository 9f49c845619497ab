"""The table of guards: adding a guard is one file, one line here, and its tests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipelines.guard.abuse.reading import Reader
from pipelines.guard.abuse_guard import AbuseGuard
from pipelines.guard.abuse_patterns import AbusePatternsGuard
from pipelines.guard.guardrails import GuardrailsGuard
from pipelines.guard.private_data import PrivateDataGuard
from pipelines.guard.prompt_size import PromptSizeGuard
from pipelines.guard.protocol import Guard
from pipelines.guard.rate_limits import RateLimitGuard
from pipelines.guard.remote import OnLoop, RemoteGuard, RemoteGuards
from pipelines.guard.second_look.asking import SecondLooks
from pipelines.guard.second_look.protocol import SecondLook
from pipelines.guard.similar_prompts import SimilarPromptsGuard
from pipelines.guard.stage import Counted, GuardStage
from pipelines.limits.limiter import Limiter
from pipelines.repeats.memory import PromptMemory
from pipelines.tokens import TokenCounter
from pipelines.validation.protocol import Validator
from synthralos.config.config import AbuseAction, Config
from synthralos.telemetry.families import FINDINGS
from synthralos.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Remote:
    """What guards that need the network share: whom to ask, and the way to the event loop."""

    validator: Validator
    on_loop: OnLoop


@dataclass(frozen=True, slots=True)
class Tools:
    """What guards share, and what outlives a configuration.

    Without a `memory` no prompts are compared, without `remote` no guard uses the network, and without a `second_look`
    the abuse model decides alone.
    """

    counter: TokenCounter
    limiter: Limiter
    memory: PromptMemory | None = None
    metrics: Metrics = field(default_factory=Metrics)
    reader: Reader = field(default_factory=Reader)
    remote: Remote | None = None
    second_look: SecondLook | None = None

    def abuse_guard(self, action: AbuseAction) -> AbuseGuard:
        """The abuse guard, with its second look where there is one."""
        second = None if self.second_look is None else SecondLooks(self.second_look, self.metrics)
        return AbuseGuard(action, reader=self.reader, second=second)


GuardFactory = Callable[[Config, Tools], Guard]

GUARDS: Mapping[str, GuardFactory] = {
    "abuse": lambda config, tools: tools.abuse_guard(config.guards.abuse),
    "abuse_patterns": lambda config, tools: AbusePatternsGuard(config, tools.reader),
    "private_data": lambda config, _: PrivateDataGuard(config.guards.secrets, config.guards.personal_data),
    "prompt_size": lambda config, tools: PromptSizeGuard(config.catalog, tools.counter, config.limits_for),
    "similar_prompts": lambda config, tools: SimilarPromptsGuard(config, tools.memory),
}

GATES: Mapping[str, GuardFactory] = {"rate_limits": lambda config, tools: RateLimitGuard(config, tools.limiter)}
"""Guards that charge those whom they let through: asked after the others, about those that nobody stopped."""

REMOTES: Mapping[str, Callable[[Config, Remote], RemoteGuard]] = {
    "guardrails": lambda config, remote: GuardrailsGuard(config.flags, remote.validator),
}
"""Guards that need the network: asked together, about those that no other guard stopped."""


def build_guard_stage(config: Config, tools: Tools) -> GuardStage:
    """The guard stage with every guard of the tables, for one configuration."""
    guards, gates = ([make(config, tools) for make in table.values()] for table in (GUARDS, GATES))
    return GuardStage(guards, gates, _counting(tools.metrics), _remotes(config, tools.remote))


def _remotes(config: Config, remote: Remote | None) -> RemoteGuards | None:
    if remote is None:
        return None
    return RemoteGuards([make(config, remote) for make in REMOTES.values()], remote.on_loop)


def _counting(metrics: Metrics) -> Counted:
    counters = metrics.counters(FINDINGS)
    return lambda finding: counters[finding.guard, finding.decision].inc()
