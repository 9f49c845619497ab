"""Where a job would go, over HTTP and on the command line: the plan that it would get, and nothing that stays."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.v1.route_views import RouteView
from synthralos.domain.findings import Decision
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.sql.database import Database
from synthralos_client import Client
from tests.fakes.commands import in_process
from tests.integration.api_place import ACME, JOBS, Place, api_over, core_over

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


EU_ONLY = {"action": "require_region", "regions": ["eu"]}


def a_set(*then: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "ours", "rules": [{"id": "one", "then": list(then)}], **more}


def made(place: Place, document: dict[str, Any], scope: Scope = ACME) -> str:
    answer = place.client(Role.ADMIN, scope).post("/api/v1/policies", json={**document, "force": True})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_policies_are_asked_and_rules_are_named_by_what_they_keep_away(place: Place) -> None:
    set_id = made(place, a_set(EU_ONLY, {"action": "flag", "reason": "looked at"}))
    view = explained(place.client(Role.OPERATOR))
    assert [step.deployment for step in view.steps] == ["sandbox/medium@eu"]
    assert (view.policies.asked, view.policies.decision) == (True, Decision.FLAG)
    [match] = view.policies.matched
    assert (match.set_id, match.version, match.rule, match.demands) == (set_id, 1, "one", {"regions": ["eu"]})
    assert view.policies.demands == {"regions": ["eu"]}
    kept_away = {each.deployment: [rule.rule for rule in each.rules] for each in view.exclusions}
    assert kept_away["sandbox/small@us"] == kept_away["sandbox/large@us"] == ["one"]
    assert view.policies.rules is not None
    assert [(each.rule, each.matched) for each in view.policies.rules] == [("one", True)]


def test_a_draft_is_tried_beside_what_is_in_force_or_in_its_place(place: Place) -> None:
    set_id = made(place, a_set(EU_ONLY))
    draft = a_set({"action": "forbid_models", "models": ["sandbox/medium"]})
    operator = place.client(Role.OPERATOR)
    beside = explained(operator, policies={"draft": draft})
    assert beside.steps == []
    assert beside.failure is not None
    assert {(rule.set_id, rule.version) for each in beside.exclusions for rule in each.rules} == {
        (set_id, 1), ("draft", 0)
    }  # fmt: skip
    instead = explained(operator, policies={"draft": draft, "policy_id": set_id})
    assert "sandbox/medium@eu" not in [step.deployment for step in instead.steps]
    assert len(instead.steps) > 1
    assert [step.deployment for step in explained(operator).steps] == ["sandbox/medium@eu"]


def test_what_a_job_says_of_itself_counts_as_for_a_worker(place: Place) -> None:
    def matched(**job: object) -> bool:
        view = explained(place.client(Role.OPERATOR), **job, policies={"draft": draft})
        return bool(view.policies.matched)

    conditions = [
        {"field": "metadata.team", "op": "eq", "value": "care"},
        {"field": "tags", "op": "contains", "value": "night"},
        {"field": "run", "op": "eq", "value": "r-1"},
    ]
    draft = {"name": "ours", "rules": [{"id": "one", "when": {"all": conditions}, "then": [{"action": "flag"}]}]}
    assert matched(run_id="r-1", metadata={"team": "care", "tags": "night"})
    assert not matched(run_id="r-2", metadata={"team": "care", "tags": "night"})
    assert not matched(run_id="r-1")


def test_each_run_has_its_own_order_by_weight(place: Place) -> None:
    client = place.client(Role.SERVICE, plan="pro")

    def reasons(**job: object) -> list[str]:
        return [step.reason for step in explained(client, constraints={"strategy": "weighted"}, **job).steps]

    assert all("run-7" in reason for reason in reasons(run_id="run-7"))
    assert not any("run-7" in reason for reason in reasons())


def test_a_denial_is_told_with_where_the_job_would_have_gone(place: Place) -> None:
    draft = a_set({"action": "deny", "reason": "not now"})
    view = explained(place.client(Role.OPERATOR), policies={"draft": draft})
    assert view.policies.decision is Decision.DENY
    assert "not now" in view.policies.reason
    assert view.steps


@pytest.mark.parametrize(
    ("policies", "fields"),
    [
        ({"draft": {"name": "x", "rules": [{"id": "a", "then": [{"action": "no"}]}]}}, ["policies.draft.rules[0]"]),
        ({"draft": 1}, ["policies.draft"]),
        ({}, ["policies.draft"]),
        ("on", ["policies"]),
        ({"draft": a_set(EU_ONLY), "more": 1}, ["policies.more"]),
    ],
)
def test_a_wrong_draft_is_named_by_path(place: Place, policies: object, fields: list[str]) -> None:
    answer = place.client(Role.OPERATOR).post(EXPLAIN, json={"prompt": "a", "policies": policies})
    assert answer.status_code == 422
    named = [error["field"] for error in answer.json()["errors"]]
    assert all(name.startswith(field) for name, field in zip(named, fields, strict=True))


def test_who_may_not_read_policies_sees_what_decides_and_no_conditions(place: Place, client: httpx.Client) -> None:
    made(place, a_set(EU_ONLY), EVERYTHING)
    view = explained(client)
    assert ([match.rule for match in view.policies.matched], view.policies.rules) == (["one"], None)
    assert client.post(EXPLAIN, json={"prompt": "a", "policies": {"draft": a_set(EU_ONLY)}}).status_code == 403
    # The installation's own rules are not shown to those who are bound to a tenant.
    assert explained(place.client(Role.OPERATOR)).policies.rules == []


def test_the_command_line_shows_policies_as_a_table(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    draft = tmp_path / "draft.json"
    draft.write_text(json.dumps(a_set(EU_ONLY)))
    monkeypatch.setenv("SYNTHRALOS_URL", place.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", place.key(Role.OPERATOR))
    shown = in_process(monkeypatch, capsys)("route", "explain", "Rivers", "--policies", str(draft)).out
    assert "ours (draft): one" in shown
    assert "regions eu" in shown


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
