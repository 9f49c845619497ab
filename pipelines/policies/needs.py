"""What a condition cannot hold without: by it, an index finds the few rules that can hold for a job."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MOST_KEYS = 100
"""Keys of a need; one that has more tells too little."""


@dataclass(frozen=True, slots=True)
class Need:
    """One of `keys`, which are (field, key): the field's value has that key or, of a list of texts, a member has it.

    Where none is met the condition is false, and telling so raises nothing.
    """

    keys: frozenset[tuple[str, Any]]


def of_all(inner: Sequence["Needs"]) -> "Needs":
    """The needs of conditions that must all hold: each of them. What comes after one that may raise is left out."""
    return tuple(need for needs in inner for need in needs)


def of_any(inner: Sequence["Needs"]) -> "Needs":
    """The need of conditions of which one must hold: one of each, together."""
    if not all(inner):
        return ()
    together = Need(frozenset().union(*(min(needs, key=_size).keys for needs in inner)))
    return (together,) if _size(together) <= MOST_KEYS else ()


def _size(need: Need) -> int:
    return len(need.keys)


Needs = tuple[Need, ...]
"""All that are known; each has to be met."""
