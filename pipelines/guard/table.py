"""The table of guards: adding a guard is one file, one line here, and its tests."""

from collections.abc import Callable, Mapping

from pipelines.guard.prompt_size import PromptSizeGuard
from pipelines.guard.protocol import Guard
from pipelines.guard.stage import GuardStage
from pipelines.tokens import TokenCounter
from synthralos.config.settings import Settings
from synthralos.domain.deployments import Catalog

GuardFactory = Callable[[Settings, Catalog], Guard]

GUARDS: Mapping[str, GuardFactory] = {
    "prompt_size": lambda settings, catalog: PromptSizeGuard(catalog, TokenCounter()),
}


def build_guard_stage(settings: Settings, catalog: Catalog) -> GuardStage:
    """The guard stage with every guard of the table."""
    return GuardStage([make(settings, catalog) for make in GUARDS.values()])
