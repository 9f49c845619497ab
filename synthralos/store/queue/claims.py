"""How a worker gets the right to work on a job.

As a rule it reads the job without a lock, and its first write takes the claim. A job that may have taken a worker down
is claimed before anything is done with it, so that the worker's death is counted against it.
"""

import threading
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.jobs import Claim, Job
from synthralos.domain.states import Lane, Stage, State, Transition, sources, target
from synthralos.store.queue.ledger import Ledger
from synthralos.store.queue.statements import worker_is
from synthralos.store.queue.taking import OpenJobs, OpenRow
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import is_transient
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import Id, by_id_alone, id_text, one_of, utcnow, word
from synthralos.store.tables import open_jobs

MOST_GIVEN_BACK = 3
"""Losses after which a forgotten job is left with its worker: each may have been a call that is paid for, and a job
whose end cannot be written must not be called for ever. The sweeper judges it when the worker ends."""

_FENCE = {"id": Id, "worker_id": Id, "claim_no": sa.Integer()}


class Claims:
    """Gives jobs to workers. A claim is fenced: it has a number, and every later write must carry that number."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open = OpenJobs(database)
        self._claim = _claim(database.dialect)
        self._settle_down = _settle_down(database.dialect)
        self._confirm = _confirm(database.dialect)
        self._hold = _hold(database.dialect)
        self._give_back = _give_back(database.dialect)
        self._let_go = _let_go(database.dialect)
        self._ledger = Ledger(database.dialect)
        self._in_doubt: set[tuple[str, Claim]] = set()
        self._lock = threading.Lock()

    def take(self, stage: Stage, job_ids: Sequence[str], worker_id: str, *, doubtful: bool = False) -> list[Job]:
        """Those of `job_ids` that are queued at `stage`; the others are somebody else's, done, or in line again.

        Nothing is written: the first write about a job takes its claim, and only one worker's can. Jobs that were lost
        or rung again before are claimed now, and all of them where the message is `doubtful`: a worker may have died
        of them before it wrote anything.
        """
        rows = [] if doubtful else self._open.read(job_ids)
        queued = [row for row in rows if row["state"] == State.QUEUED and row["stage"] == stage and not row["line"]]
        calm = [row for row in queued if not _is_suspect(row)]
        suspects = job_ids if doubtful else self._suspects(job_ids, queued)
        taken = self._open.jobs(calm, worker_id, held=False)
        return [*taken, *self.claim(stage, suspects, worker_id)] if suspects else taken

    def _suspects(self, job_ids: Sequence[str], queued: Sequence[OpenRow]) -> list[str]:
        """What has to be claimed, and what may be claimed already without this worker knowing it."""
        suspects = {row["id"] for row in queued if _is_suspect(row)}
        if self._in_doubt:
            with self._lock:
                suspects |= {job_id for job_id, _ in self._in_doubt} & set(job_ids)
        return sorted(suspects)

    def claim(self, stage: Stage, job_ids: Sequence[str], worker_id: str) -> list[Job]:
        """Claim those of `job_ids` that are queued at `stage`.

        Rows that another transaction holds are skipped, not waited for. A worker that was declared lost
        gets nothing. Where the connection breaks during the commit, nobody knows whether it was done: the next
        call with the same ids finds out, so that no job stays with a worker that does not know of it.
        """
        parameters = {"ids": encode_rows([{"id": i} for i in job_ids]), "at_stage": stage, "worker": worker_id}
        doubtful = self._take_doubts(set(job_ids))
        claimed: dict[str, int] = {}
        try:
            with self._database.transaction() as connection:
                if doubtful:
                    fences = {"rows": encode_rows(map(_fence, doubtful))}
                    connection.execute(self._settle_down, fences)
                    claimed.update(_numbers(connection.execute(self._confirm, fences)))
                claimed.update(_numbers(connection.execute(self._claim, parameters)))
        except Exception as error:
            if is_transient(error):
                self._doubt(doubtful | {(i, Claim(worker_id, claim_no)) for i, claim_no in claimed.items()})
            raise
        return self._held(claimed, worker_id)

    def _held(self, claimed: dict[str, int], worker_id: str) -> list[Job]:
        """The jobs of these claims, as far as they are still there."""
        try:
            rows = self._open.read(list(claimed)) if claimed else []
        except Exception as error:
            if is_transient(error):
                self._doubt({(i, Claim(worker_id, claim_no)) for i, claim_no in claimed.items()})
            raise
        mine = [row for row in rows if claimed[row["id"]] == row["claim_no"] and row["state"] == State.ACTIVE]
        return self._open.jobs(mine, worker_id, held=True)

    def active(self, worker_id: str) -> list[tuple[str, int]]:
        """(job id, claim number) of the jobs that the worker holds."""
        query = sa.select(id_text(open_jobs.c.id), open_jobs.c.claim_no).where(
            open_jobs.c.state == word(State.ACTIVE),
            open_jobs.c.worker_id == sa.bindparam("worker", worker_id, type_=Id),
        )
        with self._database.snapshot() as connection:
            return [(row.id, row.claim_no) for row in connection.execute(query)]

    def give_back(self, worker_id: str, claims: Sequence[tuple[str, int]]) -> list[tuple[str, Stage, Lane]]:
        """Queue the jobs that the worker holds under exactly these claims, and count a loss; an open attempt is lost.

        (id, stage, lane) of those that were still held, and were not lost `MOST_GIVEN_BACK` times before.
        """
        rows = [{"id": i, "worker_id": worker_id, "claim_no": claim_no} for i, claim_no in claims]
        with self._database.transaction() as connection:
            held = connection.execute(self._hold, {"rows": encode_rows(rows)}).scalars().all()
            self._ledger.write_off(connection, held)
            freed = connection.execute(self._give_back, {"rows": encode_rows({"id": i} for i in held)}).all()
        return [(row.id, Stage(row.stage), Lane(row.lane)) for row in freed]

    def let_go(self, claims: Sequence[tuple[str, Claim]]) -> None:
        """Queue the jobs that are held under exactly these claims, as if nobody had claimed them. No call has begun."""
        with self._database.transaction() as connection:
            connection.execute(self._let_go, {"rows": encode_rows(map(_fence, claims))})

    def _doubt(self, claims: set[tuple[str, Claim]]) -> None:
        with self._lock:
            self._in_doubt |= claims

    def _take_doubts(self, job_ids: set[str]) -> set[tuple[str, Claim]]:
        with self._lock:
            taken = {doubt for doubt in self._in_doubt if doubt[0] in job_ids}
            self._in_doubt -= taken
        return taken


def _is_suspect(row: OpenRow) -> bool:
    return bool(row["losses"] or row["rings"])


def _numbers(found: Any) -> dict[str, int]:
    return {row.id: row.claim_no for row in found}


def _fence(doubt: tuple[str, Claim]) -> dict[str, Any]:
    job_id, claim = doubt
    return {"id": job_id, "worker_id": claim.worker_id, "claim_no": claim.claim_no}


_CLAIMED = (id_text(open_jobs.c.id), open_jobs.c.claim_no)


def _claim(dialect: str) -> Any:
    ids = recordset(dialect, "ids", {"id": Id})
    picked = (
        sa.select(open_jobs.c.id)
        .join(ids, ids.c.id == open_jobs.c.id)
        .where(
            one_of(by_id_alone(open_jobs.c.state), sources(Transition.CLAIM)),
            open_jobs.c.stage == sa.bindparam("at_stage"),
            worker_is("running"),
        )
        .with_for_update(skip_locked=True, of=open_jobs)
        .cte("picked")
    )
    return (
        sa.update(open_jobs)
        .where(open_jobs.c.id == picked.c.id)
        .values(
            state=word(target(Transition.CLAIM)),
            line=sa.null(),
            worker_id=sa.bindparam("worker", type_=Id),
            claim_no=open_jobs.c.claim_no + 1,
        )
        .returning(*_CLAIMED)
    )


def _settle_down(dialect: str) -> Any:
    """Wait for the commits in doubt: a server may still be at it long after the connection broke."""
    rows = recordset(dialect, "rows", {"id": Id})
    locked = sa.select(open_jobs.c.id).join(rows, open_jobs.c.id == rows.c.id).order_by(open_jobs.c.id)
    return locked.with_for_update(of=open_jobs)


def _confirm(dialect: str) -> Any:
    """Claim anew the jobs that are held under exactly the claims of `rows`."""
    rows = recordset(dialect, "rows", _FENCE)
    return sa.update(open_jobs).where(*_under(rows)).values(claim_no=open_jobs.c.claim_no + 1).returning(*_CLAIMED)


def _hold(dialect: str) -> Any:
    """Lock the jobs that are held under exactly the claims of `rows`, and were not lost too often."""
    rows = recordset(dialect, "rows", _FENCE)
    few = open_jobs.c.losses < MOST_GIVEN_BACK
    held = sa.select(id_text(open_jobs.c.id)).join(rows, sa.and_(*_under(rows))).where(few).order_by(open_jobs.c.id)
    return held.with_for_update(of=open_jobs)


def _give_back(dialect: str) -> Any:
    rows = recordset(dialect, "rows", {"id": Id})
    values = {
        "state": word(target(Transition.RELEASE)),
        "worker_id": None,
        "in_flight": False,
        "notified_at": utcnow(),
        "losses": open_jobs.c.losses + 1,
    }
    returned = (id_text(open_jobs.c.id), open_jobs.c.stage, open_jobs.c.lane)
    return sa.update(open_jobs).where(open_jobs.c.id == rows.c.id).values(values).returning(*returned)


def _let_go(dialect: str) -> Any:
    rows = recordset(dialect, "rows", _FENCE)
    values = {"state": word(target(Transition.RELEASE)), "worker_id": None}
    return sa.update(open_jobs).where(*_under(rows)).values(values)


def _under(rows: Any) -> list[sa.ColumnElement[bool]]:
    return [
        open_jobs.c.id == rows.c.id,
        by_id_alone(open_jobs.c.state) == word(target(Transition.CLAIM)),
        open_jobs.c.worker_id == rows.c.worker_id,
        open_jobs.c.claim_no == rows.c.claim_no,
    ]
