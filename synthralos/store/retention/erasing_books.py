"""Erasure of names: on the books a pseudonym stands in the place of a user; what else names the user goes."""

from typing import Any

import sqlalchemy as sa

from synthralos.domain.erasures import ERASED, pseudonym
from synthralos.store.admin.changing import changed_now
from synthralos.store.retention.erasing_jobs import blank_audit
from synthralos.store.retention.erasing_parts import Piece, Subject
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import (
    api_keys,
    audit_log,
    budget_holds,
    budget_uses,
    budgets,
    bulk_operations,
    cost_adjustments,
    cost_sums,
    happenings,
    run_caps,
)


def sums_of(connection: sa.Connection, subject: Subject, most: int, _: Any) -> Piece:
    """Sums and adjustments of the ledger: by pseudonym, so that they still group."""
    counts = {}
    for table in (cost_sums, cost_adjustments):
        user = table.c.user_id
        mine = [*subject.of(table), user.is_not(None), user != "", user.not_like(f"{ERASED}%")]
        users = connection.execute(sa.select(table.c.user_id).where(*mine).distinct().limit(most)).scalars().all()
        counts[table.name] = sum(
            connection.execute(
                sa.update(table).where(*mine, user == each).values(user_id=pseudonym(subject.key, each))
            ).rowcount
            for each in users
        )
    return Piece(counts, any(counts.values()))


def budgets_of(connection: sa.Connection, subject: Subject, most: int, _: Any) -> Piece:
    """Budgets of the subject's own are gone; what budgets for each user have used of it is under the pseudonym."""
    counts = {}
    if subject.scope.user is not None or subject.scope.workspace is not None:
        own = connection.execute(sa.select(budgets.c.id).where(*subject.of(budgets))).scalars().all()
        if own:
            changed_now(connection)
            for column in (budget_holds.c.budget_id, budget_uses.c.budget_id, budgets.c.id):
                connection.execute(sa.delete(column.table).where(column.in_(own)))
        counts["budgets"] = len(own)
    if subject.scope.user is not None:
        named = f"{subject.organization}/{subject.scope.user}"
        hidden = f"{subject.organization}/{pseudonym(subject.key, subject.scope.user)}"
        for table in (budget_uses, budget_holds):
            mine = table.c.subject == named
            counts[table.name] = connection.execute(sa.update(table).where(mine).values(subject=hidden)).rowcount
    return Piece(counts, False)


def keys_of(connection: sa.Connection, subject: Subject, most: int, _: Any) -> Piece:
    """A person's API keys are revoked, and nameless. Those of a tenant stay: they are administration."""
    user = subject.scope.user
    if user is None:
        return Piece({}, False)
    values = {
        "revoked_at": sa.func.coalesce(api_keys.c.revoked_at, utcnow()),
        "name": "erased",
        "user_id": pseudonym(subject.key, user),
    }
    count = connection.execute(sa.update(api_keys).where(*subject.of(api_keys)).values(values)).rowcount
    return Piece({"api_keys": count}, False)


def caps_of(connection: sa.Connection, subject: Subject, most: int, _: Any) -> Piece:
    """Caps of runs, where all of an organization is erased."""
    if not subject.whole:
        return Piece({}, False)
    mine = run_caps.c.organization == subject.organization
    if connection.execute(sa.select(run_caps.c.run_id).where(mine).limit(1)).first() is None:
        return Piece({}, False)
    changed_now(connection)
    return Piece({"run_caps": connection.execute(sa.delete(run_caps).where(mine)).rowcount}, False)


def happenings_of(connection: sa.Connection, subject: Subject, most: int, _: Any) -> Piece:
    """Happenings of a tenant, or those that name a person."""
    c = happenings.c
    which = [c.organization == subject.organization, *_naming(subject, c.subject, c.actor, c.data)]
    if not subject.whole and subject.scope.user is None:
        return Piece({}, False)
    some = sa.select(c.id).where(*which).limit(most)
    count = connection.execute(sa.delete(happenings).where(c.id.in_(some))).rowcount
    return Piece({"happenings": count}, count == most)


def operations_of(connection: sa.Connection, subject: Subject, most: int, _: Any) -> Piece:
    """Operations on many jobs that the subject made, or that name a person."""
    c = bulk_operations.c
    mine = [c.organization == subject.organization, c.finished_at.is_not(None)]
    if subject.scope.user is not None:
        mine += _naming(subject, c.user_id, c.name, c.reason, c.filter)
    elif not subject.whole:
        mine.append(c.workspace == subject.scope.workspace)
    count = connection.execute(sa.delete(bulk_operations).where(*mine)).rowcount
    return Piece({"bulk_operations": count}, False)


def audit_of(connection: sa.Connection, subject: Subject, most: int, _: Any) -> Piece:
    """Changes of a tenant's, or those that name a person, without their words."""
    c = audit_log.c
    if not subject.whole and subject.scope.user is None:
        return Piece({}, False)
    worded = sa.or_(c.before.is_not(None), c.after.is_not(None), c.reason != "")
    which = [c.organization == subject.organization, worded, *_naming(subject, c.subject, c.reason, c.before, c.after)]
    return Piece({"audit_log": blank_audit(connection, *which)}, False)


def _naming(subject: Subject, *columns: sa.Column[Any]) -> list[sa.ColumnElement[bool]]:
    """That one of the columns holds the user's id."""
    if subject.scope.user is None:
        return []
    return [sa.or_(*(sa.cast(column, sa.Text).contains(subject.scope.user, autoescape=True) for column in columns))]
