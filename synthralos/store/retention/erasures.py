"""Erasures: made at once, carried out step by step by the leader, and kept on record without whom they were about."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.erasures import Erasure, ErasureState, OpenJobs, new_key, of_what, pseudonym
from synthralos.domain.happenings import ErasureDone, Happening
from synthralos.domain.ids import new_id
from synthralos.domain.scope import Scope
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.queue.happenings import tell
from synthralos.store.queue.idempotency import make_once
from synthralos.store.retention.erasing import STEPS
from synthralos.store.retention.erasing_jobs import chosen_open
from synthralos.store.retention.erasing_parts import Subject
from synthralos.store.retention.freed_pages import empty_log
from synthralos.store.sql.database import Database, let_plan_once
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import erasures

Forget = Callable[[Sequence[str]], None]
"""Told which jobs are gone, for what is kept of them outside of the database."""

_NAMES = tuple(step.name for step in STEPS)


class Erasures:
    """Blocks; raises what the store raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, scope: Scope, open_jobs: OpenJobs, by: By) -> Erasure:
        """A new erasure. `scope` names an organization.

        Raises `MadeBeforeError` or `KeyReusedError` where `by.once` was used before.
        """
        assert scope.organization is not None
        row: dict[str, Any] = {
            "id": new_id(), "organization": scope.organization, "workspace": scope.workspace, "user_id": scope.user,
            "open_jobs": open_jobs, "pseudonym": new_key(), "state": ErasureState.RUNNING, "step": None, "counts": {},
            "created_by": by.actor, "reason": by.reason, "created_at": utcnow(), "changed_at": utcnow(),
        }  # fmt: skip
        said = {"of": of_what(scope)}
        with self._database.transaction() as connection:
            make_once(connection, by.once, str(row["id"]))
            made = connection.execute(sa.insert(erasures).values(row).returning(*erasures.c)).one()
            record(connection, by, Change(Act.ERASE, f"erasure:{made.id}", None, said, scope.organization))
        return _erasure(made)

    def get(self, erasure_id: str, organization: str | None) -> Erasure | None:
        """One of an organization, or of any."""
        query = sa.select(erasures).where(erasures.c.id == erasure_id, *_owned(organization))
        with self._database.snapshot() as connection:
            row = connection.execute(query).first()
        return None if row is None else _erasure(row)

    def page(self, organization: str | None, limit: int, before: str | None = None) -> list[Erasure]:
        """Those of an organization, or of all, newest first."""
        query = sa.select(erasures).where(*_owned(organization))
        if before is not None:
            query = query.where(erasures.c.id < before)
        with self._database.snapshot() as connection:
            rows = connection.execute(query.order_by(erasures.c.id.desc()).limit(limit)).all()
        return [_erasure(row) for row in rows]

    def running(self) -> list[Erasure]:
        """Those that are not done, oldest first."""
        query = sa.select(erasures).where(erasures.c.finished_at.is_(None)).order_by(erasures.c.id)
        with self._database.snapshot() as connection:
            return [_erasure(row) for row in connection.execute(query).all()]

    def open_jobs(self, erasure: Erasure, most: int) -> list[str]:
        """Jobs that it is about and that are open, the oldest first."""
        query = chosen_open(Subject(erasure.id, erasure.scope, "")).limit(most)
        with self._database.snapshot() as connection:
            return [str(each) for each in connection.execute(query).scalars()]

    def note(self, erasure: Erasure, state: ErasureState) -> None:
        """Have people see whether it waits."""
        if erasure.state is not state:
            with self._database.transaction() as connection:
                _set(connection, erasure.id, {"state": state, "changed_at": utcnow()})

    def step(self, erasure_id: str, most: int, forget: Forget = lambda job_ids: None) -> bool:
        """Erase what comes next, about `most` rows of it; False where it is done, or waits for a job to end.

        What is erased and how far that is are one transaction: who is killed in between leaves nothing half done.
        `forget` is told of the jobs that are gone before that is committed, and so perhaps twice: what it raises undoes
        the step.
        """
        with self._database.transaction() as connection:
            let_plan_once(connection)
            unfinished = erasures.c.id == erasure_id, erasures.c.finished_at.is_(None)
            row = connection.execute(sa.select(erasures).where(*unfinished).with_for_update()).first()
            if row is None:
                return False
            step = STEPS[0 if row.step is None else _NAMES.index(row.step)]
            subject = Subject(row.id, _scope(row), row.pseudonym)
            piece = step.act(connection, subject, most, row.place)
            counts = Counter(row.counts)
            counts.update({str(name): count for name, count in piece.counts.items() if count})
            values: dict[str, Any] = {"counts": dict(counts), "changed_at": utcnow(), "step": step.name}
            values["place"] = piece.place
            if not piece.more:
                values |= _following(step.name, row)
            if piece.blocked:
                values["state"] = ErasureState.WAITING
            _set(connection, erasure_id, values)
            if values.get("state") is ErasureState.DONE:
                told = ErasureDone(of=of_what(subject.scope), workspace=row.workspace, user=values["user_id"])
                tell(connection, [Happening.of(told, str(row.id), row.created_by, row.organization)])
            if piece.job_ids:
                forget(piece.job_ids)
        if values.get("state") is ErasureState.DONE:
            empty_log(self._database)
        return not piece.blocked


def _owned(organization: str | None) -> list[sa.ColumnElement[bool]]:
    return [] if organization is None else [erasures.c.organization == organization]


def _following(name: str, row: Any) -> Mapping[str, Any]:
    """The step after this one; after the last, whom it was about is forgotten, with what pseudonyms are made with."""
    at = _NAMES.index(name) + 1
    if at < len(_NAMES):
        return {"step": _NAMES[at], "place": None}
    alias = "" if row.user_id is None else pseudonym(row.pseudonym, row.user_id)
    return {
        "state": ErasureState.DONE,
        "step": None,
        "place": None,
        "user_id": alias or None,
        "pseudonym": alias,
        "finished_at": utcnow(),
    }


def _set(connection: sa.Connection, erasure_id: str, values: Mapping[str, Any]) -> None:
    connection.execute(sa.update(erasures).where(erasures.c.id == erasure_id).values(dict(values)))


def _scope(row: Any) -> Scope:
    return Scope(row.organization, row.workspace, row.user_id)


def _erasure(row: Any) -> Erasure:
    done = row.finished_at is not None
    return Erasure(
        row.id,
        _scope(row),
        OpenJobs(row.open_jobs),
        row.pseudonym if done else "",
        ErasureState(row.state),
        row.created_by,
        row.reason,
        row.created_at,
        row.changed_at,
        row.step,
        row.counts,
        row.finished_at,
    )
