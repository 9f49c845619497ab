"""Who simulates a policy set just now, and how often each rule has matched"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import ID, TIME

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policy_simulations",
        sa.Column("organization", sa.Text(), primary_key=True),
        sa.Column("holder", ID, nullable=False),
        sa.Column("until", TIME, nullable=False),
    )
    op.create_table(
        "policy_matches",
        sa.Column("set_id", sa.Text(), primary_key=True),
        sa.Column("rule", sa.Text(), primary_key=True),
        sa.Column("matches", sa.BigInteger(), nullable=False),
        sa.Column("last_matched_at", TIME, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("policy_matches")
    op.drop_table("policy_simulations")
