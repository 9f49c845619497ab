"""How surely two prompts are the same one, up to typing, wrapping and manners."""

import re

from pipelines.guard.abuse.normalize import normalize

_GRAM = 5
_READ = 4_000
_BREAKS = re.compile(r"\W+")


def same_prompt(first: str, second: str) -> float:
    """From 0 (nothing in common) to 1: the larger containment of one's character 5-grams in the other's.

    On pairs that were typed anew, wrapped or rephrased politely, containment tells more than what overlaps of both
    (Jaccard): who adds a greeting changes nothing.
    """
    one, other = _grams(first), _grams(second)
    return len(one & other) / min(len(one), len(other))


def _grams(text: str) -> set[str]:
    plain = _BREAKS.sub(" ", normalize(text[:_READ])).strip()
    if len(plain) < _GRAM:
        return {plain}
    return {plain[i : i + _GRAM] for i in range(len(plain) - _GRAM + 1)}
