"""Follows incidents to their end: the next repair, whether it helped, closed or escalated. Never in circles.

A repair is made once an incident, and a subject gets three an hour at most; then people are told. Each act is on record
before it is done, so that the leader that comes after one which was killed goes on there.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from scheduler.monitoring.repairs import REFUSED, Repair, Repaired, Repairs
from scheduler.monitoring.watches import Watch
from synthralos.domain.incidents import UNDER_WAY, Incident, IncidentState, Move, Step, SubjectKind
from synthralos.store.admin.incidents import BEGUN, Did, IncidentStore
from synthralos.store.queue.leading import Lead

QUIET = 60.0
"""Seconds for which all has to be as usual before an incident is closed."""

QUIET_ESCALATED = 300.0
"""The same where people were told."""

LEAST_CALLS = 7
"""Calls that have to have gone well meanwhile: as many as a breaker's probes."""

MOST_AN_HOUR = 3
"""Repairs of one kind and subject within an hour, over all its incidents."""

HOUR = 3_600.0

_NOBODYS = Repaired(REFUSED, "this release does not know the repair", {}, {})


class Canary(Protocol):
    """Calls that verify a repair where no job comes to do it."""

    def look(self, incident: Incident, now: datetime) -> Did | None:
        """What was done, where anything was."""
        ...


class Following:
    """Lives in the monitor's thread; raises what the store raises, and then comes again."""

    def __init__(self, store: IncidentStore, repairs: Repairs, canary: Canary | None, escalate_after: float) -> None:
        """`escalate_after` in seconds, after a repair."""
        self._store, self._repairs, self._canary = store, repairs, canary
        self._escalate_after = escalate_after

    def step(self, incident: Incident, watch: Watch, now: datetime, lead: Lead) -> Incident | None:
        """Do what is to be done about it now: the incident afterwards, or None where somebody else moved it."""
        match incident.state:
            case IncidentState.OPEN:
                return self._opened(incident, watch, lead)
            case IncidentState.REPAIRING:
                return self._finish(incident, watch, lead)
            case IncidentState.VERIFYING:
                return self._verify(incident, watch, now, lead)
            case IncidentState.ESCALATED:
                return self._wait(incident, watch, lead)
        return incident

    def _opened(self, incident: Incident, watch: Watch, lead: Lead) -> Incident | None:
        if not incident.forecast:
            return self._repair(incident, watch, lead)
        if not watch.trend.foreseen:
            return self._close(incident, watch, "it did not come to it", lead)
        return incident

    def _repair(self, incident: Incident, watch: Watch, lead: Lead) -> Incident | None:
        """Begin the next repair that may be made, or escalate."""
        reasons = []
        for repair in self._of(incident):
            if incident.did(repair.name):
                reasons.append(_in_vain(incident, repair.name))
                continue
            hindered = repair.hindered(incident, watch.others())
            if hindered is not None:
                reasons.append(hindered)
                continue
            if self._store.repairs_since(incident.kind, incident.subject, HOUR) >= MOST_AN_HOUR:
                reasons.append(f"it was repaired {MOST_AN_HOUR} times within an hour")
                break
            begun = self._store.move(incident, Move.BEGIN, Did(repair.name, BEGUN), lead)
            return None if begun is None else self._finish(begun, watch, lead)
        why = "; ".join(reasons) or "there is no repair for it"
        return self._store.move(incident, Move.ESCALATE, Did("escalate", "done", why, after=_seen(watch)), lead)

    def _finish(self, incident: Incident, watch: Watch, lead: Lead) -> Incident | None:
        """Make the repair that has begun; where nobody makes it, the next one."""
        begun = next(step for step in reversed(incident.steps) if step.outcome == BEGUN)
        repair = next((each for each in self._of(incident) if each.name == begun.act), None)
        did = Did(begun.act, *(_NOBODYS if repair is None else repair.make(incident)))
        after = self._store.move(incident, Move.VERIFY, did, lead)
        return after if after is None or did.outcome != REFUSED else self._repair(after, watch, lead)

    def _verify(self, incident: Incident, watch: Watch, now: datetime, lead: Lead) -> Incident | None:
        last = _last_repair(incident)
        if last.outcome == REFUSED:
            return self._repair(incident, watch, lead)
        if last.outcome == UNDER_WAY:
            return self._hear(incident, last.act, watch, lead)
        settled = all(repair.settled(incident) for repair in self._of(incident) if incident.did(repair.name))
        since = (now - last.at).total_seconds()
        if settled and _quiet(incident, watch, QUIET) and since >= QUIET:
            return self._close(incident, watch, "all is as usual again", lead)
        if settled and watch.alarm and since >= QUIET:
            return self._repair(incident, watch, lead)
        if since >= self._escalate_after and not watch.quiet:
            return self._repair(incident, watch, lead)
        if not settled and self._canary is not None and (did := self._canary.look(incident, now)) is not None:
            return self._store.note(incident, did, lead)
        return incident

    def _hear(self, incident: Incident, act: str, watch: Watch, lead: Lead) -> Incident | None:
        """What those who were asked did about it; where that is nothing, the next repair."""
        repair = next((each for each in self._of(incident) if each.name == act), None)
        did = _NOBODYS if repair is None else repair.answered(incident)
        if did is None:
            return incident
        after = self._store.note(incident, Did(act, *did), lead)
        return after if after is None or did.outcome != REFUSED else self._repair(after, watch, lead)

    def _wait(self, incident: Incident, watch: Watch, lead: Lead) -> Incident | None:
        """People were told; it may still be over by itself."""
        settled = all(repair.settled(incident) for repair in self._of(incident) if incident.did(repair.name))
        if settled and _quiet(incident, watch, QUIET_ESCALATED):
            return self._close(incident, watch, "all is as usual again", lead)
        return incident

    def _close(self, incident: Incident, watch: Watch, why: str, lead: Lead) -> Incident | None:
        return self._store.move(incident, Move.CLOSE, Did("verify", "recovered", why, after=_seen(watch)), lead)

    def _of(self, incident: Incident) -> Sequence[Repair]:
        return self._repairs.get((incident.kind, incident.subject.kind), ())


def _quiet(incident: Incident, watch: Watch, seconds: float) -> bool:
    """Whether all was as usual for so long; calls have to have shown it, where it is calls that it is about."""
    shown = incident.subject.kind is SubjectKind.QUEUE or watch.calls >= LEAST_CALLS
    return shown and watch.quiet >= seconds


def _in_vain(incident: Incident, act: str) -> str:
    """Why a repair that has begun is not made again: it did not help, or was not made."""
    last = next(step for step in reversed(incident.steps) if step.act == act)
    return last.note if last.outcome == REFUSED and last.note else f"{act} did not help"


def _last_repair(incident: Incident) -> Step:
    begun = {step.act for step in incident.steps if step.outcome == BEGUN}
    return next(step for step in reversed(incident.steps) if step.act in begun)


def _seen(watch: Watch) -> dict[str, float]:
    return {} if watch.reading is None else watch.reading.numbers()
