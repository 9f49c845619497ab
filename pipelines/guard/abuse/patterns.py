"""How like known abuse the parts of a batch of texts are: an index of patterns, asked with n-grams.

A pattern is a sparse vector of hashed n-grams, each weighing what its rarity in harmless prompts tells. A window of a
text is as like it as the share of this weight that stands in the window, and a text as like as its best window.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.guard.abuse.codes import Places
from pipelines.guard.abuse.ngrams import BUCKETS, Grams, grams
from pipelines.guard.abuse.normalize import normalize_each
from synthralos.domain.abuse_patterns import EVERYONE, Pattern

RARITY_STEP = 10
"""How rare an n-gram is, is the logarithm of texts for each text with it, in tenths."""

LEAST_RARITY = 42
"""What more than one text in 67 holds says little of a pattern, and takes most of the time."""

_BATCH = 64
_AT_ONCE = 1_000_000
"""Patterns of windows that are counted at once, which bounds the memory that texts made for it can take."""
_ROUNDING = 1e-9
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
        owner = np.array([owner for owner, _ in listed], np.int64)
        self._threshold = np.array([each.threshold for each in self._patterns])
        texts = [each.text for each in self._patterns]
        batches = [texts[begin : begin + _BATCH] for begin in range(0, len(texts), _BATCH)]
        found = [buckets for batch in batches for buckets in _telling(batch, rarity)]
        buckets = np.concatenate([np.zeros(0, np.int64), *found])
        of = np.repeat(np.arange(len(found)), [len(each) for each in found])
        weight = np.maximum(rarity[buckets], 1).astype(np.float64)
        total = np.bincount(of, weight, len(found))
        known, row = np.unique(buckets, return_inverse=True)
        self._row = np.full(BUCKETS + 1, -1, np.int32)  # the last one is that of bucket -1
        self._row[known] = np.arange(len(known))
        self._rows, self._owners = len(known), len(self._organizations) + 1
        lists = row * self._owners + owner[of]
        order = np.argsort(lists, kind="stable")
        self._of, self._weight = of[order], (weight / np.maximum(total, 1)[of])[order]
        self._lists, self._begin = np.unique(lists[order], return_index=True)
        self._count = np.diff(self._begin, append=len(buckets))

    def likest(self, found: Grams, organizations: Sequence[str]) -> list[Likeness | None]:
        """For each text of a batch, whose organizations are given, the pattern that it is most like."""
        best: list[Likeness | None] = [None] * len(organizations)
        if not self._patterns:
            return best
        owners = np.array([self._organizations.get(name, 0) for name in organizations])
        window, lists = self._held_against(*self._met(found), owners[found.windows.owner])
        for part in _parts(window, self._count[lists]):
            pairs, scores = self._scores(window[part], lists[part])
            pattern = pairs % len(self._patterns)
            reached = np.flatnonzero(scores >= self._threshold[pattern] - _ROUNDING)
            texts = found.windows.owner[pairs[reached] // len(self._patterns)]
            order = np.lexsort((-scores[reached], texts))
            first = np.append(True, texts[order][1:] != texts[order][:-1])[: len(order)]
            for place in reached[order[first]].tolist():
                text = int(found.windows.owner[pairs[place] // len(self._patterns)])
                known, score = best[text], min(1.0, round(float(scores[place]), 6))
                if known is None or score > known.score:
                    best[text] = Likeness(self._patterns[int(pattern[place])], score)
        return best

    def _met(self, found: Grams) -> tuple[Places, Places]:
        """(window, row of the index) of the n-grams that patterns have, once each."""
        places, rows = [], []
        for place, buckets in found.telling():
            row = self._row.take(buckets)
            hit = np.flatnonzero(row >= 0)
            places.append(hit if place is None else place[hit])
            rows.append(row[hit])
        of_place, row = np.concatenate(places), np.concatenate(rows)
        met = np.sort(np.concatenate([window * self._rows + row for window in found.windows.of(of_place)]))
        met = met[np.append(True, met[1:] != met[:-1])[: len(met)]]
        return met // self._rows, met % self._rows

    def _held_against(self, window: Places, row: Places, owners: Places) -> tuple[Places, Places]:
        """(window, list of patterns) by windows; a row has a list for everyone and one for each organization."""
        mine = owners[window]
        wanted = np.concatenate([row * self._owners, (row * self._owners + mine)[mine > 0]])
        windows = np.concatenate([window, window[mine > 0]])
        at = np.minimum(np.searchsorted(self._lists, wanted), len(self._lists) - 1)
        there = np.flatnonzero(self._lists[at] == wanted)
        order = there[np.argsort(windows[there], kind="stable")]
        return windows[order], at[order]

    def _scores(self, window: Places, lists: Places) -> tuple[Places, Floats]:
        """(window x patterns + pattern, score), at least one."""
        count = self._count[lists]
        entry = np.arange(int(count.sum())) + np.repeat(self._begin[lists] - np.cumsum(count) + count, count)
        keys = np.repeat(window, count) * len(self._patterns) + self._of[entry]
        order = np.argsort(keys)
        keys = keys[order]
        begin = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        scores: Floats = np.add.reduceat(self._weight[entry[order]], begin)
        return keys[begin], scores


def _parts(window: Places, count: Places) -> Iterator[slice]:
    """The windows in parts with about as many patterns as are looked at at once."""
    first = np.flatnonzero(np.append(True, window[1:] != window[:-1])[: len(window)])
    before = (np.cumsum(count) - count)[first] // _AT_ONCE
    cuts = first[np.append(True, before[1:] != before[:-1])[: len(first)]].tolist()
    return (slice(*each) for each in pairwise([*cuts, len(window)]))


def _telling(texts: Sequence[str], rarity: npt.NDArray[np.int8]) -> list[Places]:
    """The n-grams by which each pattern is known."""
    found = grams(normalize_each(texts))
    owner, keys = found.laid.owner(), []
    for place, buckets in found.telling():
        of = owner[: len(buckets)] if place is None else owner[place]
        keys.append((of * BUCKETS + buckets)[buckets >= 0])
    met = np.unique(np.concatenate(keys))
    each = np.split(met % BUCKETS, np.searchsorted(met, np.arange(1, len(texts)) * BUCKETS))
    return [_rare(buckets, rarity) for buckets in each]


def _rare(buckets: Places, rarity: npt.NDArray[np.int8]) -> Places:
    rare: Places = buckets[rarity[buckets] >= LEAST_RARITY]
    return rare if len(rare) >= _LEAST_TELLING else buckets
