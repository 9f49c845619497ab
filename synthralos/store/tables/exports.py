"""What destinations are owed, what is set aside, and how each destination fares."""

import sqlalchemy as sa

from synthralos.store.sql.types import Id, UtcTime
from synthralos.store.tables.base import metadata, text

export_backlog = sa.Table(
    "export_backlog",
    metadata,
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("job_id", Id, primary_key=True),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", UtcTime),
    sa.Column("claim_no", sa.Integer, nullable=False, server_default="0"),
)
"""`tries` counts the shipments that the trace was in; `next_at`: it is in one until then, or comes again then.

`claim_no` counts claims, and changes of the trace since it is owed: a shipment of an older state takes nothing off.
"""

export_set_aside = sa.Table(
    "export_set_aside",
    metadata,
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("job_id", Id, primary_key=True),
    text("kind"),
    text("reason"),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Index("export_set_aside_by_kind", "destination", "kind", "job_id"),
    sa.Index("export_set_aside_by_job", "job_id"),
)
"""Traces that come no more by themselves."""

export_destinations = sa.Table(
    "export_destinations",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    text("residency", null=True),
    sa.Column("seen_at", UtcTime, nullable=False),
    sa.Column("sent", sa.BigInteger, nullable=False, default=0),
    sa.Column("failed", sa.BigInteger, nullable=False, default=0),
    sa.Column("dropped", sa.BigInteger, nullable=False, default=0),
    sa.Column("stopped", sa.Boolean, nullable=False, default=False),
    sa.Column("rest_until", UtcTime),
    text("last_error", null=True),
    sa.Column("last_error_at", UtcTime),
    sa.Column("last_sent_at", UtcTime),
    text("link", null=True),
)
"""One row for each that workers ever shipped to; `seen_at` is when one last began to. `link`: `Linking.link`."""
