"""Incidents over HTTP, with the client and on the command line."""

from collections.abc import Iterator

import httpx
import pytest

from api.v1.incident_views import IncidentList, IncidentView
from synthralos.domain.incidents import Incident, IncidentKind, Move, Subject, SubjectKind
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.incidents import BEGUN, Did, Found, IncidentStore
from synthralos.store.admin.processes import Leadership, Processes
from synthralos.store.queue.leading import Lead
from synthralos.store.sql.database import Database
from synthralos_client import Client, NotFound
from tests.fakes.commands import Command, in_process
from tests.integration.api_place import ACME, Place, api_over, core_over

INCIDENTS = "/api/v1/incidents"
SMALL = Subject(SubjectKind.DEPLOYMENT, "openai/gpt-4.1-mini@us")
EVIDENCE = {
    "measured": 0.21, "baseline": 0.01, "limit": 0.027, "calls": 400, "seconds": 6, "score": 40, "threshold": 15,
}  # fmt: skip


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def root(place: Place) -> httpx.Client:
    return place.client(Role.OPERATOR, EVERYTHING)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return in_process(monkeypatch, capsys)


def found(place: Place, *subjects: Subject, kind: IncidentKind = IncidentKind.ERROR_RATE) -> list[Incident]:
    """Incidents that a monitor opened, the first of which it has begun to repair."""
    database = place.core.database
    process = Processes(database).register("scheduler")
    term = Leadership(database, f"monitor {process}", process, 60.0).campaign()
    assert term is not None
    lead, store = Lead(f"monitor {process}", process, term), IncidentStore(database)
    made = [store.open(Found(kind, subject, "21.0% of 400 calls failed", EVIDENCE), lead) for subject in subjects]
    opened = [incident for incident in made if incident is not None]
    store.move(opened[0], Move.BEGIN, Did("open_breaker", BEGUN), lead)
    return opened


def test_an_incident_is_listed_shown_acknowledged_and_resolved(place: Place, root: httpx.Client) -> None:
    [incident] = found(place, SMALL)
    listed = root.get(INCIDENTS, params={"state": "live"})
    IncidentList.model_validate_json(listed.content)
    assert [each["id"] for each in listed.json()["incidents"]] == [incident.id]
    shown = root.get(f"{INCIDENTS}/{incident.id}")
    IncidentView.model_validate_json(shown.content)
    body = shown.json()
    assert (body["state"], body["evidence"]["measured"], body["steps"][0]["act"]) == ("repairing", 0.21, "open_breaker")
    for path in body["links"].values():
        assert root.get(path).status_code == 200, path
    seen = root.post(f"{INCIDENTS}/{incident.id}/acknowledge", json={"comment": "on it"}).json()
    assert (seen["state"], seen["acknowledged_by"] is not None) == ("repairing", True)
    over = root.post(f"{INCIDENTS}/{incident.id}/resolve", json={"comment": "mended"}).json()
    again = root.post(f"{INCIDENTS}/{incident.id}/resolve").json()
    assert (over["state"], over["steps"][-1]["note"], again) == ("closed", "mended", over)
    assert root.get(INCIDENTS, params={"state": "live"}).json()["incidents"] == []
    assert len(root.get("/api/v1/audit", params={"subject": f"incident:{incident.id}"}).json()["changes"]) == 2


def test_incidents_are_filtered_and_come_in_pages(place: Place, root: httpx.Client) -> None:
    others = [Subject(SubjectKind.ORGANIZATION, name) for name in ("acme", "other")]
    made = found(place, SMALL, *others)
    queue = Subject(SubjectKind.QUEUE, "guard/bulk")
    made += found(place, queue, kind=IncidentKind.STUCK_JOBS)

    def ids(**params: object) -> list[str]:
        return [each["id"] for each in root.get(INCIDENTS, params=params).json()["incidents"]]  # type: ignore[arg-type]

    assert ids(kind="stuck_jobs") == [made[3].id]
    assert ids(subject="organization:acme") == ids(organization="acme") == [made[1].id]
    assert ids(state=["open", "verifying"]) == [made[2].id, made[1].id]
    assert ids(changed_after=made[3].changed_at.isoformat()) == [made[3].id]
    first = root.get(INCIDENTS, params={"limit": 3}).json()
    rest = root.get(INCIDENTS, params={"limit": 3, "cursor": first["next"]}).json()
    assert [each["id"] for each in [*first["incidents"], *rest["incidents"]]] == [each.id for each in reversed(made)]
    assert rest["next"] is None
    for path in (link for each in made for link in root.get(f"{INCIDENTS}/{each.id}").json()["links"].values()):
        assert root.get(path).status_code == 200, path


@pytest.mark.parametrize(
    "params",
    [{"state": "away"}, {"kind": "weather"}, {"subject": "planet:mars"}, {"limit": 0}, {"cursor": "x"}, {"since": "1"}],
)
def test_a_wrong_filter_is_told_by_its_name(root: httpx.Client, params: dict[str, str]) -> None:
    response = root.get(INCIDENTS, params=params)
    assert response.status_code == 422
    [name] = params
    assert name in response.json()["errors"][0]["field"]


def test_tenants_see_their_own_incidents_and_viewers_change_nothing(place: Place) -> None:
    own, *rest = found(
        place, Subject(SubjectKind.ORGANIZATION, "acme"), Subject(SubjectKind.ORGANIZATION, "other"), SMALL
    )
    tenant = place.client(Role.OPERATOR, ACME)
    assert [each["id"] for each in tenant.get(INCIDENTS).json()["incidents"]] == [own.id]
    assert tenant.get(INCIDENTS, params={"organization": "other"}).json()["incidents"] == []
    for hidden in rest:
        assert tenant.get(f"{INCIDENTS}/{hidden.id}").status_code == 404
        assert tenant.post(f"{INCIDENTS}/{hidden.id}/resolve").status_code == 404
    viewer = place.client(Role.VIEWER, ACME)
    assert viewer.get(f"{INCIDENTS}/{own.id}").status_code == 200
    assert viewer.post(f"{INCIDENTS}/{own.id}/resolve").status_code == 403
    assert viewer.post(f"{INCIDENTS}/{own.id}/acknowledge").status_code == 403
    assert place.client(Role.OPERATOR, Scope("other")).get(f"{INCIDENTS}/{own.id}").status_code == 404
    assert tenant.post(f"{INCIDENTS}/{own.id}/resolve").json()["state"] == "closed"


def test_an_unknown_id_is_not_found(root: httpx.Client) -> None:
    for unknown in ("nonsense", "00000000-0000-7000-8000-000000000000"):
        assert root.get(f"{INCIDENTS}/{unknown}").status_code == 404
        assert root.post(f"{INCIDENTS}/{unknown}/resolve").status_code == 404


def test_the_client_does_the_same(place: Place) -> None:
    [incident] = found(place, SMALL)
    with Client(place.url, place.key(Role.OPERATOR, EVERYTHING)) as client:
        incidents = client.healing.incidents
        assert [each["id"] for each in incidents.list(state=["open", "repairing"], page_size=1)] == [incident.id]
        assert list(incidents.list(state="closed")) == []
        assert incidents.get(incident.id)["evidence"]["baseline"] == 0.01
        assert incidents.acknowledge(incident.id, comment="on it")["acknowledged_by"]
        assert incidents.resolve(incident.id)["state"] == "closed"
        with pytest.raises(NotFound):
            incidents.get("nonsense")


def test_the_command_line_does_the_same(place: Place, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    [incident] = found(place, SMALL)
    monkeypatch.setenv("SYNTHRALOS_URL", place.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", place.key(Role.OPERATOR, EVERYTHING))
    assert incident.id in run("incidents", "list", "--state", "live").out
    shown = run("incidents", "show", incident.id)
    assert "open_breaker" in shown.out
    assert "0.21" in shown.out
    assert run("incidents", "acknowledge", incident.id, "--comment", "on it").code == 0
    assert "closed" in run("incidents", "resolve", incident.id).out
    assert run("incidents", "list", "--state", "live", "--json").json["incidents"] == []
    assert run("incidents", "show", "nonsense").code != 0
