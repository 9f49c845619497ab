"""The form in which texts are compared, and the fingerprint of that form."""

import hashlib
import re
import unicodedata

from pipelines.letters import INVISIBLE, LATIN_OF, single_spaced

_MORE_LATIN = dict(zip("ıɡɑոսօհӏԝѵʀɩǀ", "iganuohlwvril", strict=True))
_LOOK_ALIKES = {chr(code): latin for code, latin in LATIN_OF.items()} | _MORE_LATIN
_LOOK_ALIKE = re.compile(f"[{''.join(_LOOK_ALIKES)}]")
_ALSO_INVISIBLE = re.compile("[\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0]")
_PIECE = 200


def plain(text: str) -> str:
    """The text without what does not matter: case, white space, invisible characters, letters that look like others.

    What looks like a Latin letter becomes one in every text, so that it does not depend on how many were replaced.
    Linear in the length of the text.
    """
    if text.isascii():
        return single_spaced(text.lower())
    # Most texts have few different characters, and nothing to undo: they are asked first, since it takes a tenth.
    seen = "".join(set(text))
    if INVISIBLE.search(seen) or _ALSO_INVISIBLE.search(seen):
        text = _ALSO_INVISIBLE.sub("", INVISIBLE.sub("", text))
    folded = _folded(text)
    for letter in set(_LOOK_ALIKE.findall("".join(set(folded)))):
        folded = folded.replace(letter, _LOOK_ALIKES[letter])
    return " ".join(folded.split())


def fingerprint(text: str) -> str:
    """32 hexadecimal digits that are equal for texts that are equal in `plain`."""
    return hashlib.blake2b(plain(text).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _folded(text: str) -> str:
    """Unicode's compatible caseless form; of very long words piece by piece.

    To put accents into order, the algorithm takes the square of how many there are in a row.
    """
    words = text.split()
    if max(map(len, words), default=0) <= _PIECE:
        return _fold(" ".join(words))
    return " ".join(["".join([_fold(word[i : i + _PIECE]) for i in range(0, len(word), _PIECE)]) for word in words])


def _fold(text: str) -> str:
    return _composed(_composed(text).casefold())


def _composed(text: str) -> str:
    return text if unicodedata.is_normalized("NFKC", text) else unicodedata.normalize("NFKC", text)
