"""The store's own errors, and what is known of the errors of databases.

    StoreError                a write or a read did not succeed
    ├── StoreUnavailable      the database did not take it in time; it may have been committed all the same
    │   └── StoreBusy         too much waits already: refused at once, and never written
    └── DatabaseFailed        what the database answered: `kind` sorts it, the driver's error is its cause

Nothing outside the store sees an error of SQLAlchemy or of a driver, save where a schema is migrated or a URL is read.
`classify` sorts all of them: by PostgreSQL's SQLSTATE, by SQLite's result code, and by type where there is neither.
"""

import re
import sqlite3
from enum import Enum
from types import TracebackType

import psycopg
from sqlalchemy import exc


class Kind(Enum):
    """What to do about an error. `retried` says whether the very same statement may succeed later."""

    AGAIN = "again"
    """The database is away, takes no writes or has no room: it would have taken nothing else either."""
    CONTENTION = "contention"
    """Somebody holds what this statement needs (rows, time, memory): others may get through, and this one later."""
    SIZE = "size"
    """Over a limit of the database: half of it may get through, and all of it never will."""
    DATA = "data"
    """A value that the database does not take. The other items of the batch are as good as before."""
    BUG = "bug"
    """Anything else: the statement, the schema, or the code around it."""

    @property
    def retried(self) -> bool:
        """Whether time heals it."""
        return self in (Kind.AGAIN, Kind.CONTENTION)


class StoreError(Exception):
    """A write or a read did not succeed."""


class StoreUnavailable(StoreError):
    """The database did not take the write in time. It may or may not have been committed."""


class StoreBusy(StoreUnavailable):
    """More writes wait than may wait. This one was not written, and will not be."""


class DatabaseFailed(StoreError):
    """What the database, or the way to it, answered. Its text holds no parameters: they are prompts and answers."""

    def __init__(self, error: Exception) -> None:
        super().__init__(_described(error))
        self.kind = classify(error)


class OwnErrors:
    """`with OwnErrors():` turns the errors of SQLAlchemy and of the drivers into `DatabaseFailed`."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, _FOREIGN):
            raise DatabaseFailed(error) from error


_FOREIGN = (exc.SQLAlchemyError, psycopg.Error, sqlite3.Error)

_BY_SQLSTATE = {
    "08": Kind.AGAIN,  # connection exception
    "25006": Kind.AGAIN,  # read-only: another server takes over
    "25P03": Kind.AGAIN,  # idle in a transaction for too long: the session was ended
    "25P04": Kind.CONTENTION,  # the transaction took too long
    "28": Kind.AGAIN,  # the role or its password: passwords are changed under running processes
    "53": Kind.AGAIN,  # no room on the disk, no connection left
    "53200": Kind.CONTENTION,  # the server is out of memory
    "55": Kind.AGAIN,  # recovery is in progress
    "55006": Kind.CONTENTION,  # object in use
    "55P03": Kind.CONTENTION,  # lock not available in time
    "57": Kind.AGAIN,  # shut down, crashed, starting up
    "57014": Kind.CONTENTION,  # the statement took too long
    "58": Kind.AGAIN,  # the server's disk or its operating system
    "40": Kind.CONTENTION,  # not serializable, a deadlock
    "40003": Kind.AGAIN,  # nobody knows whether it was done
    "54": Kind.SIZE,  # a limit of the program
    "22": Kind.DATA,
    "23": Kind.DATA,
}
"""PostgreSQL's codes and classes of codes (appendix A of its manual); the longer one counts. What is missing: a bug."""

_BY_RESULT_CODE = {
    sqlite3.SQLITE_BUSY: Kind.CONTENTION,
    sqlite3.SQLITE_LOCKED: Kind.CONTENTION,
    sqlite3.SQLITE_PROTOCOL: Kind.CONTENTION,  # its file locks, under many processes
    sqlite3.SQLITE_INTERRUPT: Kind.CONTENTION,
    sqlite3.SQLITE_NOMEM: Kind.CONTENTION,
    sqlite3.SQLITE_FULL: Kind.AGAIN,
    sqlite3.SQLITE_IOERR: Kind.AGAIN,
    sqlite3.SQLITE_TOOBIG: Kind.SIZE,
    sqlite3.SQLITE_CONSTRAINT: Kind.DATA,
    sqlite3.SQLITE_MISMATCH: Kind.DATA,
    sqlite3.SQLITE_RANGE: Kind.DATA,
}
"""SQLite's primary result codes."""

_NO_SUCH_THING = ("42P01", "42703")
"""PostgreSQL: undefined table, undefined column."""

_TOO_LARGE = ("invalid memory alloc request size", "too big", "exceeds the maximum")
"""What is too large, where PostgreSQL or SQLite have no code of its own for it."""


_ALL_DEAD = "This connection is closed"
"""How SQLAlchemy's pool says that three connections in a row were dead: by an error that means misuse elsewhere."""


def classify(error: BaseException) -> Kind:
    """What to do about an error: of psycopg, of SQLite, of SQLAlchemy, of our own, or of anything else (a bug)."""
    if isinstance(error, StoreError):
        return error.kind if isinstance(error, DatabaseFailed) else Kind.AGAIN
    if isinstance(error, exc.SQLAlchemyError):
        return _of_sqlalchemy(error)
    if isinstance(error, psycopg.Error):
        return _of_psycopg(error)
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error)
    return Kind.SIZE if isinstance(error, MemoryError) else Kind.BUG


def is_transient(error: BaseException) -> bool:
    """Whether the same statement may succeed later: connection lost, server restarting, disk full, lock held."""
    return classify(error).retried


def is_contention(error: BaseException) -> bool:
    """Whether it was the statement's own rows that were not to be had, rather than the database."""
    return classify(error) is Kind.CONTENTION


def lacks_schema(error: BaseException) -> bool:
    """Whether a table or a column is not there: the database was not migrated, or not far enough."""
    seen: BaseException | None = error
    while seen is not None:
        if getattr(seen, "sqlstate", None) in _NO_SUCH_THING:
            return True
        if isinstance(seen, sqlite3.OperationalError) and str(seen).startswith(("no such table", "no such column")):
            return True
        seen = seen.orig if isinstance(seen, exc.StatementError) else seen.__cause__
    return False


def _of_sqlalchemy(error: exc.SQLAlchemyError) -> Kind:
    if isinstance(error, exc.TimeoutError | exc.DisconnectionError):
        return Kind.AGAIN  # no connection of the pool was to be had
    if isinstance(error, exc.InvalidRequestError) and str(error) == _ALL_DEAD:
        return Kind.AGAIN
    if not isinstance(error, exc.StatementError):
        return Kind.BUG
    kind = Kind.BUG if error.orig is None else classify(error.orig)
    if kind is not Kind.BUG:
        return kind
    lost = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    unknown = isinstance(error, exc.OperationalError | exc.InterfaceError) and not isinstance(error.orig, _FOREIGN)
    return Kind.AGAIN if lost or unknown else Kind.BUG


def _of_psycopg(error: psycopg.Error) -> Kind:
    code = error.sqlstate
    if code is not None:
        kind = _BY_SQLSTATE.get(code) or _BY_SQLSTATE.get(code[:2]) or Kind.BUG
        return Kind.SIZE if kind is Kind.BUG and _is_too_large(error) else kind
    if isinstance(error, psycopg.DataError):
        return Kind.DATA
    # Without a code it is the driver that speaks: it has no connection, or lost it.
    return Kind.AGAIN if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) else Kind.BUG


def _of_sqlite(error: sqlite3.Error) -> Kind:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return _BY_RESULT_CODE.get(code & 0xFF, Kind.BUG)
    if isinstance(error, sqlite3.DataError) or _is_too_large(error):
        return Kind.SIZE if _is_too_large(error) else Kind.DATA
    return Kind.BUG


def _is_too_large(error: Exception) -> bool:
    return any(sign in str(error) for sign in _TOO_LARGE)


def _without_values(sqlstate: str, message: str) -> str:
    """The message of PostgreSQL; where it is about a value, without the value, which may be a part of a prompt."""
    return re.sub('".*', "(a value)", message, flags=re.DOTALL) if sqlstate.startswith("22") else message


def _described(error: Exception) -> str:
    orig = (error.orig if isinstance(error, exc.StatementError) else None) or error
    if isinstance(orig, psycopg.Error) and orig.diag.message_primary is not None:
        return f"{type(orig).__name__}: {_without_values(orig.sqlstate or '', orig.diag.message_primary)}"
    first = next(iter(str(orig).strip().splitlines()), "")
    return f"{type(orig).__name__}: {first}" if first else type(orig).__name__
