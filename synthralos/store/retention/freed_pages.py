"""Room that SQLite does not need any more goes back to the file system, some pages at a time.

PostgreSQL's autovacuum does as much by itself. A tenth of a file stays free, for what comes next: else each day would
give back what the next one asks for again.
"""

from synthralos.store.sql.database import Database

PAGES = 500
"""Pages (of 4 kB) that one step moves and gives back: some milliseconds, in which nobody else writes."""

FEW = 1_000
"""So few free pages stay, however small the file is."""

_LOG_PATIENCE = 500
"""Milliseconds that emptying the log waits for readers; others may not write meanwhile."""

_KEPT_SHARE = 10
_INCREMENTAL = 2


class FreedPages:
    """Only where the file keeps track of its pages: see `connecting.track_pages`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def give_back(self, pages: int = PAGES) -> bool:
        """Shorten the file by at most so many pages; whether there may be more of them."""
        beyond = self._beyond() if self._database.dialect == "sqlite" else 0
        if beyond > 0:
            with self._database.transaction() as connection:
                for _ in range(min(pages, beyond)):  # Python makes the first step of such a statement, which is a page
                    connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
        return beyond > pages

    def _beyond(self) -> int:
        """Free pages beyond those that stay; 0 where the file cannot give any back."""
        with self._database.snapshot() as connection:
            tracks, free, all_pages = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("auto_vacuum", "freelist_count", "page_count")
            )
        return free - max(FEW, all_pages // _KEPT_SHARE) if tracks == _INCREMENTAL else 0


def empty_log(database: Database) -> None:
    """Have SQLite's log hold nothing of what was deleted. Where readers hold it, it is overwritten in its own time."""
    if database.dialect == "sqlite":
        with database.snapshot() as connection:
            [usual] = connection.exec_driver_sql("PRAGMA busy_timeout").one()
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {_LOG_PATIENCE}")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {usual}")
