"""Attempts say at which service tier and price they were counted, and what was written to the cache for an hour"""

import sqlalchemy as sa
from alembic import op

from migrations.m0002_views import VIEWS

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_COLUMNS = (("service_tier", sa.Text()), ("price", sa.Text()), ("cache_write_1h_tokens", sa.Integer()))
_APART = "a.cache_write_tokens, "
_HOUR = f"{_APART}coalesce(a.cache_write_1h_tokens, 0 * a.input_tokens) AS cache_write_1h_tokens, "
_TIER = "coalesce(a.service_tier, 'standard') AS service_tier, "

_ATTEMPTS, _IN_FLIGHT = VIEWS["all_attempts"].split("UNION ALL")

NEW_VIEWS = {
    "all_attempts": "UNION ALL".join(
        (
            _ATTEMPTS.replace("a.input_tokens, ", f"{_TIER}a.input_tokens, ").replace(_APART, _HOUR),
            _IN_FLIGHT.replace("NULL, false, NULL, ", "NULL, false, NULL, NULL, NULL, "),
        )
    ),
    "model_cost_logs": VIEWS["model_cost_logs"]
    .replace("a.input_tokens, ", f"{_TIER}a.input_tokens, ")
    .replace(_APART, _HOUR)
    .replace("e.price, ", "coalesce(a.price, e.price) AS price, "),
}


def upgrade() -> None:
    for name in NEW_VIEWS:
        op.execute(f"DROP VIEW {name}")
    for name, kind in _COLUMNS:
        op.add_column("attempts", sa.Column(name, kind, nullable=True))
    for name, query in NEW_VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def downgrade() -> None:
    for name in NEW_VIEWS:
        op.execute(f"DROP VIEW {name}")
    for name, _ in _COLUMNS:
        op.drop_column("attempts", name)
    for name in NEW_VIEWS:
        op.execute(f"CREATE VIEW {name} AS {VIEWS[name]}")
