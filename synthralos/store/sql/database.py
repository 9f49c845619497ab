"""The database from its URL: connections for writing and for reading."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import orjson
import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError

from synthralos.store.sql.connecting import make_private, postgres_arguments, prepare_sqlite
from synthralos.store.sql.errors import OwnErrors
from synthralos.store.sql.pools import WatchedPool

_PLANS_LIVE = 1.0
"""Seconds until a connection plans anew. A plan that was made while a table was empty goes through all of it, and
PostgreSQL would keep that plan until the table is analyzed, which on a new one takes minutes."""

_READ_ONLY = "25006"
"""PostgreSQL, while another server takes over: this one takes no writes (any more)."""

POOLS = {"write": (2, 2), "read": (4, 0), "quick": (6, 0), "search": (2, 0)}
"""Connections that each pool keeps, and how many more it opens for as long as they are needed."""


_REPORTS = {
    "enable_hashjoin": "on",
    "enable_mergejoin": "on",
    "plan_cache_mode": "force_custom_plan",
    "work_mem": "64MB",
    "statement_timeout": "30s",
}
"""What is otherwise for statements that go through many rows."""

_SEARCHES = {**_REPORTS, "max_parallel_workers_per_gather": "0", "statement_timeout": "5s"}
"""What is otherwise for questions that people and programs ask as they like: one process each, and given up sooner."""

_FINDS = ("enable_hashjoin", "enable_mergejoin", "enable_bitmapscan", "enable_sort")
"""What finds all rows before it gives the first one."""


class Database:
    """One database, with connection pools of their own for write transactions, for reads, and for hot statements.

    What happens in its contexts raises `synthralos.store.sql.errors.DatabaseFailed`.
    """

    def __init__(self, url: str) -> None:
        """`url` is `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`. Connects lazily."""
        parsed = sa.make_url(url)
        if parsed.get_backend_name() in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.url = parsed
        self.dialect = parsed.get_backend_name()
        self.write = self._engine("write")
        self.read = self._engine("read", isolation_level="AUTOCOMMIT")
        self.quick = self._engine("quick", isolation_level="AUTOCOMMIT")
        self.search = self._engine("search", isolation_level="AUTOCOMMIT")
        # SQLite has one writer at a time: within a process they queue here, which is fairer and quicker than
        # trying again and again as its busy handler does.
        self._turn = threading.Lock() if self.dialect == "sqlite" else nullcontext()

    def _engine(self, name: str, **more: Any) -> sa.Engine:
        size = POOLS[name]
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
            poolclass=WatchedPool,
            pool_size=size[0],
            max_overflow=size[1],
            pool_timeout=5,
            pool_use_lifo=True,
            connect_args=postgres_arguments(self.url),
            **common,
        )
        assert isinstance(engine.pool, WatchedPool)
        engine.pool.name = name
        _renew_plans(engine)
        _leave_read_only(engine)
        return engine

    def pools(self) -> list[WatchedPool]:
        """The pools of connections to PostgreSQL, for metrics."""
        engines = (self.write, self.read, self.quick, self.search)
        return [engine.pool for engine in engines if isinstance(engine.pool, WatchedPool)]

    def connect(self, suffix: str) -> "psycopg.Connection[Any]":
        """A connection of its own to PostgreSQL, made like the pooled ones, for LISTEN. Raises `psycopg.Error`."""
        arguments, options = self.write.dialect.create_connect_args(self.url)
        options.update(postgres_arguments(self.url, suffix))
        return psycopg.connect(*arguments, autocommit=True, **options)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A write transaction: committed at the end, rolled back on an error."""
        with OwnErrors(), self._turn, self.write.begin() as connection:
            yield connection

    @contextmanager
    def one_statement(self) -> Iterator[sa.Connection]:
        """A connection for one statement that writes: a transaction by itself, in one round trip where that can be."""
        with self.transaction() if self.dialect == "sqlite" else self.snapshot() as connection:
            yield connection

    @contextmanager
    def hot(self) -> Iterator["psycopg.Connection[Any]"]:
        """The driver's own connection to PostgreSQL, where each statement is a transaction by itself."""
        with OwnErrors():
            pooled = self.quick.raw_connection()
            connection: psycopg.Connection[Any] = pooled.driver_connection  # type: ignore[assignment]
            try:
                yield connection
            except psycopg.Error as error:
                if connection.closed or error.sqlstate == _READ_ONLY:
                    pooled.invalidate(error)
                raise
            finally:
                pooled.close()

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """A connection that reads: each statement sees what is committed when it begins, and costs one round trip."""
        with OwnErrors(), self.read.connect() as connection:
            yield connection

    @contextmanager
    def report(self) -> Iterator[sa.Connection]:
        """A transaction that reads one state of many rows: the planner may hash and merge here, and plans anew."""
        if self.dialect == "sqlite":
            with self.snapshot() as connection:
                yield connection
            return
        with OwnErrors(), self.read.connect() as connection:
            reading = connection.execution_options(isolation_level="REPEATABLE READ")
            with reading.begin():
                let_plan(reading)
                yield reading

    @contextmanager
    def searching(self) -> Iterator[sa.Connection]:
        """As `report`, for what anybody may ask: on two connections of its own, with a shorter time limit."""
        if self.dialect == "sqlite":
            with self.snapshot() as connection:
                yield connection
            return
        with OwnErrors(), self.search.connect() as connection:
            reading = connection.execution_options(isolation_level="REPEATABLE READ")
            with reading.begin():
                _choose(reading, _SEARCHES)
                yield reading

    def close(self) -> None:
        """Close all pooled connections."""
        self.write.dispose()
        self.read.dispose()
        self.quick.dispose()
        self.search.dispose()


def let_plan(connection: sa.Connection) -> None:
    """For the rest of this transaction, let PostgreSQL's planner join many rows in any way, with time for it."""
    _choose(connection, _REPORTS)


def let_plan_once(connection: sa.Connection) -> None:
    """As `let_plan`, save that triggers, which run for each row, do not plan for each; nothing on SQLite."""
    if connection.dialect.name == "postgresql":
        _choose(connection, {**_REPORTS, "plan_cache_mode": "auto", "statement_timeout": "10s"})


def let_walk(connection: sa.Connection) -> None:
    """Have PostgreSQL go along an index until it has enough rows, whatever it thinks of sorting; until `let_search`."""
    if connection.dialect.name == "postgresql":
        _choose(connection, dict.fromkeys(_FINDS, "off"))


def let_look_up(connection: sa.Connection) -> None:
    """Have PostgreSQL look up each of some rows by an index, however few it takes a table to have; as `let_walk`."""
    if connection.dialect.name == "postgresql":
        _choose(connection, {**dict.fromkeys(_FINDS, "on"), "enable_hashjoin": "off", "enable_mergejoin": "off"})


def let_search(connection: sa.Connection) -> None:
    """As `Database.searching` begins."""
    if connection.dialect.name == "postgresql":
        _choose(connection, {**dict.fromkeys(_FINDS, "on"), **_SEARCHES})


def _choose(connection: sa.Connection, settings: Mapping[str, str]) -> None:
    chosen = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    connection.exec_driver_sql(f"SELECT {chosen}")


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


def _leave_read_only(engine: sa.Engine) -> None:
    """Have connections to a server that takes no writes (any more) leave the pool: a later one finds its successor."""

    @event.listens_for(engine, "handle_error")
    def on_error(context: sa.engine.ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            context.is_disconnect = True


def _prepare_sqlite(engine: sa.Engine, *, writes: bool) -> None:
    @event.listens_for(engine, "do_connect")
    def on_opening(dialect: Any, record: Any, arguments: Any, options: Any) -> None:
        make_private(engine.url)

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        prepare_sqlite(connection)

    if not writes:
        return

    @event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
