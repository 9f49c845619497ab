"""Repairs of incidents in the store: one an incident, reported once, and told as it comes true."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from synthralos.domain.incidents import Incident, IncidentKind, Subject, SubjectKind
from synthralos.domain.repairs import RepairKind, RepairState, Reported
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.audit import Audit, AuditFilter, By
from synthralos.store.admin.incidents import Found, IncidentStore
from synthralos.store.admin.processes import Leadership, Processes
from synthralos.store.queue.incident_repairs import IncidentRepairs, IncidentWanted
from synthralos.store.queue.leading import Lead
from synthralos.store.queue.repairs import RepairFilter, Repairs
from synthralos.store.tables import happenings
from tests.fakes.stores import Store

WANTED = IncidentWanted({"act": "pause_deployment", "incident_id": "x"}, 60.0, executes=True)
PACK = By("key:pack", "StackStorm execution 1")
ACME = Subject(SubjectKind.ORGANIZATION, "acme")


def an_incident(store: Store, subject: Subject = Subject(SubjectKind.DEPLOYMENT, "a/b@us")) -> Incident:  # noqa: B008
    process = Processes(store.database).register("scheduler")
    term = Leadership(store.database, "scheduler", process, 60.0).campaign()
    assert term is not None
    found = Found(IncidentKind.ERROR_RATE, subject, "20 % of the calls fail", {"measured": 0.2})
    incident = IncidentStore(store.database).open(found, Lead("scheduler", process, term))
    assert incident is not None
    return incident


def told(store: Store) -> list[str]:
    kinds = [row["kind"] for row in store.rows(happenings)]
    return sorted(kind for kind in kinds if kind.startswith("incident.repair"))


def test_an_incident_is_repaired_once_whoever_asks_at_the_same_moment(store: Store) -> None:
    incident, repairs = an_incident(store), IncidentRepairs(store.database)
    with ThreadPoolExecutor(4) as pool:
        asked = list(pool.map(lambda _: repairs.ask(incident, WANTED), range(4)))
    assert {each.id for each in asked} == {incident.id}
    [repair] = Repairs(store.database).page(RepairFilter(kind=RepairKind.INCIDENT), EVERYTHING, 10)
    assert (repair.state, repair.workflow, repair.asked_by, repair.job_id) == (
        RepairState.ASKED, "synthralos.incident_repair", "monitor", None,
    )  # fmt: skip
    assert repair.sent["repair_id"] == incident.id
    [following] = Repairs(store.database).following(10)
    assert following.awaited
    assert told(store) == ["incident.repair_asked"]


def test_a_report_that_something_was_done_counts_once_and_leaves_the_repair_open(store: Store) -> None:
    incident, repairs = an_incident(store), IncidentRepairs(store.database)
    repairs.ask(incident, WANTED)
    with ThreadPoolExecutor(4) as pool:
        said = list(
            pool.map(
                lambda number: repairs.report(incident.id, EVERYTHING, Reported.ACTED, f"paused {number}", PACK),
                range(4),
            )
        )
    results = {str(each.result) for each in said if each is not None}
    assert (len(said), len(results)) == (4, 1)
    [following] = Repairs(store.database).following(10)
    assert (following.repair.acted_at is not None, following.awaited) == (True, False)
    assert len(Audit(store.database).page(AuditFilter(act="repairs.report"), EVERYTHING, 10)) == 1
    assert Repairs(store.database).started(incident.id, "e1")
    ended = Repairs(store.database).end(incident.id, RepairState.SUCCEEDED, "the execution succeeded")
    assert ended is not None
    assert str(ended.repair.result) in results
    assert told(store) == ["incident.repair_asked", "incident.repair_ended"]
    late = repairs.report(incident.id, EVERYTHING, Reported.FAILED, "late", PACK)
    assert late is not None
    assert late.state is RepairState.SUCCEEDED


@pytest.mark.parametrize("said", [Reported.FAILED, Reported.NOTHING_TO_DO])
def test_a_report_that_nothing_was_done_ends_the_repair(store: Store, said: Reported) -> None:
    incident, repairs = an_incident(store), IncidentRepairs(store.database)
    repairs.ask(incident, WANTED)
    ended = repairs.report(incident.id, EVERYTHING, said, "the key may not", PACK)
    assert ended is not None
    assert (ended.state, ended.acted_at) == (RepairState.FAILED, None)
    assert "the key may not" in ended.outcome
    assert Repairs(store.database).following(10) == []
    assert told(store) == ["incident.repair_asked", "incident.repair_ended"]


def test_a_tenant_reports_of_its_own_incidents_alone(store: Store) -> None:
    repairs, mine = IncidentRepairs(store.database), an_incident(store, ACME)
    repairs.ask(mine, WANTED)
    assert repairs.report(mine.id, Scope("other"), Reported.ACTED, "", PACK) is None
    assert repairs.report(mine.id, Scope("acme"), Reported.ACTED, "", PACK) is not None


def test_what_stackstorm_may_not_execute_is_proposed_and_never_followed(store: Store) -> None:
    incident, repairs = an_incident(store), IncidentRepairs(store.database)
    assert repairs.ask(incident, WANTED._replace(executes=False)).state is RepairState.PROPOSED
    assert Repairs(store.database).following(10) == []
    late = repairs.report(incident.id, EVERYTHING, Reported.ACTED, "", PACK)
    assert late is not None
    assert late.acted_at is None
