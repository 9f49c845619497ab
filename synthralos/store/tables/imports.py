"""Dead letters that were imported from an export."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, UtcTime
from synthralos.store.tables.base import metadata

imported_jobs = sa.Table(
    "imported_jobs",
    metadata,
    sa.Column("organization", sa.Text, primary_key=True),
    sa.Column("workspace", sa.Text, primary_key=True),
    sa.Column("exported_id", Id, primary_key=True),
    sa.Column("job_id", Id, nullable=False),
    sa.Column("imported_at", UtcTime, nullable=False),
    sa.Index("imported_jobs_by_time", "imported_at"),
)
"""`job_id`: the job that was made of it. The primary key is what has a line imported once, however often it comes."""
