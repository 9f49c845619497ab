"""Where a job would go, over HTTP and on the command line: the plan that it would get, and nothing that stays."""

from collections.abc import Iterator

import httpx
import pytest

from api.v1.routing import RouteView
from synthralos.domain.permissions import Role
from synthralos.store.sql.database import Database
from synthralos_client import Client
from tests.fakes.commands import in_process
from tests.integration.api_place import JOBS, Place, api_over, core_over

EXPLAIN = "/api/v1/route/explain"


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client(Role.SERVICE)


def explained(client: httpx.Client, **job: object) -> RouteView:
    answer = client.post(EXPLAIN, json={"prompt": "Hello", **job})
    assert answer.status_code == 200, answer.text
    return RouteView.model_validate_json(answer.content)


def test_every_deployment_is_there_once_as_a_step_or_with_its_reason(place: Place, client: httpx.Client) -> None:
    view = explained(client, constraints={"classification": "eu"}, max_output_tokens=77)
    assert [step.deployment for step in view.steps] == ["sandbox/medium@eu"]
    named = [each.deployment for each in (*view.steps, *view.exclusions)]
    assert sorted(named) == sorted(deployment.id for deployment in place.core.catalog)
    assert all(each.reason for each in view.exclusions)
    assert (view.strategy, view.failure, view.output_tokens) == ("cheapest", None, 77)
    assert view.prompt_tokens > 0


def test_a_job_that_may_go_nowhere_is_told_what_it_would_fail_with(client: httpx.Client) -> None:
    view = explained(client, constraints={"zero_retention": True})
    assert (view.steps, view.strategy) == ([], None)
    assert view.failure is not None
    assert "zero_retention" in view.failure.message
    assert any("zero_retention" in each.reason for each in view.exclusions)


def test_nothing_is_stored(client: httpx.Client) -> None:
    explained(client)
    assert client.get(JOBS).json()["jobs"] == []


@pytest.mark.parametrize(
    ("document", "field"),
    [([{"prompt": "a"}], "body"), ({"prompt": "a", "model": "nobody"}, "model"), ({"prompt": " "}, "prompt")],
)
def test_what_is_wrong_is_named_as_in_a_submission(client: httpx.Client, document: object, field: str) -> None:
    answer = client.post(EXPLAIN, json=document)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_key_that_may_not_submit_may_not_ask(place: Place) -> None:
    assert place.client(Role.VIEWER).post(EXPLAIN, json={"prompt": "a"}).status_code == 403


def test_the_client_and_the_command_line_ask_the_same(
    place: Place, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = client.headers["authorization"].removeprefix("Bearer ")
    expected = explained(client, prompt="Rivers", model="sandbox/medium").model_dump(mode="json", by_alias=True)
    with Client(place.url, key) as ours:
        assert ours.explain_route("Rivers", model="sandbox/medium") == expected
    monkeypatch.setenv("SYNTHRALOS_URL", place.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", key)
    run = in_process(monkeypatch, capsys)
    assert run("--json", "route", "explain", "Rivers", "--model", "sandbox/medium").json == expected
    assert "sandbox/medium@eu" in run("route", "explain", "Rivers", "--model", "sandbox/medium").out
