"""Chunks of answers while these are written: kept in batches, read by place, deleted when they are old."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from synthralos.domain.deltas import Chunk, Place
from synthralos.domain.ids import ID_LENGTH
from synthralos.store.sql.database import Database
from synthralos.store.sql.notices import PAYLOAD_BYTES, Notice, encode_notices, told_beside
from synthralos.store.sql.recordset import Columns, Row, encode_rows, insert_ignoring, recordset
from synthralos.store.sql.types import Id, encode_json, id_text
from synthralos.store.tables import stream_chunks

_MOST_BYTES = 4
"""Bytes of a character in UTF-8."""

_COLUMNS: Columns = {"job_id": Id, "attempt_no": sa.Integer(), "number": sa.Integer(), "chunk": sa.Text()}
_PLACES: Columns = {"job_id": Id, "attempt_no": sa.Integer(), "number": sa.Integer()}


CHANNEL = "synthralos_deltas"
"""Where chunks are told."""


class StreamChunks:
    """One statement a batch, whatever it holds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._append, self._after = _append(database.dialect), _after(database.dialect)

    def append(self, chunks: Sequence[Chunk], listened: Collection[str] = ()) -> None:
        """Keep the chunks, and tell those of the jobs `listened` to with the commit; a repeat changes nothing.

        On PostgreSQL it does not wait for the disk: what a crash of the server loses is in the result all the same.
        """
        rows = [
            {
                "job_id": chunk.job_id,
                "attempt_no": chunk.place.attempt,
                "number": chunk.place.chunk,
                "chunk": encode_json(chunk.stored()),
            }
            for chunk in chunks
        ]
        values: dict[str, Any] = {"chunks": encode_rows(rows)}
        if self._database.dialect == "postgresql":
            told = (row for row in rows if row["job_id"] in listened)
            values["notices"] = encode_notices(Notice(CHANNEL, _payload(row)) for row in told)
        with self._database.one_statement() as connection:
            connection.execute(self._append, values)

    def after(self, places: Mapping[str, Place], most: int) -> dict[str, list[Chunk]]:
        """The chunks of each job after its place, in order; of all jobs together `most` at most for each job."""
        found: dict[str, list[Chunk]] = {job_id: [] for job_id in places}
        wanted = [
            {"job_id": job_id, "attempt_no": place.attempt, "number": place.chunk} for job_id, place in places.items()
        ]
        with self._database.snapshot() as connection:
            rows = connection.execute(self._after, {"places": encode_rows(wanted), "most": most * len(places)})
            for job_id, chunk in rows:
                found[job_id].append(Chunk.from_stored(job_id, chunk))
        return {job_id: chunks[:most] for job_id, chunks in found.items()}


def _payload(row: Row) -> str:
    """The chunk behind its job's id; the id alone where it is too large."""
    payload: str = row["job_id"] + row["chunk"]
    return (
        payload
        if len(payload) * _MOST_BYTES < PAYLOAD_BYTES or len(payload.encode()) < PAYLOAD_BYTES
        else row["job_id"]
    )


def told_in(payload: str) -> Chunk | str:
    """The chunk, or the job's id, that was told."""
    job_id, chunk = payload[:ID_LENGTH], payload[ID_LENGTH:]
    return Chunk.from_stored(job_id, orjson.loads(chunk)) if chunk else job_id


def _append(dialect: str) -> Any:
    rows = recordset(dialect, "chunks", _COLUMNS)
    insert = insert_ignoring(dialect, stream_chunks, list(_COLUMNS), sa.select(*(rows.c[name] for name in _COLUMNS)))
    if dialect != "postgresql":
        return insert
    lazily = sa.func.set_config("synchronous_commit", "off", sa.true())
    return sa.select(lazily, told_beside()).add_cte(insert.cte("kept"))


def _after(dialect: str) -> Any:
    wanted, chunk = recordset(dialect, "places", _PLACES), stream_chunks.c
    later = sa.or_(
        chunk.attempt_no > wanted.c.attempt_no,
        sa.and_(chunk.attempt_no == wanted.c.attempt_no, chunk.number > wanted.c.number),
    )
    found = sa.select(id_text(chunk.job_id), chunk.chunk).select_from(
        stream_chunks.join(wanted, chunk.job_id == wanted.c.job_id)
    )
    ordered = found.where(later).order_by(chunk.job_id, chunk.attempt_no, chunk.number)
    return ordered.limit(sa.bindparam("most", type_=sa.Integer()))
