"""Circuit breakers that all workers share, and what became of them."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, UtcTime
from synthralos.store.tables.base import metadata, number, text

breakers = sa.Table(
    "breakers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    text("state"),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("until", UtcTime),
    number("opened"),
    number("allowed"),
    number("claimed"),
    number("passed"),
    text("reason"),
)
"""One row for each that was ever open; `synthralos.domain.breakers` says what the columns mean."""

breaker_changes = sa.Table(
    "breaker_changes",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    text("name"),
    text("before"),
    text("after"),
    text("actor"),
    text("reason"),
    sa.Index("breaker_changes_by_name", "name", "id"),
)
