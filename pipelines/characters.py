"""What stands in the texts of a batch, seen in all of them at once: the look before a pattern, which takes far longer.

A character is a byte, of Latin-1; what is beyond it counts as a question mark. A zero stands before each text.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Marks = npt.NDArray[np.bool_]
"""Whether something is at each place."""

_BEFORE = "\0"


def flags(kinds: Mapping[int, bytes]) -> bytes:
    """The table for `Characters`: each character with the sum of the numbers (1, 2, 4 …) of its kinds."""
    made = bytearray(256)
    for flag, members in kinds.items():
        for member in members:
            made[member] |= flag
    return bytes(made)


class Characters:
    """The characters of some texts, and their kinds by a table of `flags`."""

    def __init__(self, texts: Sequence[str], table: bytes) -> None:
        self.joined = _BEFORE + _BEFORE.join(texts)
        self.data = self.joined.encode("latin-1", "replace")
        self._kinds = np.frombuffer(self.data.translate(table), np.uint8)
        self._edges = np.cumsum([len(text) + 1 for text in texts])

    def of(self, kind: int) -> Marks:
        """Where characters of a kind are."""
        found: Marks = (self._kinds & np.uint8(kind)) != 0
        return found

    def texts(self, marks: Marks) -> list[int]:
        """The texts in which something is marked."""
        return self.texts_with(marks, 1)

    def texts_with(self, marks: Marks, least: int) -> list[int]:
        """The texts in which so many places are marked, or more."""
        places = np.flatnonzero(marks)
        if len(places) < least:
            return []
        found: list[int] = np.flatnonzero(np.bincount(np.searchsorted(self._edges, places, "right")) >= least).tolist()
        return found


def in_a_row(marks: Sequence[Marks]) -> Marks:
    """Where each of these is marked, one place after the other; told at the place of the first."""
    size = max(0, len(marks[0]) - len(marks) + 1)
    found = marks[0][:size]
    for place, each in enumerate(marks[1:], 1):
        found = found & each[place : place + size]
    return found


def runs(marks: Marks, length: int) -> Marks:
    """Where so many in a row are marked; told at the place of the first."""
    return _widened(marks, length, np.bitwise_and)


def near(marks: Marks, length: int) -> Marks:
    """Where any of so many in a row is marked; told at the place of the first."""
    return _widened(marks, length, np.bitwise_or)


def _widened(marks: Marks, length: int, both: np.ufunc) -> Marks:
    """Twice as wide with each step, so that it takes few."""
    if len(marks) < length:
        return marks[:0]
    wide = 1
    while wide < length:
        step = min(wide, length - wide)
        marks, wide = both(marks[:-step], marks[step:]), wide + step
    return marks
