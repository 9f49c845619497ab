"""Simulations over HTTP: what a draft would change, told line by line, called off, and one at a time."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.v1.simulate import ProgressView, SimulationView
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.simulations import Turns
from synthralos.store.sql.database import Database
from tests.integration.api_place import ACME, Place, api_over, core_over, fields_of, submitted

POLICIES = "/api/v1/policies"
SIMULATE = f"{POLICIES}/simulate"
LONG = {"field": "prompt_tokens", "op": "gt", "value": 20}


def draft(when: dict[str, Any] | None = None, *then: dict[str, Any]) -> dict[str, Any]:
    """A set of one rule, which denies unless it does something else."""
    rule: dict[str, Any] = {"id": "one", "then": list(then) or [{"action": "deny", "reason": "no"}]}
    return {"name": "draft", "rules": [rule if when is None else {**rule, "when": when}]}


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def root(place: Place) -> httpx.Client:
    return place.client(Role.ADMIN, EVERYTHING)


def simulated(client: httpx.Client, **wanted: Any) -> dict[str, Any]:
    """The last line; all lines are as they are documented."""
    answer = client.post(SIMULATE, json=wanted)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    *progress, last = answer.text.splitlines()
    for line in progress:
        ProgressView.model_validate_json(line)
    SimulationView.model_validate_json(last)
    found: dict[str, Any] = json.loads(last)
    return found


def decisions(report: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    found = {(each["before"], each["after"]): each["sample_job_ids"] for each in report["decisions"]}
    assert [each["jobs"] for each in report["decisions"]] == [len(ids) for ids in found.values()]
    return found


def test_a_draft_is_compared_with_what_is_in_force(place: Place, root: httpx.Client) -> None:
    short = submitted(place.client(Role.SERVICE), prompt="hello")
    long = submitted(place.client(Role.SERVICE), prompt="word " * 50)
    report = simulated(root, draft=draft(LONG))
    assert decisions(report) == {("allow", "allow"): [short], ("allow", "deny"): [long]}
    assert (report["jobs"], report["changed"], report["stopped"], report["stopped_percent"]) == (2, 1, 1, 50.0)
    assert [(each["rule"], each["jobs"], each["sample_job_ids"]) for each in report["rules"]] == [("one", 1, [long])]
    [use] = [each for each in report["deployments"] if each["before"]]
    assert (use["before"], use["after"]) == (2, 1)
    assert root.get(POLICIES).json() == {"policies": []}


def test_a_stored_set_is_replaced_while_its_draft_is_tried(place: Place, root: httpx.Client) -> None:
    job_id = submitted(place.client(Role.SERVICE), prompt="word " * 50)
    stored = root.post(POLICIES, json=draft(LONG)).json()
    milder = draft(LONG, {"action": "flag", "reason": "long"})
    assert decisions(simulated(root, draft=milder, policy_id=stored["id"])) == {("deny", "flag"): [job_id]}
    assert decisions(simulated(root, draft=milder)) == {("deny", "deny"): [job_id]}
    changed = root.put(f"{POLICIES}/{stored['id']}", json={**milder, "shadow": True}).json()
    assert changed["version"] == 2
    assert decisions(simulated(root, policy_id=stored["id"])) == {("allow", "flag"): [job_id]}
    assert decisions(simulated(root, policy_id=stored["id"], version=1)) == {("allow", "deny"): [job_id]}


def test_where_jobs_would_go_and_what_they_would_cost(place: Place, root: httpx.Client) -> None:
    job_id = submitted(place.client(Role.SERVICE))
    [use] = simulated(root, draft=draft(None, {"action": "flag", "reason": "seen"}))["deployments"]
    report = simulated(root, draft=draft(None, {"action": "forbid_models", "models": [use["deployment"]]}))
    [move] = report["moves"]
    assert (move["before"], move["sample_job_ids"]) == (use["deployment"], [job_id])
    assert move["after"] != use["deployment"]
    nowhere = simulated(root, draft=draft(None, {"action": "require_region", "regions": ["mars"]}))
    assert [(each["before"], each["after"]) for each in nowhere["moves"]] == [(use["deployment"], None)]
    assert nowhere["stopped"] == 1
    assert nowhere["cost"]["after"]["usd"] == "0"


def test_which_jobs_are_meant(place: Place, root: httpx.Client) -> None:
    for organization in ("acme", "acme", "other"):
        submitted(place.client(Role.SERVICE, Scope(organization)))
    wanted = draft(LONG)
    assert simulated(root, draft=wanted)["jobs"] == 3
    assert simulated(root, draft=wanted, last=2)["jobs"] == 2
    assert simulated(root, draft=wanted, organization="other")["jobs"] == 1
    assert simulated(root, draft=wanted, until="2020-01-01T00:00:00Z")["jobs"] == 0
    assert simulated(root, draft=wanted, since="2020-01-01T00:00:00Z")["jobs"] == 3
    assert simulated(place.client(Role.OPERATOR, ACME), draft=wanted)["jobs"] == 2


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({}, "draft"),
        ({"draft": {"name": "x"}}, "draft.rules"),
        ({"draft": {**draft(), "organization": 7}}, "draft.organization"),
        ({"draft": {**draft(), "workspace": "main"}}, "draft.workspace"),
        ({"draft": draft(), "version": 1}, "version"),
        ({"draft": draft(), "last": 0}, "last"),
        ({"draft": draft(), "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"),
    ],
)
def test_a_wrong_request_is_told_by_its_path(root: httpx.Client, wanted: dict[str, Any], field: str) -> None:
    answer = root.post(SIMULATE, json=wanted)
    assert answer.status_code == 422
    assert field in fields_of(answer)


def test_nobody_simulates_beyond_their_organization(place: Place, root: httpx.Client) -> None:
    other = root.post(POLICIES, json={**draft(LONG), "organization": "other"}).json()
    operator = place.client(Role.OPERATOR, ACME)
    assert operator.post(SIMULATE, json={"draft": draft(), "organization": "other"}).status_code == 403
    assert operator.post(SIMULATE, json={"draft": {**draft(), "organization": "other"}}).status_code == 403
    assert operator.post(SIMULATE, json={"policy_id": other["id"]}).status_code == 404
    assert place.client(Role.VIEWER).post(SIMULATE, json={"draft": draft()}).status_code == 403


def test_one_simulation_at_a_time_for_each_organization(place: Place, root: httpx.Client) -> None:
    turns = Turns(place.core.database)
    turn = turns.take("acme")
    assert turn is not None
    busy = root.post(SIMULATE, json={"draft": draft(), "organization": "acme"})
    assert (busy.status_code, "retry-after" in busy.headers) == (429, True)
    assert simulated(root, draft=draft())["jobs"] == 0
    turns.give_back(turn)
    assert simulated(root, draft=draft(), organization="acme")["jobs"] == 0


def test_closing_the_connection_calls_it_off(place: Place, root: httpx.Client) -> None:
    submitted(place.client(Role.SERVICE))
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    begin = place.server.room.simulations.begin

    def holding(*given: Any) -> Any:
        run = begin(*given)
        assert run is not None
        step, end = run.step, run.end

        def endless() -> bool:
            begun.set()
            assert go_on.wait(30)
            step()
            return True

        def ending() -> None:
            end()
            ended.set()

        run.step, run.end, run.began = endless, ending, run.began - 1  # type: ignore[method-assign]
        return run

    place.server.room.simulations.begin = holding  # type: ignore[method-assign]
    with root.stream("POST", SIMULATE, json={"draft": draft()}) as answer:
        assert begun.wait(30)
        go_on.set()
        assert json.loads(next(answer.iter_lines()))["event"] == "progress"
    assert ended.wait(30)
    assert Turns(place.core.database).take(None) is not None
