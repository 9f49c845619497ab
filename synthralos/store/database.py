"""The database from its URL: connections for writing and for reading, and which errors pass by themselves."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# Every write statement finds its rows by primary key or partial index. A planner that guesses from stale
# statistics must not answer it with a scan of a table that grew by 100,000 rows a minute ago.
_WRITE_PLANNER = "-c jit=off -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
# Reads go by id, by trace or down an index too; joins are left to the planner.
_READ_PLANNER = "-c jit=off -c enable_seqscan=off"
_READ_ONLY = "25006"
"""PostgreSQL, while another server takes over: this one takes no writes (any more)."""
_PERMANENT_SQLITE = ("no such table", "no such column", "readonly database", "unable to open")


class Database:
    """One database, with separate connection pools for short write transactions and for reads."""

    def __init__(self, url: str, pool_size: int = 8) -> None:
        """`url` is `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`. Connects lazily."""
        parsed = sa.make_url(url)
        if parsed.get_backend_name() in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.url = parsed
        self.dialect = parsed.get_backend_name()
        self.write = self._engine(_WRITE_PLANNER, pool_size)
        self.read = self._engine(_READ_PLANNER, pool_size, isolation_level="AUTOCOMMIT")
        # SQLite has one writer at a time: within a process they queue here, which is fairer and quicker than
        # trying again and again as its busy handler does.
        self._turn = threading.Lock() if self.dialect == "sqlite" else nullcontext()

    def _engine(self, options: str, pool_size: int, **more: Any) -> sa.Engine:
        common: dict[str, Any] = {
            "json_serializer": _dumps,
            "json_deserializer": orjson.loads,
            # Parameters hold prompts and answers: they belong in no error message, and so in no log.
            "hide_parameters": True,
            **more,
        }
        if self.dialect == "sqlite":
            engine = sa.create_engine(self.url, connect_args={"timeout": 10}, **common)
            _prepare_sqlite(engine, writes=not more)
            return engine
        return sa.create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=5,
            connect_args={"options": options, "connect_timeout": 5, "application_name": "synthralos"},
            **common,
        )

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A write transaction: committed at the end, rolled back on an error."""
        with self._turn, self.write.begin() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """A connection that reads: each statement sees what is committed when it begins, and costs one round trip."""
        with self.read.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close all pooled connections."""
        self.write.dispose()
        self.read.dispose()


def is_transient(error: BaseException) -> bool:
    """Whether the same statement may succeed later: connection lost, server restarting, deadlock, lock held."""
    if isinstance(error, PoolTimeout | InterfaceError):
        return True
    if isinstance(error, OperationalError):
        return not any(sign in str(error.orig) for sign in _PERMANENT_SQLITE)
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or getattr(error.orig, "sqlstate", None) == _READ_ONLY
    return False


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def _prepare_sqlite(engine: sa.Engine, *, writes: bool) -> None:
    """Our own BEGIN (the driver's would take the write lock too late), and durable write-ahead logging."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    if not writes:
        return

    @event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
