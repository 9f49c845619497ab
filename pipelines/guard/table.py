"""The table of guards: adding a guard is one file, one line here, and its tests."""

from collections.abc import Callable, Mapping

from pipelines.guard.abuse_guard import AbuseGuard
from pipelines.guard.private_data import PrivateDataGuard
from pipelines.guard.prompt_size import PromptSizeGuard
from pipelines.guard.protocol import Guard
from pipelines.guard.rate_limits import RateLimitGuard
from pipelines.guard.stage import GuardStage
from pipelines.limits.limiter import Limiter
from pipelines.tokens import TokenCounter
from synthralos.config.config import Config

GuardFactory = Callable[[Config, TokenCounter], Guard]
GateFactory = Callable[[Config, Limiter], Guard]

GUARDS: Mapping[str, GuardFactory] = {
    "abuse": lambda config, _: AbuseGuard(config.abuse_guard),
    "private_data": lambda config, _: PrivateDataGuard(config.secrets_guard, config.personal_data_guard),
    "prompt_size": lambda config, counter: PromptSizeGuard(config.catalog, counter, config.limits_for),
}


GATES: Mapping[str, GateFactory] = {"rate_limits": RateLimitGuard}
"""Guards that charge those whom they let through: asked after the others, about those that nobody stopped."""


def build_guard_stage(config: Config, counter: TokenCounter, limiter: Limiter) -> GuardStage:
    """The guard stage with every guard of the tables, for one configuration."""
    guards = [make(config, counter) for make in GUARDS.values()]
    return GuardStage(guards, [make(config, limiter) for make in GATES.values()])
