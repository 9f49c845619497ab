"""What calls were made under: the declared residency and retention, and the grounds"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("catalog_entries", sa.Column("residency", sa.Text(), nullable=True))
    op.add_column("catalog_entries", sa.Column("zero_retention", sa.Boolean(), nullable=True))
    op.add_column("catalog_entries", sa.Column("grounds", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("catalog_entries", "grounds")
    op.drop_column("catalog_entries", "zero_retention")
    op.drop_column("catalog_entries", "residency")
