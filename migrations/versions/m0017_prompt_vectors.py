"""Vectors of prompts for pgvector: every upgrade makes them where the extension is there"""

from alembic import op

from migrations.prompt_vectors import drop

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing: the extension may be created later."""


def downgrade() -> None:
    """Those of before would not know of the trigger."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        drop(connection)
