"""What calls were made under; aliases in the database, and the version of each deployment's entry there"""

import sqlalchemy as sa
from alembic import op

from migrations.versions.m0001_spine import JSON, TIME

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("catalog_entries", sa.Column("residency", sa.Text(), nullable=True))
    op.add_column("catalog_entries", sa.Column("zero_retention", sa.Boolean(), nullable=True))
    op.add_column("catalog_entries", sa.Column("grounds", sa.Text(), nullable=True))
    op.add_column("deployments", sa.Column("version", sa.BigInteger(), nullable=False, server_default="1"))
    op.create_table(
        "aliases",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("targets", JSON, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default="1"),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("aliases")
    op.drop_column("deployments", "version")
    op.drop_column("catalog_entries", "grounds")
    op.drop_column("catalog_entries", "zero_retention")
    op.drop_column("catalog_entries", "residency")
