"""Erasure of jobs, of what makes jobs, and of what names them.

Whatever makes new rows goes first, and whatever is found by its jobs goes with them or before.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.erasures import pseudonym
from synthralos.domain.ids import is_id
from synthralos.domain.observing import fingerprint, normalized
from synthralos.store.retention.erasing_parts import Piece, Subject, delete_some
from synthralos.store.retention.removal import gather, going, remove_jobs
from synthralos.store.sql.types import id_text
from synthralos.store.tables import (
    attempts,
    audit_log,
    backfills,
    error_sums,
    event_logs,
    firings,
    idempotency_keys,
    job_accounts,
    jobs,
    open_jobs,
    prompt_similarity_logs,
    results,
    schedules,
    waits,
)

_LOOKED_THROUGH = 1_000
"""Rows of other people's that one step looks through."""


def schedules_of(connection: sa.Connection, subject: Subject, most: int, _: Any) -> Piece:
    """Schedules with their firings, so that they make no new jobs."""
    mine = sa.select(schedules.c.id).where(*subject.of(schedules)).order_by(schedules.c.id).limit(most)
    ids = list(connection.execute(mine).scalars())
    counts = {}
    for column in (firings.c.schedule_id, backfills.c.schedule_id, schedules.c.id):
        counts[column.table.name] = connection.execute(sa.delete(column.table).where(column.in_(ids))).rowcount
    return Piece(counts, len(ids) == most)


def keys_of(connection: sa.Connection, subject: Subject, most: int, place: Any) -> Piece:
    """Idempotency keys: a person's are those of jobs, and of what was made for jobs, that are the person's."""
    table, key = idempotency_keys, [idempotency_keys.c.workspace, idempotency_keys.c.key]
    mine = [table.c.organization == subject.organization]
    if subject.scope.user is None:
        mine += [] if subject.scope.workspace is None else [table.c.workspace == subject.scope.workspace]
        return delete_some(connection, table, mine, most)
    if place is not None:
        mine.append(sa.tuple_(*key) > sa.tuple_(*map(sa.literal, place)))
    query = sa.select(*key, table.c.job_ids).where(*mine).order_by(*key).limit(_LOOKED_THROUGH)
    rows = connection.execute(query).all()
    theirs = _theirs(connection, subject, {each for row in rows for each in row.job_ids if is_id(each)})
    count = 0
    for row in rows:
        if theirs & set(row.job_ids):
            this = table.c.organization == subject.organization, key[0] == row.workspace, key[1] == row.key
            count += connection.execute(sa.delete(table).where(*this)).rowcount
    more = len(rows) == _LOOKED_THROUGH
    return Piece({table.name: count}, more, [rows[-1].workspace, rows[-1].key] if more else None)


def _theirs(connection: sa.Connection, subject: Subject, ids: set[str]) -> set[str]:
    """Those of the ids that are jobs of the subject's, or events or waits of such jobs."""
    mine = subject.of(jobs)
    found = set(connection.execute(sa.select(id_text(jobs.c.id)).where(jobs.c.id.in_(ids), *mine)).scalars())
    before = sa.select(id_text(job_accounts.c.id)).where(job_accounts.c.id.in_(ids), *subject.of(job_accounts))
    found |= set(connection.execute(before).scalars())
    told = sa.select(id_text(event_logs.c.id)).join(jobs, jobs.c.id == event_logs.c.job_id)
    found |= set(connection.execute(told.where(event_logs.c.id.in_(ids), *mine)).scalars())
    asked = sa.select(id_text(waits.c.id)).where(waits.c.id.in_(ids), *subject.of(waits))
    return found | set(connection.execute(asked).scalars())


def jobs_of(connection: sa.Connection, subject: Subject, most: int, _: Any) -> Piece:
    """Finished jobs with all that they have; what their calls cost is under a pseudonym."""
    ended = sa.exists().where(results.c.job_id == jobs.c.id)
    chosen = sa.select(jobs.c.id).where(*subject.of(jobs), jobs.c.id < subject.id, ended)
    gone = gather(connection, chosen.order_by(jobs.c.id).limit(most))
    if not gone.total:
        reopened = chosen_open(subject).limit(1)
        blocked = connection.execute(reopened).first() is not None
        return Piece({}, blocked, blocked=blocked)
    ids = list(connection.execute(sa.select(id_text(going.c.job_id))).scalars())
    counts = {"jobs": gone.total, "error_sums": _blank_errors(connection, subject)}
    likenesses = prompt_similarity_logs.c.job_id.in_(sa.select(going.c.job_id))
    counts["prompt_similarity_logs"] = connection.execute(sa.delete(prompt_similarity_logs).where(likenesses)).rowcount
    counts["audit_log"] = blank_audit(connection, audit_log.c.subject.in_(_subjects(connection, ids)))
    remove_jobs(connection, gone, None)
    counts["job_accounts"] = _hide(connection, subject, job_accounts.c.id.in_(sa.select(going.c.job_id)))
    return Piece(counts, True, None, ids)


def chosen_open(subject: Subject) -> "sa.Select[Any]":
    """The open jobs of the subject, the oldest first."""
    query = sa.select(jobs.c.id).join(open_jobs, open_jobs.c.id == jobs.c.id)
    return query.where(*subject.of(jobs), jobs.c.id < subject.id).order_by(jobs.c.id)


def _subjects(connection: sa.Connection, job_ids: Sequence[str]) -> list[str]:
    """How the audit log names jobs and their waits."""
    asked = sa.select(id_text(waits.c.id)).where(waits.c.job_id.in_(sa.select(going.c.job_id)))
    found = connection.execute(asked).scalars()
    return [*(f"job:{each}" for each in job_ids), *(f"wait:{each}" for each in found)]


def _blank_errors(connection: sa.Connection, subject: Subject) -> int:
    """Messages of failures that were the subject's; how often they came, and when, stays."""
    going_too = sa.select(going.c.job_id)
    failures = [
        *connection.execute(sa.select(results.c.failure).where(results.c.job_id.in_(going_too))).scalars(),
        *connection.execute(sa.select(attempts.c.failure).where(attempts.c.job_id.in_(going_too))).scalars(),
    ]
    names = {fingerprint(normalized(each["message"])) for each in failures if each and each.get("message")}
    if not names:
        return 0
    mine = error_sums.c.organization.in_([subject.organization, ""]), error_sums.c.fingerprint.in_(sorted(names))
    blank = sa.update(error_sums).where(*mine, error_sums.c.message != "").values(message="", jobs=[])
    return connection.execute(blank).rowcount


def blank_audit(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> int:
    """What was changed, and why, without its words; who did what, and when, stays."""
    blank = sa.update(audit_log).where(*which).values(before=None, after=None, reason="")
    return connection.execute(blank).rowcount


def _hide(connection: sa.Connection, subject: Subject, *which: sa.ColumnElement[bool]) -> int:
    """On the books of those jobs, pseudonyms in the place of users, and nothing else that leads to anybody."""
    c = job_accounts.c
    users = connection.execute(sa.select(c.user_id).where(*which).distinct()).scalars().all()
    bare = {"trace_id": None, "run_id": None, "metadata": None, "api_key_id": None}
    these = attempts.c.job_id.in_(sa.select(c.id).where(*which))
    connection.execute(sa.update(attempts).where(these).values(provider_request_id=None, failure=None))
    count = 0
    for user in users:
        named = None if user is None else pseudonym(subject.key, user)
        whose = c.user_id.is_(None) if user is None else c.user_id == user
        count += connection.execute(sa.update(job_accounts).where(*which, whose).values(user_id=named, **bare)).rowcount
    return count


def accounts_of(connection: sa.Connection, subject: Subject, most: int, place: Any) -> Piece:
    """Jobs that were removed before, when their time was over."""
    c = job_accounts.c
    mine = [*subject.of(job_accounts), c.id < subject.id, *([] if place is None else [c.id > place])]
    ids = list(connection.execute(sa.select(id_text(c.id)).where(*mine).order_by(c.id).limit(most)).scalars())
    counts = {}
    if ids:
        counts["audit_log"] = blank_audit(connection, audit_log.c.subject.in_([f"job:{each}" for each in ids]))
        counts["job_accounts"] = _hide(connection, subject, c.id.in_(ids))
    return Piece(counts, len(ids) == most, ids[-1] if ids else None)


def words_of(connection: sa.Connection, _: Subject, most: int, place: Any) -> Piece:
    """SQLite keeps words that were taken out of its index until pieces are merged: they are, some pages at a time."""
    if connection.dialect.name != "sqlite":
        return Piece({}, False)
    changes = sa.text("SELECT total_changes()")
    before = connection.execute(changes).scalar_one()
    pages = most if place else -most  # negative: a merge of all pieces begins
    connection.execute(
        sa.text("INSERT INTO trace_texts (trace_texts, rank) VALUES ('merge', :pages)"), {"pages": pages}
    )
    more = connection.execute(changes).scalar_one() - before >= 2  # as FTS5's documentation says it
    return Piece({}, more, True)
