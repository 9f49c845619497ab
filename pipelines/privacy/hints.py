"""Which texts of a batch may hold private data: most hold none, and one look at all of them takes less than searches.

It names every text in which `find` finds something, and some more.
"""

import string
from collections.abc import Sequence

from pipelines.characters import Characters, flags, in_a_row, near, runs

_DIGIT, _LETTER, _WORD, _TOKEN, _VALUE, _AT = (1 << bit for bit in range(6))

_LETTERS, _DIGITS = string.ascii_letters.encode(), string.digits.encode()
_KINDS = flags(
    {
        _DIGIT: _DIGITS,
        _LETTER: _LETTERS,
        _WORD: _LETTERS + _DIGITS + b"_",
        _TOKEN: _LETTERS + _DIGITS + b"_-",
        _VALUE: bytes(set(range(1, 256)) - set(b" \t\n\v\f\r\"',;<>(){}[]")),
        _AT: b"@",
    }
)

_MARKS = ("xox", "hooks.slack.com/services/", "eyJ", "-----BEGIN ")
"""What secrets begin with that need not have a digit in a long word."""

_LONG_TOKEN, _SHORTEST_VALUE, _LEAST_DIGITS = 16, 8, 6


_AT_ONCE = 1 << 16
"""Characters that are looked at together, about: they stay in the cache. Longer texts are searched anyway."""


def suspects(texts: Sequence[str]) -> set[int]:
    """The texts, by number, that may hold private data."""
    suspected, part, size = set[int](), list[int](), 0
    for place, text in enumerate(texts):
        if len(text) > _AT_ONCE:
            suspected.add(place)
            continue
        part.append(place)
        size += len(text)
        if size > _AT_ONCE:
            suspected |= _suspects(texts, part)
            part, size = [], 0
    return suspected | _suspects(texts, part) if part else suspected


def _suspects(texts: Sequence[str], places: Sequence[int]) -> set[int]:
    """Those of the texts at these places."""
    texts = [texts[place] for place in places]
    found = Characters(texts, _KINDS)
    digit, letter, word = found.of(_DIGIT), found.of(_LETTER), found.of(_WORD)
    marks = [mark for mark in _MARKS if mark in found.joined]
    suspected = {
        *found.texts(found.of(_AT)),
        *found.texts(runs(found.of(_TOKEN), _LONG_TOKEN) & near(digit, _LONG_TOKEN)),
        *found.texts(runs(found.of(_VALUE), _SHORTEST_VALUE) & near(digit, _SHORTEST_VALUE)),
        *found.texts_with(digit, _LEAST_DIGITS),
        *found.texts(in_a_row([~word, letter, letter, digit, digit])),
        *(number for mark in marks for number, text in enumerate(texts) if mark in text),
    }
    return {places[number] for number in suspected}
