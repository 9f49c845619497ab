"""What is no language: statistics of a text, beside a character model and a list of known words.

They feed small trees (`pipelines.guard.abuse.trees`). The order of the statistics is part of the weights.
"""

import math
import re
import zlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

READ = 1_200
"""Characters of a text that are measured."""

PAIR_BITS, TRIPLE_BITS, WORD_BITS = 16, 18, 18

LEAST_CHARACTERS = 12
"""A shorter text is too little to be called noise."""

STEP = 6
"""The character model's logarithms are kept in steps of a sixth."""

_UNKNOWN = -8.0
_STRETCH = 40
_VOWELS = "aeiouy"
_U = np.uint32
_WORD = re.compile(r"[^\W\d_]+")
_CUT_AT_VOWELS = str.maketrans(dict.fromkeys(_VOWELS, "\n"))


@dataclass(frozen=True, slots=True)
class CharacterModel:
    """How usual pairs and triples of characters are (logarithms), and one bit for each word that is known."""

    pairs: npt.NDArray[np.int8]
    triples: npt.NDArray[np.int8]
    words: bytes

    def knows(self, word: str) -> bool:
        """Whether the word, in lower case, was seen in training (or shares its bit with one that was)."""
        bit = word_bit(word)
        return bool(self.words[bit >> 3] >> (7 - (bit & 7)) & 1)


def word_bit(word: str) -> int:
    """The bit of a word."""
    return zlib.crc32(word.encode("utf-8", "ignore")) & ((1 << WORD_BITS) - 1)


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


def character_hashes(text: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The places of a text's pairs and triples of characters in the model. Beyond Latin, scripts count, not letters."""
    codes: npt.NDArray[np.uint32] = np.frombuffer(f" {text.lower()} ".encode("utf-32-le", "surrogatepass"), _U)
    codes = np.where(codes > 0x24F, (codes >> _U(5)) + _U(0x1000), codes).astype(_U)
    pairs = codes[1:] + codes[:-1] * _U(0x01000193)
    triples = (codes[2:] * _U(0x85EBCA6B) + pairs[:-1] * _U(0x27D4EB2F)).astype(_U)
    return _place(pairs, PAIR_BITS), _place(triples, TRIPLE_BITS)


def _place(hashes: npt.NDArray[np.uint32], bits: int) -> npt.NDArray[np.int64]:
    mixed: npt.NDArray[np.uint32] = hashes * _U(0x9E3779B1)
    return (mixed >> _U(32 - bits)).astype(np.int64)


def statistics(text: str, model: CharacterModel) -> list[float]:
    """The measures of one text."""
    size, read = len(text), text[:READ]
    count = len(read) or 1
    chars = Counter(read)
    return [
        math.log(size + 1),
        *_shares(chars, count),
        len(chars) / count**0.5,
        -sum(n / count * math.log(n / count) for n in chars.values()),
        _compressed(read, count),
        math.log(_longest_run(read) + 1),
        *_of_words(read.lower(), model),
        *_usual(read, model),
        read.count("?") / count * 50,
        read.count("!") / count * 50,
        float("http" in read or "www." in read),
    ]


NAMES = (
    "log_length", "letters", "digits", "others", "spaces", "capitals", "beyond_ascii", "variety", "entropy",
    "compression", "longest_run", "commonest_word", "different_words", "word_length", "longest_word", "vowels",
    "consonants_in_a_row", "known_words", "words", "usual", "least_usual", "questions", "exclamations", "links",
)  # fmt: skip
"""What the statistics are, in their order."""


def _shares(chars: Counter[str], count: int) -> list[float]:
    """The shares of letters, digits, others, spaces, capitals and what is beyond ASCII."""

    letters = digits = spaces = capitals = beyond = 0
    for char, number in chars.items():
        if char.isalpha():
            letters += number
            capitals += number * char.isupper()
        elif char.isdigit():
            digits += number
        elif char.isspace():
            spaces += number
        beyond += number * (char > "\x7f")
    others = count - letters - digits - spaces
    return [each / count for each in (letters, digits, others, spaces, capitals, beyond)]


def _compressed(text: str, count: int) -> float:
    """What is left of the text by compression; short texts tell little, and count as incompressible."""
    data = text.encode("utf-8", "ignore")
    left = len(zlib.compress(data, 1)) / max(len(data), 1)
    return left * min(1.0, count / 200) + max(0.0, 1 - count / 200)


def _longest_run(text: str) -> int:
    """How often one character stands in a row at most."""
    if len(text) < 2:
        return 1
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), _U)
    changes = np.flatnonzero(codes[1:] != codes[:-1])
    if not len(changes):
        return len(text)
    return int(max(changes[0] + 1, len(codes) - 1 - changes[-1], np.diff(changes).max(initial=0)))


def _of_words(lowered: str, model: CharacterModel) -> list[float]:
    words = _WORD.findall(lowered)
    count = len(words) or 1
    counted = Counter(words)
    ascii_words = [word for word in words if word.isascii()]
    letters = "".join(ascii_words)
    long = [word for word in counted if len(word) > 2]
    known = sum(counted[word] for word in long if model.knows(word)) / (sum(counted[word] for word in long) or 1)
    between = " ".join([word for word in words[:200] if word.isascii()]).translate(_CUT_AT_VOWELS).split("\n")
    return [
        max(counted.values(), default=0) / count,
        len(counted) / count,
        sum(map(len, words)) / count,
        math.log(max(map(len, words), default=0) + 1),
        sum(map(letters.count, _VOWELS)) / (len(letters) or 1),
        max(map(len, between)),
        known,
        len(long),
    ]


def _usual(text: str, model: CharacterModel) -> list[float]:
    """How usual the characters are, in the mean and in the tenth of the stretches that are least so."""
    pairs, triples = character_hashes(text)
    if not len(triples):
        return [_UNKNOWN, _UNKNOWN]
    usual = (model.triples[triples].astype(np.float32) - 0.7 * model.pairs[pairs[:-1]]) / STEP
    mean = float(usual.mean())
    if len(usual) <= _STRETCH:
        return [mean, mean]
    summed = np.cumsum(usual)
    stretches = np.sort(summed[_STRETCH:] - summed[:-_STRETCH])
    return [mean, float(stretches[(len(usual) - _STRETCH) // 10]) / _STRETCH]
