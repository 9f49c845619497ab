"""The lines in which bulk jobs wait for their turn: stored, and not rung yet. `domain/turns.py` says whose each is."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.jobs import DEFAULT_WORKSPACE
from synthralos.domain.states import Lane, Stage, State
from synthralos.domain.turns import SEPARATOR
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import Id, asked_at, by_id_alone, id_text, utc_in, utcnow, word
from synthralos.store.tables import api_keys, jobs, open_jobs

UNRUNG_SECONDS = 86_400.0
"""Who looks for lost rings finds a job that waits in line no sooner: nobody was rung for it."""

BYTES_PER_TOKEN, OUTPUT_TOKENS = 4, 256
"""What a job that is put back is expected to take."""


FIRST = "00000000-0000-0000-0000-000000000000"
"""The id that comes before all others."""


class Crowd(NamedTuple):
    """`rung`: jobs that workers were rung for and have not come for, counted up to a bound; `waiting`: any in line."""

    rung: int
    waiting: bool


_MOST = sa.bindparam("most", type_=sa.Integer())


class InLine(NamedTuple):
    """A job that waits for its turn, and the tokens that it is expected to take."""

    job_id: str
    account_plan: str
    tokens: int


_IN_LINE = open_jobs.c.line.is_not(None)
_QUEUED = open_jobs.c.state == word(State.QUEUED)
_RUNG = (
    _QUEUED,
    open_jobs.c.stage == word(Stage.GUARD),
    open_jobs.c.lane == word(Lane.BULK),
    open_jobs.c.notified_at <= asked_at(sa.literal_column("1.0")),
)
"""At the entrance of the bulk lane, and not in line."""


def unrung() -> Any:
    """The `notified_at` of a job that joins a line."""
    return utc_in(sa.literal_column(str(UNRUNG_SECONDS)))


class Lines:
    """Each look reads the head of an index, however many wait."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._call = _call(database.dialect)

    def crowd(self, most: int) -> Crowd:
        """How crowded it is at the entrance of the bulk lane; jobs are counted up to `most`."""
        with self._database.snapshot() as connection:
            rung, waiting = connection.execute(_CROWD, {"most": most}).one()
        return Crowd(rung, bool(waiting))

    def several_lately(self, most: int) -> bool:
        """Whether the newest jobs, `most` of them, would stand in more than one line."""
        with self._database.snapshot() as connection:
            return int(connection.execute(_SENDERS, {"most": most}).scalar_one()) > 1

    def names(self, most: int, after: str = "") -> list[str]:
        """The first `most` lines whose names come after that one, in their order."""
        with self._database.snapshot() as connection:
            return list(connection.execute(_NAMES, {"most": most, "after": after}).scalars())

    def heads(self, names: Sequence[str], most: int, after: str = FIRST) -> dict[str, list[InLine]]:
        """The first `most` of each line after that job, in the order in which they came; empty lines are left out."""
        found: dict[str, list[InLine]] = {}
        with self._database.snapshot() as connection:
            for name in names:
                rows = connection.execute(_HEAD, {"name": name, "most": most, "after": after}).all()
                if rows:
                    found[name] = [InLine(row.id, row.account_plan, row.line_tokens or 0) for row in rows]
        return found

    def put_back(self, most: int) -> None:
        """Let those that were rung for last, and that nobody has come for, stand in line.

        Their messages are void: workers take nobody who stands in line.
        """
        with self._database.transaction() as connection:
            connection.execute(_PUT_BACK, {"most": most})

    def call(self, job_ids: Sequence[str]) -> set[str]:
        """Let these jobs leave their line: those that did are to be rung for now."""
        with self._database.transaction() as connection:
            rows = encode_rows({"id": job_id} for job_id in sorted(job_ids))
            return set(connection.execute(self._call, {"rows": rows}).scalars())


def _call(dialect: str) -> Any:
    rows = recordset(dialect, "rows", {"id": Id})
    values = {"line": None, "line_tokens": None, "notified_at": utcnow()}
    still = by_id_alone(open_jobs.c.line).is_not(None), by_id_alone(open_jobs.c.state) == word(State.QUEUED)
    called = sa.update(open_jobs).where(open_jobs.c.id == rows.c.id, *still).values(values)
    return called.returning(id_text(open_jobs.c.id))


def _crowd() -> Any:
    rung = sa.select(sa.literal(1)).where(*_RUNG).limit(_MOST).subquery()
    counted = sa.select(sa.func.count()).select_from(rung).scalar_subquery()
    return sa.select(counted, sa.exists().where(_IN_LINE, _QUEUED))


def _put_back() -> Any:
    last = sa.select(open_jobs.c.id).where(*_RUNG).order_by(open_jobs.c.notified_at.desc()).limit(_MOST)
    picked = last.with_for_update(skip_locked=True).cte("picked")
    tokens = sa.func.length(jobs.c.request) / BYTES_PER_TOKEN + OUTPUT_TOKENS
    own = _own_user(jobs)
    values = {"line": _name(jobs, own), "line_tokens": tokens, "notified_at": unrung()}
    return sa.update(open_jobs).where(open_jobs.c.id == picked.c.id, jobs.c.id == picked.c.id).values(values)


def _own_user(sent: Any) -> Any:
    """The user whose own the key of such a job is."""
    return sa.select(api_keys.c.user_id).where(api_keys.c.id == sent.c.api_key_id).correlate(sent).scalar_subquery()


def _name(sent: Any, user: Any) -> Any:
    """As `line_name` in the domain."""
    separator = sa.literal(SEPARATOR, sa.Text())
    inner = sa.func.coalesce(separator + user, sa.literal("", sa.Text()))
    usual = (sent.c.workspace == word(DEFAULT_WORKSPACE)) & user.is_(None)
    return sa.case((usual, sent.c.organization), else_=sent.c.organization + separator + sent.c.workspace + inner)


def _names() -> Any:
    """The first of them, then again and again the next one."""
    lines = sa.select(open_jobs.c.line).where(_IN_LINE).order_by(open_jobs.c.line).limit(1)
    begin = lines.where(open_jobs.c.line > sa.bindparam("after", type_=sa.Text())).scalar_subquery()
    first = sa.select(begin.label("line")).cte("lines", recursive=True)
    following = lines.where(open_jobs.c.line > first.c.line).correlate(first).scalar_subquery()
    found = first.union_all(sa.select(following).where(first.c.line.is_not(None)))
    return sa.select(found.c.line).where(found.c.line.is_not(None)).limit(_MOST)


def _head() -> Any:
    line = open_jobs.c.line == sa.bindparam("name", type_=sa.Text()), _IN_LINE, _QUEUED
    later = open_jobs.c.id > sa.bindparam("after", type_=Id)
    first = sa.select(open_jobs.c.id, open_jobs.c.line_tokens).where(*line, later).order_by(open_jobs.c.id)
    head = first.limit(_MOST).subquery()
    query = sa.select(id_text(head.c.id), jobs.c.account_plan, head.c.line_tokens)
    return query.join(jobs, jobs.c.id == head.c.id).order_by(head.c.id)


def _senders() -> Any:
    """How many lines the newest jobs would stand in. Of the many jobs of one key the key is looked at once."""
    sent = jobs.c.organization, jobs.c.workspace, jobs.c.api_key_id
    newest = sa.select(*sent).order_by(jobs.c.id.desc()).limit(_MOST).subquery()
    senders = sa.select(newest).distinct().subquery()
    names = sa.select(_name(senders, _own_user(senders)).label("name")).subquery()
    return sa.select(sa.func.count(names.c.name.distinct()))


_CROWD, _SENDERS, _NAMES, _HEAD, _PUT_BACK = _crowd(), _senders(), _names(), _head(), _put_back()
