"""How long answers are, by organization and model: what is reserved, and counted with by routing, where a job does not
say how long its may be.
"""

from array import array
from collections import OrderedDict

UNKNOWN = 512
"""Tokens to reserve where nothing is known yet."""

KEPT = 200
"""Answers that are looked back on."""

FEWEST = 10
"""Answers before routing is told of them."""

_RECKONED = 0.8
"""Part of the mean that those who wait reckon with: who comes a little early waits again, too late is capacity lost."""

_EVERY = 10
_MOST_KEYS = 10_000
_LONGEST = 2**32 - 1

Key = tuple[str, str]


class _Lengths:
    __slots__ = ("expected", "high", "lengths", "mean", "new", "oldest", "told")

    def __init__(self) -> None:
        self.lengths = array("I")
        self.new = self.oldest = 0
        self.high = self.expected = self.mean = 0.0
        self.told: int | None = None

    def add(self, tokens: int) -> None:
        tokens = min(tokens, _LONGEST)
        if len(self.lengths) < KEPT:
            self.lengths.append(tokens)
        else:
            self.lengths[self.oldest] = tokens
            self.oldest = (self.oldest + 1) % KEPT
        self.new += 1
        if self.new >= _EVERY or len(self.lengths) <= _EVERY:
            ordered = sorted(self.lengths)
            self.high = ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)]
            self.mean = sum(ordered) / len(ordered)
            self.expected = _RECKONED * self.mean
            self.new = 0
            self.told = _in_steps(int(self.high)) if len(ordered) >= FEWEST else None


class Outputs:
    """Remembers the last answers of each organization and model. Written by one thread, read by any."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, _Lengths] = OrderedDict()

    def learn(self, organization: str, model: str, tokens: int) -> None:
        """An answer had so many tokens."""
        key = organization, model
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _Lengths()
            if len(self._known) > _MOST_KEYS:
                self._known.popitem(last=False)
        found.add(tokens)

    def guess(self, organization: str, model: str, most: int | None) -> tuple[float, float]:
        """Tokens of the next answer: at most, in 95 of 100 cases or as `most` says, and about."""
        found = self._known.get((organization, model))
        if found is None:
            return (UNKNOWN if most is None else most), (0 if most is None else min(most, UNKNOWN) * _RECKONED)
        return (found.high, found.expected) if most is None else (most, min(most, found.expected))

    def told(self, organization: str, model: str) -> int | None:
        """Tokens of an answer in 95 of 100 cases, in steps so coarse that it seldom changes; None: too few are known.

        At least 1: an answer that is expected to be empty is none that anything is known of.
        """
        found = self._known.get((organization, model))
        return None if found is None else found.told

    def lengths(self, organization: str, model: str) -> tuple[float, float]:
        """Tokens of an answer: at most in 95 of 100 cases, and in the mean."""
        found = self._known.get((organization, model))
        return (UNKNOWN, UNKNOWN) if found is None else (found.high, found.mean)


def _in_steps(tokens: int) -> int:
    """Rounded up to two binary digits (64, 96, 128, 192 ...), and at least 1."""
    shift = max(0, tokens.bit_length() - 2)
    return max(1, -(-tokens >> shift) << shift)
