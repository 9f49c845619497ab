"""Incidents in the database: one for a kind and subject, told as it comes true, fenced by the lead."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from synthralos.domain.incidents import Incident, IncidentKind, IncidentState, Move, Subject, SubjectKind
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.audit import Audit, AuditFilter, By
from synthralos.store.admin.baselines import Baselines, Learned
from synthralos.store.admin.incidents import BEGUN, Did, Found, IncidentFilter, IncidentStore
from synthralos.store.admin.processes import Leadership, Processes
from synthralos.store.queue.leading import Lead
from synthralos.store.sql.database import Database
from synthralos.store.tables import happenings
from tests.fakes.stores import Store

SMALL = Subject(SubjectKind.DEPLOYMENT, "fake/small@us")
ACME = Subject(SubjectKind.ORGANIZATION, "acme")
EVIDENCE = {"measured": 0.2, "baseline": 0.01}


def found(subject: Subject = SMALL, kind: IncidentKind = IncidentKind.ERROR_RATE, *, forecast: bool = False) -> Found:
    return Found(kind, subject, "20 % of the calls fail", EVIDENCE, forecast)


@pytest.fixture
def lead(database: Database) -> Lead:
    process = Processes(database).register("scheduler")
    term = Leadership(database, "scheduler", process, 60.0).campaign()
    assert term is not None
    return Lead("scheduler", process, term)


@pytest.fixture
def incidents(database: Database) -> IncidentStore:
    return IncidentStore(database)


def opened(incidents: IncidentStore, lead: Lead, subject: Subject = SMALL) -> Incident:
    incident = incidents.open(found(subject), lead)
    assert incident is not None
    return incident


def told(store: Store) -> list[tuple[str, str, str]]:
    return [(row["kind"], row["subject"], row["organization"]) for row in store.rows(happenings)]


def test_what_was_found_is_opened_and_told_once(incidents: IncidentStore, lead: Lead, store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [each for each in pool.map(lambda _: incidents.open(found(), lead), range(8)) if each is not None]
    [incident] = made
    assert (incident.state, incident.subject, dict(incident.evidence)) == (IncidentState.OPEN, SMALL, EVIDENCE)
    assert incidents.live() == [incident]
    assert told(store) == [("incident.opened", incident.id, "")]
    assert incidents.open(found(kind=IncidentKind.LATENCY), lead) is not None


def test_an_incident_goes_its_way_and_another_may_follow(incidents: IncidentStore, lead: Lead, store: Store) -> None:
    incident = opened(incidents, lead)
    begun = incidents.move(incident, Move.BEGIN, Did("open_breaker", BEGUN), lead)
    assert begun is not None
    assert incidents.move(incident, Move.BEGIN, Did("open_breaker", BEGUN), lead) is None
    watched = incidents.move(begun, Move.VERIFY, Did("open_breaker", "done", before={"breaker": "closed"}), lead)
    assert watched is not None
    noted = incidents.note(watched, Did("canary", "sent"), lead)
    assert noted is not None
    closed = incidents.move(noted, Move.CLOSE, Did("verify", "recovered", "as usual"), lead)
    assert closed is not None
    assert (closed.state, [step.act for step in closed.steps]) == (
        IncidentState.CLOSED,
        ["open_breaker", "open_breaker", "canary", "verify"],
    )
    assert incidents.live() == []
    assert incidents.note(closed, Did("canary", "sent"), lead) is None
    assert incidents.repairs_since(IncidentKind.ERROR_RATE, SMALL, 3_600) == 1
    assert incidents.repairs_since(IncidentKind.LATENCY, SMALL, 3_600) == 0
    assert incidents.open(found(), lead) is not None
    assert [kind for kind, *_ in told(store)] == ["incident.opened", "incident.closed", "incident.opened"]


def test_what_is_escalated_is_told_with_its_reason(incidents: IncidentStore, lead: Lead, store: Store) -> None:
    incident = opened(incidents, lead, ACME)
    after = incidents.move(incident, Move.ESCALATE, Did("escalate", "done", "no repair is left"), lead)
    assert after is not None
    assert incidents.move(after, Move.BEGIN, Did("ask", BEGUN), lead) is None
    last = store.rows(happenings)[-1]
    assert (last["kind"], last["organization"], last["data"]["reason"]) == (
        "incident.escalated",
        "acme",
        "no repair is left",
    )


def test_a_forecast_that_comes_true_is_told_again(incidents: IncidentStore, lead: Lead, store: Store) -> None:
    first = incidents.open(found(forecast=True), lead)
    assert incidents.open(found(forecast=True), lead) is None
    second = incidents.open(found(), lead)
    assert first is not None
    assert second is not None
    assert (first.id, first.forecast, second.forecast) == (second.id, True, False)
    assert [row["data"]["forecast"] for row in store.rows(happenings)] == [True, False]


def test_who_lost_the_lead_writes_nothing(incidents: IncidentStore, lead: Lead, store: Store) -> None:
    incident, old = opened(incidents, lead), Lead(lead.role, lead.holder, lead.term - 1)
    assert incidents.open(found(ACME), old) is None
    assert incidents.move(incident, Move.BEGIN, Did("ask", BEGUN), old) is None
    assert incidents.note(incident, Did("ask", BEGUN), old) is None
    assert not Baselines(store.database).save([Learned(IncidentKind.LATENCY, SMALL, {})], old)
    assert incidents.live() == [incident]


def test_people_acknowledge_and_resolve_once_which_is_audited(
    incidents: IncidentStore, lead: Lead, database: Database
) -> None:
    incident = opened(incidents, lead)
    first = incidents.acknowledge(incident.id, EVERYTHING, By("ann", "I look"))
    assert first is not None
    assert (first.acknowledged_by, first.state) == ("ann", IncidentState.OPEN)
    assert incidents.acknowledge(incident.id, EVERYTHING, By("bob")) == first
    resolved = incidents.resolve(incident.id, EVERYTHING, By("ann", "mended"))
    assert resolved is not None
    assert (resolved.state, resolved.steps[-1].note) == (IncidentState.CLOSED, "mended")
    assert incidents.resolve(incident.id, EVERYTHING, By("bob")) == resolved
    assert incidents.move(first, Move.BEGIN, Did("ask", BEGUN), lead) is None
    entries = Audit(database).page(AuditFilter(subject=f"incident:{incident.id}"), EVERYTHING, 10)
    assert [(entry.act, entry.actor) for entry in entries] == [
        ("incidents.resolve", "ann"),
        ("incidents.acknowledge", "ann"),
    ]


def test_an_organization_sees_its_own_incidents_alone(incidents: IncidentStore, lead: Lead) -> None:
    whole, own = opened(incidents, lead), opened(incidents, lead, ACME)
    assert [each.id for each in incidents.page(IncidentFilter(), Scope("acme", "w"), 10)] == [own.id]
    assert incidents.page(IncidentFilter(), Scope("other"), 10) == []
    assert incidents.get(whole.id, Scope("acme")) is None
    assert incidents.resolve(whole.id, Scope("acme"), By("eve")) is None
    assert [each.id for each in incidents.page(IncidentFilter(), EVERYTHING, 10)] == [own.id, whole.id]


def test_incidents_are_found_by_what_they_are(incidents: IncidentStore, lead: Lead) -> None:
    whole, own = opened(incidents, lead), opened(incidents, lead, ACME)

    def ids(**wanted: object) -> list[str]:
        return [each.id for each in incidents.page(IncidentFilter(**wanted), EVERYTHING, 10)]  # type: ignore[arg-type]

    assert ids(subject=str(SMALL)) == [whole.id]
    assert ids(organization="acme", kind=IncidentKind.ERROR_RATE) == [own.id]
    assert ids(states=[IncidentState.CLOSED]) == []
    assert ids(before=own.id) == [whole.id]
    assert ids(changed_after=own.changed_at) == [own.id]
    assert incidents.counts() == {IncidentKind.ERROR_RATE: 2}


def test_baselines_survive_and_the_newest_holds(database: Database, lead: Lead) -> None:
    baselines = Baselines(database)
    assert baselines.load(10) == []
    first = [Learned(IncidentKind.LATENCY, each, {"learned": {"n": 1.5}}) for each in (SMALL, ACME)]
    assert baselines.save(first, lead)
    assert baselines.save([Learned(IncidentKind.LATENCY, SMALL, {"learned": {"n": 2.5}})], lead)
    loaded = {str(each.subject): each.numbers["learned"]["n"] for each in baselines.load(10)}
    assert loaded == {str(SMALL): 2.5, str(ACME): 1.5}
    assert len(baselines.load(1)) == 1
