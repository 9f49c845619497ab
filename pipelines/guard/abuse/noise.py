"""What is no language: statistics of a batch of texts, beside a character model and a list of known words.

They feed small trees (`pipelines.guard.abuse.trees`). The order of the statistics is part of the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.guard.abuse.codes import Codes, Laid, Places, Words, gaps, lay, words

READ = 800
"""Characters of a text that are measured."""

PAIR_BITS, TRIPLE_BITS, WORD_BITS = 16, 18, 18

LEAST_CHARACTERS = 12
"""A shorter text is too little to be called noise."""

STEP = 6
"""The character model's logarithms are kept in steps of a sixth."""

NAMES = (
    "log_length", "letters", "digits", "others", "spaces", "capitals", "beyond_ascii", "questions", "exclamations",
    "links", "variety", "entropy", "different_fours", "longest_run", "commonest_word", "different_words",
    "word_length", "longest_word", "known_words", "words", "vowels", "consonants_in_a_row", "usual", "least_usual",
)  # fmt: skip
"""What the statistics are, in their order."""

_STRETCH = 40
_CHARACTER_BITS, _FOUR_BITS = 8, 12
_U = np.uint32
_OTHER, _SPACE, _DIGIT, _LETTER, _CAPITAL = range(5)
_VOWEL, _CONSONANT = 1, 2

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CharacterModel:
    """How usual pairs and triples of characters are (logarithms), and whether the words of a hash are known."""

    pairs: npt.NDArray[np.int8]
    triples: npt.NDArray[np.int8]
    known: npt.NDArray[np.bool_]


class Measured(NamedTuple):
    """The beginnings of a batch of texts: as they are, in lower case, and their words."""

    raw: Laid
    lowered: Laid
    kinds: Bytes
    words: Words


def measured(texts: Sequence[str]) -> Measured:
    """What is measured of texts, at least one."""
    heads = [text[:READ].replace("\0", " ") for text in texts]
    raw, lowered = lay(heads), lay([_lowered(head) for head in heads])
    kinds = raw.kinds(_kinds())
    letters = np.minimum(kinds, _LETTER)
    return Measured(raw, lowered, kinds, words(lowered, letters, _LETTER, _CAPITAL))


def _lowered(text: str) -> str:
    """In lower case, each character at its place."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c if len(c.lower()) > 1 else c.lower() for c in text)


@cache
def _kinds() -> Bytes:
    """The kind of the first 65,536 code points; what is beyond them counts as the last of these."""
    found = np.zeros(0x10000, np.uint8)
    for code in range(0x10000):
        char = chr(code)
        if char.isalpha():
            found[code] = _CAPITAL if char.isupper() else _LETTER
        elif char.isdigit():
            found[code] = _DIGIT
        elif char.isspace():
            found[code] = _SPACE
    return found


@cache
def _sounds() -> Bytes:
    """Vowels and consonants, of the letters of ASCII in lower case; no other code point is either."""
    found = np.zeros(257, np.uint8)
    found[ord("a") : ord("z") + 1] = _CONSONANT
    found[[ord(vowel) for vowel in "aeiouy"]] = _VOWEL
    return found


def character_hashes(codes: Codes) -> tuple[Places, Places]:
    """The places in the model of pairs and triples, from each character on. Beyond Latin, scripts count alone."""
    folded: Codes = np.where(codes > 0x24F, (codes >> _U(5)) + _U(0x1000), codes).astype(_U)
    pairs: Codes = folded[1:] + folded[:-1] * _U(0x01000193)
    triples: Codes = folded[2:] * _U(0x85EBCA6B) + pairs[:-1] * _U(0x27D4EB2F)
    return _place(pairs, PAIR_BITS), _place(triples, TRIPLE_BITS)


def _place(hashes: Codes, bits: int) -> Places:
    return (hashes * _U(0x9E3779B1) >> _U(32 - bits)).astype(np.int64)


def word_place(hashes: Codes) -> Places:
    """The places of words among those that are known."""
    return _place(hashes, WORD_BITS)


def statistics(texts: Sequence[str], model: CharacterModel) -> Floats:
    """The measures of each text, a row each."""
    read = measured(texts)
    owner = read.raw.owner()
    count = np.maximum(read.raw.end - read.raw.begin - 2, 1)
    return np.column_stack(
        [
            np.log([len(text) + 1 for text in texts]),
            _shares(read, owner, count),
            np.array(["http" in text[:READ] or "www." in text[:READ] for text in texts], np.float64),
            _characters(read, owner, count),
            _longest_run(read.raw.narrow, read.raw),
            _of_words(read, model),
            _sound(read, owner),
            _usual(read.lowered, model),
        ]
    )


def _shares(read: Measured, owner: Places, count: Places) -> Floats:
    """The shares of letters, digits, others, spaces, capitals, what is beyond ASCII, question and exclamation marks."""
    size, codes = len(count), read.raw.narrow
    found = np.bincount(owner * 5 + read.kinds, minlength=size * 5).reshape(size, 5).astype(np.float64)
    found[:, _SPACE] -= 2
    found[:, _OTHER] -= 4
    beyond, questions, exclamations = (
        np.bincount(owner[mine], minlength=size)
        for mine in (np.flatnonzero(codes > 127), np.flatnonzero(codes == 63), np.flatnonzero(codes == 33))
    )
    capitals = found[:, _CAPITAL]
    letters = found[:, _LETTER] + capitals
    shares = [letters, found[:, _DIGIT], found[:, _OTHER], found[:, _SPACE], capitals, beyond]
    return np.column_stack([*shares, 50 * questions, 50 * exclamations]) / count[:, None]


def _characters(read: Measured, owner: Places, count: Places) -> Floats:
    """Variety and entropy of the characters, and how many fours of them are different."""
    size, codes = len(count), read.raw.codes
    folded = (codes ^ (codes >> _U(8)) * _U(37)) & _U((1 << _CHARACTER_BITS) - 1)
    inside = codes != 0
    places = (owner << _CHARACTER_BITS) + folded
    found = np.bincount(places[inside], minlength=size << _CHARACTER_BITS).reshape(size, -1)
    number = (count + 2)[:, None]
    entropy = np.log(number[:, 0]) - _times_log()[np.minimum(found, READ + 2)].sum(1) / number[:, 0]
    fours = (codes[:-3] * _U(0x9E3779B1) ^ codes[1:-2] * _U(0x85EBCA6B)) + (codes[2:-1] * _U(0xC2B2AE35) ^ codes[3:])
    fours = (fours * _U(0x27D4EB2F) >> _U(32 - _FOUR_BITS)) + (owner[:-3] << _FOUR_BITS)
    seen = np.zeros(size << _FOUR_BITS, bool)
    seen[fours[inside[:-3]]] = True
    return np.column_stack([(found > 0).sum(1) / count**0.5, entropy, seen.reshape(size, -1).sum(1) / number[:, 0]])


@cache
def _times_log() -> Floats:
    """n log n."""
    numbers = np.arange(READ + 3, dtype=np.float64)
    return numbers * np.log(np.maximum(numbers, 1))


def _longest_run(values: npt.NDArray[np.unsignedinteger], laid: Laid, only: int | None = None) -> Floats:
    """The logarithm of how often a value, or the one asked for, stands in a row at most in each text."""
    changes = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    changes[laid.begin] = True
    starts = np.flatnonzero(changes)
    lengths = gaps(starts, len(values)).astype(np.float64)
    lengths[(values[starts] == 0) if only is None else (values[starts] != only)] = 0
    longest: Floats = np.maximum.reduceat(lengths, np.searchsorted(starts, laid.begin))
    return np.log(longest + 1)


def _of_words(read: Measured, model: CharacterModel) -> Floats:
    """The share of the commonest and of different words, their mean and longest length, known ones, long ones."""
    found, size = read.words, len(read.raw.begin)
    owner = found.owner()
    number = np.maximum(np.diff(found.edges), 1)
    # Sorted by text, then by word, whose last bit says whether it is long: equal ones stand together.
    each = np.sort((owner << 33) + (found.hashes.astype(np.int64) << 1) + (found.length > 2))
    first = np.flatnonzero(np.append(True, each[1:] != each[:-1])[: len(each)])
    each, times = each[first], gaps(first, len(each)) if len(first) else first
    of, long = each >> 33, np.flatnonzero(each & 1)
    of_long, times_long = of[long], times[long]
    known = times_long * model.known[word_place((each[long] >> 1).astype(_U))]
    total = np.bincount(of_long, times_long, size)
    return np.column_stack(
        [
            _most(times, of, size) / number,
            np.bincount(of, minlength=size) / number,
            np.bincount(owner, found.length, size) / number,
            np.log(_most(found.length, owner, size) + 1),
            np.bincount(of_long, known, size) / np.maximum(total, 1),
            np.bincount(of_long, minlength=size),
        ]
    )


def _most(values: Places, owner: Places, size: int) -> Floats:
    """The largest value of each owner, of whom those with any stand in order; 0 for those without."""
    most = np.zeros(size)
    if len(owner):
        begin = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
        most[owner[begin]] = np.maximum.reduceat(values, begin)
    return most


def _sound(read: Measured, owner: Places) -> Floats:
    """The share of vowels among the letters of ASCII, and the most consonants in a row."""
    sounds = read.lowered.kinds(_sounds())
    size = len(read.raw.begin)
    found = np.bincount((owner << 2) + sounds, minlength=size << 2).reshape(size, 4)
    vowels, consonants = found[:, _VOWEL], found[:, _CONSONANT]
    row = _longest_run(sounds, read.lowered, _CONSONANT)
    return np.column_stack([vowels / np.maximum(vowels + consonants, 1), row])


def _usual(laid: Laid, model: CharacterModel) -> Floats:
    """How usual the characters are, in the mean and in the tenth of the stretches that are least so."""
    pairs, triples = character_hashes(laid.codes)
    usual = model.triples.take(triples).astype(np.float32) - np.float32(0.7) * model.pairs.take(pairs[:-1])
    used = laid.codes != 0
    usual *= used[:-2] & used[2:]  # no triple that runs out of its text
    size = laid.end - laid.begin - 2
    stretches = np.maximum(size // _STRETCH, 1)
    after = np.cumsum(stretches)
    of = np.repeat(np.arange(len(size)), stretches)
    edges = laid.begin[of] + (np.arange(after[-1]) - (after - stretches)[of]) * _STRETCH
    summed = np.add.reduceat(usual, edges).astype(np.float64)
    lengths = np.full(len(edges), _STRETCH)
    lengths[after - 1] = size - (stretches - 1) * _STRETCH
    order = np.lexsort((summed / np.maximum(lengths, 1), of))
    least = order[after - stretches + stretches // 10]
    means = np.add.reduceat(summed, after - stretches) / np.maximum(size, 1)
    return np.column_stack([means, summed[least] / np.maximum(lengths[least], 1)]) / STEP
