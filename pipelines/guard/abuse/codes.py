"""A batch of texts as one array of code points, so that it costs a few passes of numpy and no loop over characters."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]

LONGEST_WORD = 64
"""Characters of a word that tell it apart."""

_PADDING = "\0\0\0\0"
_U = np.uint32
_NOWHERE: Places = np.zeros(0, np.int64)
_POWERS = np.array([pow(0x01000193, i, 1 << 32) for i in range(LONGEST_WORD)], _U)


class Laid(NamedTuple):
    """Texts one behind the other, each from its `begin` to its `end`, a space before and behind its characters.

    Four zeros follow each: five characters from any place of a text hold nothing of the next one. `latin` has a byte
    for each code, which is a question mark for what is beyond Latin-1; the places of these are `beyond`.
    """

    codes: Codes
    begin: Places
    end: Places
    latin: bytes
    beyond: Places

    def owner(self) -> Places:
        """The number of the text at each place; the zeros belong to the text before them."""
        return np.repeat(np.arange(len(self.begin)), gaps(self.begin, len(self.codes)))

    @property
    def narrow(self) -> npt.NDArray[np.unsignedinteger]:
        """The codes, in a byte each where they fit: what is only compared is read four times as fast so."""
        return self.codes if len(self.beyond) else np.frombuffer(self.latin, np.uint8)

    def kinds(self, table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """What a table by code point says of each code; those beyond its end count as its last one."""
        found = np.frombuffer(self.latin.translate(table[:256].tobytes()), np.uint8)
        if len(self.beyond):
            found = found.copy()
            found[self.beyond] = table[np.minimum(self.codes[self.beyond], len(table) - 1)]
        return found


class Words(NamedTuple):
    """Words by their first places, lengths and hashes; those of text `i` are from `edges[i]` to `edges[i + 1]`."""

    first: Places
    length: Places
    hashes: Codes
    edges: Places

    def owner(self) -> Places:
        """The number of each word's text."""
        return np.repeat(np.arange(len(self.edges) - 1), np.diff(self.edges))


def gaps(places: Places, end: int) -> Places:
    """How far it is from each place to the next, and from the last one to the end; at least one place."""
    found = np.empty_like(places)
    np.subtract(places[1:], places[:-1], out=found[:-1])
    found[-1] = end - places[-1]
    return found


def lay(texts: Sequence[str]) -> Laid:
    """The texts, at least one, none of which may hold a zero."""
    joined = "".join([f" {text} {_PADDING}" for text in texts])
    latin = joined.encode("latin-1", "replace")
    if joined.isascii():
        codes, beyond = np.frombuffer(latin, np.uint8).astype(_U), _NOWHERE
    else:
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), _U)
        beyond = np.flatnonzero(codes > 0xFF)
    lengths = np.array([len(text) + 2 for text in texts])
    after = np.cumsum(lengths + len(_PADDING))
    begin = after - lengths - len(_PADDING)
    return Laid(codes, begin, begin + lengths, latin, beyond)


def words(laid: Laid, kinds: npt.NDArray[np.uint8], least: int, alone: int) -> Words:
    """Stretches of one kind, from `least` on; each character of the kind `alone` is a word by itself."""
    inside = kinds >= least
    starts = inside.copy()
    starts[1:] &= (kinds[1:] != kinds[:-1]) | (kinds[1:] == alone)
    first = np.flatnonzero(starts)
    if not len(first):
        return Words(_NOWHERE, _NOWHERE, _NOWHERE.astype(_U), np.zeros(len(laid.begin) + 1, np.int64))
    within = np.flatnonzero(inside)
    of_word = np.cumsum(starts[within]) - 1
    place = np.minimum(within - first[of_word], LONGEST_WORD - 1)
    begins = np.flatnonzero(starts[within])
    hashes = np.add.reduceat(laid.codes[within] * _POWERS[place], begins, dtype=_U)
    length = gaps(begins, len(within))
    edges = np.searchsorted(first, np.append(laid.begin, len(laid.codes)))
    return Words(first, length, hashes * _U(0x9E3779B1) ^ (hashes >> _U(13)), edges)
