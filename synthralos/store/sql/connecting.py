"""How every connection is made: its deadlines, and the session settings that nobody else may change.

What the URL itself says (`options`, `application_name`, `connect_timeout` …) is joined with ours, and wins.
"""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

_SETTINGS = {
    # Every statement finds its rows by primary key or index, from a few ids or newest first. A planner that guesses
    # from stale statistics must not answer it with a scan of a table that grew by 100,000 rows a minute ago, nor
    # read the whole of an index to hash it.
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # A batch of requests is unfolded in memory, not in a file.
    "work_mem": "16MB",
    # A role or a database may have other ideas of how times are written.
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    # A lock that somebody keeps, and a statement that does not end, are errors that pass: they are tried again.
    "lock_timeout": "1s",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
}
_DRIVER: dict[str, Any] = {
    "connect_timeout": 5,
    "client_encoding": "utf8",
    "application_name": "synthralos",
    # A server that vanished without a word: found out within about ten seconds, idle or in the midst of a statement.
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}

_QUICKLY_WRITTEN = 256 * 1024 * 1024
"""Bytes of a SQLite file that is written anew within about a second or two."""

_WAL_PATIENCE, _WAL_PAUSE = 10.0, 0.02
"""Seconds: SQLite's busy handler does not wait where several processes switch a new file to its log at once."""


def postgres_arguments(url: sa.URL, suffix: str = "") -> dict[str, Any]:
    """What psycopg is told besides the URL. `suffix` is put behind our application name."""
    given = dict(url.query)
    arguments = {name: value for name, value in _DRIVER.items() if name not in given}
    if suffix and "application_name" in arguments:
        arguments["application_name"] += suffix
    ours = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    theirs = given.get("options", "")
    arguments["options"] = f"{ours} {theirs if isinstance(theirs, str) else ' '.join(theirs)}".strip()
    return arguments


def make_private(url: sa.URL) -> None:
    """Make a SQLite file that does not exist yet readable by its owner alone: it holds prompts, answers and keys."""
    if url.database in (None, "", ":memory:") or url.database.startswith("file:"):
        return
    path = Path(url.database)
    if not path.exists():
        with suppress(OSError):  # SQLite says it better, when it opens the file itself
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def prepare_sqlite(connection: sqlite3.Connection) -> None:
    """Our own BEGIN (the driver's would take the write lock too late), and durable write-ahead logging."""
    connection.isolation_level = None
    deadline = time.monotonic() + _WAL_PATIENCE
    while True:
        try:
            # Of a file that is new; see `track_pages`. Of another one this would wait for, and take, the writers' turn.
            if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
                connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_WAL_PAUSE)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten, however SQLite was built


def track_pages(connection: sqlite3.Connection) -> None:
    """Have a file that was made before this release give back pages that are free (`retention/freed_pages.py`).

    The file is written anew once, if that takes a moment only; a larger one waits for a `VACUUM` by hand. Where
    somebody else writes meanwhile, the next start tries again.
    """
    size = connection.execute("PRAGMA page_count").fetchone()[0] * connection.execute("PRAGMA page_size").fetchone()[0]
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 0 and 0 < size <= _QUICKLY_WRITTEN:
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("VACUUM")
