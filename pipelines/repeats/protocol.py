"""What the memory of prompts needs: where earlier ones are kept, and how alike two are."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from synthralos.domain.jobs import Request
from synthralos.domain.prompts import Answered, EarlierPrompt, Wanted

Vectors = npt.NDArray[np.float32]
"""One row a text, of length 1, or 0 for a text without letters."""


class PromptSource(Protocol):
    """Where compared prompts are kept for good. May raise anything while it is away."""

    def recent(self, organization: str, workspace: str, seconds: float, most: int) -> list[EarlierPrompt]:
        """The workspace's newest `most` of the last `seconds`, oldest first."""
        ...

    def newer(self, organizations: Collection[str], since: float) -> list[EarlierPrompt]:
        """Those of the organizations since a time (seconds since the epoch), oldest first."""
        ...

    def requests(self, job_ids: Collection[str]) -> Mapping[str, Request]:
        """What those jobs asked for; jobs that are gone are left out."""
        ...

    def answered(self, wanted: Sequence[Wanted], seconds: float) -> Mapping[Wanted, Answered]:
        """The newest job of the last `seconds` that brought a result of its own to an equal request."""
        ...


class Likeness(Protocol):
    """How alike prompts are: roughly by their vectors, closely by their texts."""

    @property
    def embedder(self) -> str:
        """What made the vectors: they are compared with those of the same alone."""
        ...

    def fingerprint(self, text: str) -> str:
        """Equal for texts that are equal but for case, spacing and looks."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of texts."""
        ...

    def same(self, one: str, other: str) -> float | None:
        """From 0 to 1, how surely they are the same prompt; None where they do not count as the same."""
        ...
