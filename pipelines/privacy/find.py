"""All private data in texts."""

from collections.abc import Sequence

from pipelines.privacy.hints import suspects
from pipelines.privacy.kinds import Found, without_overlaps
from pipelines.privacy.persons import find_personal
from pipelines.privacy.secrets import find_secrets

SHORTEST = 6
"""Characters of the shortest private value."""


def find_each(texts: Sequence[str]) -> list[list[Found]]:
    """What `find` finds in each text; most are not searched."""
    searched = suspects(texts)
    return [find(text) if place in searched else [] for place, text in enumerate(texts)]


def find(text: str) -> list[Found]:
    """The private values of a text, by their places, without overlaps."""
    if len(text) < SHORTEST:
        return []
    found = [*find_secrets(text), *find_personal(text)]
    return without_overlaps(found) if found else found
