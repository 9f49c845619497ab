"""Undoing what hides words from a reader of bytes: look-alike letters, invisible ones, spaced or encoded text.

Everything here is linear in the length of the text: no pattern can backtrack over more than a few characters.
"""

import base64
import binascii
import re
import string
import unicodedata
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

from pipelines.characters import Characters, flags, in_a_row, runs
from pipelines.letters import INVISIBLE, LATIN_OF, single_spaced

MOST_CHARACTERS = 6_000
"""Characters of a text that are looked at: two thirds from its beginning, one from its end."""

_DECODED = 4
"""Encoded passages of one text that are decoded."""

_LATIN = re.compile("[a-z]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{20,}={0,2}")
_HEX = re.compile(r"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{2}[ :]?){12,60}")
_SPACED = re.compile(r"(?:\b\w[ .\-_*]){4,200}\w\b")
_LEET_WORD = re.compile(
    r"(?<![a-z])[a-z]{1,40}[013457@$][a-z013457@$]{0,40}|(?<![a-z013457@$])[013457@$]{1,20}[a-z][a-z013457@$]{1,40}"
)
_LEET = str.maketrans("013457@$", "oieastas")
_HEAD = 400


_ENCODED_LETTER, _HEXADECIMAL, _SINGLE, _SEPARATOR, _LETTER, _LEET_LETTER = (1 << bit for bit in range(6))
_KINDS = flags(
    {
        _ENCODED_LETTER: (string.ascii_letters + string.digits + "+/").encode(),
        _HEXADECIMAL: string.hexdigits.encode(),
        _SINGLE: (string.ascii_letters + string.digits + "_").encode() + bytes(range(128, 256)) + b"?",
        _SEPARATOR: b" .-_*",
        _LETTER: string.ascii_letters.encode(),
        _LEET_LETTER: b"013457@$",
    }
)
_DIGITS = bytes(ord("h") if flag & _HEXADECIMAL else ord(".") for flag in _KINDS)


class _Hints(NamedTuple):
    """The texts, by number, in which something may be hidden in each way."""

    base64: list[int]
    hexadecimal: list[int]
    spaced: list[int]
    leet: list[int]


def normalize(text: str) -> str:
    """See `normalize_each`."""
    return normalize_each([text])[0]


def normalize_each(texts: Sequence[str]) -> list[str]:
    """The texts in lower case as a reader would take them, single-spaced, with what was encoded in each behind it."""
    read = [text if text.isascii() else _plain_letters(text) for text in map(_shortened, texts)]
    lowered = [text.lower() for text in read]
    hints = _hints(Characters(lowered, _KINDS))
    decoded = _decoded(read, hints)
    for place, said in decoded.items():
        lowered[place] = "\n".join([read[place], *said]).lower()
    # What was encoded may hide something in turn.
    for place in {*hints.spaced, *decoded}:
        lowered[place] = _SPACED.sub(lambda match: match[0][::2], lowered[place])
    for place in {*hints.leet, *decoded}:
        lowered[place] = _LEET_WORD.sub(lambda match: _without_leet(match[0]), lowered[place])
    return [single_spaced(text.replace("\0", " ")) for text in lowered]


def _shortened(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    return text[: MOST_CHARACTERS * 2 // 3] + " " + text[-MOST_CHARACTERS // 3 :]


def _hints(found: Characters) -> _Hints:
    """A pattern takes ten times as long as a look for what it has to hold."""
    single, separator, letter, leet = map(found.of, (_SINGLE, _SEPARATOR, _LETTER, _LEET_LETTER))
    hexadecimal = found.texts(found.of(_HEXADECIMAL)) if b"h" * 24 in found.data.translate(_DIGITS, b" :") else []
    return _Hints(
        base64=found.texts(runs(found.of(_ENCODED_LETTER), 20)),
        hexadecimal=hexadecimal,
        spaced=found.texts(in_a_row([single, separator] * 3)),
        leet=found.texts(in_a_row([letter, leet]) | in_a_row([leet, letter])),
    )


def _plain_letters(text: str) -> str:
    text = INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    lowered = text.lower()
    head = lowered[:_HEAD]
    other, latin = sum("\u0370" <= c <= "\u04ff" for c in head), len(_LATIN.findall(head))
    if 0 < other < latin:
        text = lowered.translate(LATIN_OF)
    if latin > len(head) // 2:
        bare = "".join(c for c in unicodedata.normalize("NFD", text) if not "\u0300" <= c <= "\u036f")
        text = unicodedata.normalize("NFC", bare)  # Korean syllables are whole again
    return text


def _decoded(texts: Sequence[str], hints: _Hints) -> dict[int, list[str]]:
    """What passages in Base64 and hexadecimal say, where that is text, by the number of the text."""
    decoders: tuple[tuple[list[int], re.Pattern[str], Callable[[str], bytes]], ...] = (
        (hints.base64, _BASE64, _base64),
        (hints.hexadecimal, _HEX, _hex),
    )
    found: dict[int, list[str]] = {}
    for places, pattern, decode in decoders:
        for place in places:
            passages = islice(pattern.finditer(texts[place]), _DECODED)
            said = [said for passage in passages if (said := _said(passage[0], decode)) is not None]
            if said:
                found.setdefault(place, []).extend(said)
    return found


def _said(passage: str, decode: Callable[[str], bytes]) -> str | None:
    """What an encoded passage says; None where it is a long word, or no text."""
    if passage.islower() and passage.isalpha():
        return None
    try:
        said = decode(passage).decode()
    except (ValueError, binascii.Error):
        return None
    return said if said.isprintable() else None


def _base64(passage: str) -> bytes:
    return base64.b64decode(passage + "=" * (-len(passage.rstrip("=")) % 4))


def _hex(passage: str) -> bytes:
    return bytes.fromhex(passage.replace(" ", "").replace(":", ""))


def _without_leet(word: str) -> str:
    letters = sum(c.isalpha() for c in word)
    return word.translate(_LEET) if letters * 2 > len(word) else word
