"""How far each kind of retention has come, for the organizations that have times of their own and for all others.

A place is a time: what is older was looked at once, and needs no second look. Whoever once had a time of their own
keeps a place of their own, so that no change of the times leaves anything out.
"""

from collections import defaultdict
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.retention import Kind, Retention
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import retention_places

_PLACE = retention_places.c
_REST = ""
"""All organizations without a place of their own."""


class Group(NamedTuple):
    """Organizations whose things may be as old, and were looked at as far. `names`: those, or all but those."""

    kind: Kind
    names: tuple[str, ...]
    alone: bool
    since: datetime | None
    until: datetime

    def holds(self, organization: Any) -> list[sa.ColumnElement[bool]]:
        """The conditions on a column of organizations."""
        if self.alone:
            return [organization.in_(self.names)]
        return [organization.not_in(self.names)] if self.names else []

    @property
    def lag(self) -> float:
        """Seconds by which the oldest thing that was not looked at may be beyond its time."""
        return 0.0 if self.since is None else max(0.0, (self.until - self.since).total_seconds())

    @property
    def everybody(self) -> bool:
        """Whether no organization has a place of its own."""
        return not self.alone and not self.names


def groups(connection: sa.Connection, kind: Kind, times: Retention, latest: datetime | None) -> list[Group]:
    """The groups of which something may be due; nothing that came after `latest` is."""
    now = connection.execute(sa.select(utcnow())).scalar_one()
    places = _places(connection, kind)
    rest = places.pop(_REST, None)
    own = sorted(set(times.own) | places.keys())
    due: dict[tuple[datetime | None, datetime], list[str]] = defaultdict(list)
    for name in own:
        due[places.get(name, rest), _end(now, kind, times, name, latest)].append(name)
    found = [Group(kind, tuple(names), True, *bounds) for bounds, names in due.items()]
    found.append(Group(kind, tuple(own), False, rest, _end(now, kind, times, None, latest)))
    return [group for group in found if group.since is None or group.since < group.until]


def prepare(connection: sa.Connection, kind: Kind, times: Retention, latest: datetime | None) -> None:
    """Lock the places of a kind, give places to who has none, and go back where the times became longer.

    What comes behind a place that went back is looked at again when it is due.
    """
    _first(connection, kind)
    now = connection.execute(sa.select(utcnow())).scalar_one()
    places = _places(connection, kind)
    new = [{"kind": kind, "organization": name, "at": places[_REST]} for name in set(times.own) - places.keys()]
    if new:
        connection.execute(sa.insert(retention_places), new)
    for name, at in places.items():
        end = _end(now, kind, times, name or None, latest)
        if at is not None and at > end:
            _move(connection, end, _PLACE.kind == kind, _PLACE.organization == name)


def reach(connection: sa.Connection, group: Group, until: datetime) -> None:
    """All places of the group are there now."""
    names = group.names if group.alone else (_REST,)
    _move(connection, until, _PLACE.kind == group.kind, _PLACE.organization.in_(names))


def back_to(connection: sa.Connection, kind: Kind, oldest: datetime) -> None:
    """Something that old has come to this kind, perhaps after it was looked for."""
    _move(connection, oldest, _PLACE.kind == kind, _PLACE.at > oldest)


def _first(connection: sa.Connection, kind: Kind) -> None:
    """Lock the row that stands for the whole kind; it is made where there is none."""
    query = sa.select(_PLACE.kind).where(_PLACE.kind == kind, _PLACE.organization == _REST).with_for_update()
    if connection.execute(query).first() is None:
        connection.execute(sa.insert(retention_places).values(kind=kind, organization=_REST))


def _places(connection: sa.Connection, kind: Kind) -> dict[str, datetime | None]:
    rows = connection.execute(sa.select(_PLACE.organization, _PLACE.at).where(_PLACE.kind == kind))
    return {row.organization: row.at for row in rows}


def _move(connection: sa.Connection, at: datetime, *conditions: sa.ColumnElement[bool]) -> None:
    connection.execute(sa.update(retention_places).where(*conditions).values(at=at))


def _end(now: datetime, kind: Kind, times: Retention, name: str | None, latest: datetime | None) -> datetime:
    end = now - times.age(kind, name)
    return end if latest is None else min(end, latest)
