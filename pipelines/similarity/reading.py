"""What the pair model reads of one text: its letters, words, numbers and small words that turn the meaning."""

import re
import string
import unicodedata
from typing import NamedTuple

from pipelines.letters import table
from pipelines.similarity.plain import plain

MOST_CHARACTERS = 2_000
"""Characters of a text that are compared closely: two thirds from its beginning, one from its end."""

_WORD = re.compile(r"[^\W_]+(?:'[a-z]+)?|[\u0e00-\u0e7f\u3040-\u9fff]")
_ALONE = re.compile("([\u0e00-\u0e7f\u3040-\u9fff])")
_OPERATOR = re.compile(r"[<>=+*^%]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NOT = re.compile(r"\b(is|are|was|were|do|does|did|ca|could|would|should|wo|has|have|had)n't|\b(can)not\b")
_NO_LONGER = re.compile(r"\bno longer\b")
_NO_WORD = re.compile(r"[\W_]+")
_ACCENTS = re.compile("(?<=[a-z])[\u0300-\u036f]+")
_LEET_WORD = re.compile(r"(?<![a-z0-9@$])[a-z0-9@$]{0,20}[a-z][013457@$][a-z][a-z0-9@$]{0,20}")
_LEET = str.maketrans("013457@$", "oieastas")
_NUMBERS_OPERATORS = table(d=string.digits.encode(), o=b"<>=+*^%")
_NO_WORD_BYTES = bytes(set(range(128)) - set((string.ascii_letters + string.digits).encode()))
_AMONG_LETTERS = table(a=string.ascii_lowercase.encode(), o=b"013457@$")


class Reading(NamedTuple):
    """A text in the forms that are compared: plain, its letters without spaces, its words, numbers and operators."""

    text: str
    letters: str
    words: list[str]
    numbers: list[str]
    operators: list[str]
    has_words: bool


def excerpt(text: str, most: int = MOST_CHARACTERS) -> str:
    """The text, or what is read of it: the first two thirds of `most` characters, and the rest from its end."""
    if len(text) <= most:
        return text
    head = most * 2 // 3
    return f"{text[:head]} {text[head + 1 - most :]}"


def read(text: str) -> Reading:
    """The forms of a text, of which `excerpt` is read."""
    lowered = plain(excerpt(text))[:MOST_CHARACTERS].replace("’", "'")
    clear = _without_leet(_without_accents(lowered))
    letters = _letters(clear) or clear
    words = _WORD.findall(_with_plain_nots(clear) if clear.isascii() else _ALONE.sub(r" \1 ", _with_plain_nots(clear)))
    kinds = lowered.encode("latin-1", "replace").translate(_NUMBERS_OPERATORS)
    numbers = _NUMBER.findall(lowered) if b"d" in kinds or not lowered.isascii() else []
    return Reading(lowered, letters, words, numbers, _OPERATOR.findall(lowered) if b"o" in kinds else [], bool(words))


def _letters(text: str) -> str:
    if text.isascii():
        return text.encode().translate(None, _NO_WORD_BYTES).decode()
    return _NO_WORD.sub("", text)


def _without_leet(text: str) -> str:
    if b"aoa" not in text.encode("latin-1", "replace").translate(_AMONG_LETTERS):
        return text
    return _LEET_WORD.sub(lambda match: match[0].translate(_LEET), text)


def _with_plain_nots(text: str) -> str:
    if "n't" in text or "cannot" in text:
        text = _NOT.sub(r"\1\2 not", text)
    return _NO_LONGER.sub("not", text) if "no longer" in text else text


def _without_accents(text: str) -> str:
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", text)))
