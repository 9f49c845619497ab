"""What the memory of prompts needs: where earlier ones are kept, and how alike two are."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from synthralos.domain.jobs import Job, Request
from synthralos.domain.prompts import Answered, EarlierPrompt, Wanted

Vectors = npt.NDArray[np.float32]
"""One row a text, of length 1, or 0 for a text without letters."""


class Vector(NamedTuple):
    """Where a text is. `embedder` says what made it, with how many numbers: those of one name alone are compared."""

    embedder: str
    numbers: npt.NDArray[np.float32]


class Near(NamedTuple):
    """An earlier prompt, and how near it is (1: the same direction)."""

    job_id: str
    cosine: float


class Neighbors(Protocol):
    """Which earlier prompts of one workspace are near: those in memory, or those in the database."""

    def nearest(self, embedder: str, vectors: Vectors, most: int, least: float) -> list[list[Near]]:
        """For each vector, all of which are the embedder's, the prompts that the same embedder placed nearest.

        `most` at most, with a cosine of at least `least`, nearest first.
        """
        ...


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

    def nearness(self, embedder: str) -> float | None:
        """The cosine from which on prompts are compared closely; None: vectors of that embedder are not known here."""
        ...

    def fingerprint(self, text: str) -> str:
        """Equal for texts that are equal but for case, spacing and looks."""
        ...

    def embed(self, jobs: Sequence[Job], texts: Sequence[str]) -> list[Vector]:
        """The vectors of the jobs' texts, in order."""
        ...

    def same(self, one: str, other: str) -> float | None:
        """From 0 to 1, how surely they are the same prompt; None where they do not count as the same."""
        ...
