"""Events on their way to targets outside: put there with the place in the feed, and taken off by what became of them.

The rows of a page of the feed and the cursor behind it are written in one transaction, so that whatever is killed
loses no event, and repeats none before its target has had it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.delivering import (
    LONGEST_TRYING,
    MOST_ANSWER,
    Delivered,
    DeliveryState,
    Outcome,
    Sending,
    Target,
    TryAgain,
)
from synthralos.domain.feed import Cursor, Item, item_of
from synthralos.domain.happenings import DeliverySetAside, Happening
from synthralos.domain.ids import new_id
from synthralos.store.queue.happenings import tell
from synthralos.store.queue.leading import Lead, leads
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, insert_ignoring, recordset
from synthralos.store.sql.types import Id, encode_json, storable, utc_in, utcnow, word
from synthralos.store.tables import deliveries, feed_targets

_ROW = {
    "id": Id, "channel": sa.Text(), "target_id": sa.Text(), "event_id": Id, "type": sa.Text(), "event": sa.Text(),
    "state": sa.Text(),
}  # fmt: skip
_PENDING = deliveries.c.state == word(DeliveryState.PENDING)


class Position(NamedTuple):
    """How far the feed was read for a target, and how many tries failed in a row."""

    cursor: str
    failures: int


class Advance(NamedTuple):
    """Targets whose cursor moves from `old` to `new`, and what lies in between for them: (target's id, event)."""

    targets: Sequence[str]
    old: str
    new: str
    events: Sequence[tuple[str, Item]]


class Due(NamedTuple):
    """What is to be sent to a target now; and in how many seconds more is due, None: nothing that is known of."""

    sendings: list[Sending]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A try, what became of it, and after how many seconds it is tried again where it was not taken."""

    sending: Sending
    outcome: Outcome
    pause: float = 0.0


class Deliveries:
    """Each call is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = _insert(database.dialect)

    def positions(self, channel: str) -> dict[str, Position]:
        """The targets that the feed was read for."""
        query = sa.select(feed_targets).where(feed_targets.c.channel == channel)
        with self._database.snapshot() as connection:
            return {row.target_id: Position(row.cursor, row.failures) for row in connection.execute(query)}

    def begin(self, channel: str, targets: Sequence[str], cursor: Cursor) -> None:
        """Targets that are new: they hear of what happens after that place."""
        with self._database.transaction() as connection:
            for target in targets:
                begin(connection, channel, target, cursor)

    def advance(self, lead: Lead, channel: str, advances: Sequence[Advance]) -> bool:
        """Put events on their way and move the cursors; False where this process does not lead any more."""
        with self._database.transaction() as connection:
            if not leads(connection, lead):
                return False
            for each in advances:
                self._advance(connection, channel, each)
        return True

    def count(self, target_id: str, most: int) -> int:
        """How many are on their way to a target; `most` stands for so many or more."""
        some = sa.select(sa.literal(1)).where(deliveries.c.target_id == target_id, _PENDING).limit(most).subquery()
        with self._database.snapshot() as connection:
            found: int = connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
            return found

    def due(self, target: Target, limit: int) -> Due:
        """What is to be sent to a target, the longest due first."""
        query = sa.select(deliveries, utcnow().label("now")).where(deliveries.c.target_id == target.id, _PENDING)
        with self._database.snapshot() as connection:
            rows = connection.execute(query.order_by(deliveries.c.next_at).limit(limit)).all()
        now = [row for row in rows if row.next_at <= row.now]
        later = [(row.next_at - row.now).total_seconds() for row in rows if row.next_at > row.now]
        more = 0.0 if len(now) == limit else min(later, default=None)
        return Due([Sending(row.id, target, item_of(row.event), row.tries) for row in now], more)

    def finish(self, channel: str, ended: Iterable[Ended]) -> int:
        """Write down what became of tries. What was tried for too long is set aside, and told; how many were."""
        with self._database.transaction() as connection:
            aside = [each for each in ended if not self._finished(connection, channel, each)]
            _tell(connection, channel, aside)
            return len(aside)

    def _advance(self, connection: sa.Connection, channel: str, advance: Advance) -> None:
        those = feed_targets.c.channel == channel, feed_targets.c.target_id.in_(advance.targets)
        moved = sa.update(feed_targets).where(*those, feed_targets.c.cursor == advance.old)
        moved = moved.values(cursor=advance.new, changed_at=utcnow()).returning(feed_targets.c.target_id)
        still = set(connection.execute(moved).scalars())
        rows = [_row(channel, target, event) for target, event in advance.events if target in still]
        if rows:
            connection.execute(self._insert, {"rows": encode_rows(rows)})

    def _finished(self, connection: sa.Connection, channel: str, ended: Ended) -> bool:
        """Whether it is over or will be tried again; False: it is set aside."""
        outcome, mine = ended.outcome, deliveries.c.id == ended.sending.delivery_id
        taken = isinstance(outcome, Delivered)
        values: dict[str, Any] = {
            "tries": deliveries.c.tries + 1,
            "last_at": utcnow(),
            "status": outcome.status,
            "answer": storable(outcome.answer[:MOST_ANSWER]) or None,
            "reason": None if isinstance(outcome, Delivered) else storable(outcome.reason[:MOST_ANSWER]),
        }
        _count_failure(connection, channel, ended.sending.target.id, taken=taken)
        if isinstance(outcome, TryAgain):
            young = deliveries.c.since > utc_in(sa.literal(-LONGEST_TRYING.total_seconds()))
            again = sa.update(deliveries).where(mine, _PENDING, young)
            if connection.execute(again.values({**values, "next_at": utc_in(sa.literal(ended.pause))})).rowcount:
                return True
        state = DeliveryState.DELIVERED if taken else DeliveryState.SET_ASIDE
        over = sa.update(deliveries).where(mine, _PENDING).values({**values, "state": str(state), "next_at": None})
        return not connection.execute(over).rowcount or taken


def begin(connection: sa.Connection, channel: str, target: str, cursor: Cursor) -> None:
    """Have the feed be read for a target from a place on, where that is not done yet."""
    there = (feed_targets.c.channel == channel, feed_targets.c.target_id == target)
    if connection.execute(sa.select(sa.literal(1)).where(*there).select_from(feed_targets)).first() is None:
        row = {"channel": channel, "target_id": target, "cursor": cursor.encode(), "failures": 0}
        connection.execute(sa.insert(feed_targets).values(**row, changed_at=utcnow()))


def put(connection: sa.Connection, channel: str, target: str, events: Iterable[Item]) -> list[str]:
    """Put events on their way by hand, also those that had gone there already; the deliveries' ids, oldest first."""
    found = []
    for event in events:
        row = _row(channel, target, event)
        there = deliveries.c.target_id == target, deliveries.c.event_id == event.id
        again = {"state": str(DeliveryState.PENDING), "next_at": utcnow(), "since": utcnow()}
        query = sa.update(deliveries).where(*there).values(again).returning(deliveries.c.id)
        known = connection.execute(query).scalar_one_or_none()
        if known is None:
            values = {**row, "tries": 0, "since": utcnow(), "next_at": utcnow(), "event": _stored(event)}
            connection.execute(sa.insert(deliveries).values(values))
        found.append(known or row["id"])
    return found


def _count_failure(connection: sa.Connection, channel: str, target: str, *, taken: bool) -> None:
    failures = 0 if taken else feed_targets.c.failures + 1
    counted = sa.update(feed_targets).where(feed_targets.c.channel == channel, feed_targets.c.target_id == target)
    if taken:
        counted = counted.where(feed_targets.c.failures > 0)
    connection.execute(counted.values(failures=failures))


def _tell(connection: sa.Connection, channel: str, aside: Sequence[Ended]) -> None:
    """One happening for each target, however many events of it were set aside at once."""
    by_target = {each.sending.target.id: each for each in aside}
    for target_id, last in by_target.items():
        count = sum(each.sending.target.id == target_id for each in aside)
        reason = "" if isinstance(last.outcome, Delivered) else last.outcome.reason[:MOST_ANSWER]
        told = DeliverySetAside(channel=channel, target_id=target_id, count=count, reason=storable(reason))
        organization = last.sending.target.organization
        tell(connection, [Happening.of(told, target_id, "system", organization)])


def _row(channel: str, target: str, event: Item) -> dict[str, Any]:
    return {
        "id": new_id(), "channel": channel, "target_id": target, "event_id": event.id, "type": event.type,
        "event": encode_json(_stored(event)), "state": str(DeliveryState.PENDING),
    }  # fmt: skip


def _stored(event: Item) -> dict[str, Any]:
    return {**event.to_json(), "classification": event.classification}


def _insert(dialect: str) -> sa.Insert:
    rows = recordset(dialect, "rows", _ROW)
    zero = sa.literal_column("0", sa.Integer())
    select = sa.select(*(rows.c[name] for name in _ROW), zero, utcnow(), utcnow())
    return insert_ignoring(dialect, deliveries, [*_ROW, "tries", "since", "next_at"], select)
