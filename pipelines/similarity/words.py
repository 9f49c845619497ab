"""Which words of two texts meet, also where they are spelt a little differently, and what the others weigh."""

import zlib
from collections import Counter
from collections.abc import Sequence, Set
from itertools import pairwise

from pipelines.similarity.bits import in_order

RARITY_BITS = 15
STEP = 20
"""How rare a word is, is a byte by its hash: the logarithm of texts for each text with the word, in twentieths."""

SMALL = frozenset(
    """a an the of to in on at by for with from and or is are was were be been do does did can could would should will
    please i you me my your it this that these those there as so if then than but into about have has had he she they
    we us them his her its their just um uh er hmm sorry actually wait mean rather kindly tell know want like make
    thanks thank hello hi oh okay ok well no""".split()  # noqa: SIM905
)
"""Words that say little of what is asked."""

_SMALL_SHARE = 0.2
_MOST_LEFT = 40
"""Words without a counterpart, the heaviest, for which one in another spelling is looked for."""
_MANY_LEFT, _LITTLE_SHARED = 20, 0.2
_LEAST_SHARED, _TRIED = 2, 2
"""Pairs of letters that words have in common before they are compared, and with how many others one is."""
_LEAST_ALIKE, _WHOLLY_ALIKE, _NOT_ALIKE = 0.6, 0.8, 0.3
"""From how alike on words are partners, where one counts as the other, and where it would not count at all."""
_OPPOSITES = ("un", "in", "im", "dis", "non", "ir", "il", "anti", "mis")


class Match:
    """The words of two texts, with a partner for each that the other text has in another spelling."""

    def __init__(self, one: Sequence[str], other: Sequence[str], rarity: bytes) -> None:
        self.one, self.other = set(one), set(other)
        self._weight = {word: weight(word, rarity) for word in self.one | self.other}
        self._totals = self._total(self.one) or 1, self._total(self.other) or 1
        left, right = self.one - self.other, self.other - self.one
        joined = _joined(left, other) | _joined(right, one)
        left, right = left - joined, right - joined
        self.partner = {} if self._strange(left, right) else _partners(self._heaviest(left), self._heaviest(right))
        self._gone, self._new = self._missing(left), self._missing(right)

    def contained(self) -> float:
        """The share of the one text's weight that is in the other, whichever is larger."""
        gone, new = sum(self._gone) / self._totals[0], sum(self._new) / self._totals[1]
        return 1 - min(gone, new)

    def lost_word(self) -> float:
        """The heaviest word that is not in the other text, of the text where it is lighter."""
        return min(max(self._gone, default=0.0), max(self._new, default=0.0))

    def common(self, words: Sequence[str]) -> list[str]:
        """The words, those that have a partner as what stands for both."""
        stands = {word: min(word, partner) for word, (partner, _) in self.partner.items()}
        return [stands.get(word, word) for word in words]

    def opposites(self) -> bool:
        """Whether a word met its opposite: like and dislike."""
        return any(
            len(short) > 3 and long.endswith(short) and long.removesuffix(short) in _OPPOSITES
            for short, (long, _) in self.partner.items()
        )

    def _strange(self, left: Set[str], right: Set[str]) -> bool:
        """Whether the texts have so little in common that how their words are spelt cannot matter."""
        if min(len(left), len(right)) < _MANY_LEFT:
            return False
        return 1 - min(self._total(left) / self._totals[0], self._total(right) / self._totals[1]) < _LITTLE_SHARED

    def _heaviest(self, words: Set[str]) -> list[str]:
        return sorted(words, key=lambda word: (-self._weight[word], word))[:_MOST_LEFT]

    def _missing(self, words: Set[str]) -> list[float]:
        """What each of the words weighs, less where the other text has one that is spelt like it."""
        return [
            self._weight[word] * (1 - self.partner[word][1] if word in self.partner else 1) for word in sorted(words)
        ]

    def _total(self, words: Set[str]) -> float:
        return sum(self._weight[word] for word in sorted(words))


def weight(word: str, rarity: bytes) -> float:
    """How much a word says of what is asked: how rare it is, and less for small words."""
    return rarity[place(word)] / STEP * (_SMALL_SHARE if word in SMALL else 1)


def place(word: str) -> int:
    """The place of a word among the rarities."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass")) & ((1 << RARITY_BITS) - 1)


def _joined(alone: Set[str], words: Sequence[str]) -> set[str]:
    """Words that the other text writes as two, and the two."""
    found: set[str] = set()
    for first, second in pairwise(words):
        if first + second in alone:
            found |= {first, second, first + second}
    return found


def _partners(left: Sequence[str], right: Sequence[str]) -> dict[str, tuple[str, float]]:
    """The best pairs, each word in one at most: its partner, and how much it counts as the same word (0 to 1)."""
    having: dict[str, list[str]] = {}
    for word in right:
        for pair in _letter_pairs(word):
            having.setdefault(pair, []).append(word)
    found = []
    for one in left:
        shared = Counter(other for pair in _letter_pairs(one) for other in having.get(pair, ()))
        likely = sorted([(-count, other) for other, count in shared.items() if count >= _LEAST_SHARED])[:_TRIED]
        found += [(-value, one, other) for _, other in likely if (value := alike(one, other)) >= _LEAST_ALIKE]
    partner: dict[str, tuple[str, float]] = {}
    for value, one, other in sorted(found):
        if one not in partner and other not in partner:
            counts = min(1.0, (-value - _NOT_ALIKE) / (_WHOLLY_ALIKE - _NOT_ALIKE))
            partner[one], partner[other] = (other, counts), (one, counts)
    return partner


def _letter_pairs(word: str) -> set[str]:
    """Pairs of letters; the first one and the last one count alone too."""
    return {word[i : i + 2] for i in range(len(word) - 1)} | {"^" + word[0], word[-1] + "$"}


def alike(one: str, other: str) -> float:
    """How alike two words are spelt, from 0 to 1; what has digits in it is never alike."""
    if abs(len(one) - len(other)) > 4 or not (one.isalpha() and other.isalpha()):
        return 0.0
    return 2 * in_order(one, other) / (len(one) + len(other))
