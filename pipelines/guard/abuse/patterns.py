"""How like known abuse the parts of a batch of texts are: an index of patterns, asked with n-grams.

A pattern is a sparse vector of hashed n-grams, each weighing what its rarity in harmless prompts tells. A window of a
text is as like it as the share of this weight that stands in the window, and a text as like as its best window.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.guard.abuse.codes import Places
from pipelines.guard.abuse.ngrams import BUCKETS, Grams, grams
from pipelines.guard.abuse.normalize import normalize
from synthralos.domain.abuse_patterns import EVERYONE, Pattern

RARITY_STEP = 10
"""How rare an n-gram is, is the logarithm of texts for each text with it, in tenths."""

LEAST_RARITY = 42
"""What more than one text in 67 holds says little of a pattern, and takes most of the time."""

_LEAST_TELLING = 8
"""A pattern with fewer n-grams that are rare is known by all that it has."""

Floats = npt.NDArray[np.float64]


class Likeness(NamedTuple):
    """The pattern that a text is most like, of those whose threshold it reaches, and how like it is (0 to 1)."""

    pattern: Pattern
    score: float


class PatternIndex:
    """Immutable, so that threads share it. An organization's texts are held against its own patterns and everyone's."""

    def __init__(self, patterns: Mapping[str, Sequence[Pattern]], rarity: npt.NDArray[np.int8]) -> None:
        """`rarity` has a value for each bucket."""
        self._organizations = {name: number for number, name in enumerate(sorted(set(patterns) - {EVERYONE}), 1)}
        listed = [(self._organizations.get(owner, 0), each) for owner, mine in patterns.items() for each in mine]
        self._patterns = [each for _, each in listed]
        self._owner = np.array([owner for owner, _ in listed], np.int64)
        self._threshold = np.array([each.threshold for each in self._patterns])
        found = [_telling(each.text, rarity) for each in self._patterns]
        buckets = np.concatenate([np.zeros(0, np.int64), *found])
        of = np.repeat(np.arange(len(found)), [len(each) for each in found])
        weight = np.maximum(rarity[buckets], 1).astype(np.float64)
        total = np.bincount(of, weight, len(found))
        order = np.argsort(buckets, kind="stable")
        self._of, self._weight = of[order], (weight / np.maximum(total, 1)[of])[order]
        known, self._begin = np.unique(buckets[order], return_index=True)
        self._count = np.diff(self._begin, append=len(buckets))
        self._row = np.full(BUCKETS + 1, -1, np.int32)  # the last one is that of bucket -1
        self._row[known] = np.arange(len(known))

    def likest(self, found: Grams, organizations: Sequence[str]) -> list[Likeness | None]:
        """For each text of a batch, whose organizations are given, the pattern that it is most like."""
        best: list[Likeness | None] = [None] * len(organizations)
        if not self._patterns:
            return best
        window, row = self._met(found)
        pairs, scores = self._scores(window, row, found.windows.owner, organizations)
        pattern = pairs % len(self._patterns)
        reached = np.flatnonzero(scores >= self._threshold[pattern])
        texts = found.windows.owner[pairs[reached] // len(self._patterns)]
        for text, place in zip(texts.tolist(), reached.tolist(), strict=True):
            known = best[text]
            if known is None or scores[place] > known.score:
                best[text] = Likeness(self._patterns[int(pattern[place])], min(1.0, float(scores[place])))
        return best

    def _met(self, found: Grams) -> tuple[Places, Places]:
        """(window, row of the index) of the n-grams that patterns have, once each."""
        keys = []
        for place, buckets in found.telling():
            rows = self._row.take(buckets)
            hit = np.flatnonzero(rows >= 0)
            both = found.windows.of(hit if place is None else place[hit])
            keys += [window * len(self._count) + rows[hit] for window in both]
        met = np.sort(np.concatenate(keys))
        met = met[np.append(True, met[1:] != met[:-1])[: len(met)]]
        return met // len(self._count), met % len(self._count)

    def _scores(
        self, window: Places, row: Places, owner: Places, organizations: Sequence[str]
    ) -> tuple[Places, Floats]:
        """(window x patterns + pattern, score) of the patterns that a text may be held against."""
        count = self._count[row]
        entry = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        entry += np.repeat(self._begin[row], count)
        windows, patterns = np.repeat(window, count), self._of[entry]
        of_text = np.array([self._organizations.get(name, 0) for name in organizations])
        allowed = (self._owner[patterns] == 0) | (self._owner[patterns] == of_text[owner[windows]])
        keys = windows[allowed] * len(self._patterns) + patterns[allowed]
        if not len(keys):
            return keys, np.zeros(0)
        order = np.argsort(keys)
        keys = keys[order]
        begin = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        scores: Floats = np.add.reduceat(self._weight[entry[allowed][order]], begin)
        return keys[begin], scores


def _telling(text: str, rarity: npt.NDArray[np.int8]) -> Places:
    """The n-grams by which a pattern is known."""
    buckets = np.unique(np.concatenate([found for _, found in grams([normalize(text)]).telling()]))
    buckets = buckets[buckets >= 0]
    rare: Places = buckets[rarity[buckets] >= LEAST_RARITY]
    return rare if len(rare) >= _LEAST_TELLING else buckets
