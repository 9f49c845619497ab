"""The servers of others that a worker's guards ask: guardrails-ai's sidecar, and one of embeddings."""

from collections.abc import Awaitable

from pipelines.embedders.build import build_endpoint
from pipelines.execute.validating import Validation
from pipelines.validation.build import build_validator
from synthralos.core import Core


class Servers:
    """What is configured of them; None: it is not. They live on the loop of the calls."""

    def __init__(self, core: Core) -> None:
        self.validator = build_validator(core.settings, core.outages, core.metrics)
        self.embeddings = build_endpoint(core.settings, core.outages)

    @property
    def validation(self) -> Validation | None:
        """What looks at answers."""
        return None if self.validator is None else Validation(self.validator)

    def closing(self) -> list[Awaitable[object]]:
        """What closes them."""
        return [each.close() for each in (self.validator, self.embeddings) if each is not None]
