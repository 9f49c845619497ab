"""Words with their places as PostgreSQL's `tsvector`, in the binary form that `COPY` takes.

As text PostgreSQL reads each vector letter by letter, and sorts it: ten times the work of taking it over as it is.
The form is that of `tsvectorrecv` (src/backend/utils/adt/tsvector.c) and of COPY's binary format.
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa

MOST_POSITION = 16_383
"""The last place that a word can have; those behind it have it, too."""

_MOST_BYTES = 2 * 256
"""Of the places of one word that are kept."""

_NUMBER = struct.Struct(">i").pack
_PLACES = [struct.pack(">H", number) for number in range(1, MOST_POSITION + 1)]
_COUNTS = [b"\0" + struct.pack(">H", size // 2) for size in range(_MOST_BYTES + 1)]
"""The end of a word, and how many places follow, by their bytes."""

_HEAD, _TAIL = b"PGCOPY\n\377\r\n\0" + bytes(8), b"\377\377"
_ROW = struct.Struct(">hiqi").pack
"""Two columns: a number of 8 bytes, and so many bytes of a vector."""


def tsvector(words: Sequence[str]) -> bytes:
    """The words, none of them empty, in the order in which they stand in a text."""
    places: defaultdict[str, bytes] = defaultdict(bytes)
    for each, at in zip(words, _PLACES, strict=False):
        places[each] += at
    for each in words[MOST_POSITION:]:
        if not places[each].endswith(_PLACES[-1]):
            places[each] += _PLACES[-1]
    parts = [_NUMBER(len(places))]
    for each in sorted(places):
        at = places[each]
        if len(at) > _MOST_BYTES:
            at = at[:_MOST_BYTES]
        parts += (each.encode(), _COUNTS[len(at)], at)
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
