"""The database's clock, read without asking it each time."""

from datetime import UTC, datetime, timedelta


class DatabaseClock:
    """This machine's clock, corrected by its distance to the database's, as of the last heartbeat.

    Spans and deadlines of workers on several machines go by it, so that a timeline reads in order.
    """

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """UTC, by the database's clock as far as it is known."""
        return datetime.now(UTC) + self._offset

    def set(self, database_time: datetime) -> None:
        """The database says that it is `database_time` now."""
        self._offset = database_time - datetime.now(UTC)
