"""Short ways to the feed for tests that share a PostgreSQL server with others."""

from datetime import UTC, datetime
from typing import Any

from synthralos.domain.feed import Cursor, Item
from synthralos.store.read.feed import Feed
from synthralos.store.sql.database import Database

BEGINNING = Cursor(datetime(2026, 1, 1, tzinfo=UTC))


def settle(database: Database) -> None:
    """Return when all that was committed so far can be read: transactions of other tests may hold it up a moment."""
    if database.dialect == "sqlite":
        return
    feed = Feed(database)
    with database.snapshot() as connection:
        number = connection.exec_driver_sql("SELECT pg_current_xact_id()::text::bigint").scalar_one()
        while (feed._oldest_open(connection) or 0) <= number:
            pass


def everything(feed: Feed, cursor: Cursor = BEGINNING, **more: Any) -> list[Item]:
    """All pages, as a reader takes them who goes on from the cursor of each."""
    settle(feed._database)
    found: list[Item] = []
    while True:
        page = feed.since(cursor, **more)
        found += page.items
        cursor = Cursor.decode(page.cursor.encode())
        if not page.more:
            return found
