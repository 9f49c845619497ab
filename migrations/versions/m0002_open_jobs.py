"""What moves apart from what stays: open jobs, results, attempts with their cost line, spans beside the result"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations.m0002_data import give_back, take_over
from migrations.m0002_tables import TABLES, create_indexes, create_tables
from migrations.m0002_views import VIEWS
from migrations.versions.m0001_spine import JSON, create_job_tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_REPLACED = {"jobs": "old_jobs", "attempts": "old_attempts", "model_cost_logs": "old_costs", "spans": "old_spans"}
_REPLACED_INDEXES = (
    "jobs_by_organization", "jobs_by_run", "jobs_by_trace", "jobs_by_user", "jobs_by_workspace", "jobs_open",
    "jobs_parked", "jobs_to_analyze", "jobs_with_deadline", "model_cost_logs_by_time",
)  # fmt: skip


def upgrade() -> None:
    for name in _REPLACED_INDEXES:
        op.drop_index(name)
    for table, name in _REPLACED.items():
        _rename(table, name)
    _rename("plans", "routing_plans")
    _alter_body(JSON, sa.Text())
    create_tables()
    take_over(op.get_bind())
    for name in _REPLACED.values():
        op.drop_table(name)
    create_indexes()
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def downgrade() -> None:
    op.execute("DROP VIEW model_cost_logs")
    op.execute(f"CREATE VIEW new_costs AS {VIEWS['model_cost_logs']}")
    for name in ("jobs_by_organization", "jobs_by_run", "jobs_by_trace", "jobs_by_user", "jobs_by_workspace"):
        op.drop_index(name)
    for table in ("jobs", "attempts"):
        _rename(table, f"new_{table}")
    create_job_tables()
    give_back(op.get_bind())
    for view in ("new_costs", "all_attempts", "all_jobs"):
        op.execute(f"DROP VIEW {view}")
    for table in TABLES:
        op.drop_table(f"new_{table}" if table in ("jobs", "attempts") else table)
    _alter_body(sa.Text(), JSON)
    _rename("routing_plans", "plans")


def _rename(table: str, name: str) -> None:
    op.rename_table(table, name)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {name} RENAME CONSTRAINT {table}_pkey TO {name}_pkey")


def _alter_body(before: Any, after: Any) -> None:
    with op.batch_alter_table("routing_plans") as plans:
        kind = "json" if after is JSON else "text"
        plans.alter_column("body", existing_type=before, type_=after, postgresql_using=f"body::{kind}")
