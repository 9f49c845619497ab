"""Dead letters over HTTP and through the client, and the leader that carries operations out."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.v1.dead_letter_files import ExportedLine, ImportedView
from api.v1.dead_letter_views import CauseList, OperationList, OperationView
from scheduler.bulk import BulkRunner
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Tenant
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import State, Transition
from synthralos.store.queue.bulk import BulkOperations
from synthralos.store.sql.database import Database
from synthralos_client import AsyncClient, Client
from tests.fakes.commands import in_process
from tests.fakes.jobs import new_job, settlement
from tests.integration.api_place import ACME, JOBS, Place, api_over, core_over, fields_of

LETTERS = "/api/v1/dead-letters"
OPERATIONS = f"{LETTERS}/operations"


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def operator(place: Place) -> httpx.Client:
    return place.client(Role.OPERATOR)


def _dead(place: Place, count: int = 1, organization: str = "acme") -> list[str]:
    ids = place.store.submit(*(new_job(tenant=Tenant(organization, "main")) for _ in range(count)))
    failure = Failure(FailureClass.OVERLOADED, "try later", http_status=529).to_json()
    for job in place.store.claim(ids):
        assert place.store.settle(settlement(job, Transition.FAIL, failure=failure))
    return sorted(ids)


def _runner(place: Place) -> BulkRunner:
    return BulkRunner(BulkOperations(place.core.database), place.core.doorbell, place.core.bus, lambda: True)


def test_dead_letters_are_seen_grouped_and_retried_in_the_background(place: Place, operator: httpx.Client) -> None:
    ids = _dead(place, 3)
    _dead(place, 1, "other")
    page = operator.get(LETTERS, params={"limit": 2}).json()
    rest = operator.get(LETTERS, params={"limit": 2, "cursor": page["next"]}).json()
    assert [job["id"] for job in page["jobs"] + rest["jobs"]] == ids[::-1]
    assert rest["next"] is None
    causes = operator.get(f"{LETTERS}/causes", params={"failure_class": "overloaded"})
    CauseList.model_validate_json(causes.content)
    assert [(c["jobs"], c["message"]) for c in causes.json()["causes"]] == [(3, "try later")]
    wanted = {"act": "retry", "filter": {"failure_class": "overloaded"}, "name": "back", "reason": "works again"}
    made = operator.post(OPERATIONS, json=wanted)
    assert made.status_code == 202, made.text
    OperationView.model_validate_json(made.content)
    assert _runner(place).round()
    shown = operator.get(f"{OPERATIONS}/{made.json()['id']}").json()
    assert (shown["state"], shown["done"], shown["organization"]) == ("done", 3, "acme")
    assert [place.store.state(job_id) for job_id in ids] == [State.QUEUED] * 3
    assert sorted(place.doorbell.rung()) == ids
    again = operator.post(f"{OPERATIONS}/{shown['id']}/repeat")
    assert (again.status_code, again.json()["repeats"]) == (202, shown["id"])
    listed = operator.get(OPERATIONS)
    OperationList.model_validate_json(listed.content)
    assert [each["id"] for each in listed.json()["operations"]] == [again.json()["id"], shown["id"]]


def test_a_rate_is_kept(place: Place, operator: httpx.Client) -> None:
    _dead(place, 5)
    made = operator.post(OPERATIONS, json={"act": "retry", "filter": {}, "per_second": 2}).json()
    now = [100.0]
    operations = BulkOperations(place.core.database)
    runner = BulkRunner(operations, place.core.doorbell, place.core.bus, lambda: True, lambda: now[0])
    done = []
    for _ in range(4):
        runner.round()
        found = operations.get(made["id"], EVERYTHING)
        assert found is not None
        done.append(found.done)
        now[0] += 1.0
    assert done == [1, 3, 5, 5]


def test_who_does_not_lead_does_nothing(place: Place, operator: httpx.Client) -> None:
    [job_id] = _dead(place)
    operator.post(OPERATIONS, json={"act": "retry", "filter": {}})
    idle = BulkRunner(BulkOperations(place.core.database), place.core.doorbell, place.core.bus, lambda: False)
    assert not idle.round()
    assert place.store.state(job_id) == State.FAILED


def test_it_is_paused_and_what_is_over_is_not(place: Place, operator: httpx.Client) -> None:
    _dead(place)
    made = operator.post(OPERATIONS, json={"act": "retry", "filter": {}}).json()
    path = f"{OPERATIONS}/{made['id']}"
    assert operator.post(f"{path}/pause").json()["state"] == "paused"
    assert operator.post(f"{path}/resume", json={"reason": "go on"}).json()["state"] == "running"
    _runner(place).round()
    refused = operator.post(f"{path}/pause")
    assert (refused.status_code, refused.json()["detail"]) == (409, "Cannot pause an operation that is done.")


def test_bad_input_is_named_by_field(operator: httpx.Client) -> None:
    for wanted, field in (
        ({"filter": {}}, "act"),
        ({"act": "retry"}, "filter"),
        ({"act": "retry", "filter": {"failure_class": "bad luck"}}, "filter.failure_class"),
        ({"act": "retry", "filter": {"jobs": ["x"]}}, "filter.jobs[0]"),
        ({"act": "retry", "filter": {}, "per_second": 0}, "per_second"),
        ({"act": "retry", "filter": {}, "changes": {"region": "us"}}, "changes"),
        ({"act": "reroute", "filter": {}, "changes": {"pin": "no/such@us"}}, "changes.pin"),
    ):
        answer = operator.post(OPERATIONS, json=wanted)
        assert answer.status_code == 422, wanted
        assert field in fields_of(answer)


def test_others_operations_are_out_of_reach(place: Place, operator: httpx.Client) -> None:
    made = operator.post(OPERATIONS, json={"act": "retry", "filter": {}}).json()
    other = place.client(Role.OPERATOR, Scope("other"))
    assert other.get(f"{OPERATIONS}/{made['id']}").status_code == 404
    assert other.post(f"{OPERATIONS}/{made['id']}/cancel").status_code == 404
    assert other.get(OPERATIONS).json()["operations"] == []
    assert place.client(Role.VIEWER).post(OPERATIONS, json={"act": "retry", "filter": {}}).status_code == 403


def test_the_client_does_the_same(place: Place) -> None:
    ids = _dead(place, 2)
    with Client(place.url, place.key(Role.OPERATOR, ACME)) as client:
        healing = client.healing
        assert [job["id"] for job in healing.dead_letters(page_size=1)] == ids[::-1]
        assert [cause["jobs"] for cause in healing.dead_letter_causes(failure_class="overloaded")] == [2]
        made = healing.operate_on_dead_letters("retry", {"jobs": ids[:1]}, reason="works again")
        _runner(place).round()
        assert healing.dead_letter_operation(made["id"])["done"] == 1
        assert healing.change_dead_letter_operation(made["id"], "repeat")["repeats"] == made["id"]
        assert len(healing.dead_letter_operations()) == 2


def test_the_same_key_begins_one_operation(place: Place, operator: httpx.Client) -> None:
    headers, wanted = {"Idempotency-Key": "k-1"}, {"act": "retry", "filter": {}}
    first = operator.post(OPERATIONS, json=wanted, headers=headers)
    assert operator.post(OPERATIONS, json=wanted, headers=headers).json() == first.json()
    other = operator.post(OPERATIONS, json={**wanted, "name": "other"}, headers=headers)
    assert fields_of(other) == ["header.Idempotency-Key"]
    stranger = place.client(Role.OPERATOR, Scope("other")).post(OPERATIONS, json=wanted, headers=headers)
    assert stranger.json()["id"] != first.json()["id"]
    repeated = [
        operator.post(f"{OPERATIONS}/{first.json()['id']}/repeat", headers={"Idempotency-Key": "k-2"}) for _ in "ab"
    ]
    assert repeated[0].json() == repeated[1].json()
    assert operator.get(OPERATIONS).json()["next"] is None
    assert len(operator.get(OPERATIONS).json()["operations"]) == 2


def test_what_is_exported_is_imported_as_new_jobs_once(place: Place, operator: httpx.Client) -> None:
    asked = {
        "messages": [{"role": "user", "content": "Hello"}], "max_output_tokens": 7, "run_id": "night-1",
        "constraints": {"region": "eu", "max_cost_usd": "0.05"}, "metadata": {"step": "plan"}, "stream": True,
    }  # fmt: skip
    ids = [operator.post(JOBS, json=asked).json()["id"] for _ in range(25)]
    failure = Failure(FailureClass.OVERLOADED, "try later").to_json()
    for job in place.store.claim(ids):
        assert place.store.settle(settlement(job, Transition.FAIL, failure=failure))
    _dead(place, 1, "other")
    exported = operator.get(f"{LETTERS}/export", params={"failure_class": "overloaded"})
    lines = [json.loads(line) for line in exported.text.splitlines()]
    assert [line["id"] for line in lines] == sorted(ids, reverse=True)
    for line in lines:
        ExportedLine.model_validate_json(json.dumps(line))
    wanted = {**asked, "model": "auto", "organization": "acme", "workspace": "default"}
    del wanted["stream"]
    assert wanted.items() <= {**lines[0]["job"], "constraints": asked["constraints"]}.items()
    assert asked["constraints"].items() <= lines[0]["job"]["constraints"].items()  # type: ignore[attr-defined]
    report = operator.post(f"{LETTERS}/import", content=exported.content)
    ImportedView.model_validate_json(report.content)
    assert (report.json()["imported"], report.json()["repeated"]) == (25, 0)
    again = operator.post(f"{LETTERS}/import", content=exported.content).json()
    assert (again["imported"], again["repeated"]) == (0, 25)
    made = [line["job_id"] for line in again["lines"]]
    assert made == [line["job_id"] for line in report.json()["lines"]]
    new = operator.get(f"{JOBS}/{made[0]}").json()
    assert (new["state"], new["run_id"], new["request"]["max_output_tokens"]) == (State.QUEUED, "night-1", 7)
    assert new["constraints"]["region"] == "eu"
    assert place.store.job(made[0])["lane"] == "bulk"


def test_each_bad_line_is_told_and_the_others_are_imported(place: Place, operator: httpx.Client) -> None:
    good = {"id": new_id(), "job": {"prompt": "Hello"}}
    lines = [
        "{", json.dumps({"id": "x", "job": 1}), json.dumps({"id": new_id(), "job": {"prompt": "Hi", "modell": "x"}}),
        json.dumps({"id": new_id(), "job": {"prompt": "Hi", "organization": "other"}}), json.dumps(good),
    ]  # fmt: skip
    report = operator.post(f"{LETTERS}/import", content="\n".join(lines)).json()
    assert (report["imported"], report["invalid"]) == (1, 4)
    assert [[error["field"] for error in line["errors"]] for line in report["lines"]] == [
        ["line"], ["id", "job"], ["modell"], ["organization"], [],
    ]  # fmt: skip
    assert fields_of(operator.post(f"{LETTERS}/import", content="")) == ["body"]
    assert place.client(Role.VIEWER).post(f"{LETTERS}/import", content=json.dumps(good)).status_code == 403


def test_the_clients_and_the_command_line_export_and_import(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = _dead(place, 3)
    key = place.key(Role.ADMIN, ACME)
    with Client(place.url, key) as client:
        lines = list(client.healing.export_dead_letters())
        assert sorted(line["id"] for line in lines) == ids
        assert [line["outcome"] for line in client.healing.import_dead_letters(lines)] == ["imported"] * 3

    async def again() -> list[str]:
        async with AsyncClient(place.url, key) as client:
            lines = [line async for line in client.healing.export_dead_letters()]
            return [line["outcome"] async for line in client.healing.import_dead_letters(lines)]

    assert asyncio.run(again()) == ["repeated"] * 3
    monkeypatch.setenv("SYNTHRALOS_URL", place.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", place.key(Role.OPERATOR))
    run, file = in_process(monkeypatch, capsys), tmp_path / "letters.jsonl"
    assert run("dead-letters", "export", str(file)).code == 0
    assert len(file.read_text().splitlines()) == 3
    assert run("dead-letters", "import", str(file), "--json").json == {"imported": 0, "repeated": 3, "invalid": 0}
    file.write_text('{"id": 1}\n')
    assert run("dead-letters", "import", str(file)).code == 5
