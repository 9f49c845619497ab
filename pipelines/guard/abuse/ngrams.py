"""Hashed n-grams of a batch of texts at once: characters by three to five, words by one to three, and pairs with a gap.

All texts lie in one array of code points, so that a batch costs a few passes of numpy and no loop over characters.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BITS = 18
BUCKETS = 1 << BITS

Codes = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]

_U = np.uint32
_NUL = "\0"
_SPACES = re.compile(r"\s+")
_SENTENCE_ENDS = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_SHORT_TEXT = 200
_LEAST, _MOST, _OVERLAP = 50, 260, 60
_MOST_WINDOWS = 30
_LONGEST_WORD = 64

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
_POWERS = np.array([pow(1_099_511_628_211, i, 2**64) for i in range(_LONGEST_WORD)], np.uint64)


def windows(text: str) -> list[str]:
    """The text in pieces of a sentence or a few, within 50 to 260 characters; of a long text the first and the last."""
    if len(text) < _SHORT_TEXT:
        return [text]
    found, open_piece = [], ""
    for sentence in _SENTENCE_ENDS.split(text):
        piece = sentence
        while len(piece) > _MOST:
            found.append(piece[:_MOST])
            piece = piece[_MOST - _OVERLAP :]
        if len(piece) < _LEAST and open_piece and len(open_piece) + len(piece) < _MOST:
            open_piece += " " + piece
            continue
        if open_piece:
            found.append(open_piece)
        open_piece = piece
    if open_piece:
        found.append(open_piece)
    half = _MOST_WINDOWS // 2
    return found if len(found) <= _MOST_WINDOWS else found[:half] + found[-half:]


class Grams(NamedTuple):
    """The n-grams of a batch: `texts` has each text's distinct buckets, `buckets` and `window` every occurrence.

    `owner` is the text of each window.
    """

    texts: list[Places]
    buckets: Places
    window: Places
    owner: Places


def grams(texts: Sequence[str]) -> Grams:
    """The n-grams of texts that are normalized; 30,000 at most."""
    pieces = [windows(text) for text in texts]
    owner = np.repeat(np.arange(len(texts)), [len(each) for each in pieces])
    buckets, window = _hashed([piece for each in pieces for piece in each])
    # Sixteen bits are sorted by counting, which takes a tenth of the time.
    of_text = owner[window].astype(np.int16)
    order = np.argsort(of_text, kind="stable")
    edges = np.searchsorted(of_text[order], np.arange(len(texts) + 1))
    ordered, last = buckets[order], np.empty(BUCKETS, np.int32)
    distinct = [_distinct(ordered[edges[i] : edges[i + 1]], last) for i in range(len(texts))]
    return Grams(distinct, buckets, window, owner)


def _distinct(buckets: Places, last: npt.NDArray[np.int32]) -> Places:
    """Each bucket where it stands last; `last` is room for the places of all."""
    places = np.arange(len(buckets), dtype=np.int32)
    last[buckets] = places
    kept: Places = buckets[last[buckets] == places]
    return kept


def _hashed(pieces: Sequence[str]) -> tuple[Places, Places]:
    """(bucket, number of the piece) of every n-gram of every piece."""
    if not pieces:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    joined = "\0".join(f" {_SPACES.sub(' ', piece.replace(_NUL, ' ').strip())} " for piece in pieces) + "\0"
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), _U)
    ends = codes == 0
    piece_of = np.cumsum(ends) - ends
    found = [*_character_grams(codes, ends, piece_of), *_word_grams(codes, piece_of)]
    return np.concatenate([each for each, _ in found]), np.concatenate([each for _, each in found])


def _character_grams(codes: Codes, ends: npt.NDArray[np.bool_], piece_of: Places) -> list[tuple[Places, Places]]:
    size, found = len(codes), []
    single = codes * _U(2_654_435_761)
    rolling = single
    for length in range(2, min(5, size) + 1):
        rolling = ((rolling[: size - length + 1] * _U(0x01000193)) ^ single[length - 1 :]) + _U(length)
        if length > 2:
            within = np.flatnonzero((piece_of[: size - length + 1] == piece_of[length - 1 :]) & ~ends[length - 1 :])
            found.append((_bucket(rolling[within]), piece_of[within]))
    return found


def _word_grams(codes: Codes, piece_of: Places) -> list[tuple[Places, Places]]:
    kinds = _CLASS[np.minimum(codes, 0x10FFFF)]
    inside = kinds >= _LETTER
    starts = inside.copy()
    starts[1:] &= ~((kinds[1:] == kinds[:-1]) & (kinds[1:] != _WORD_ALONE))
    first = np.flatnonzero(starts)
    if not len(first):
        return []
    number = np.maximum(np.cumsum(starts) - 1, 0)
    place = np.clip(np.arange(len(codes)) - first[number], 0, _LONGEST_WORD - 1)
    letters = np.where(inside, codes, 0).astype(np.uint64)
    summed = np.add.reduceat(letters * _POWERS[place], first) * np.uint64(0x9E3779B97F4A7C15)
    words = (summed >> np.uint64(32)).astype(_U)
    words ^= words >> _U(15)
    words *= _U(0x2C1B3C6D)
    pairs = words[:-1] * _U(0x85EBCA6B) + words[1:] * _U(0xC2B2AE35)
    triples = pairs[:-1] * _U(0x85EBCA6B) + words[2:] * _U(0xC2B2AE35)
    gaps = words[:-2] * _U(0x27D4EB2F) + words[2:] * _U(0x165667B1)
    of_word = piece_of[first]
    found = []
    for hashes, length in ((words + _U(77), 1), (pairs + _U(154), 2), (triples + _U(231), 3), (gaps, 3)):
        if len(words) >= length:
            within = of_word[: len(words) - length + 1] == of_word[length - 1 :]
            found.append((_bucket(hashes[within]), of_word[: len(words) - length + 1][within]))
    return found


def _bucket(hashes: Codes) -> Places:
    mixed = hashes ^ (hashes >> _U(15))
    mixed = mixed * _U(0x2C1B3C6D)
    mixed ^= mixed >> _U(12)
    mixed *= _U(0x297A2D39)
    mixed ^= mixed >> _U(15)
    return (mixed >> _U(32 - BITS)).astype(np.int64)
