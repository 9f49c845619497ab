"""Incidents in the database. What happens to one is told in the transaction that makes it true.

What the monitor writes is fenced by its lead, and by the state that it saw: two leaders at once do nothing twice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from synthralos.domain.audit import Act
from synthralos.domain.happenings import Happening, IncidentClosed, IncidentEscalated, IncidentOpened, Told
from synthralos.domain.ids import new_id
from synthralos.domain.incidents import (
    KINDS,
    LIVE,
    MOST_STEPS,
    MOVES,
    Incident,
    IncidentKind,
    IncidentState,
    Move,
    Severity,
    Step,
    Subject,
)
from synthralos.domain.scope import Scope
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.queue.happenings import tell
from synthralos.store.queue.leading import Lead, leads
from synthralos.store.sql.database import Database
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import incidents

MONITOR = "monitor"
"""The actor of what the monitor does."""


class Found(NamedTuple):
    """What the monitor found."""

    kind: IncidentKind
    subject: Subject
    reason: str
    evidence: Mapping[str, float]
    forecast: bool = False


class Did(NamedTuple):
    """A step without its time and its actor."""

    act: str
    outcome: str
    note: str = ""
    before: Mapping[str, Any] = {}
    after: Mapping[str, Any] = {}


class IncidentFilter(NamedTuple):
    """Which incidents are wanted: all conditions that are given have to hold. `before`: the last id that was read.

    `changed_after`: those that changed since then, such as by being opened or closed.
    """

    states: Sequence[IncidentState] = ()
    kind: IncidentKind | None = None
    subject: str | None = None
    organization: str | None = None
    changed_after: datetime | None = None
    before: str | None = None


class IncidentStore:
    """Blocks; raises what the store raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, found: Found, lead: Lead) -> Incident | None:
        """A new incident; None where there is one already, or the lead is lost. A forecast that came true is told."""
        severity = Severity.WARNING if found.forecast else KINDS[found.kind].severity
        with self._database.transaction() as connection:
            if not leads(connection, lead):
                return None
            row = connection.execute(_insert(connection, _new_row(found, severity))).one_or_none()
            if row is None and not found.forecast:
                row = connection.execute(_come_true(found, severity)).one_or_none()
            if row is None:
                return None
            incident = _incident(row)
            _tell(connection, incident, opened(incident), MONITOR)
        return incident

    def live(self) -> list[Incident]:
        """Those that are not over, oldest first."""
        query = sa.select(incidents).where(incidents.c.closed_at.is_(None)).order_by(incidents.c.id)
        with self._database.snapshot() as connection:
            return [_incident(row) for row in connection.execute(query)]

    def move(self, seen: Incident, move: Move, did: Did, lead: Lead) -> Incident | None:
        """What happens to the incident as it was seen; None where it was moved meanwhile, or the lead is lost."""
        with self._database.transaction() as connection:
            if not leads(connection, lead):
                return None
            before = _locked(connection, seen.id)
            if before is None or before.state is not seen.state or before.state not in MOVES[move].sources:
                return None
            return _moved(connection, before, move, did, MONITOR)

    def note(self, seen: Incident, did: Did, lead: Lead) -> Incident | None:
        """A step on record that moves nothing."""
        with self._database.transaction() as connection:
            if not leads(connection, lead):
                return None
            before = _locked(connection, seen.id)
            if before is None or before.state not in LIVE:
                return None
            return _written(connection, before, did, MONITOR, {})

    def repairs_since(self, kind: IncidentKind, subject: Subject, seconds: float) -> int:
        """How many repairs were begun for the subject, over all its incidents that changed in the last seconds."""
        with self._database.snapshot() as connection:
            now = connection.execute(sa.select(utcnow())).scalar_one()
            query = sa.select(incidents.c.steps).where(
                incidents.c.kind == str(kind), incidents.c.subject == str(subject)
            )
            rows = connection.execute(query.order_by(incidents.c.id.desc()).limit(MOST_STEPS)).scalars()
            steps = [Step.from_json(step) for row in rows for step in row]
        return sum(step.outcome == BEGUN and (now - step.at).total_seconds() < seconds for step in steps)

    def get(self, incident_id: str, scope: Scope) -> Incident | None:
        """One incident of the scope."""
        mine = (incidents.c.id == incident_id, *_visible(scope))
        with self._database.snapshot() as connection:
            row = connection.execute(sa.select(incidents).where(*mine)).one_or_none()
        return None if row is None else _incident(row)

    def page(self, wanted: IncidentFilter, scope: Scope, limit: int) -> list[Incident]:
        """At most `limit` incidents of the scope, newest first."""
        query = sa.select(incidents).where(*_conditions(wanted), *_visible(scope))
        with self._database.snapshot() as connection:
            rows = connection.execute(query.order_by(incidents.c.id.desc()).limit(limit))
            return [_incident(row) for row in rows]

    def counts(self) -> dict[IncidentKind, int]:
        """How many of each kind are not over."""
        query = sa.select(incidents.c.kind, sa.func.count()).where(incidents.c.closed_at.is_(None))
        with self._database.snapshot() as connection:
            rows = connection.execute(query.group_by(incidents.c.kind)).all()
        return {IncidentKind(kind): number for kind, number in rows}

    def resolve(self, incident_id: str, scope: Scope, by: By) -> Incident | None:
        """Somebody says that it is over; None: there is none. One that is closed stays as it is."""
        return self._act(incident_id, scope, by, Act.RESOLVE_INCIDENT)

    def acknowledge(self, incident_id: str, scope: Scope, by: By) -> Incident | None:
        """Somebody looks at it; None: there is none. The first one is kept; one that is closed stays as it is."""
        return self._act(incident_id, scope, by, Act.ACKNOWLEDGE_INCIDENT)

    def _act(self, incident_id: str, scope: Scope, by: By, act: Act) -> Incident | None:
        with self._database.transaction() as connection:
            before = _locked(connection, incident_id, scope)
            if before is None or before.state is IncidentState.CLOSED:
                return before
            if act is Act.RESOLVE_INCIDENT:
                after = _moved(connection, before, Move.CLOSE, Did("resolve", "done", by.reason), by.actor)
            elif before.acknowledged_at is not None:
                return before
            else:
                seen = {"acknowledged_at": utcnow(), "acknowledged_by": by.actor}
                after = _written(connection, before, Did("acknowledge", "done", by.reason), by.actor, seen)
            states = {"state": str(before.state)}, {"state": str(after.state)}
            record(connection, by, Change(act, f"incident:{incident_id}", *states, before.subject.organization))
        return after


BEGUN = "begun"
"""The outcome of a repair's first step."""


def opened(incident: Incident) -> IncidentOpened:
    """What is told of one that was opened."""
    return IncidentOpened(
        incident_kind=incident.kind,
        about=str(incident.subject),
        severity=incident.severity,
        forecast=incident.forecast,
        reason=incident.reason,
        evidence=dict(incident.evidence),
    )


def _insert(connection: sa.Connection, row: Mapping[str, Any]) -> Any:
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(incidents).values(**row).on_conflict_do_nothing().returning(*incidents.c)


def _new_row(found: Found, severity: Severity) -> dict[str, Any]:
    return {
        "id": new_id(), "organization": found.subject.organization or "", "kind": str(found.kind),
        "subject": str(found.subject), "state": str(IncidentState.OPEN), "forecast": found.forecast,
        "severity": str(severity), "reason": found.reason, "evidence": dict(found.evidence), "steps": [],
        "opened_at": utcnow(), "changed_at": utcnow(),
    }  # fmt: skip


def _come_true(found: Found, severity: Severity) -> Any:
    table = incidents.c
    mine = table.kind == str(found.kind), table.subject == str(found.subject), table.closed_at.is_(None)
    values = {"forecast": False, "severity": str(severity), "reason": found.reason, "evidence": dict(found.evidence)}
    statement = sa.update(incidents).where(*mine, table.forecast).values(**values, changed_at=utcnow())
    return statement.returning(*incidents.c)


def _moved(connection: sa.Connection, before: Incident, move: Move, did: Did, actor: str) -> Incident:
    target = MOVES[move].target
    values: dict[str, Any] = {"state": str(target)}
    if target is IncidentState.CLOSED:
        values["closed_at"] = utcnow()
    after = _written(connection, before, did, actor, values)
    if (told := _told(after, did)) is not None:
        _tell(connection, after, told, actor)
    return after


def _written(connection: sa.Connection, before: Incident, did: Did, actor: str, values: Mapping[str, Any]) -> Incident:
    now = connection.execute(sa.select(utcnow())).scalar_one()
    steps = [*before.steps, Step(now, actor, *did)][-MOST_STEPS:]
    whole = {**values, "changed_at": now, "steps": [step.to_json() for step in steps]}
    statement = sa.update(incidents).where(incidents.c.id == before.id).values(whole).returning(*incidents.c)
    return _incident(connection.execute(statement).one())


def _told(after: Incident, did: Did) -> Told | None:
    common: dict[str, Any] = {"incident_kind": after.kind, "about": str(after.subject), "forecast": after.forecast}
    if after.state is IncidentState.ESCALATED:
        return IncidentEscalated(**common, severity=after.severity, reason=did.note or after.reason)
    if after.state is IncidentState.CLOSED and after.closed_at is not None:
        seconds = (after.closed_at - after.opened_at).total_seconds()
        return IncidentClosed(**common, seconds=round(seconds, 3), reason=did.note)
    return None


def _tell(connection: sa.Connection, incident: Incident, told: Told, actor: str) -> None:
    tell(connection, [Happening.of(told, incident.id, actor, incident.subject.organization)])


def _locked(connection: sa.Connection, incident_id: str, scope: Scope | None = None) -> Incident | None:
    mine = (incidents.c.id == incident_id, *_visible(scope or Scope()))
    row = connection.execute(sa.select(incidents).where(*mine).with_for_update()).one_or_none()
    return None if row is None else _incident(row)


def _visible(scope: Scope) -> list[sa.ColumnElement[bool]]:
    """Who is bound to an organization sees what is about that one, and nothing of the installation."""
    return within(Scope(scope.organization), incidents)


def _conditions(wanted: IncidentFilter) -> list[sa.ColumnElement[bool]]:
    table = incidents.c
    equal = {"kind": wanted.kind, "subject": wanted.subject, "organization": wanted.organization}
    conditions = [table[name] == str(value) for name, value in equal.items() if value is not None]
    if wanted.states:
        conditions.append(table.state.in_([str(state) for state in wanted.states]))
    if wanted.changed_after is not None:
        conditions.append(table.changed_at >= wanted.changed_after)
    if wanted.before is not None:
        conditions.append(table.id < wanted.before)
    return conditions


def _incident(row: Any) -> Incident:
    return Incident(
        row.id, IncidentKind(row.kind), Subject.parse(row.subject), IncidentState(row.state), row.forecast,
        Severity(row.severity), row.reason, row.evidence, tuple(map(Step.from_json, row.steps)), row.opened_at,
        row.changed_at, row.closed_at, row.acknowledged_at, row.acknowledged_by,
    )  # fmt: skip
