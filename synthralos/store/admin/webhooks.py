"""Webhook endpoints: made, changed, disabled, removed; and their deliveries as people see them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.delivering import DeliveryState
from synthralos.domain.feed import Cursor, Item, item_of
from synthralos.domain.happenings import Happening, WebhookDisabled
from synthralos.domain.scope import Scope
from synthralos.domain.webhooks import CHANNEL, MOST_SECRETS, Endpoint, Form, Secret
from synthralos.store.admin.audit import SYSTEM, By, Change, record
from synthralos.store.admin.policies import Outdated
from synthralos.store.queue.deliveries import begin, put
from synthralos.store.queue.happenings import tell
from synthralos.store.queue.idempotency import make_once
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import decode_time, encode_time, utc_in, utcnow, word
from synthralos.store.tables import deliveries, feed_targets, webhook_endpoints

_SHOWN = ("url", "description", "types", "enabled", "content", "residency", "form", "disabled_because")


@dataclass(frozen=True, slots=True)
class StoredEndpoint:
    """An endpoint and how it stands. `failures`: tries that failed in a row."""

    endpoint: Endpoint
    failures: int
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """An event on its way to an endpoint, or there; `answer` and `status` are the endpoint's last ones."""

    id: str
    event: Item
    state: str
    tries: int
    created_at: datetime
    next_at: datetime | None
    last_at: datetime | None
    status: int | None
    answer: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class SentByHand:
    """Deliveries that somebody put on their way, oldest first. `more_since`: from when on there is more to send."""

    deliveries: list[str]
    more_since: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """As it is answered, and as it stands under a sender's key."""
        since = None if self.more_since is None else self.more_since.isoformat()
        return {"deliveries": self.deliveries, "next_since": since}


class Webhooks:
    """Each change is one transaction, and on record. A scope that is bound to an organization sees its own alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, scope: Scope, after: str | None = None, limit: int = 1_000) -> list[StoredEndpoint]:
        """At most `limit` endpoints, oldest first, those after the one with that id."""
        query = _query().where(*_within(scope)).order_by(webhook_endpoints.c.id).limit(limit)
        if after is not None:
            query = query.where(webhook_endpoints.c.id > after)
        with self._database.snapshot() as connection:
            return [_stored(row) for row in connection.execute(query)]

    def get(self, endpoint_id: str, scope: Scope) -> StoredEndpoint | None:
        """The endpoint as it is now."""
        with self._database.snapshot() as connection:
            return _found(connection, endpoint_id, scope)

    def enabled(self) -> list[Endpoint]:
        """Those that are to get events."""
        with self._database.snapshot() as connection:
            rows = connection.execute(_query().where(webhook_endpoints.c.enabled))
            return [_stored(row).endpoint for row in rows]

    def create(self, endpoint: Endpoint, head: Cursor, by: By) -> StoredEndpoint:
        """A new one, which hears of what happens after `head`."""
        values = {"id": endpoint.id, "organization": endpoint.organization, "version": 1, "created_at": utcnow()}
        with self._database.transaction() as connection:
            make_once(connection, by.once, endpoint.id)
            written = {**_written(endpoint), **values, "created_by": by.actor, **_changed(by)}
            connection.execute(sa.insert(webhook_endpoints).values(written))
            begin(connection, CHANNEL, endpoint.id, head)
            return _recorded(connection, Act.CREATE_WEBHOOK, None, endpoint, by)

    def replace(self, endpoint: Endpoint, by: By, expected: int | None = None) -> StoredEndpoint | Outdated | None:
        """Have an endpoint be this one; whose it is and its secrets stay. Enabling it forgets its failures."""
        with self._database.transaction() as connection:
            before = _found(connection, endpoint.id, Scope(), lock=True)
            if before is None or expected not in (None, before.endpoint.version):
                return None if before is None else Outdated(before.endpoint.version)
            values = _written(replace(endpoint, secrets=before.endpoint.secrets))
            _update(connection, endpoint.id, {**values, **_changed(by)})
            if endpoint.enabled and not before.endpoint.enabled:
                _forget_failures(connection, endpoint.id)
            return _recorded(connection, Act.CHANGE_WEBHOOK, before, endpoint, by)

    def rotate(self, endpoint_id: str, scope: Scope, secret: str, overlap: float, by: By) -> StoredEndpoint | None:
        """A new secret signs from now on; those before go on for `overlap` seconds beside it."""
        with self._database.transaction() as connection:
            before = _found(connection, endpoint_id, scope, lock=True)
            if before is None:
                return None
            now, end = connection.execute(sa.select(utcnow(), utc_in(sa.literal(overlap)))).one()
            old = [Secret(each.secret, min(each.until or end, end)) for each in before.endpoint.secrets]
            still = [each for each in old if each.until is not None and each.until > now]
            kept = (Secret(secret), *still[: MOST_SECRETS - 1])
            _update(connection, endpoint_id, {"secrets": _secrets(kept), **_changed(by)})
            return _recorded(connection, Act.ROTATE_WEBHOOK, before, replace(before.endpoint, secrets=kept), by)

    def remove(
        self, endpoint_id: str, scope: Scope, by: By, expected: int | None = None
    ) -> StoredEndpoint | Outdated | None:
        """Remove it with its deliveries, and give it as it was."""
        with self._database.transaction() as connection:
            before = _found(connection, endpoint_id, scope, lock=True)
            if before is None or expected not in (None, before.endpoint.version):
                return None if before is None else Outdated(before.endpoint.version)
            connection.execute(sa.delete(deliveries).where(deliveries.c.target_id == endpoint_id))
            connection.execute(sa.delete(feed_targets).where(*_target(endpoint_id)))
            connection.execute(sa.delete(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id))
            _record(connection, Act.REMOVE_WEBHOOK, before.endpoint, None, by)
            return before

    def disable(self, endpoint_id: str, reason: str) -> bool:
        """Send nothing there any more, and tell; whether it was enabled."""
        with self._database.transaction() as connection:
            before = _found(connection, endpoint_id, Scope(), lock=True)
            if before is None or not before.endpoint.enabled:
                return False
            after = replace(before.endpoint, enabled=False, disabled_because=reason)
            _update(connection, endpoint_id, {**_written(after), **_changed(SYSTEM)})
            told = WebhookDisabled(url=after.url, reason=reason)
            tell(connection, [Happening.of(told, endpoint_id, "system", after.organization)])
            _record(connection, Act.CHANGE_WEBHOOK, before.endpoint, after, SYSTEM)
            return True

    def deliveries(
        self, endpoint_id: str, state: DeliveryState | None, before: str | None, limit: int
    ) -> list[StoredDelivery]:
        """At most `limit` of an endpoint's deliveries, newest first, those before the one with that id."""
        query = sa.select(deliveries).where(deliveries.c.target_id == endpoint_id)
        if state is not None:
            query = query.where(deliveries.c.state == str(state))
        if before is not None:
            query = query.where(deliveries.c.id < before)
        with self._database.snapshot() as connection:
            rows = connection.execute(query.order_by(deliveries.c.id.desc()).limit(limit))
            return [_delivery(row) for row in rows]

    def send(
        self, endpoint: Endpoint, act: Act, events: Sequence[Item], by: By, more_since: datetime | None = None
    ) -> SentByHand:
        """Put events on their way, again where they went there before; under a sender's key stands what was sent."""
        with self._database.transaction() as connection:
            ids = put(connection, CHANNEL, endpoint.id, events)
            sent = SentByHand(ids, more_since)
            make_once(connection, by.once, orjson.dumps(sent.to_json()).decode())
            _act(connection, act, endpoint, {"events": len(ids)}, by)
        return sent

    def retry(self, endpoint: Endpoint, delivery_id: str, by: By) -> StoredDelivery | None:
        """Try one again now, whatever became of it before."""
        mine = deliveries.c.id == delivery_id, deliveries.c.target_id == endpoint.id
        with self._database.transaction() as connection:
            row = connection.execute(sa.select(deliveries).where(*mine)).one_or_none()
            if row is None:
                return None
            put(connection, CHANNEL, endpoint.id, [item_of(row.event)])
            _act(connection, Act.RETRY_DELIVERY, endpoint, {"delivery": delivery_id, "event": row.event_id}, by)
            return _delivery(connection.execute(sa.select(deliveries).where(*mine)).one())


def shown(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint without its secrets: as the audit log keeps it."""
    return {**{name: getattr(endpoint, name) for name in _SHOWN}, "types": list(endpoint.types)}


def _query() -> "sa.Select[Any]":
    target = sa.and_(feed_targets.c.channel == CHANNEL, feed_targets.c.target_id == _key())
    joined = webhook_endpoints.outerjoin(feed_targets, target)
    return sa.select(webhook_endpoints, sa.func.coalesce(feed_targets.c.failures, 0).label("failures")).select_from(
        joined
    )


def _key() -> sa.ColumnElement[str]:
    return sa.cast(webhook_endpoints.c.id, sa.Text)


def _within(scope: Scope) -> list[sa.ColumnElement[bool]]:
    return [] if scope.organization is None else [webhook_endpoints.c.organization == scope.organization]


def _target(endpoint_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return feed_targets.c.channel == CHANNEL, feed_targets.c.target_id == endpoint_id


def _found(connection: sa.Connection, endpoint_id: str, scope: Scope, *, lock: bool = False) -> StoredEndpoint | None:
    query = _query().where(webhook_endpoints.c.id == endpoint_id, *_within(scope))
    row = connection.execute(query.with_for_update(of=webhook_endpoints) if lock else query).one_or_none()
    return None if row is None else _stored(row)


def _stored(row: Any) -> StoredEndpoint:
    secrets = tuple(
        Secret(each["secret"], None if each["until"] is None else decode_time(each["until"])) for each in row.secrets
    )
    endpoint = Endpoint(
        row.id, row.organization, row.url, row.description, tuple(row.types), row.enabled, row.content, row.residency,
        Form(row.form), secrets, row.disabled_because, row.version,
    )  # fmt: skip
    return StoredEndpoint(endpoint, row.failures, row.created_at, row.created_by, row.changed_at, row.changed_by)


def _delivery(row: Any) -> StoredDelivery:
    return StoredDelivery(
        row.id, item_of(row.event), row.state, row.tries, row.since, row.next_at, row.last_at, row.status, row.answer,
        row.reason,
    )  # fmt: skip


def _written(endpoint: Endpoint) -> dict[str, Any]:
    return {**shown(endpoint), "form": str(endpoint.form), "secrets": _secrets(endpoint.secrets)}


def _secrets(secrets: Sequence[Secret]) -> list[dict[str, Any]]:
    return [{"secret": each.secret, "until": encode_time(each.until)} for each in secrets]


def _changed(by: By) -> dict[str, Any]:
    return {"changed_at": utcnow(), "changed_by": by.actor}


def _update(connection: sa.Connection, endpoint_id: str, values: dict[str, Any]) -> None:
    changed = sa.update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id)
    connection.execute(changed.values({**values, "version": webhook_endpoints.c.version + 1}))


def _forget_failures(connection: sa.Connection, endpoint_id: str) -> None:
    """What waits is tried at once, and for as long as if it had just happened."""
    waiting = deliveries.c.target_id == endpoint_id, deliveries.c.state == word(DeliveryState.PENDING)
    connection.execute(sa.update(deliveries).where(*waiting).values(since=utcnow(), next_at=utcnow()))
    connection.execute(sa.update(feed_targets).where(*_target(endpoint_id)).values(failures=0))


def _recorded(
    connection: sa.Connection, act: Act, before: StoredEndpoint | None, after: Endpoint, by: By
) -> StoredEndpoint:
    _record(connection, act, None if before is None else before.endpoint, after, by)
    found = _found(connection, after.id, Scope())
    assert found is not None
    return found


def _record(connection: sa.Connection, act: Act, before: Endpoint | None, after: Endpoint | None, by: By) -> None:
    about = before or after
    assert about is not None
    documents = [None if each is None else shown(each) for each in (before, after)]
    record(connection, by, Change(act, f"webhook:{about.id}", documents[0], documents[1], about.organization))


def _act(connection: sa.Connection, act: Act, endpoint: Endpoint, after: dict[str, Any], by: By) -> None:
    record(connection, by, Change(act, f"webhook:{endpoint.id}", None, after, endpoint.organization))
