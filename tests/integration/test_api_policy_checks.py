"""Policy sets before and after they are published: warnings, force, differences of versions, coverage."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from api.v1.policy_views import CoverageView, DifferenceView, LintView, PublishedView
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.policy_matches import PolicyMatches
from synthralos.store.sql.database import Database
from synthralos.store.tables import policy_versions
from tests.integration.api_place import ACME, Place, api_over, core_over, fields_of, submitted

POLICIES = "/api/v1/policies"
DENY = {"action": "deny", "reason": "no"}
FLAG = {"action": "flag", "reason": "seen"}
LONG = {"field": "prompt_tokens", "op": "gt", "value": 20}
NEVER = {"field": "prompt_tokens", "op": "lt", "value": 0}


def rule(name: str, when: dict[str, Any] | None, then: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "then": [then]} | ({} if when is None else {"when": when})


def policy(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "ours", "rules": list(rules), **more}


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def root(place: Place) -> httpx.Client:
    return place.client(Role.ADMIN, EVERYTHING)


def forced(root: httpx.Client, set_id: str) -> list[Any]:
    """What the audit log keeps of each change of the set, newest first."""
    changes = root.get("/api/v1/audit", params={"subject": f"policy:{set_id}"}).json()["changes"]
    return [change["after"].get("forced") for change in changes]


def test_severe_warnings_are_refused_unless_they_are_forced_which_goes_on_record(root: httpx.Client) -> None:
    wanted = policy(rule("fine", LONG, FLAG), rule("never", NEVER, FLAG))
    refused = root.post(POLICIES, json=wanted)
    assert (refused.status_code, fields_of(refused)) == (409, ["rules[1].when"])
    assert root.get(POLICIES).json()["policies"] == []
    made = root.post(POLICIES, json={**wanted, "force": True})
    assert made.status_code == 201
    PublishedView.model_validate_json(made.content)
    assert [(each["kind"], each["rule"], each["severe"]) for each in made.json()["warnings"]] == [
        ("never_matches", "never", True)
    ]
    path = f"{POLICIES}/{made.json()['id']}"
    assert root.put(path, json=wanted).status_code == 409
    assert root.put(path, json=policy(rule("fine", LONG, FLAG))).json()["warnings"] == []
    assert root.post(f"{path}/rollback", json={"version": 1}).status_code == 409
    assert root.post(f"{path}/rollback", json={"version": 1, "force": True}).json()["version"] == 3
    assert forced(root, made.json()["id"]) == [["never_matches"], None, ["never_matches"]]


def test_what_decides_nothing_yet_is_warned_of_and_published(root: httpx.Client) -> None:
    everything = policy(rule("all", None, DENY))
    assert root.post(POLICIES, json=everything).status_code == 409
    for still in ({"shadow": True}, {"enabled": False}, {"share": 0}):
        made = root.post(POLICIES, json={**everything, **still})
        assert made.status_code == 201
        assert [each["kind"] for each in made.json()["warnings"]] == ["denies_everything"]
    assert root.put(f"{POLICIES}/{made.json()['id']}", json=everything).status_code == 409


def test_what_would_stop_too_many_of_the_newest_jobs_is_refused(place: Place, root: httpx.Client) -> None:
    client, other = place.client(Role.SERVICE), place.client(Role.SERVICE, Scope("other"))
    for number in range(20):
        submitted(client, prompt="word " * 50 if number < 5 else "hello")
        submitted(other, prompt="hello")
    wanted = policy(rule("long", LONG, DENY))
    refused = root.post(POLICIES, json={**wanted, "organization": "acme"})
    assert (refused.status_code, fields_of(refused)) == (409, ["rules"])
    assert "25.0 %" in refused.json()["errors"][0]["problem"]
    assert root.post(POLICIES, json=wanted).status_code == 201
    found = root.post(f"{POLICIES}/lint", json={"draft": {**wanted, "organization": "other"}})
    assert LintView.model_validate_json(found.content) == LintView(warnings=[], publishable=True)
    told = place.client(Role.OPERATOR, ACME).post(f"{POLICIES}/lint", json={"draft": wanted}).json()
    assert ([each["kind"] for each in told["warnings"]], told["publishable"]) == ([], True)


def test_a_draft_is_looked_at_in_the_place_of_a_stored_set(root: httpx.Client) -> None:
    made = root.post(POLICIES, json=policy(rule("long", LONG, FLAG))).json()
    draft = policy(rule("never", NEVER, FLAG))
    told = root.post(f"{POLICIES}/lint", json={"draft": draft, "policy_id": made["id"]}).json()
    assert ([each["kind"] for each in told["warnings"]], told["publishable"]) == (["never_matches"], False)
    assert fields_of(root.post(f"{POLICIES}/lint", json={"draft": {"name": "x"}})) == ["draft.rules"]
    unknown = "01990000-0000-7000-8000-000000000000"
    assert root.post(f"{POLICIES}/lint", json={"draft": draft, "policy_id": unknown}).status_code == 404


def test_versions_are_compared_rule_by_rule(place: Place, root: httpx.Client) -> None:
    first = [rule(name, LONG, FLAG) for name in ("a", "b", "c")]
    made = root.post(POLICIES, json=policy(*first)).json()
    path = f"{POLICIES}/{made['id']}"
    longer = {**LONG, "value": 30}
    root.put(path, json=policy(rule("c", LONG, FLAG), rule("a", longer, FLAG), rule("d", LONG, FLAG), priority=7))
    answer = root.get(f"{path}/versions/2/diff")
    DifferenceView.model_validate_json(answer.content)
    found = answer.json()
    assert (found["version"], found["with"]) == (2, 1)
    assert found["members"] == [{"path": "priority", "before": 0, "after": 7}]
    assert [(each["rule"], each["to"]) for each in found["added"]] == [("d", 2)]
    assert [(each["rule"], each["from"], each["document"]) for each in found["removed"]] == [("b", 1, first[1])]
    assert [(each["from"], each["to"]) for each in found["moved"]] in ([(2, 0)], [(0, 1)])
    assert found["changed"] == [{"rule": "a", "changes": [{"path": "rules[1].when.value", "before": 20, "after": 30}]}]
    back = root.get(f"{path}/versions/1/diff", params={"with": 2}).json()
    assert [each["rule"] for each in back["added"]] == ["b"]
    same = root.get(f"{path}/versions/1/diff").json()
    assert not any(same[name] for name in ("members", "added", "removed", "moved", "changed"))
    assert root.get(f"{path}/versions/9/diff").status_code == 422
    assert root.get(f"{path}/versions/2/diff", params={"with": 9}).status_code == 422
    other = place.client(Role.OPERATOR, ACME)
    assert other.get(f"{path}/versions/2/diff").status_code == 404
    assert other.get(f"{path}/coverage").status_code == 404


def test_coverage_tells_matches_and_rules_that_matched_nothing_for_thirty_days(
    place: Place, root: httpx.Client
) -> None:
    made = root.post(POLICIES, json=policy(rule("a", LONG, FLAG), rule("b", LONG, FLAG))).json()
    path, database = f"{POLICIES}/{made['id']}", place.core.database
    root.put(path, json=policy(*(rule(name, LONG, FLAG) for name in ("a", "b", "new"))))
    PolicyMatches(database).add({(made["id"], "a"): 3})
    long_ago = datetime.now(UTC) - timedelta(days=31)
    with database.transaction() as connection:
        first = policy_versions.c.version == 1
        connection.execute(sa.update(policy_versions).where(first).values(changed_at=long_ago))
    answer = root.get(f"{path}/coverage")
    CoverageView.model_validate_json(answer.content)
    rules = answer.json()["rules"]
    assert [(each["rule"], each["matches"], each["idle"]) for each in rules] == [
        ("a", 3, False), ("b", 0, True), ("new", 0, False),
    ]  # fmt: skip
    assert [each["last_matched_at"] is None for each in rules] == [False, True, True]
    root.delete(path)
    assert PolicyMatches(database).of(made["id"]) == {}
