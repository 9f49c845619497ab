"""Errors of databases, sorted: by SQLSTATE, by SQLite's result code, by type; bare, wrapped, or made our own."""

import sqlite3

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.errors import lookup

from synthralos.store.sql.errors import (
    DatabaseFailed,
    Kind,
    OwnErrors,
    StoreBusy,
    StoreUnavailable,
    classify,
    is_contention,
    is_transient,
)

BY_SQLSTATE = {
    Kind.AGAIN: "08006 08P01 25006 25P03 28P01 40003 53100 53300 55000 57P01 57P03 58030",
    Kind.CONTENTION: "25P04 40001 40P01 53200 55006 55P03 57014",
    Kind.SIZE: "54000 54001",
    Kind.DATA: "22P02 22003 23505 23503",
    Kind.BUG: "42P01 42601 25P02 0A000 XX000 P0001",
}
TABLE = [(code, kind) for kind, codes in BY_SQLSTATE.items() for code in codes.split()]


@pytest.mark.parametrize(("sqlstate", "kind"), TABLE)
def test_what_postgresql_says_is_sorted_by_its_sqlstate_wrapped_or_not(sqlstate: str, kind: Kind) -> None:
    bare = lookup(sqlstate)("as the server said")
    wrapped = sa.exc.DBAPIError.instance("SELECT 1", {}, bare, psycopg.Error)
    assert [classify(error) for error in (bare, wrapped, DatabaseFailed(wrapped))] == [kind] * 3
    assert is_transient(bare) == (kind in (Kind.AGAIN, Kind.CONTENTION))
    assert is_contention(bare) == (kind is Kind.CONTENTION)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.OperationalError("connection refused"), Kind.AGAIN),
        (psycopg.InterfaceError("the connection is closed"), Kind.AGAIN),
        (psycopg.DataError("text fields cannot contain NUL"), Kind.DATA),
        (psycopg.ProgrammingError("the query has 1 placeholder but 0 parameters were passed"), Kind.BUG),
        (psycopg.errors.InternalError_("invalid memory alloc request size 1073741824"), Kind.SIZE),
        (sa.exc.OperationalError("COMMIT", {}, ConnectionResetError()), Kind.AGAIN),
        (sa.exc.ProgrammingError("x", {}, psycopg.ProgrammingError(), connection_invalidated=True), Kind.AGAIN),
        (sa.exc.TimeoutError("the pool is empty"), Kind.AGAIN),
        (sa.exc.DisconnectionError(), Kind.AGAIN),
        (sa.exc.InvalidRequestError("a statement that is wrong"), Kind.BUG),
        (sa.exc.StatementError("not JSON", "x", {}, TypeError()), Kind.BUG),
        (sa.exc.ArgumentError("no such URL"), Kind.BUG),
        (MemoryError(), Kind.SIZE),
        (StoreUnavailable(), Kind.AGAIN),
        (StoreBusy(), Kind.AGAIN),
        (ZeroDivisionError(), Kind.BUG),
    ],
)
def test_what_has_no_code_is_sorted_by_its_type(error: Exception, kind: Kind) -> None:
    assert classify(error) is kind


def test_a_pool_whose_connections_are_all_dead_is_an_outage() -> None:
    engine = sa.create_engine("sqlite://")

    @sa.event.listens_for(engine, "checkout")
    def dead(*_: object) -> None:
        raise sa.exc.DisconnectionError

    with pytest.raises(sa.exc.InvalidRequestError) as raised:
        engine.connect()
    assert classify(raised.value) is Kind.AGAIN


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("as SQLite said")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, Kind.CONTENTION),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Kind.CONTENTION),
        (sqlite3.SQLITE_LOCKED, Kind.CONTENTION),
        (sqlite3.SQLITE_FULL, Kind.AGAIN),
        (sqlite3.SQLITE_IOERR_WRITE, Kind.AGAIN),
        (sqlite3.SQLITE_TOOBIG, Kind.SIZE),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, Kind.DATA),
        (sqlite3.SQLITE_ERROR, Kind.BUG),
        (sqlite3.SQLITE_READONLY, Kind.BUG),
        (sqlite3.SQLITE_CANTOPEN, Kind.BUG),
    ],
)
def test_what_sqlite_says_is_sorted_by_its_result_code(code: int, kind: Kind) -> None:
    assert classify(sqlite_error(code)) is kind


def test_the_store_raises_its_own_error_which_has_the_driver_s_as_its_cause() -> None:
    driver = psycopg.errors.UniqueViolation("as the server said")
    with pytest.raises(DatabaseFailed) as raised, OwnErrors():
        raise driver
    assert (raised.value.kind, raised.value.__cause__) == (Kind.DATA, driver)


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError), OwnErrors():
        raise ZeroDivisionError
    with pytest.raises(StoreBusy), OwnErrors():
        raise StoreBusy


def test_the_store_s_own_error_holds_no_parameters() -> None:
    wrapped = sa.exc.OperationalError("INSERT", {"prompt": "a secret"}, psycopg.OperationalError("connection lost"))
    assert "secret" not in str(DatabaseFailed(wrapped))
