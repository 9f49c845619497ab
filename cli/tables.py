"""Tables that fit: into any terminal by shortening what may be shortened, into a pipe with nothing cut.

In a pipe a row is one line, so that `grep` and `awk` find what is there. A terminal that is too narrow even for what
must not be cut gets one field a line.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from cli.texts import one_line

GAP = 2
LEAST = 8
"""Columns that a shortened field keeps at least."""


class Column(NamedTuple):
    """A column. `cut`: whether a terminal may shorten it; ids, states and numbers are never cut."""

    name: str
    cut: bool = False
    right: bool = False


class Listing:
    """Rows under named columns. A cell is a string, or a `Text` with a style of its own."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> None:
        self._columns = columns
        self._rows = [[_cell(cell) for cell in row] for row in rows]

    def text(self, width: int | None) -> Text:
        """The table for a terminal of `width` columns, or for a pipe (None)."""
        widths = self._widths()
        if width is not None:
            widths = _shrunk(widths, self._columns, width)
            if _whole(widths) > width:
                return self._records(width)
        heads = [Text(column.name, "bold") for column in self._columns]
        return Text("\n").join(self._line(row, widths) for row in [heads, *self._rows])

    def _widths(self) -> list[int]:
        return [
            max(cell_len(column.name), *(cell_len(row[at].plain) for row in self._rows), 0)
            for at, column in enumerate(self._columns)
        ]

    def _line(self, cells: Sequence[Text], widths: Sequence[int]) -> Text:
        fitted = []
        for cell, column, width in zip(cells, self._columns, widths, strict=True):
            cut = _cut(cell, width)
            space = " " * (width - cell_len(cut.plain))
            fitted.append(Text.assemble(space, cut) if column.right else Text.assemble(cut, space))
        line = Text(" " * GAP).join(fitted)
        line.rstrip()
        return line

    def _records(self, width: int) -> Text:
        """One field a line, a blank line between rows: here a long value is broken by the terminal, not cut."""
        name = max(cell_len(column.name) for column in self._columns)
        blocks = []
        for row in self._rows:
            shown = [(c, v) for c, v in zip(self._columns, row, strict=True) if v.plain]
            room = max(LEAST, width - name - GAP)
            lines = [
                Text.assemble((f"{c.name:<{name + GAP}}", "bold"), _cut(v, room) if c.cut else v) for c, v in shown
            ]
            blocks.append(Text("\n").join(lines))
        return Text("\n\n").join(blocks)


def _cell(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(one_line(cell))


def _whole(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _shrunk(widths: Sequence[int], columns: Sequence[Column], width: int) -> list[int]:
    """The widths with the longest of what may be cut made shorter until all fits, or nothing more can be cut."""
    fitted = list(widths)
    while _whole(fitted) > width:
        longest = max((at for at, column in enumerate(columns) if column.cut), key=fitted.__getitem__, default=None)
        if longest is None or fitted[longest] <= LEAST:
            break
        others = [fitted[at] for at, column in enumerate(columns) if column.cut and at != longest]
        next_longest = max([LEAST, *(size for size in others if size < fitted[longest])])
        over = _whole(fitted) - width
        fitted[longest] -= min(over, max(1, fitted[longest] - next_longest))
    return fitted


def _cut(cell: Text, width: int) -> Text:
    if cell_len(cell.plain) <= width:
        return cell
    return Text(set_cell_size(cell.plain, width - 1).rstrip() + "…", cell.style)
