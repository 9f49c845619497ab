"""Repairs of incidents by StackStorm: asked for by the monitor, reported by the workflow.

An incident has one, which has the incident's id.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.happenings import Happening, IncidentRepairAsked
from synthralos.domain.incidents import Incident
from synthralos.domain.repairs import WORKFLOWS, Repair, RepairKind, RepairState, Reported
from synthralos.domain.scope import Scope
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.admin.incidents import MONITOR
from synthralos.store.queue.happenings import tell
from synthralos.store.queue.repair_rows import IS_OPEN, repair_of
from synthralos.store.queue.repairs import Repairs, insert_repair
from synthralos.store.sql.database import Database
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import utc_in, utcnow
from synthralos.store.tables import repairs


class IncidentWanted(NamedTuple):
    """What StackStorm is asked to do: the workflow's parameters, `act` among them, and the seconds that it has to act.

    `executes`: whether it may; else the repair is proposed, and people may ask for it.
    """

    parameters: Mapping[str, Any]
    seconds: float
    executes: bool


class IncidentRepairs:
    """Blocks; raises what the store raises."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._repairs = Repairs(database)

    def get(self, incident_id: str) -> Repair | None:
        """The incident's repair."""
        return self._repairs.get(incident_id, Scope())

    def ask(self, incident: Incident, wanted: IncidentWanted) -> Repair:
        """The incident's repair: asked for now, or before, whatever became of it."""
        with self._database.transaction() as connection:
            made = insert_repair(connection, _row(incident, wanted))
            if made is None:
                return repair_of(connection.execute(sa.select(repairs).where(repairs.c.id == incident.id)).one())
            said = IncidentRepairAsked(
                about=str(incident.subject), workflow=made.workflow, act=str(made.parameters["act"]), state=made.state,
                reason=made.reason,
            )  # fmt: skip
            tell(connection, [Happening.of(said, incident.id, MONITOR, incident.subject.organization)])
        return made

    def report(self, repair_id: str, scope: Scope, said: Reported, detail: str, by: By) -> Repair | None:
        """Its workflow reports what it did; None: there is no such repair of an incident within the scope.

        Counts once, and while the repair is open: else the repair is answered as it is. `acted`: it goes on until the
        execution ends; else it has `failed` now.
        """
        mine = repairs.c.id == repair_id, repairs.c.kind == str(RepairKind.INCIDENT), *within(scope, repairs)
        values: dict[str, Any] = {"result": {"outcome": str(said), "detail": detail}}
        if said is Reported.ACTED:
            values["acted_at"] = utcnow()
        with self._database.transaction() as connection:
            fresh = *mine, IS_OPEN, repairs.c.acted_at.is_(None)
            row = connection.execute(
                sa.update(repairs).where(*fresh).values(values).returning(*repairs.c)
            ).one_or_none()
            if row is None:
                found = connection.execute(sa.select(repairs).where(*mine)).one_or_none()
                return None if found is None else repair_of(found)
            repair = repair_of(row)
            change = Change(Act.REPORT_REPAIR, repair.subject, None, values["result"], repair.organization or None)
            record(connection, by, change)
            if said is not Reported.ACTED:
                outcome = f"its workflow reports {said}" + (f": {detail}" if detail else "")
                ended = self._repairs.end_within(connection, repair, RepairState.FAILED, outcome, repair.result)
                repair = repair if ended is None else ended.repair
        return repair


def _row(incident: Incident, wanted: IncidentWanted) -> dict[str, Any]:
    state = RepairState.ASKED if wanted.executes else RepairState.PROPOSED
    return {
        "id": incident.id, "organization": incident.subject.organization or "", "workspace": "",
        "subject": f"incident:{incident.id}", "kind": str(RepairKind.INCIDENT),
        "workflow": WORKFLOWS[RepairKind.INCIDENT], "parameters": dict(wanted.parameters),
        "reason": f"{incident.subject}: {incident.reason}", "failure_class": "", "state": str(state),
        "asked_by": MONITOR, "asked_at": utcnow(), "until": utc_in(sa.literal(wanted.seconds)), "outcome": "",
    }  # fmt: skip
