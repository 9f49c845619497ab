"""Column types and SQL expressions that mean the same on PostgreSQL and SQLite.

Values travel to the database as JSON (see `recordset`), so each type also says how a value is written there.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import expression
from sqlalchemy.types import TypeDecorator, TypeEngine

from synthralos.domain.money import SCALE

_UNSTORABLE = re.compile("[\\x00\ud800-\udfff]")
_PICO = Decimal(10) ** SCALE


def encode_time(moment: datetime | None) -> str | None:
    """A UTC instant in the one form that sorts as text: `2026-01-31T12:00:00.000000Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def decode_time(text: str) -> datetime:
    """The inverse of `encode_time`."""
    return datetime.fromisoformat(text)


def encode_money(amount: Decimal | None) -> int | None:
    """US dollars as a whole number of 10^-12 dollars: exact, and summable in any database."""
    if amount is None:
        return None
    return int((amount * _PICO).to_integral_value(ROUND_HALF_EVEN))


def decode_money(pico: int | Decimal | None) -> Decimal | None:
    """The inverse of `encode_money`."""
    if pico is None:
        return None
    return (Decimal(pico) / _PICO).normalize() if pico else Decimal(0)


def encode_json(value: Any) -> str | None:
    """A value as JSON text; None stays None.

    What a provider answers may hold characters that no database takes as text: NUL (PostgreSQL) and lone
    surrogates (not UTF-8). They are stored as U+FFFD, because a result must not be lost over them.
    """
    if value is None:
        return None
    try:
        text = orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()
    except TypeError:
        return orjson.dumps(storable(value), option=orjson.OPT_UTC_Z).decode()
    return orjson.dumps(storable(value), option=orjson.OPT_UTC_Z).decode() if "\\u0000" in text else text


def storable(value: Any) -> Any:
    """The value with U+FFFD in the place of what no database takes as text."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {storable(name): storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


class Money(TypeDecorator[Decimal]):
    """USD as `Decimal` in Python, as a whole number of 10^-12 USD in the database (at most 9.2 million USD)."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> int | None:
        """To the database."""
        return encode_money(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> Decimal | None:
        """From the database."""
        return decode_money(value)


class UtcTime(TypeDecorator[datetime]):
    """An instant: `timestamptz` on PostgreSQL, sortable text on SQLite; always aware and in UTC in Python."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        """Text on SQLite, which has no time type."""
        return dialect.type_descriptor(sa.String(27) if dialect.name == "sqlite" else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        """To the database."""
        return encode_time(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return decode_time(value) if isinstance(value, str) else value.astimezone(UTC)


def one_of(column: sa.ColumnElement[str], values: Iterable[str]) -> sa.ColumnElement[bool]:
    """`column IN values` for a fixed list of words, written out: as parameters they would match no partial index."""
    return sa.or_(*(column == word(value) for value in sorted(values)))


def word(value: str) -> sa.ColumnElement[str]:
    """A word of ours (a state, a stage …) written out in the statement. Raises `ValueError` for what is no word."""
    if not value.replace("_", "").isalnum():
        raise ValueError(f"not a word: {value!r}")
    return sa.literal_column(f"'{value}'", sa.Text())


def by_id_alone(column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """A column in a condition on rows that are found by their ids: as it is, it would tempt the planner.

    With few statistics it takes all rows of that state by an index of the state, and joins the ids with them.
    """
    return column + sa.literal_column("''", sa.Text())


def id_text(column: sa.ColumnElement[Any]) -> sa.Label[str]:
    """An id as text already in the database: cheaper than a UUID object that is made only to be written out."""
    return sa.cast(column, sa.Text).label(column.key or "id")


class JsonText(TypeDecorator[Any]):
    """JSON as text: nothing in the database looks into it, so it need not be parsed there."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """To the database."""
        return encode_json(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        """From the database."""
        return None if value is None else orjson.loads(value)


Id = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")
Json = sa.JSON(none_as_null=True)


class utcnow(expression.FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock, now: the only clock that states and deadlines go by."""

    type = UtcTime()
    inherit_cache = True


@compiles(utcnow, "postgresql")
def _utcnow_postgresql(element: utcnow, compiler: Any, **kw: Any) -> str:
    return "clock_timestamp()"


@compiles(utcnow, "sqlite")
def _utcnow_sqlite(element: utcnow, compiler: Any, **kw: Any) -> str:
    return "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"


class utc_in(expression.FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock plus a number of seconds (negative: ago); NULL for NULL."""

    type = UtcTime()
    inherit_cache = True


@compiles(utc_in, "postgresql")
def _utc_in_postgresql(element: utc_in, compiler: Any, **kw: Any) -> str:
    return f"(clock_timestamp() + make_interval(secs => {compiler.process(element.clauses, **kw)}))"


@compiles(utc_in, "sqlite")
def _utc_in_sqlite(element: "utc_in | asked_at", compiler: Any, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', ({seconds}) || ' seconds')"


class asked_at(expression.FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock when the statement began, plus a number of seconds (negative: ago).

    For conditions: PostgreSQL searches an index by it, but walks the whole index to compare with `clock_timestamp()`,
    which may change from row to row.
    """

    type = UtcTime()
    inherit_cache = True


@compiles(asked_at, "postgresql")
def _asked_at_postgresql(element: asked_at, compiler: Any, **kw: Any) -> str:
    return f"(statement_timestamp() + make_interval(secs => {compiler.process(element.clauses, **kw)}))"


@compiles(asked_at, "sqlite")
def _asked_at_sqlite(element: asked_at, compiler: Any, **kw: Any) -> str:
    return _utc_in_sqlite(element, compiler, **kw)
