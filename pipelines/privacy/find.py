"""All private data in a text."""

from pipelines.privacy.kinds import Found, without_overlaps
from pipelines.privacy.persons import find_personal
from pipelines.privacy.secrets import find_secrets

SHORTEST = 6
"""Characters of the shortest private value."""


def find(text: str) -> list[Found]:
    """The private values of a text, by their places, without overlaps."""
    if len(text) < SHORTEST:
        return []
    found = [*find_secrets(text), *find_personal(text)]
    return without_overlaps(found) if found else found
