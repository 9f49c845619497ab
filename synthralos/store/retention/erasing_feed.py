"""Erasure of what is on its way to somebody outside, and of who a tenant had it sent to."""

from typing import Any

import sqlalchemy as sa

from synthralos.store.retention.erasing_parts import Piece, Subject
from synthralos.store.sql.types import id_text
from synthralos.store.tables import deliveries, feed_targets, webhook_endpoints

_LOOKED_THROUGH = 1_000
"""Deliveries that one step looks through: whose they are is in their events alone."""


def webhooks_of(connection: sa.Connection, subject: Subject, most: int, _: Any) -> Piece:
    """Endpoints of an organization, where all of it is erased."""
    if not subject.whole:
        return Piece({}, False)
    mine = webhook_endpoints.c.organization == subject.organization
    ids = list(connection.execute(sa.select(id_text(webhook_endpoints.c.id)).where(mine).limit(most)).scalars())
    connection.execute(sa.delete(feed_targets).where(feed_targets.c.target_id.in_(ids)))
    count = connection.execute(sa.delete(webhook_endpoints).where(webhook_endpoints.c.id.in_(ids))).rowcount
    return Piece({webhook_endpoints.name: count}, len(ids) == most)


def deliveries_of(connection: sa.Connection, subject: Subject, _: int, place: Any) -> Piece:
    """Events that were delivered, or are to be."""
    c = deliveries.c
    query = sa.select(id_text(c.id).label("id"), c.event).order_by(c.id).limit(_LOOKED_THROUGH)
    rows = connection.execute(query if place is None else query.where(c.id > place)).all()
    theirs = [row.id for row in rows if _is_of(subject, row.event)]
    count = connection.execute(sa.delete(deliveries).where(c.id.in_(theirs))).rowcount if theirs else 0
    more = len(rows) == _LOOKED_THROUGH
    return Piece({deliveries.name: count}, more, rows[-1].id if more else None)


def _is_of(subject: Subject, event: Any) -> bool:
    wanted = {
        "organization": subject.scope.organization,
        "workspace": subject.scope.workspace,
        "user": subject.scope.user,
    }
    return all(value is None or event.get(name) == value for name, value in wanted.items())
