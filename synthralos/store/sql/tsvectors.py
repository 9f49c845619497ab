"""Words with their places as PostgreSQL's `tsvector`, in the binary form that `COPY` takes.

As text PostgreSQL reads each vector letter by letter, and sorts it: ten times the work of taking it over as it is.
The form is that of `tsvectorrecv` (src/backend/utils/adt/tsvector.c) and of COPY's binary format.
"""

import struct
from collections.abc import Iterable
from itertools import chain, repeat
from typing import Any

import psycopg
import sqlalchemy as sa

MOST_POSITION = 16_383
"""The last place that a word can have; those behind it have it, too."""

_MOST_PLACES = 256
"""Places of one word that are kept."""

_NUMBER = struct.Struct(">i").pack
_PLACES = [struct.pack(">H", number) for number in range(1, MOST_POSITION + 1)]
_COUNTS = [b"\0" + struct.pack(">H", number) for number in range(_MOST_PLACES + 1)]
"""The end of a word, and how many places follow."""

_HEAD, _TAIL = b"PGCOPY\n\377\r\n\0" + bytes(8), b"\377\377"
_ROW = struct.Struct(">hiqi").pack
"""Two columns: a number of 8 bytes, and so many bytes of a vector."""


def tsvector(words: Iterable[str]) -> bytes:
    """The words, none of them empty, in the order in which they stand in a text."""
    places: dict[str, bytes] = {}
    known = places.get
    for each, at in zip(words, chain(_PLACES, repeat(_PLACES[-1])), strict=False):
        places[each] = known(each, b"") + at
    parts = [_NUMBER(len(places))]
    for each in sorted(places):
        at = places[each]
        if at[-4:-2] == _PLACES[-1]:
            at = at[: at.index(_PLACES[-1] * 2)] + _PLACES[-1]
        at = at[: 2 * _MOST_PLACES]
        parts += (each.encode(), _COUNTS[len(at) // 2], at)
    return b"".join(parts)


def copy_vectors(connection: sa.Connection, into: str, rows: Iterable[tuple[int, bytes]]) -> None:
    """Put rows of a number and a vector into a table's columns: `into` is `table (number, vector)`.

    Raises psycopg's errors.
    """
    body = b"".join([_ROW(2, 8, number, len(vector)) + vector for number, vector in rows])
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN (FORMAT BINARY)".encode()) as copy:
            copy.write(_HEAD + body + _TAIL)
    except psycopg.Error as error:
        if driver.closed:
            connection.invalidate(error)
        raise
