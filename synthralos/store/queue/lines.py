"""The lines in which bulk jobs wait for their turn, one for each organization: stored, and not rung yet."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.states import Lane, Stage, State
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import Id, asked_at, by_id_alone, id_text, utc_in, utcnow, word
from synthralos.store.tables import jobs, open_jobs

UNRUNG_SECONDS = 86_400.0
"""Who looks for lost rings finds a job that waits in line no sooner: nobody was rung for it."""

BYTES_PER_TOKEN, OUTPUT_TOKENS = 4, 256
"""What a job that is put back is expected to take."""


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
        """Whether the newest jobs, `most` of them, are of more than one organization."""
        with self._database.snapshot() as connection:
            return int(connection.execute(_SENDERS, {"most": most}).scalar_one()) > 1

    def organizations(self) -> list[str]:
        """Who has a line."""
        with self._database.snapshot() as connection:
            return list(connection.execute(_ORGANIZATIONS).scalars())

    def heads(self, organizations: Sequence[str], most: int) -> dict[str, list[InLine]]:
        """The first `most` of each line, in the order in which they came; who has no line any more is left out."""
        found: dict[str, list[InLine]] = {}
        with self._database.snapshot() as connection:
            for organization in organizations:
                rows = connection.execute(_HEAD, {"organization": organization, "most": most}).all()
                if rows:
                    found[organization] = [InLine(row.id, row.account_plan, row.line_tokens or 0) for row in rows]
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
    values = {"line": jobs.c.organization, "line_tokens": tokens, "notified_at": unrung()}
    return sa.update(open_jobs).where(open_jobs.c.id == picked.c.id, jobs.c.id == picked.c.id).values(values)


def _organizations() -> Any:
    """The first of them, then again and again the next one."""
    lines = sa.select(open_jobs.c.line).where(_IN_LINE).order_by(open_jobs.c.line).limit(1)
    first = sa.select(lines.scalar_subquery().label("line")).cte("lines", recursive=True)
    following = lines.where(open_jobs.c.line > first.c.line).correlate(first).scalar_subquery()
    found = first.union_all(sa.select(following).where(first.c.line.is_not(None)))
    return sa.select(found.c.line).where(found.c.line.is_not(None))


def _head() -> Any:
    line = open_jobs.c.line == sa.bindparam("organization", type_=sa.Text()), _IN_LINE, _QUEUED
    first = sa.select(open_jobs.c.id, open_jobs.c.line_tokens).where(*line).order_by(open_jobs.c.id)
    head = first.limit(_MOST).subquery()
    query = sa.select(id_text(head.c.id), jobs.c.account_plan, head.c.line_tokens)
    return query.join(jobs, jobs.c.id == head.c.id).order_by(head.c.id)


_newest = sa.select(jobs.c.organization).order_by(jobs.c.id.desc()).limit(_MOST).subquery()
_SENDERS = sa.select(sa.func.count(_newest.c.organization.distinct()))
_CROWD, _ORGANIZATIONS, _HEAD, _PUT_BACK = _crowd(), _organizations(), _head(), _put_back()
