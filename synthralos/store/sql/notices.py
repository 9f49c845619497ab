"""NOTIFY within the statement that writes: what it says is heard when the write is durable, and not before."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.sql.expression import FromClause

from synthralos.store.sql.recordset import Columns, encode_rows, recordset

PAYLOAD_BYTES = 7_900
"""PostgreSQL takes less than 8,000 bytes a notification."""

_COLUMNS: Columns = {"channel": sa.Text(), "payload": sa.Text()}


class Notice(NamedTuple):
    """What is to be said on a channel."""

    channel: str
    payload: str


def encode_notices(notices: Iterable[Notice]) -> str:
    """The value of the parameter `notices`, which `tell` and `told_beside` read."""
    return encode_rows(notice._asdict() for notice in notices)


def tell() -> "sa.Select[Any]":
    """A SELECT, for PostgreSQL, that says every notice.

    It has to be the main part of a statement: one that is only named beside it would not be run.
    """
    notices = _notices()
    return sa.select(_say(notices))


def told_beside() -> "sa.ScalarSelect[Any]":
    """A column, for PostgreSQL, that says every notice once, if the statement gives any row; their number."""
    return sa.select(sa.func.count(_say(_notices()))).scalar_subquery()


def _notices() -> FromClause:
    return recordset("postgresql", "notices", _COLUMNS)


def _say(notices: FromClause) -> "sa.Function[Any]":
    return sa.func.pg_notify(notices.c.channel, notices.c.payload)
