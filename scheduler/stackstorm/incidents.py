"""StackStorm as an incident's repairer: the monitor asks, the leader's rounds start the workflow and follow it.

Nothing here speaks to StackStorm: what is asked for is a row of `repairs`, and what came of it is read there.
"""

from collections.abc import Callable
from typing import Any

from scheduler.monitoring.repairs import Asked
from synthralos.bus.protocol import Bus, Topic
from synthralos.config.config import Config
from synthralos.domain.flags import Flag, Flags
from synthralos.domain.incidents import Incident, SubjectKind
from synthralos.domain.repairs import IncidentAct, Repair, RepairState, Reported
from synthralos.store.queue.incident_repairs import IncidentRepairs, IncidentWanted


class StackStormRepairer:
    """See `scheduler.monitoring.repairs.IncidentRepairer`. Raises what the store raises."""

    def __init__(
        self, repairs: IncidentRepairs, config: Callable[[], Config], shut: Callable[[], str | None], bus: Bus
    ) -> None:
        """`shut`: why StackStorm gets no calls now; None: it gets them."""
        self._repairs, self._config, self._shut, self._bus = repairs, config, shut, bus

    def ask(self, incident: Incident) -> Asked:
        """Ask for it, once an incident; refused at once where StackStorm is off or gets no calls."""
        repair = self._repairs.get(incident.id)
        if repair is None:
            config, organization = self._config(), incident.subject.organization
            why = self._why_not(config, organization)
            if why is not None or config.stackstorm is None:
                return Asked(False, why or "there is no StackStorm to ask")
            executes = _on(config.flags, Flag.ENABLE_STACKSTORM_REPAIR_EXECUTION, organization)
            wanted = IncidentWanted(_parameters(incident), config.stackstorm.patience, executes)
            repair = self._repairs.ask(incident, wanted)
        if repair.state is RepairState.PROPOSED:
            return Asked(False, "proposed to StackStorm, which may not execute it: enable_stackstorm_repair_execution")
        self._bus.publish(Topic.REPAIRS, [repair.id])
        return Asked(True, f"StackStorm: {repair.parameters['act']}")

    def answer(self, incident: Incident) -> Asked | None:
        """What its workflow reported, or why none will; None: it is under way."""
        repair = self._repairs.get(incident.id)
        if repair is None:
            return Asked(False, "StackStorm's repair is forgotten")
        if repair.acted_at is not None:
            return Asked(True, _reported(repair))
        if repair.ended_at is None:
            return None
        return Asked(False, f"StackStorm did nothing about it: {repair.outcome}")

    def _why_not(self, config: Config, organization: str | None) -> str | None:
        if not _on(config.flags, Flag.ENABLE_STACKSTORM, organization):
            return "enable_stackstorm is off"
        return None if self._shut() is None else "StackStorm gets no calls now: its breaker is open"


def _on(flags: Flags, flag: Flag, organization: str | None) -> bool:
    """What concerns the installation is repaired where the flag is on for anybody."""
    return flags.anywhere(flag) if organization is None else flags.on(flag, organization)


def _parameters(incident: Incident) -> dict[str, Any]:
    """The workflow's: names and figures, nothing that tenants wrote.

    A deployment is paused only where its breaker was opened before: its jobs can go elsewhere, and it did not help.
    """
    subject = incident.subject
    paused = subject.kind is SubjectKind.DEPLOYMENT and any(
        step.act == "open_breaker" and step.outcome == "done" for step in incident.steps
    )
    act = IncidentAct.PAUSE_DEPLOYMENT if paused else IncidentAct.DIAGNOSE
    return {
        "incident_id": incident.id, "act": str(act), "kind": str(incident.kind), "subject": str(subject),
        "evidence": dict(incident.evidence),
    }  # fmt: skip


def _reported(repair: Repair) -> str:
    told = repair.result or {}
    detail = told.get("detail") if told.get("outcome") == Reported.ACTED else repair.outcome
    return f"StackStorm: {repair.parameters['act']}" + (f": {detail}" if detail else "")
