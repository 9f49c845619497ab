"""What quality models are expected to have, by kind of task."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from synthralos.domain.deployments import Tier

KINDS = (
    "code",
    "exam_questions",
    "hard_math",
    "logic_puzzles",
    "science_questions",
    "search_questions",
    "sentence_writing",
    "trivia",
    "word_problems",
)
"""The kinds of tasks that the quality model tells apart."""

DEFAULT = "default"
"""The name of a model's quality over all prompts, which counts where a prompt is like no kind."""


@dataclass(frozen=True, slots=True)
class TierPrior:
    """What is assumed where nothing was measured; figures of the training data, not of the models of the catalog.

    `weak_quality` and `strong_quality` are what a weak and a strong model have on average. `levels` says how much of a
    strong model's gain over a weak one a tier has: 0 none, 1 all.
    """

    weak_quality: float
    strong_quality: float
    levels: Mapping[Tier, float]


@dataclass(frozen=True, slots=True)
class QualityTable:
    """Quality is from 0 to 1. `measured` has it by model or deployment id, then by kind and `DEFAULT`.

    `give_up` is how far below the best candidate's quality a cheaper one may be.
    """

    prior: TierPrior
    give_up: float
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
