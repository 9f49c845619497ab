"""API keys that expire, and when they were used last"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import TIME

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("expires_at", TIME, nullable=True))
    op.add_column("api_keys", sa.Column("last_used_at", TIME, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("api_keys") as keys:
        keys.drop_column("last_used_at")
        keys.drop_column("expires_at")
