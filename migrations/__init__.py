"""Schema migrations (Alembic), each reversible, for PostgreSQL and SQLite."""
