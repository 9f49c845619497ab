"""Undoing what hides words from a reader of bytes: look-alike letters, invisible ones, spaced or encoded text.

Everything here is linear in the length of the text: no pattern can backtrack over more than a few characters.
"""

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable

from pipelines.letters import INVISIBLE, LATIN_OF

MOST_CHARACTERS = 6_000
"""Characters of a text that are looked at: two thirds from its beginning, one from its end."""

_DECODED = 4
"""Encoded passages of one text that are decoded."""

_LATIN = re.compile("[a-z]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{20,}={0,2}")
_HEX = re.compile(r"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{2}[ :]?){12,60}")
_MAYBE_SPACED = re.compile(r"(?<!\w)\w([ .\-_*])\w\1\w\1\w\1")
_SPACED = re.compile(r"(?:\b\w[ .\-_*]){4,200}\w\b")
_MAYBE_LEET = re.compile(r"[a-z][013457@$]|[013457@$][a-z]")
_LEET_WORD = re.compile(
    r"(?<![a-z])[a-z]{1,40}[013457@$][a-z013457@$]{0,40}|(?<![a-z013457@$])[013457@$]{1,20}[a-z][a-z013457@$]{1,40}"
)
_LEET = str.maketrans("013457@$", "oieastas")
_HEAD = 400


def normalize(text: str) -> str:
    """The text in lower case as a reader would take it, with what was encoded in it behind it."""
    if len(text) > MOST_CHARACTERS:
        text = text[: MOST_CHARACTERS * 2 // 3] + " " + text[-MOST_CHARACTERS // 3 :]
    if not text.isascii():
        text = _plain_letters(text)
    lowered = "\n".join([text, *_decoded(text)]).lower()
    if _MAYBE_SPACED.search(lowered):
        lowered = _SPACED.sub(lambda match: match[0][::2], lowered)
    if _MAYBE_LEET.search(lowered):
        lowered = _LEET_WORD.sub(lambda match: _without_leet(match[0]), lowered)
    return lowered


def _plain_letters(text: str) -> str:
    text = INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    lowered = text.lower()
    head = lowered[:_HEAD]
    other, latin = sum("\u0370" <= c <= "\u04ff" for c in head), len(_LATIN.findall(head))
    if 0 < other < latin:
        text = lowered.translate(LATIN_OF)
    if latin > len(head) // 2:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if not "\u0300" <= c <= "\u036f")
    return text


def _decoded(text: str) -> list[str]:
    """What passages in Base64 and hexadecimal say, where that is text."""
    found = []
    decoders: tuple[tuple[re.Pattern[str], Callable[[str], bytes]], ...] = ((_BASE64, _base64), (_HEX, _hex))
    for pattern, decode in decoders:
        for match, _ in zip(pattern.finditer(text), range(_DECODED), strict=False):
            passage = match[0]
            if passage.islower() and passage.isalpha():
                continue
            try:
                said = decode(passage).decode()
            except (ValueError, binascii.Error):
                continue
            if said.isprintable():
                found.append(said)
    return found


def _base64(passage: str) -> bytes:
    return base64.b64decode(passage + "=" * (-len(passage.rstrip("=")) % 4))


def _hex(passage: str) -> bytes:
    return bytes.fromhex(passage.replace(" ", "").replace(":", ""))


def _without_leet(word: str) -> str:
    letters = sum(c.isalpha() for c in word)
    return word.translate(_LEET) if letters * 2 > len(word) else word
