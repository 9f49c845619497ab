"""Which provider key a call was made with, which API key submitted a job, and budgets of API keys"""

import sqlalchemy as sa
from alembic import op

from migrations.m0002_views import VIEWS
from migrations.versions.m0001_spine import ID
from migrations.versions.m0013_prices_used import NEW_VIEWS as VIEWS_OF_0013

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_OLD_VIEWS = {"all_attempts": VIEWS_OF_0013["all_attempts"], "all_jobs": VIEWS["all_jobs"]}
_ATTEMPTS, _IN_FLIGHT = _OLD_VIEWS["all_attempts"].split("UNION ALL")

NEW_VIEWS = {
    "all_attempts": "UNION ALL".join(
        (
            _ATTEMPTS.replace("a.ended_at\nFROM", "a.ended_at, e.credential\nFROM"),
            _IN_FLIGHT.replace("o.started_at, NULL\nFROM", "o.started_at, NULL, e.credential\nFROM"),
        )
    ),
    "all_jobs": _OLD_VIEWS["all_jobs"].replace("r.analyzed_at\nFROM", "r.analyzed_at, j.api_key_id\nFROM"),
}


def upgrade() -> None:
    op.add_column("catalog_entries", sa.Column("credential", sa.Text(), nullable=True))
    for table in ("jobs", "budgets"):
        op.add_column(table, sa.Column("api_key_id", ID, nullable=True))
    given = sa.text("api_key_id IS NOT NULL")
    op.create_index("jobs_by_api_key", "jobs", ["api_key_id", "id"], postgresql_where=given, sqlite_where=given)
    _replace(NEW_VIEWS)


def downgrade() -> None:
    _drop()
    op.drop_index("jobs_by_api_key", "jobs")
    for table in ("jobs", "budgets"):
        op.drop_column(table, "api_key_id")
    op.drop_column("catalog_entries", "credential")
    for name, query in _OLD_VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def _replace(views: dict[str, str]) -> None:
    _drop()
    for name, query in views.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def _drop() -> None:
    for name in NEW_VIEWS:
        op.execute(f"DROP VIEW {name}")
