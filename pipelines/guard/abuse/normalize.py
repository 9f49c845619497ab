"""Undoing what hides words from a reader of bytes: look-alike letters, invisible ones, spaced or encoded text.

Everything here is linear in the length of the text: no pattern can backtrack over more than a few characters.
"""

import base64
import binascii
import re
import string
import unicodedata
from collections.abc import Callable

from pipelines.letters import INVISIBLE, LATIN_OF, single_spaced, table

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


_ENCODED_LETTERS = (string.ascii_letters + string.digits + "+/").encode()
_LONG = table(e=_ENCODED_LETTERS)
_HEXADECIMAL = table(h=string.hexdigits.encode())
_SINGLE = table(x=(string.ascii_letters + string.digits + "_").encode() + bytes(range(128, 256)) + b"?", s=b" .-_*")
_MIXED = table(a=string.ascii_letters.encode(), o=b"013457@$")


def normalize(text: str) -> str:
    """The text in lower case as a reader would take it, single-spaced, with what was encoded in it behind it."""
    if len(text) > MOST_CHARACTERS:
        text = text[: MOST_CHARACTERS * 2 // 3] + " " + text[-MOST_CHARACTERS // 3 :]
    if not text.isascii():
        text = _plain_letters(text)
    lowered = "\n".join([text, *_decoded(text)]).lower()
    # A pattern takes ten times as long as a look for what it has to hold.
    data = lowered.encode("latin-1", "replace")
    if b"xsxsxs" in data.translate(_SINGLE):
        lowered = _SPACED.sub(lambda match: match[0][::2], lowered)
    kinds = data.translate(_MIXED)
    if b"ao" in kinds or b"oa" in kinds:
        lowered = _LEET_WORD.sub(lambda match: _without_leet(match[0]), lowered)
    return single_spaced(lowered.replace("\0", " "))


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


def _decoded(text: str) -> list[str]:
    """What passages in Base64 and hexadecimal say, where that is text."""
    data, found = text.encode("latin-1", "replace"), []
    decoders: list[tuple[re.Pattern[str], Callable[[str], bytes]]] = []
    if b"e" * 20 in data.translate(_LONG):
        decoders.append((_BASE64, _base64))
    if b"h" * 24 in data.translate(_HEXADECIMAL, b" :"):
        decoders.append((_HEX, _hex))
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
