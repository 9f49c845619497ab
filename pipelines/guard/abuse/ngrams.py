"""Hashed n-grams of a batch of texts at once: characters by three and five, words by one to three, pairs with
a gap."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.guard.abuse.codes import Codes, Laid, Places, lay, words
from pipelines.guard.abuse.windows import Floats, Windows, windows

BITS = 18
BUCKETS = 1 << BITS

ORDERS = (3, 5)
"""Characters of an n-gram. Four of them beside these found less of injections."""

_U = np.uint32
_SPACE, _PUNCTUATION, _LETTER, _DIGIT, _WORD_ALONE = range(5)


def _classes() -> npt.NDArray[np.uint8]:
    """The class of every code point; a letter of scripts without spaces is a word by itself."""
    found = np.full(0x110000, _LETTER, np.uint8)
    for code in range(128):
        char = chr(code)
        if char.isdigit():
            found[code] = _DIGIT
        elif char.isspace() or code == 0:
            found[code] = _SPACE
        elif not (char.isalpha() or char == "'"):
            found[code] = _PUNCTUATION
    for begin, end, kind in (
        (0x2000, 0x2070, _PUNCTUATION),
        (0xA0, 0xC0, _PUNCTUATION),
        (0x3000, 0x3040, _PUNCTUATION),
        (0x3040, 0xA000, _WORD_ALONE),
        (0xE00, 0xE80, _WORD_ALONE),
    ):
        found[begin:end] = kind
    return found


_CLASS = _classes()


class Grams(NamedTuple):
    """The n-grams of a batch, by their buckets. Of characters there is one of each order for every place of `laid`
    but the last four; of words, one at `first` for each, with a bucket of -1 where it would span two texts.
    """

    laid: Laid
    windows: Windows
    characters: list[Places]
    first: Places
    words: list[Places]
    edges: Places

    def distinct(self) -> list[Places]:
        """The buckets of each text, each bucket once."""
        last, found = np.empty(BUCKETS, np.int32), []
        every = np.arange(len(self.laid.codes) * (len(ORDERS) + len(_GONE)), dtype=np.int32)
        for i, (begin, end) in enumerate(zip(self.laid.begin.tolist(), self.laid.end.tolist(), strict=True)):
            low, high = int(self.edges[i]), int(self.edges[i + 1])
            parts = [each[begin : max(begin, end - n + 1)] for n, each in zip(ORDERS, self.characters, strict=True)]
            parts += [each[low : max(low, high - gone)] for each, gone in zip(self.words, _GONE, strict=True)]
            buckets = np.concatenate(parts)
            places = every[: len(buckets)]
            last[buckets] = places
            found.append(buckets[last.take(buckets) == places])
        return found

    def best_window(self, weights: npt.NDArray[np.float32]) -> Floats:
        """For each text the most that any window of two blocks gets: its weights over the root of their number."""
        summed, count = np.zeros((2, len(self.characters[0])), np.float32)
        for length, each in zip(ORDERS, self.characters, strict=True):
            inside = self._inside(length)
            summed += weights.take(each) * inside
            count += inside
        for each in self.words:
            whole = each >= 0
            at = self.first[: len(each)][whole]
            summed[at] += weights.take(each[whole])
            count[at] += 1
        return self.windows.best(summed, count)

    def _inside(self, length: int) -> npt.NDArray[np.bool_]:
        """Where n-grams of characters are wholly within their texts."""
        used, size = self.laid.codes != 0, len(self.characters[0])
        whole: npt.NDArray[np.bool_] = used[:size] & used[length - 1 : length - 1 + size]
        return whole

    def telling(self) -> list[tuple[Places | None, Places]]:
        """(place, bucket) of the longest n-grams of characters and those of words; a place for each where it is None.

        A bucket is -1 where the n-gram would span two texts.
        """
        longest = np.where(self._inside(max(ORDERS)), self.characters[-1], -1)
        found: list[tuple[Places | None, Places]] = [(None, longest)]
        return found + [(self.first[: len(each)], each) for each in self.words]


_GONE = (0, 1, 2, 2)
"""By how many fewer n-grams of words there are than words."""


def grams(texts: Sequence[str]) -> Grams:
    """The n-grams of texts that are normalized, at least one."""
    laid = lay(texts)
    found = words(laid, laid.kinds(_CLASS), _LETTER, _WORD_ALONE)
    hashes, owner = found.hashes, found.owner()
    pairs = hashes[:-1] * _U(0x85EBCA6B) + hashes[1:] * _U(0xC2B2AE35)
    gaps = hashes[:-2] * _U(0x27D4EB2F) + hashes[2:] * _U(0x165667B1)
    of_words = [_bucket(hashes + _U(77))]
    triples = pairs[:-1] * _U(0x85EBCA6B) + hashes[2:] * _U(0xC2B2AE35)
    for hashed, gone in ((pairs + _U(154), 1), (triples + _U(231), 2), (gaps, 2)):
        of_words.append(np.where(owner[:-gone] == owner[gone:], _bucket(hashed), -1))
    return Grams(laid, windows(laid), _characters(laid.codes), found.first, of_words, found.edges)


def _characters(codes: Codes) -> list[Places]:
    single = codes * _U(2_654_435_761)
    rolling, found, most = single, [], max(ORDERS)
    for length in range(2, most + 1):
        rolling = ((rolling[:-1] * _U(0x01000193)) ^ single[length - 1 :]) + _U(length)
        if length in ORDERS:
            found.append(_bucket(rolling[: len(codes) - most + 1]))
    return found


def _bucket(hashes: Codes) -> Places:
    mixed = hashes ^ (hashes >> _U(15))
    mixed *= _U(0x2C1B3C6D)
    mixed ^= mixed >> _U(13)
    mixed *= _U(0x297A2D39)
    mixed >>= _U(32 - BITS)
    return mixed.astype(np.int64)
