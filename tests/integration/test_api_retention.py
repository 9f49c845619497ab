"""Retention and erasures over HTTP, through the client and on the command line."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.v1.retention_views import ErasureList, ErasureView, RetentionView
from api.v1.views import View
from scheduler.erasing import ErasureRunner
from synthralos.control.operator import Operator
from synthralos.domain.jobs import Tenant
from synthralos.domain.permissions import Role
from synthralos.domain.retention import Kind
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Transition
from synthralos.store.queue.operations import Operations
from synthralos.store.sql.database import Database
from synthralos.store.tables import results
from synthralos_client import AsyncClient, Client
from tests.fakes.commands import in_process
from tests.fakes.jobs import new_job, settlement
from tests.integration.api_place import JOBS, Place, api_over, core_over, fields_of

ACME_DAYS = "/api/v1/organizations/acme/retention"
ERASURES = "/api/v1/erasures"
ANN = Tenant("acme", "main", "ann")


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def root(place: Place) -> httpx.Client:
    return place.client(Role.ADMIN, EVERYTHING)


def checked(model: type[View], answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    """The answer, which keeps to its model."""
    assert answer.status_code == status, answer.text
    model.model_validate_json(answer.content)
    found: dict[str, Any] = answer.json()
    return found


def days_of(view: dict[str, Any]) -> dict[str, float]:
    return {each["kind"]: each["days"] for each in view["kept"] if each["own"]}


def done(place: Place, tenant: Tenant = ANN) -> str:
    """A job that is over."""
    [job_id] = place.store.submit(new_job("my secret", tenant=tenant))
    [job] = place.store.claim([job_id])
    place.store.settle(settlement(job, Transition.CANCEL, analyzed=True))
    return job_id


def run_to_the_end(place: Place) -> None:
    core = place.core
    operator = Operator(Operations(core.database), core.doorbell, core.bus)
    runner = ErasureRunner(core.database, operator, [core.streams.forget], 1.0, lambda: True)
    for _ in range(200):
        runner.round()
        if not runner.busy:
            return
    raise AssertionError("it does not end")


def test_an_organizations_times_are_set_in_force_at_once_and_reset(place: Place, root: httpx.Client) -> None:
    before = checked(RetentionView, root.get(ACME_DAYS))
    assert (days_of(before), len(before["kept"])) == ({}, len(Kind))
    after = checked(RetentionView, root.put(ACME_DAYS, json={"payloads": 0, "jobs": 30, "reason": "contract"}))
    assert days_of(after) == {"payloads": 0, "jobs": 30}
    assert place.core.live.current.retention.of("acme")[Kind.JOBS] == 30
    assert place.core.live.current.retention.of("other")[Kind.JOBS] == 180
    [change] = root.get("/api/v1/audit", params={"act": "organizations.set_retention"}).json()["changes"]
    assert (change["reason"], change["after"]) == ("contract", {"payloads": 0, "jobs": 30})
    assert days_of(checked(RetentionView, root.delete(ACME_DAYS))) == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"payloads": 200}, "payloads"),
        ({"jobs": -1}, "jobs"),
        ({"accounts": 34}, "accounts"),
        ({"dead_letters": 30_000}, "dead_letters"),
        ({"firings": 3}, "firings"),
        ({}, "body"),
    ],
)
def test_times_that_cannot_be_are_refused_by_field(root: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = root.put(ACME_DAYS, json=body)
    assert answer.status_code == 422
    assert field in fields_of(answer)


def test_who_may_see_and_set_times(place: Place) -> None:
    own, other = place.client(Role.ADMIN, Scope("acme")), place.client(Role.ADMIN, Scope("other"))
    assert own.put(ACME_DAYS, json={"payloads": 7}).status_code == 200
    assert own.put(ACME_DAYS, json={"accounts": 500}).status_code == 403
    assert other.get(ACME_DAYS).status_code == other.put(ACME_DAYS, json={"payloads": 7}).status_code == 404
    assert place.client(Role.ADMIN, Scope("acme", "main")).put(ACME_DAYS, json={"payloads": 7}).status_code == 403
    operator = place.client(Role.OPERATOR, Scope("acme"))
    assert (operator.get(ACME_DAYS).status_code, operator.put(ACME_DAYS, json={"jobs": 9}).status_code) == (200, 403)
    assert place.client(Role.VIEWER, Scope("acme")).get(ACME_DAYS).status_code == 403


def test_a_job_without_its_request_is_not_retried_and_says_why(place: Place, root: httpx.Client) -> None:
    from synthralos.domain.retention import REMOVED_REQUEST

    job_id = done(place)
    place.store.update_job(job_id, request=dict(REMOVED_REQUEST))
    answer = root.post(f"{JOBS}/{job_id}/retry")
    assert (answer.status_code, "not kept" in answer.json()["detail"]) == (409, True)
    assert root.get(f"{JOBS}/{job_id}").json()["request"]["provider_options"] == {}
    assert len(place.store.rows(results)) == 1


def test_a_person_is_erased_in_the_background_and_forgotten(place: Place, root: httpx.Client) -> None:
    mine, other = done(place), done(place, Tenant("acme", "main", "bob"))
    headers = {"Idempotency-Key": "request-17"}
    body = {"organization": "acme", "user": "ann", "reason": "request 17"}
    made = checked(ErasureView, root.post(ERASURES, json=body, headers=headers), 202)
    assert (made["of"], made["user"], made["state"]) == ("person", "ann", "running")
    assert root.post(ERASURES, json=body, headers=headers).json()["id"] == made["id"]
    assert root.post(ERASURES, json={**body, "user": "bob"}, headers=headers).status_code == 422
    run_to_the_end(place)
    after = checked(ErasureView, root.get(f"{ERASURES}/{made['id']}"))
    assert (after["state"], after["counts"]["jobs"], after["user"].startswith("erased-")) == ("done", 1, True)
    assert root.get(f"{JOBS}/{mine}").status_code == 404
    assert root.get(f"{JOBS}/{other}").status_code == 200
    page = checked(ErasureList, root.get(ERASURES))
    assert [each["id"] for each in page["erasures"]] == [made["id"]]


@pytest.mark.parametrize(
    ("body", "field"), [({}, "organization"), ({"organization": "acme"}, "everything"), ({"users": "x"}, "users")]
)
def test_an_erasure_names_whom_it_is_about(root: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = root.post(ERASURES, json=body)
    assert (answer.status_code, field in fields_of(answer)) == (422, True)


def test_who_may_erase_and_see_it(place: Place) -> None:
    own, other = place.client(Role.ADMIN, Scope("acme")), place.client(Role.ADMIN, Scope("other"))
    assert own.post(ERASURES, json={"organization": "other", "user": "x"}).status_code == 404
    made = own.post(ERASURES, json={"user": "ann"}).json()
    assert other.get(f"{ERASURES}/{made['id']}").status_code == 404
    assert other.get(ERASURES).json()["erasures"] == []
    assert place.client(Role.OPERATOR, Scope("acme")).post(ERASURES, json={"user": "ann"}).status_code == 403
    assert place.client(Role.ADMIN, Scope("acme", "main")).post(ERASURES, json={"user": "x"}).status_code == 403
    assert place.client(Role.VIEWER, Scope("acme")).get(ERASURES).status_code == 403


def test_the_client_sets_times_and_erases(place: Place) -> None:
    secret = place.key(Role.ADMIN, EVERYTHING)
    with Client(place.url, secret) as client:
        assert days_of(client.configuration.set_retention("acme", payloads=3)) == {"payloads": 3}
        made = client.erasures.create(organization="acme", user="ann", open_jobs="wait")
        assert client.erasures.get(made["id"])["open_jobs"] == "wait"

    async def ask() -> None:
        async with AsyncClient(place.url, secret) as client:
            assert days_of(await client.configuration.retention("acme")) == {"payloads": 3}
            assert days_of(await client.configuration.reset_retention("acme")) == {}
            assert [each["id"] async for each in client.erasures.list()] == [made["id"]]

    asyncio.run(ask())


def test_the_command_line_erases(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done(place)
    monkeypatch.setenv("SYNTHRALOS_URL", place.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", place.key(Role.ADMIN, EVERYTHING))
    command = in_process(monkeypatch, capsys)
    assert command("erase", "start", "--organization", "acme", "--yes").code == 2
    made = command("erase", "start", "--organization", "acme", "--user", "ann", "--yes", "--json").json
    run_to_the_end(place)
    assert "done: 1 jobs" in command("erase", "show", made["id"]).out
    assert made["id"] in command("erase", "list").out
