"""The features of a pair of texts, each of which speaks for or against that they are the same."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from pipelines.similarity.bits import in_order
from pipelines.similarity.reading import Reading
from pipelines.similarity.words import Match

SIGNS = {
    "words_contained": 1, "letters_in_order": 1, "within": 1, "lost_word": -1, "numbers": -1,
    "negated": -1, "opposites": -1, "log_length": 0,
}  # fmt: skip
"""The features in their order, which is part of the weights: 1 speaks for the same, -1 against it, 0 for either."""

_LETTERS = 600
_NEGATIONS = frozenset({"not", "never", "nor", "none", "except", "unless", "without", "non"})
_DO = (["do"], ["does"], ["did"])


def features(one: Reading, other: Reading, rarity: bytes) -> list[float]:
    """The features of two texts, whichever comes first; `rarity` as in `pipelines.similarity.words`."""
    return [value for _, value in sorted(measured(one, other, rarity))]


def measured(one: Reading, other: Reading, rarity: bytes) -> Iterator[tuple[int, float]]:
    """Each feature's place in `SIGNS` and its value, from the cheapest to the dearest: one may stop in between."""
    a, b = sorted((one, other), key=lambda each: (len(each.letters), each))
    yield 7, math.log(len(a.letters) + 1)
    yield 2, float(a.letters in b.letters)
    yield 4, float(_changed(a.numbers, b.numbers))
    match = Match(a.words, b.words, rarity)
    yield 0, match.contained()
    yield 3, match.lost_word()
    yield 6, float(match.opposites() or _changed(a.operators, b.operators) > 0)
    left, right = a.letters[:_LETTERS], b.letters[:_LETTERS]
    yield 1, in_order(left, right) / (len(left) or 1)
    yield 5, float(_either_negated(a, b, match))


def _changed(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of each are not in the other, up to three; one more than the other has says nothing."""
    if not (one and other):
        return 0
    first, second = Counter(one), Counter(other)
    return min((first - second).total(), (second - first).total(), 3)


def _either_negated(a: Reading, b: Reading, match: Match) -> bool:
    if _NEGATIONS.isdisjoint(match.one) and _NEGATIONS.isdisjoint(match.other):
        return False
    one, other = match.common(a.words), match.common(b.words)
    return _negated(one, other) or _negated(other, one)


def _negated(words: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a negation stands between two words that follow each other in the other text."""
    if _NEGATIONS.isdisjoint(words):
        return False
    follow, known = set(pairwise(others)), set(others)
    for i in [i for i, word in enumerate(words[:-1]) if word in _NEGATIONS]:
        word, before, after = words[i], words[max(i - 2, 0) : i], words[i + 1]
        if word == "non" and word not in known and after in known:
            return True
        if before and _follows(before, after, follow):
            return True
    return False


def _follows(before: Sequence[str], after: str, follow: set[tuple[str, str]]) -> bool:
    """Also where the negation brought a "do" along."""
    return (before[-1], after) in follow or (list(before[-1:]) in _DO and (before[0], after) in follow)
