"""The bounds of times on pages (BRIN), kept up with what is written."""

import sqlalchemy as sa

from synthralos.store.sql.database import Database


def bound_pages(database: Database, *indexes: str) -> None:
    """Have PostgreSQL note the times on new pages now; by itself it does so when it vacuums next."""
    if database.dialect == "postgresql":
        with database.one_statement() as connection:
            for index in indexes:
                named = sa.literal_column(f"'{index}'", sa.Text())
                connection.execute(sa.select(sa.func.brin_summarize_new_values(named)))
