"""What prompts are held against by the guard of abuse patterns."""

from dataclasses import dataclass

EVERYONE = "*"
"""Stands for all organizations."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A short text that abuse reads like. `kind` says what it is after; `threshold` (0 to 1) how like it a part of a
    prompt has to be: the share of its letters and words, rare ones more, that stands there.
    """

    name: str
    kind: str
    text: str
    threshold: float
