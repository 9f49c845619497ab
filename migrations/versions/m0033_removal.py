"""What goes with deleted jobs may have been deleted before them: PostgreSQL's triggers look for nothing then"""

from alembic import op

from migrations.statement_triggers import always, unless_done

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    unless_done(op.get_bind())


def downgrade() -> None:
    always(op.get_bind())
