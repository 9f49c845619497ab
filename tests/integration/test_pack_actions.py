"""The StackStorm pack's actions against the real API: what they do, once, and what they put on record."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.incidents import Subject, SubjectKind
from synthralos.domain.jobs import Tenant
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Transition
from synthralos.store.admin.breakers import BreakerStore
from tests.fakes.jobs import attempt_end, new_job, settlement
from tests.fakes.stackstorm_pack import EXECUTION, StackStorm, stackstorm
from tests.integration.api_place import Place, submitted
from tests.integration.test_api_incidents import found

SCHEDULE = {"name": "nightly", "cron": "0 3 * * *", "time_zone": "UTC", "job": {"prompt": "Hello"}}


@pytest.fixture(scope="module")
def place(pack_place: Place) -> Place:
    return pack_place


@pytest.fixture(scope="module")
def pack(place: Place) -> Iterator[StackStorm]:
    with stackstorm(place.url, place.key(Role.ADMIN, EVERYTHING)) as pack:
        yield pack


@pytest.fixture(scope="module")
def root(place: Place) -> httpx.Client:
    return place.client(Role.ADMIN, EVERYTHING)


def _dead(place: Place, count: int = 1, organization: str = "acme") -> list[str]:
    ids = place.store.submit(*(new_job(tenant=Tenant(organization, "main")) for _ in range(count)))
    failure = Failure(FailureClass.OVERLOADED, "try later", http_status=529).to_json()
    for job in place.store.claim(ids):
        assert place.store.settle(settlement(job, Transition.FAIL, failure=failure))
    return sorted(ids)


def _form(price: dict[str, Any] | None) -> tuple[str, ...]:
    return () if price is None else tuple(name for name, value in price.items() if value)


def _newest(root: httpx.Client, subject: str) -> dict[str, Any]:
    [change] = root.get("/api/v1/audit", params={"subject": subject, "limit": 1}).json()["changes"]
    return dict(change)


def test_a_dead_letter_is_retried_once_and_the_execution_is_on_record(
    place: Place, pack: StackStorm, root: httpx.Client
) -> None:
    [job_id] = _dead(place)
    before = pack.run("job_get", job_id=job_id, wait=None, include_payloads=None)
    assert (before["revivable"], before["terminal"], before["failure"]["class"]) == (True, True, "overloaded")
    assert "request" not in before
    assert "request" in pack.run("job_get", job_id=job_id, include_payloads=True)
    done = pack.run("job_retry", job_id=job_id, reason="it works\nagain", if_finished_at=before["finished_at"])
    assert (done["changed"], done["job"]["state"]) == (True, "queued")
    again = pack.run("job_retry", job_id=job_id, reason=None, if_finished_at=before["finished_at"])
    assert (again["changed"], again["job"]["state"]) == (False, "queued")
    assert _newest(root, f"job:{job_id}")["reason"] == f"StackStorm execution {EXECUTION}: it works again"
    acts = root.get(f"/api/v1/jobs/{job_id}/evidence").json()["acts"]
    assert [act["by"] for act in acts if act["kind"] == "retry"] == ["stackstorm"]


def test_a_job_that_failed_again_meanwhile_is_not_retried_for_the_earlier_failure(
    place: Place, pack: StackStorm
) -> None:
    [job_id] = _dead(place)
    stale = "2020-01-01T00:00:00.000000Z"
    assert pack.run("job_retry", job_id=job_id, if_finished_at=stale)["changed"] is False
    assert pack.run("job_reroute", job_id=job_id, if_finished_at=stale)["changed"] is False
    assert pack.run("job_get", job_id=job_id)["state"] == "failed"


def test_a_job_is_rerouted_with_what_was_given_and_called_off_once(
    place: Place, pack: StackStorm, root: httpx.Client
) -> None:
    [job_id] = _dead(place)
    other = next(iter(place.core.catalog)).id
    done = pack.run("job_reroute", job_id=job_id, pin=None, exclude=[other], region=None, fallback=True)
    assert (done["changed"], done["job"]["state"]) == (True, "queued")
    assert root.get(f"/api/v1/jobs/{job_id}").json()["constraints"]["exclude"] == [other]
    assert pack.run("job_cancel", job_id=job_id)["changed"] is True
    assert pack.run("job_cancel", job_id=job_id)["changed"] is False
    refused = pack.fails("job_reroute", job_id=job_id, region="nowhere", strategy="no such strategy")
    assert (refused["kind"], refused["status"]) == ("invalid", 422)
    assert refused["errors"]


def test_a_job_that_succeeded_is_left_alone(place: Place, pack: StackStorm) -> None:
    job_id = submitted(place.client())
    place.finish(job_id)
    for action in ("job_retry", "job_reroute", "job_cancel"):
        done = pack.run(action, job_id=job_id)
        assert (done["changed"], done["job"]["succeeded"]) == (False, True)
    listed = pack.run("job_list", state="succeeded", workspace=None, limit=10)
    assert [job["id"] for job in listed["jobs"]] == [job_id]


def test_a_run_goes_on_from_its_last_good_step(place: Place, pack: StackStorm) -> None:
    failure = Failure(FailureClass.OVERLOADED, "try later").to_json()
    for step, transition in (("plan", Transition.SUCCEED), ("write", Transition.FAIL)):
        job = new_job("Hello", run_id="night", metadata={"step": step}, tenant=Tenant("acme", "main"))
        failed = failure if transition is Transition.FAIL else None
        started = place.store.started(job)
        assert place.store.settle(settlement(started, transition, attempt=attempt_end(1), failure=failed))
    before = pack.run("run_get", run_id="night")
    assert (before["finished"], before["recoverable"], before["most_attempts"]) == (True, 1, 1)
    done = pack.run("run_recover", run_id="night", steps=["plan", "write", "check"])
    assert (done["retried_in_all"], done["kept_in_all"], done["missing"]) == (1, 1, ["check"])
    assert pack.run("run_recover", run_id="night")["changed"] is False
    assert pack.run("run_get", run_id="night", wait=0)["finished"] is False


def test_one_operation_on_dead_letters_is_started_by_an_execution_however_often_it_asks(
    place: Place, root: httpx.Client
) -> None:
    _dead(place, 3, "bulk")
    with stackstorm(place.url, place.key(Role.OPERATOR, Scope("bulk"))) as pack:
        listed = pack.run("dead_letters_list", failure_class="overloaded", limit=2)
        assert len(listed["jobs"]) == 2
        assert listed["next"]
        assert pack.run("dead_letters_list", causes=True)["causes"][0]["jobs"] == 3
        assert pack.fails("dead_letters_retry")["kind"] == "invalid"
        first = pack.run("dead_letters_retry", failure_class="overloaded")
        again = pack.run("dead_letters_retry", failure_class="overloaded")
        assert (first["changed"], again["changed"]) == (True, False)
        assert first["operation"]["id"] == again["operation"]["id"]
        assert pack.run("dead_letters_retry", everything=True, key="tonight")["changed"] is True
        assert pack.run("dead_letters_retry", everything=True, key="tonight", execution="other")["changed"] is False
    made = root.get("/api/v1/dead-letters/operations").json()["operations"]
    assert sorted(each["name"] for each in made) == [f"stackstorm:{EXECUTION}", "stackstorm:tonight"]


def test_a_deployment_of_the_file_is_switched_off_and_is_the_files_again_afterwards(
    place: Place, pack: StackStorm, root: httpx.Client
) -> None:
    offered = [each for each in root.get("/api/v1/deployments").json()["deployments"] if each["enabled"]]
    # One of each form of price: that is what has to be carried over whole.
    kinds = {_form(each["price"]): each for each in offered if each["source"] == "file"}
    assert len(kinds) > 1
    for before in kinds.values():
        path = f"/api/v1/deployments/{before['id']}"
        assert pack.run("deployment_pause", deployment_id=before["id"], reason="maintenance")["changed"] is True
        assert pack.run("deployment_pause", deployment_id=before["id"])["changed"] is False
        while_off = root.get(path).json()
        assert (while_off["enabled"], while_off["price"]) == (False, before["price"])
        assert EXECUTION in _newest(root, f"deployment:{before['id']}")["reason"]
        assert pack.run("deployment_resume", deployment_id=before["id"])["changed"] is True
        assert pack.run("deployment_resume", deployment_id=before["id"])["changed"] is False
        assert root.get(path).json() == before


def test_a_deployment_of_the_database_keeps_its_entry(place: Place, pack: StackStorm, root: httpx.Client) -> None:
    first = sorted(deployment.id for deployment in place.core.catalog)[0]
    path = f"/api/v1/deployments/{first}"
    entry = {"context_window": 9000, "max_output": 900, "weight": 7}
    assert root.put(path, json=entry).status_code == 200
    assert pack.run("deployment_pause", deployment_id=first)["changed"] is True
    assert root.get(path).json()["entry"] == {**entry, "enabled": False}
    assert pack.run("deployment_resume", deployment_id=first)["changed"] is True
    assert root.get(path).json()["entry"] == {**entry, "enabled": True}


def test_a_breaker_is_closed_once(place: Place, pack: StackStorm) -> None:
    [first, *_] = [deployment.id for deployment in place.core.catalog]
    BreakerStore(place.core.database).broken(first, "500 all along", "worker-1")
    done = pack.run("breaker_reset", name=first)
    assert (done["changed"], done["breaker"]["state"]) == (True, "closed")
    assert pack.run("breaker_reset", name=first)["changed"] is False
    assert pack.fails("breaker_reset", name="no/such@eu")["kind"] == "not_found"


def test_a_wait_point_is_answered_once_and_not_otherwise(place: Place, pack: StackStorm) -> None:
    asked = {"kind": "approval", "name": "on-call", "prompt": "Go on?"}
    wait_id = place.client().post("/api/v1/runs/night/waits", json=asked).json()["id"]
    done = pack.run("wait_answer", wait_id=wait_id, answer="approve", comment="it is fine")
    assert (done["changed"], done["wait"]["state"]) == (True, "answered")
    assert pack.run("wait_answer", wait_id=wait_id, answer="approve")["changed"] is False
    assert pack.fails("wait_answer", wait_id=wait_id, answer="deny")["kind"] == "conflict"


def test_an_incident_is_shown_and_resolved_once(place: Place, pack: StackStorm) -> None:
    [incident] = found(place, Subject(SubjectKind.DEPLOYMENT, "pack/actions@us"))
    shown = pack.run("incident_get", incident_id=incident.id)
    assert (shown["over"], shown["evidence"]["measured"]) == (False, 0.21)
    done = pack.run("incident_resolve", incident_id=incident.id, comment="mended")
    assert (done["changed"], done["incident"]["state"]) == (True, "closed")
    assert EXECUTION in done["incident"]["steps"][-1]["note"]
    assert pack.run("incident_resolve", incident_id=incident.id)["changed"] is False
    assert pack.run("incident_get", incident_id=incident.id)["over"] is True
    assert pack.fails("incident_get", incident_id="00000000-0000-7000-8000-000000000000")["kind"] == "not_found"


def test_a_schedule_is_paused_and_resumed_once(place: Place, pack: StackStorm) -> None:
    created = place.client().post("/api/v1/schedules", json=SCHEDULE)
    assert created.status_code == 201, created.text
    schedule_id = created.json()["id"]
    done = pack.run("schedule_pause", schedule_id=schedule_id, note="for tonight")
    assert (done["changed"], done["schedule"]["pause_note"]) == (True, "for tonight")
    assert pack.run("schedule_pause", schedule_id=schedule_id)["changed"] is False
    assert pack.run("schedule_resume", schedule_id=schedule_id)["changed"] is True
    assert pack.run("schedule_resume", schedule_id=schedule_id)["changed"] is False


def test_what_waits_is_counted(place: Place, pack: StackStorm) -> None:
    submitted(place.client(scope=Scope("counted")))
    _dead(place, 2, "counted")
    with stackstorm(place.url, place.key(Role.OPERATOR, Scope("counted"))) as bound:
        stats = bound.run("queue_stats")
    assert stats["open"]["queued"] == {"jobs": 1, "more": False, "places": {"guard/interactive": 1}}
    assert stats["dead_letters"] == {"jobs": 2, "more": False}
    assert stats["gauges"] == "forbidden"
    assert pack.run("queue_stats")["gauges"] in ("ok", "absent")


def test_policies_are_tried_and_health_is_told(place: Place, pack: StackStorm) -> None:
    told = pack.run("policy_evaluate", facts={"estimated_cost": 1}, job_id=None, draft=None)
    assert told["decision"]
    health = pack.run("health")
    assert (health["ready"], health["checks"]["database"]) == (True, "ok")


def test_what_cannot_be_done_is_told_by_its_kind(place: Place) -> None:
    with stackstorm(place.url, "sk-syn-nobodys") as stranger:
        assert stranger.fails("health")["kind"] == "unauthorized"
    with stackstorm(place.url, place.key(Role.VIEWER)) as viewer:
        [job_id] = _dead(place)
        assert viewer.fails("job_retry", job_id=job_id)["kind"] == "forbidden"
        assert viewer.fails("job_get", job_id="no such/../job")["kind"] == "invalid"
        assert viewer.fails("job_get", job_id="no-such-job")["kind"] == "not_found"
        assert viewer.fails("run_get", run_id="none")["kind"] == "not_found"
    with stackstorm("http://127.0.0.1:9", "sk-syn-nobodys") as away:
        assert away.fails("health")["kind"] == "unreachable"
    with stackstorm("127.0.0.1", "") as unset:
        assert unset.fails("health")["kind"] == "configuration"
