"""What the monitor can do about an incident by itself. A repair that was cut off is made again, and does no harm."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from scheduler.monitoring.watches import Others
from synthralos.broker.protocol import Doorbell
from synthralos.bus.protocol import Bus, Topic
from synthralos.control.ringing import ring_for
from synthralos.domain.breakers import Breaker, BreakerState
from synthralos.domain.deployments import Catalog
from synthralos.domain.incidents import UNDER_WAY, Incident, IncidentKind, SubjectKind
from synthralos.domain.states import Lane, Stage
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.incidents import MONITOR
from synthralos.store.read.alternatives import Alternatives
from synthralos.store.read.stuck import StuckReader

REFUSED = "refused"
"""The outcome of a repair that nobody made."""

_NOTED_CHANGES = 20
_ENOUGH = 0.5
"""The share of a deployment's calls that has to have somewhere else to go for it to be shut off."""

_MANY_CALLS = 20
"""Calls of other organizations that have to have gone well, for failures to be one organization's own."""


class Repaired(NamedTuple):
    """What a repair did, and how it was before and after."""

    outcome: str
    note: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class Repair(Protocol):
    """`name` is the act that goes on record."""

    name: str

    def hindered(self, incident: Incident, others: Others) -> str | None:
        """Why it must not be made; None: it may."""
        ...

    def make(self, incident: Incident) -> Repaired:
        """Make it, or find that it was made already."""
        ...

    def answered(self, incident: Incident) -> Repaired | None:
        """What became of one that is under way; None: that is not known yet."""
        ...

    def settled(self, incident: Incident) -> bool:
        """Whether its effect is over, so that what is seen now is what there is without it."""
        ...


class Asked(NamedTuple):
    """Whether somebody takes care of it, or has; and what they say."""

    taken: bool
    note: str


class IncidentRepairer(Protocol):
    """Somebody else who repairs, such as StackStorm."""

    def ask(self, incident: Incident) -> Asked:
        """Ask them to. Must not block for long; may be asked again about the same incident."""
        ...

    def answer(self, incident: Incident) -> Asked | None:
        """What they did about it, or why they did nothing; None: they are at it, for a bounded time."""
        ...


class Nobody:
    """Where nobody else repairs."""

    def ask(self, incident: Incident) -> Asked:
        """Nobody does."""
        return Asked(False, "nobody else repairs")

    def answer(self, incident: Incident) -> Asked | None:
        """Who was asked is not there any more."""
        return Asked(False, "who was asked is not there any more")


class OpenBreaker:
    """Shuts a deployment off: jobs go on with their plans, and its half-open probes, ordinary jobs, verify it."""

    name = "open_breaker"

    def __init__(
        self, breakers: BreakerStore, alternatives: Alternatives, bus: Bus, catalog: Callable[[], Catalog]
    ) -> None:
        self._breakers, self._alternatives, self._bus, self._catalog = breakers, alternatives, bus, catalog

    def hindered(self, incident: Incident, others: Others) -> str | None:
        """A deployment whose jobs could go nowhere else is left in: slow or failing at times beats away."""
        deployment = self._catalog().get(incident.subject.name)
        if deployment is None:
            return "the catalog does not have the deployment any more"
        if others.calls >= _MANY_CALLS and others.failed / others.calls <= incident.evidence.get("limit", 0.0):
            return "the calls of one organization alone fail"
        shut = {each.name for each in self._breakers.shut()[0]}
        elsewhere = self._alternatives.share(deployment.id, shut)
        if elsewhere is None:  # the catalog has to do
            beside = {each.id for each in self._catalog().matching(deployment.model)} - shut
            elsewhere = float(bool(beside - {deployment.id}))
        if elsewhere < _ENOUGH:
            return f"most jobs that call it could go nowhere else ({elsewhere:.0%} could): without it, they would wait"
        return None

    def make(self, incident: Incident) -> Repaired:
        """One that is open, for whatever reason, stays as it is."""
        name = incident.subject.name
        before = self._breakers.get(name)
        if self._made(incident):
            return Repaired("done", "the breaker had been opened", _of(before), _of(before))
        after = self._breakers.broken(name, f"incident {incident.id}: {incident.reason}", MONITOR)
        self._bus.publish(Topic.BREAKERS, [name])
        return Repaired("done", "jobs go on with their plans; probes verify it", _of(before), _of(after))

    def answered(self, incident: Incident) -> Repaired | None:
        """It is made at once."""
        return None

    def settled(self, incident: Incident) -> bool:
        """Whether the deployment gets calls again."""
        found = self._breakers.get(incident.subject.name)
        return found is None or found.state is BreakerState.CLOSED

    def _made(self, incident: Incident) -> bool:
        changes = self._breakers.changes(incident.subject.name, _NOTED_CHANGES)
        return any(each.actor == MONITOR and f"incident {incident.id}:" in each.reason for each in changes)


class RingAgain:
    """Rings for the jobs at the head of a queue, and has the sweeper look."""

    name = "ring_again"

    def __init__(self, stuck: StuckReader, doorbell: Doorbell, bus: Bus) -> None:
        self._stuck, self._doorbell, self._bus = stuck, doorbell, bus

    def hindered(self, incident: Incident, others: Others) -> str | None:
        """A ring too many does no harm."""
        return None

    def make(self, incident: Incident) -> Repaired:
        """Ring; the sweeper hears of these jobs, and looks at once."""
        stage, _, lane = incident.subject.name.partition("/")
        queue = Stage(stage), Lane(lane)
        ids = self._stuck.queued(*queue)
        ring_for(self._doorbell, [(*queue, job_id) for job_id in ids])
        self._bus.publish(Topic.CHANGED, ids)
        return Repaired("done", "rang again, and had the sweeper look", {}, {"rung": len(ids)})

    def answered(self, incident: Incident) -> Repaired | None:
        """It is made at once."""
        return None

    def settled(self, incident: Incident) -> bool:
        """A ring has no effect that lasts."""
        return True


class Ask:
    """Has somebody else repair it."""

    name = "ask"

    def __init__(self, repairer: IncidentRepairer) -> None:
        self._repairer = repairer

    def hindered(self, incident: Incident, others: Others) -> str | None:
        """Whether there is anybody turns out when they are asked."""
        return None

    def make(self, incident: Incident) -> Repaired:
        """Ask."""
        taken, note = self._repairer.ask(incident)
        return Repaired(UNDER_WAY if taken else REFUSED, note, {}, {})

    def answered(self, incident: Incident) -> Repaired | None:
        """What they say that they did."""
        said = self._repairer.answer(incident)
        return None if said is None else Repaired("done" if said.taken else REFUSED, said.note, {}, {})

    def settled(self, incident: Incident) -> bool:
        """What others do is theirs to follow."""
        return True


Repairs = Mapping[tuple[IncidentKind, SubjectKind], Sequence[Repair]]


def table_of(open_breaker: Repair, ring_again: Repair, ask: Repair) -> Repairs:
    """What is done about each kind of incident of each kind of subject, in order; what is not in it is escalated."""
    deployment, organization, queue = SubjectKind.DEPLOYMENT, SubjectKind.ORGANIZATION, SubjectKind.QUEUE
    return {
        (IncidentKind.ERROR_RATE, deployment): (open_breaker, ask),
        (IncidentKind.LATENCY, deployment): (open_breaker, ask),
        (IncidentKind.ERROR_RATE, organization): (ask,),
        (IncidentKind.QUEUE_AGE, queue): (ring_again, ask),
        (IncidentKind.STUCK_JOBS, queue): (ring_again, ask),
    }


def _of(breaker: Breaker | None) -> dict[str, Any]:
    return {"breaker": str(BreakerState.CLOSED) if breaker is None else str(breaker.state)}
