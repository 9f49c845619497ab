"""Training pairs of our own: prompts beside edits of them, and beside their nearest neighbors."""

import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pipelines.similarity.plain import plain
from pipelines.similarity.reading import read
from pipelines.similarity.words import SMALL
from scripts.pair_model.edits import different, same

EDITED, CHANGED, NEIGHBORS = 4_000, 1_600, 2_000
_COMPARED = 6_000
_AT_ONCE = 300
_LEAST_SHARED, _MOST_SHARED = 0.12, 0.75
_BITS = 18


class Pair(NamedTuple):
    """Two texts, and whether they are the same prompt (1) or not (0)."""

    one: str
    other: str
    label: int
    kind: str
    source: str


class Text(NamedTuple):
    """A prompt of some source."""

    text: str
    source: str


def own_pairs(texts: Sequence[Text], seed: int = 3) -> list[Pair]:
    """Pairs made of the texts; each source is asked for as many."""
    rng = random.Random(seed)
    by_source: dict[str, list[str]] = defaultdict(list)
    for each in texts:
        by_source[each.source].append(each.text)
    names, words, pairs = sorted(by_source), _telling_words(texts), list[Pair]()
    for number in range(EDITED + CHANGED):
        text, other = (rng.choice(by_source[rng.choice(names)]) for _ in range(2))
        label = int(number < EDITED)
        edited = same(text, rng, other) if label else different(text, rng, other, words)
        if edited != text and len(edited) > 8 and (label or plain(edited) != plain(text)):
            pairs.append(Pair(text, edited, label, "edited" if label else "changed", "own"))
    return pairs + _neighbors([each.text for each in texts], rng)


def _telling_words(texts: Sequence[Text]) -> list[str]:
    """Words that are common, and are no small ones."""
    counts = Counter(word for each in texts for word in set(read(each.text).words))
    least = len(texts) / 3_000
    return sorted(w for w, n in counts.items() if n > least and w.isalpha() and len(w) > 3 and w not in SMALL)


def _neighbors(texts: Sequence[str], rng: random.Random) -> list[Pair]:
    """Prompts beside those that share most with them, and are not nearly the same."""
    some = rng.sample(list(texts), min(_COMPARED, len(texts)))
    rows = _grams_of(some)
    size, found = np.asarray(rows.sum(axis=1)).ravel(), list[Pair]()
    for begin in range(0, min(NEIGHBORS, len(some)), _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        both = (rows[part] @ rows.T).toarray()
        shared = both / (size[part, None] + size[None] - both)
        shared[shared > _MOST_SHARED] = 0
        for one, best in enumerate(shared.argmax(axis=1)):
            if shared[one, best] > _LEAST_SHARED:
                found.append(Pair(some[begin + one], some[best], 0, "neighbor", "own"))
    return found


def _grams_of(texts: Sequence[str]) -> Any:
    """A row a text: which n-grams of five characters are in it."""
    from scipy import sparse  # noqa: PLC0415 - training alone needs it

    found = []
    for text in map(plain, texts):
        grams = {text[i : i + 5] for i in range(max(len(text) - 4, 1))}
        found.append(sorted({zlib.crc32(gram.encode("utf-8", "ignore")) % (1 << _BITS) for gram in grams}))
    edges = np.concatenate([[0], np.cumsum([len(each) for each in found])])
    values = np.ones(int(edges[-1]), np.float32)
    return sparse.csr_matrix((values, np.concatenate(found), edges), shape=(len(texts), 1 << _BITS))
