"""The table of guards: adding a guard is one file, one line here, and its tests."""

from collections.abc import Callable, Mapping

from pipelines.guard.prompt_size import PromptSizeGuard
from pipelines.guard.protocol import Guard
from pipelines.guard.stage import GuardStage
from pipelines.tokens import TokenCounter
from synthralos.config.config import Config

GuardFactory = Callable[[Config, TokenCounter], Guard]

GUARDS: Mapping[str, GuardFactory] = {
    "prompt_size": lambda config, counter: PromptSizeGuard(config.catalog, counter, config.limits_of),
}


def build_guard_stage(config: Config, counter: TokenCounter) -> GuardStage:
    """The guard stage with every guard of the table, for one configuration."""
    return GuardStage([make(config, counter) for make in GUARDS.values()])
