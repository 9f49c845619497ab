"""What operators change while everything runs, and the record of who changed what."""

from typing import Any

import sqlalchemy as sa

from synthralos.store.sql.types import Id, Json, UtcTime
from synthralos.store.tables.base import metadata, text


def _changed() -> tuple[sa.Column[Any], sa.Column[str]]:
    """When and by whom a row was last changed."""
    return sa.Column("changed_at", UtcTime, nullable=False), text("changed_by")


config_version = sa.Table(
    "config_version",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
)

feature_flags = sa.Table(
    "feature_flags",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("percentage", sa.Integer, nullable=False),
    *_changed(),
)

plan_limits = sa.Table(
    "plan_limits",
    metadata,
    sa.Column("plan", sa.Text, primary_key=True),
    sa.Column("limits", Json, nullable=False),
    *_changed(),
)

organization_limits = sa.Table(
    "organization_limits",
    metadata,
    sa.Column("organization", sa.Text, primary_key=True),
    sa.Column("limits", Json, nullable=False),
    *_changed(),
)

deployments = sa.Table(
    "deployments",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("entry", Json, nullable=False),
    *_changed(),
)

policy_sets = sa.Table(
    "policy_sets",
    metadata,
    sa.Column("id", Id, primary_key=True),
    text("organization", null=True),
    text("workspace", null=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("document", Json, nullable=False),
    *_changed(),
    sa.Index("policy_sets_by_organization", "organization", "id"),
)

policy_versions = sa.Table(
    "policy_versions",
    metadata,
    sa.Column("set_id", Id, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    text("organization", null=True),
    text("workspace", null=True),
    sa.Column("document", Json),
    *_changed(),
    text("reason"),
)
"""Every version that there was. Without a document: the set was removed."""

policy_simulations = sa.Table(
    "policy_simulations",
    metadata,
    sa.Column("organization", sa.Text, primary_key=True),
    sa.Column("holder", Id, nullable=False),
    sa.Column("until", UtcTime, nullable=False),
)
"""Who simulates a policy set just now: one at a time for an organization, and one for all of them (`""`)."""

policy_matches = sa.Table(
    "policy_matches",
    metadata,
    sa.Column("set_id", sa.Text, primary_key=True),
    sa.Column("rule", sa.Text, primary_key=True),
    sa.Column("matches", sa.BigInteger, nullable=False),
    sa.Column("last_matched_at", UtcTime, nullable=False),
)
"""How many jobs each rule has matched, and when last. A rule without a row has matched none."""

audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    text("actor"),
    text("act"),
    text("subject"),
    text("organization", null=True),
    sa.Column("before", Json),
    sa.Column("after", Json),
    text("reason"),
    sa.Index("audit_log_by_subject", "subject", "id"),
    sa.Index("audit_log_by_actor", "actor", "id"),
    sa.Index("audit_log_by_organization", "organization", "id"),
)
