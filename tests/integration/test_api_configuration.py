"""Flags, limits, deployments and the audit log over HTTP: in force with the answer, refused by field, on record."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.v1.configuration_views import (
    AuditList,
    DeploymentList,
    DeploymentView,
    FlagList,
    FlagView,
    LimitsList,
    LimitsView,
    OrganizationLimitsView,
)
from api.v1.views import View
from synthralos.domain.flags import Flag
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.store.sql.database import Database
from tests.integration.api_place import ACME, JOBS, Place, api_over, core_over, fields_of, submitted

API = "/api/v1"
COSTS = f"{API}/flags/track_model_costs"
NEW = f"{API}/deployments/sandbox/new@eu"
ENTRY = {"context_window": 9_000, "max_output": 500, "price": {"input": "1.5", "output": "2", "as_of": "2026-01-01"}}


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def root(place: Place) -> httpx.Client:
    return place.client(Role.ADMIN, EVERYTHING)


def checked(model: type[View], answer: httpx.Response) -> dict[str, Any]:
    """The answer, which keeps to its model."""
    assert answer.status_code == 200, answer.text
    model.model_validate_json(answer.content)
    found: dict[str, Any] = answer.json()
    return found


def changes(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = checked(AuditList, client.get(f"{API}/audit", params=query))["changes"]
    return listed


def test_all_flags_are_listed_with_what_they_do(root: httpx.Client) -> None:
    flags = checked(FlagList, root.get(f"{API}/flags"))["flags"]
    assert [flag["name"] for flag in flags] == list(Flag)
    assert {flag["source"] for flag in flags} == {"default"}
    assert all(flag["on"] and flag["off"] for flag in flags)


def test_a_flag_that_is_set_is_in_force_with_the_answer(place: Place, root: httpx.Client) -> None:
    flag = checked(FlagView, root.put(COSTS, json={"enabled": True, "percentage": 30, "reason": "trial"}))
    assert (flag["enabled"], flag["percentage"], flag["source"]) == (True, 30, "database")
    has = {name: place.core.live.current.flags.on(Flag.TRACK_MODEL_COSTS, name) for name in ("acme", "globex")}
    for name, expected in has.items():
        assert checked(FlagView, root.get(COSTS, params={"organization": name}))["has"] is expected
    assert set(has.values()) == {True, False}
    again = checked(FlagView, root.delete(COSTS, params={"reason": "over"}))
    assert (again["percentage"], again["source"], again["changed_by"]) == (100, "default", None)
    assert [(c["act"], c["reason"], c["before"], c["after"]) for c in changes(root, subject="flag:*")] == [
        ("flags.reset", "over", {"enabled": True, "percentage": 30}, None),
        ("flags.set", "trial", None, {"enabled": True, "percentage": 30}),
    ]


def test_wrong_flags_are_refused_by_field(root: httpx.Client) -> None:
    assert fields_of(root.put(f"{API}/flags/enable_everything", json={"enabled": True})) == ["path.name"]
    assert fields_of(root.put(COSTS, json={"percentage": 101, "on": 1})) == ["enabled", "percentage", "on"]
    assert fields_of(root.get(COSTS, params={"org": "acme"})) == ["query.org"]


def test_limits_are_set_and_set_back(place: Place, root: httpx.Client) -> None:
    limits = checked(LimitsView, root.put(f"{API}/limits/free", json={"prompt_tokens": 1_234}))
    assert (limits["prompt_tokens"], limits["prompt_characters"]) == (1_234, 160_000)
    assert place.core.live.current.limits_of("free").prompt_tokens == 1_234
    assert fields_of(root.put(f"{API}/limits/gold", json={})) == ["path.plan"]
    assert fields_of(root.put(f"{API}/limits/free", json={"prompt_tokens": 0})) == ["prompt_tokens"]
    assert checked(LimitsView, root.delete(f"{API}/limits/free"))["prompt_tokens"] == 32_000
    assert [each["plan"] for each in checked(LimitsList, root.get(f"{API}/limits"))["limits"]] == [
        "free", "pro", "enterprise",
    ]  # fmt: skip


RATE = {"per": "user", "unit": "requests", "window": "minute", "limit": 60}


def test_rates_are_set_and_seen(place: Place, root: httpx.Client) -> None:
    limits = checked(LimitsView, root.put(f"{API}/limits/free", json={"rates": [RATE], "max_wait_seconds": 9}))
    assert (limits["rates"], limits["max_wait_seconds"], limits["prompt_tokens"]) == ([RATE], 9, 32_000)
    [rate] = place.core.live.current.limits_of("free").rates
    assert str(rate) == "60 requests a minute per user"
    assert checked(LimitsView, root.put(f"{API}/limits/free", json={"rates": []}))["rates"] == []


@pytest.mark.parametrize(
    ("rates", "field"),
    [
        ([{**RATE, "per": "planet"}], "rates[0].per"),
        ([{**RATE, "window": "fortnight"}], "rates[0].window"),
        ([RATE, {**RATE, "limit": 0}], "rates[1].limit"),
        ([RATE, {**RATE, "limit": 10**13}], "rates[1].limit"),
        ([{**RATE, "burst": 5}], "rates[0].burst"),
        ([RATE, {**RATE, "limit": 70}], "rates"),
        ("none", "rates"),
    ],
)
def test_wrong_rates_are_refused_by_field(root: httpx.Client, rates: Any, field: str) -> None:
    assert fields_of(root.put(f"{API}/limits/free", json={"rates": rates})) == [field]


def test_an_organization_has_limits_of_its_own_until_they_are_reset(place: Place, root: httpx.Client) -> None:
    own, tenant = f"{API}/organizations/{ACME.organization}/limits", place.client(Role.SERVICE)
    before = checked(OrganizationLimitsView, tenant.get(own))
    assert (before["own"], before["rates"], before["changed_by"]) == ([], [], None)
    body = {"rates": [RATE], "prompt_tokens": 7, "reason": "contract 12"}
    after = checked(OrganizationLimitsView, root.put(own, json=body))
    assert (after["own"], after["rates"], after["prompt_tokens"]) == (["prompt_tokens", "rates"], [RATE], 7)
    assert after["prompt_characters"] == before["prompt_characters"]
    assert place.core.live.current.limits_for("acme", "free").prompt_tokens == 7
    assert checked(OrganizationLimitsView, tenant.get(own))["rates"] == [RATE]
    assert checked(OrganizationLimitsView, root.delete(own)) == before
    assert [(c["act"], c["reason"]) for c in changes(root, subject=f"organization_limits:{ACME.organization}")] == [
        ("organizations.reset_limits", ""), ("organizations.set_limits", "contract 12"),
    ]  # fmt: skip


def test_workspaces_of_an_organization_have_weights_in_its_share(place: Place, root: httpx.Client) -> None:
    own = f"{API}/organizations/{ACME.organization}/limits"
    weights = {"live": 4, "trials": 1}
    after = checked(OrganizationLimitsView, root.put(own, json={"workspace_weights": weights, "weight": 3}))
    assert (after["workspace_weights"], after["weight"]) == (weights, 3)
    config = place.core.live.current
    assert config.weights_of((ACME.organization, "live", "ann"), "free") == (3, 4, 1)
    assert config.weights_of((ACME.organization, "other", ""), "free") == (3, 1, 1)
    assert checked(OrganizationLimitsView, root.delete(own))["workspace_weights"] == {}


@pytest.mark.parametrize(
    ("weights", "field"),
    [({"live": 0}, "workspace_weights.live"), ({"live": 1_001}, "workspace_weights.live"), ([1], "workspace_weights")],
)
def test_wrong_weights_are_refused_by_field(root: httpx.Client, weights: Any, field: str) -> None:
    assert fields_of(root.put(f"{API}/limits/free", json={"workspace_weights": weights})) == [field]


def test_limits_of_others_are_neither_seen_nor_changed(place: Place) -> None:
    theirs, admin = f"{API}/organizations/globex/limits", place.client(Role.ADMIN)
    assert admin.get(theirs).status_code == 404
    assert admin.put(f"{API}/organizations/{ACME.organization}/limits", json={"rates": []}).status_code == 403
    assert admin.delete(theirs).status_code == 403


def test_a_deployment_that_is_added_can_be_asked_for_at_once(place: Place, root: httpx.Client) -> None:
    service = place.client(Role.SERVICE)
    asked = {"prompt": "Hello", "model": "sandbox/new"}
    assert fields_of(service.post(JOBS, json=asked)) == ["model"]
    added = checked(DeploymentView, root.put(NEW, json=ENTRY, params={"reason": "new region"}))
    assert (added["source"], added["entry"], added["price"]["input"]) == ("database", ENTRY, "1.5")
    submitted(service, model="sandbox/new")
    seen = checked(DeploymentView, service.get(NEW))
    assert (seen["source"], seen["entry"], seen["changed_by"]) == ("database", None, None)
    left = checked(DeploymentList, root.delete(NEW))["deployments"]
    assert "sandbox/new@eu" not in [each["id"] for each in left]
    assert root.get(NEW).status_code == 404
    assert root.delete(NEW).status_code == 404
    assert fields_of(service.post(JOBS, json=asked)) == ["model"]


@pytest.mark.parametrize(
    ("path", "entry", "fields"),
    [
        (NEW, {**ENTRY, "adapter": "carrier-pigeon"}, ["adapter"]),
        (NEW, {**ENTRY, "max_output": 10_000}, ["max_output"]),
        (NEW, {**ENTRY, "price": {"input": 1.5, "output": "2", "as_of": "2026-01-01"}}, ["price.input"]),
        (NEW, {**ENTRY, "base_url": "ftp://host"}, ["base_url"]),
        (NEW, {**ENTRY, "api_key_env": "sk-secret-itself"}, ["api_key_env"]),
        (NEW, {"id": "sandbox/new@eu"}, ["context_window", "max_output", "id"]),
        (f"{API}/deployments/nobody/new@eu", ENTRY, ["path.deployment_id"]),
        (f"{API}/deployments/no-model", ENTRY, ["path.deployment_id"]),
    ],
)
def test_wrong_deployments_are_refused_by_field(
    root: httpx.Client, path: str, entry: dict[str, Any], fields: list[str]
) -> None:
    answer = root.put(path, json=entry)
    assert answer.status_code == 422
    assert fields_of(answer) == fields
    assert "sk-secret-itself" not in answer.text


def test_what_concerns_everybody_needs_a_key_of_the_whole_installation(place: Place) -> None:
    bound = place.client(Role.ADMIN, ACME)
    refused = [
        bound.get(f"{API}/flags"),
        bound.put(COSTS, json={"enabled": False}),
        bound.put(f"{API}/limits/free", json={}),
        bound.put(NEW, json=ENTRY),
        bound.delete(NEW),
        place.client(Role.SERVICE, EVERYTHING).get(f"{API}/flags"),
        place.client(Role.OPERATOR, EVERYTHING).put(COSTS, json={"enabled": False}),
        place.client(Role.SERVICE, EVERYTHING).get(f"{API}/audit"),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert bound.get(f"{API}/limits").status_code == 200
    assert bound.get(f"{API}/deployments").status_code == 200


def test_keys_plans_and_operations_are_on_record_too(place: Place, root: httpx.Client) -> None:
    made = root.post(f"{API}/keys", json={"name": "ci", "organization": "acme", "account_plan": "pro"}).json()
    root.post(f"{API}/keys/{made['id']}/rotate", json={"grace_seconds": 60})
    root.delete(f"{API}/keys/{made['id']}")
    root.put(f"{API}/organizations/acme", json={"account_plan": "enterprise"})
    operator = place.client(Role.OPERATOR, ACME)
    job_id = submitted(operator)
    operator.post(f"{JOBS}/{job_id}/cancel", json={"reason": "wrong prompt"})
    operator.post(f"{JOBS}/{job_id}/retry", json={})
    operator.post(f"{JOBS}/{job_id}/reroute", json={"pin": "sandbox/small@us"})
    whole = [change for change in changes(root) if change["actor"] != "system"]
    assert [c["act"] for c in whole] == [
        "jobs.reroute", "jobs.retry", "jobs.cancel", "organizations.set_plan", "keys.revoke", "keys.rotate",
        "keys.create", "organizations.set_plan",
    ]  # fmt: skip
    assert (whole[2]["before"], whole[2]["after"], whole[2]["reason"]) == (
        {"state": "queued"}, {"state": "cancelled"}, "wrong prompt",
    )  # fmt: skip
    assert whole[0]["after"]["constraints"] == {"pin": "sandbox/small@us"}
    assert (whole[3]["before"], whole[7]["before"]) == ({"account_plan": "pro"}, None)
    assert made["key"] not in str(whole)
    assert {c["organization"] for c in changes(operator)} == {"acme"}
    assert changes(operator, act="keys.rotate") == [c for c in whole if c["act"] == "keys.rotate"]


def test_the_record_is_read_page_by_page(root: httpx.Client) -> None:
    for percentage in range(5):
        root.put(COSTS, json={"enabled": True, "percentage": percentage})
    seen: list[int] = []
    cursor = None
    while True:
        query = {"limit": "2", "subject": "flag:*", **({"cursor": cursor} if cursor else {})}
        page = checked(AuditList, root.get(f"{API}/audit", params=query))
        seen += [change["after"]["percentage"] for change in page["changes"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [4, 3, 2, 1, 0]
    assert fields_of(root.get(f"{API}/audit", params={"cursor": "nonsense", "limit": 1})) == ["query.cursor"]
    assert fields_of(root.get(f"{API}/audit", params={"since": "yesterday", "act": "x"})) == [
        "query.act",
        "query.since",
    ]
