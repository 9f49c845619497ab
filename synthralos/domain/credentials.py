"""Names of credentials: `openai`, and further ones of the same provider as `openai:2` or `openai.eu`.

What stands before the mark is the group. A deployment that wants a group may be called with any key of it; one that
wants a whole name, with that key alone. Keys themselves are nowhere in the domain.
"""

import re
from functools import lru_cache

NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,62}([:.][a-z0-9_][a-z0-9_-]{0,62})?")
"""What a credential's name looks like."""

_MARK = re.compile(r"[:.]")
_SUFFIX = "_api_key"


@lru_cache(maxsize=1024)
def named_by(variable: str) -> str:
    """The credential whose key an environment variable holds: `OPENAI_API_KEY` holds that of `openai`."""
    name = variable.lower()
    return name.removesuffix(_SUFFIX) or name


def variable_of(group: str) -> str:
    """The environment variable of a group that no catalog entry names another variable for."""
    return group.upper().replace("-", "_") + _SUFFIX.upper()


def group_of(name: str) -> str:
    """The group that a credential belongs to."""
    return _MARK.split(name, maxsplit=1)[0]


def is_group(wanted: str) -> bool:
    """Whether what a deployment wants is any key of a group, and not one certain key."""
    return _MARK.search(wanted) is None
