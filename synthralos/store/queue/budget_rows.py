"""The rows of budgets: what was used of them, and what is held for calls; and the statements that write them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.store.sql.recordset import Row, insert_ignoring, recordset
from synthralos.store.sql.types import Id, Money, UtcTime, encode_money, encode_time, id_text
from synthralos.store.tables import budget_holds, budget_uses

Key = tuple[str, str, datetime]
"""Budget id, subject, beginning of the period."""

_KEY = {"budget_id": Id, "subject": sa.Text(), "since": UtcTime()}
_USE = {**_KEY, "held": Money(), "maybe": Money(), "spent": Money(), "alerted": sa.Integer()}
_HOLD = {**_KEY, "job_id": Id, "attempt_no": sa.Integer(), "amount": Money(), "fate": sa.Text()}


@dataclass(slots=True)
class Used:
    """A locked row of what was used, in USD. `alerted`: the highest percentage that was told."""

    held: Decimal
    maybe: Decimal
    spent: Decimal
    alerted: int

    @property
    def gone(self) -> Decimal:
        """What is not to be had back: spent, or perhaps so."""
        return self.spent + self.maybe


class Hold(NamedTuple):
    """What one budget holds for one call."""

    job_id: str
    attempt_no: int
    key: Key
    amount: Decimal
    fate: str


def holds_of(connection: sa.Connection, job_ids: Sequence[str], *, lock: bool = False) -> list[Hold]:
    """What is held for calls of these jobs; locked, where it is to be settled: another may be about to do that."""
    c = budget_holds.c
    query = sa.select(id_text(c.job_id), c.attempt_no, id_text(c.budget_id), c.subject, c.since, c.amount_picousd)
    query = query.add_columns(c.fate).where(c.job_id.in_(job_ids)).order_by(c.job_id, c.attempt_no, c.budget_id)
    if lock:
        query = query.with_for_update()
    return [
        Hold(r.job_id, r.attempt_no, (r.budget_id, r.subject, r.since), r.amount_picousd, r.fate)
        for r in connection.execute(query)
    ]


def key_row(key: Key) -> Row:
    """What was used, by its key, as a row of a recordset."""
    return {"budget_id": key[0], "subject": key[1], "since": encode_time(key[2])}


def hold_row(hold: Hold) -> Row:
    """What is held, as a row of a recordset."""
    end = {"job_id": hold.job_id, "attempt_no": hold.attempt_no, "amount": encode_money(hold.amount), "fate": hold.fate}
    return {**key_row(hold.key), **end}


def new_uses(dialect: str) -> Any:
    """Rows of what was used, with nothing in them, where there are none yet."""
    rows = recordset(dialect, "rows", _KEY)
    zero = sa.literal_column("0", sa.Integer())
    names = [*_KEY, "held_picousd", "maybe_picousd", "spent_picousd", "alerted"]
    return insert_ignoring(dialect, budget_uses, names, sa.select(*(rows.c[n] for n in _KEY), zero, zero, zero, zero))


def new_holds(dialect: str) -> Any:
    """Rows of what is held."""
    rows = recordset(dialect, "rows", _HOLD)
    names = [*_KEY, "job_id", "attempt_no", "amount_picousd", "fate"]
    return insert_ignoring(dialect, budget_holds, names, sa.select(*(rows.c[name] for name in _HOLD)))


def _same(rows: Any, table: sa.Table, names: Iterable[str]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == rows.c[name] for name in names]


def lock_uses(dialect: str) -> Any:
    """Lock what was used, in one order."""
    rows, use = recordset(dialect, "rows", _KEY), budget_uses.c
    query = sa.select(
        id_text(use.budget_id), use.subject, use.since, use.held_picousd.label("held"),
        use.maybe_picousd.label("maybe"), use.spent_picousd.label("spent"), use.alerted,
    )  # fmt: skip
    query = query.select_from(rows.join(budget_uses, sa.and_(*_same(rows, budget_uses, _KEY))))
    return query.order_by(use.budget_id, use.subject, use.since).with_for_update(of=budget_uses)


def write_uses(dialect: str) -> Any:
    """Write what was used; its rows are locked."""
    rows = recordset(dialect, "rows", _USE)
    values = {f"{name}_picousd": rows.c[name] for name in ("held", "maybe", "spent")}
    update = sa.update(budget_uses).where(*_same(rows, budget_uses, _KEY))
    return update.values(**values, alerted=rows.c.alerted)


_HOLDS_KEY = ("job_id", "attempt_no", "budget_id")


def drop_holds(dialect: str) -> Any:
    """Nothing is held any more."""
    rows = recordset(dialect, "rows", _HOLD)
    return sa.delete(budget_holds).where(sa.exists().where(*_same(rows, budget_holds, _HOLDS_KEY)))


def keep_holds(dialect: str) -> Any:
    """Something else is held."""
    rows = recordset(dialect, "rows", _HOLD)
    update = sa.update(budget_holds).where(*_same(rows, budget_holds, _HOLDS_KEY))
    return update.values(amount_picousd=rows.c.amount, fate=rows.c.fate)
