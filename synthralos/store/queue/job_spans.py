"""A span of a job that no worker writes: put behind those that the job has, wherever it is."""

import sqlalchemy as sa

from synthralos.domain.spans import Span
from synthralos.store.queue.spans import span_line
from synthralos.store.queue.statements import lines
from synthralos.store.tables import open_jobs, results


def append_span(connection: sa.Connection, job_id: str, span: Span) -> None:
    """Put it behind the job's spans; a job that is forgotten gets none."""
    line = sa.literal(span_line([span]))
    for table, key in ((open_jobs, open_jobs.c.id), (results, results.c.job_id)):
        statement = sa.update(table).where(key == job_id).values(spans=lines(table.c.spans, line))
        if connection.execute(statement).rowcount:
            return
