"""What all tables are made of."""

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()


def text(name: str, *, null: bool = False) -> sa.Column[str]:
    """A column of text."""
    return sa.Column(name, sa.Text, nullable=null)


def number(name: str) -> sa.Column[int]:
    """A count that starts at zero."""
    return sa.Column(name, sa.Integer, nullable=False, default=0)


def where(condition: str) -> dict[str, Any]:
    """The condition of a partial index, for both databases."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


BY_TIME: dict[str, Any] = {
    "postgresql_using": "brin",
    "postgresql_with": {"pages_per_range": 16, "autosummarize": "on"},
}
"""An index of a time in whose order rows come: on PostgreSQL the bounds of pages, which cost a row nothing."""
