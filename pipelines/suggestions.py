"""Names that somebody may have meant: fast enough for a process's one event loop, whatever was sent."""

from collections.abc import Iterable
from heapq import nlargest
from itertools import pairwise

_LONGEST = 100
"""Characters of a wrong name that are looked at."""

_MOST_ALIKE = 3
_LEAST = 0.3
"""How many of their pairs of characters two names must have in common (Dice's coefficient) to be alike."""

_SHOWN = 12


_BITS = 509


class Names:
    """A set of names that knows which of them are like another one, in less than a microsecond a name."""

    def __init__(self, names: Iterable[str]) -> None:
        self._pairs = {name: _pairs(name) for name in sorted(set(names))}
        shown = list(self._pairs)[:_SHOWN]
        self.some = f"{', '.join(shown)}{' …' if len(self._pairs) > _SHOWN else ''}"

    def __contains__(self, name: object) -> bool:
        return name in self._pairs

    def near(self, wrong: str) -> list[str]:
        """At most three names that are like `wrong`, the most alike first."""
        meant = _pairs(wrong[:_LONGEST])
        size = meant.bit_count()
        scores = [
            (2 * (meant & pairs).bit_count() / (size + pairs.bit_count()), name) for name, pairs in self._pairs.items()
        ]
        return [name for score, name in nlargest(_MOST_ALIKE, scores) if score >= _LEAST]


def _pairs(name: str) -> int:
    """The pairs of neighbors in a name, with its ends, as bits: two pairs may share one, which does little harm."""
    marked = [ord(character) for character in f"^{name.lower()}$"]
    bits = 0
    for left, right in pairwise(marked):
        bits |= 1 << (left * 31 + right) % _BITS
    return bits
