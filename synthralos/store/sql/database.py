"""The database from its URL: connections for writing and for reading, and which errors pass by themselves."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import orjson
import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# Every statement finds its rows by primary key or index, from a few ids or newest first. A planner that guesses
# from stale statistics must not answer it with a scan of a table that grew by 100,000 rows a minute ago, nor
# read the whole of an index to hash it.
_PLANNER = (
    "-c jit=off -c plan_cache_mode=force_generic_plan"
    " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
)

_PLANS_LIVE = 1.0
"""Seconds until a connection plans anew. A plan that was made while a table was empty goes through all of it, and
PostgreSQL would keep that plan until the table is analyzed, which on a new one takes minutes."""

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
        self.write = self._engine(pool_size)
        self.read = self._engine(pool_size, isolation_level="AUTOCOMMIT")
        # SQLite has one writer at a time: within a process they queue here, which is fairer and quicker than
        # trying again and again as its busy handler does.
        self._turn = threading.Lock() if self.dialect == "sqlite" else nullcontext()

    def _engine(self, pool_size: int, **more: Any) -> sa.Engine:
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
        engine = sa.create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=5,
            connect_args={"options": _PLANNER, "connect_timeout": 5, "application_name": "synthralos"},
            **common,
        )
        _renew_plans(engine)
        return engine

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A write transaction: committed at the end, rolled back on an error."""
        with self._turn, self.write.begin() as connection:
            yield connection

    @contextmanager
    def one_statement(self) -> Iterator[sa.Connection]:
        """A connection for one statement that writes: a transaction by itself, in one round trip where that can be."""
        with self.transaction() if self.dialect == "sqlite" else self.snapshot() as connection:
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


def _renew_plans(engine: sa.Engine) -> None:
    """Have connections forget their plans once in a while, and find out by the way which of them are dead."""

    @event.listens_for(engine, "checkout")
    def on_checkout(connection: Any, record: Any, proxy: Any) -> None:
        now = time.monotonic()
        if now - record.info.get("planned", 0.0) < _PLANS_LIVE:
            return
        record.info["planned"] = now
        try:
            connection.execute("DISCARD PLANS")
        except psycopg.OperationalError as error:
            raise DisconnectionError from error


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
