"""The streams that fit an installation."""

from synthralos.bus.postgres import PostgresBus
from synthralos.bus.protocol import Bus
from synthralos.config.settings import Settings
from synthralos.store.sql.database import Database
from synthralos.streams.memory import MemoryStreams
from synthralos.streams.postgres import PostgresStreams
from synthralos.streams.protocol import Streams


def build_streams(settings: Settings, database: Database, bus: Bus) -> Streams:
    """Redis where there is one, else PostgreSQL; memory where all is one process, or the database is SQLite."""
    if settings.embedded or not isinstance(bus, PostgresBus):
        return MemoryStreams()
    if settings.redis_url is not None:
        from synthralos.streams.redis import RedisStreams  # noqa: PLC0415 - a client that others do without

        return RedisStreams(settings.redis_url, f"{settings.broker_namespace}:streams:")
    return PostgresStreams(database, bus)
