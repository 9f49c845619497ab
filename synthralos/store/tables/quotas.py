"""What is known of providers' quotas, shared by all workers."""

import sqlalchemy as sa

from synthralos.store.sql.types import JsonText, UtcTime
from synthralos.store.tables.base import metadata

quotas = sa.Table(
    "quotas",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("state", JsonText, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
)
"""One row for each credential and model that a limit was learned or granted of; `synthralos.domain.quotas` says what
`state` means."""
