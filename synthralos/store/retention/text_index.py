"""The leader's index of the words of finished jobs, for full-text search.

It follows the digest by the numbers (`seq`) that it gave. What is erased meanwhile is not indexed: the rows are locked
against it from the moment they are read until their words are there, for the triggers to take them out again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.observing import TEXTS
from synthralos.store.queue.leading import STATEMENT_SECONDS
from synthralos.store.read.finished import Finished
from synthralos.store.read.texts import document, text_columns
from synthralos.store.retention.places import move, place_of
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows
from synthralos.store.sql.tsvectors import copy_vectors, tsvector
from synthralos.store.sql.types import word
from synthralos.store.tables import digests, jobs, results, trace_facts

MOST_TEXTS = 250
"""Jobs whose words one transaction indexes: some megabytes of text."""


class TextIndex:
    """Goes on where the last leader stopped."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._finished = Finished(database.dialect)

    def round(self, most: int = MOST_TEXTS) -> bool:
        """Index what comes next; whether there may be more at once."""
        if not self._is_due():
            return False
        with self._database.transaction() as connection:
            if self._database.dialect == "postgresql":
                # What a crash takes back, the place with it, is indexed again: no need to wait for the disk.
                connection.exec_driver_sql(
                    f"SELECT set_config('statement_timeout', '{STATEMENT_SECONDS}s', true),"
                    " set_config('synchronous_commit', 'off', true)"
                )
            place = place_of(connection, TEXTS)
            rows = [dict(row) for row in connection.execute(_following(place.seq, most)).mappings()]
            if not rows:
                return False
            self._insert(connection, rows)
            move(connection, TEXTS, seq=rows[-1]["seq"], until=rows[-1]["finished_at"])
        return len(rows) == most

    def _is_due(self) -> bool:
        place = sa.select(digests.c.seq).where(digests.c.name == word(TEXTS)).scalar_subquery()
        query = sa.select(trace_facts.c.seq).where(trace_facts.c.seq > sa.func.coalesce(place, 0)).limit(1)
        with self._database.snapshot() as connection:
            return connection.execute(query).first() is not None

    def finish(self) -> None:
        """Index all that was digested; for tests and benchmarks, which cannot wait for it."""
        while self.round():
            pass

    def _insert(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        calls = self._finished.calls(connection, [row["id"] for row in rows])
        documents = ((row["seq"], document(row, calls.get(row["id"], []))) for row in rows)
        if self._database.dialect == "postgresql":
            vectors = ((seq, tsvector(words.split())) for seq, words in documents)
            copy_vectors(connection, "trace_texts (seq, document)", vectors)
        else:
            encoded = encode_rows({"seq": seq, "document": words} for seq, words in documents)
            connection.execute(_INSERTION, {"documents": encoded})


_INSERTION = sa.text(
    "INSERT INTO trace_texts (rowid, document)"
    " SELECT json_extract(value, '$.seq'), json_extract(value, '$.document') FROM json_each(:documents)"
)
"""One statement for all documents: their words are far more than what comes with each statement."""


def _following(seq: int, most: int) -> Any:
    columns = text_columns(jobs.c, results.c)
    query = sa.select(trace_facts.c.seq, trace_facts.c.finished_at, *columns).join_from(
        trace_facts, jobs, jobs.c.id == trace_facts.c.job_id
    )
    query = query.join(results, results.c.job_id == trace_facts.c.job_id)
    query = query.where(trace_facts.c.seq > seq).order_by(trace_facts.c.seq).limit(most)
    return query.with_for_update(read=True, of=[jobs, results])
