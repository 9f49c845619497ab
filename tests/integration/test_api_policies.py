"""Policy sets over HTTP: written, tried, versioned, and out of reach for others."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.v1.policy_views import EvaluationView, PolicyList, PolicyVersionList, PolicyView, PublishedView
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.sql.database import Database
from tests.integration.api_place import ACME, JOBS, Place, api_over, core_over, fields_of, submitted

POLICIES = "/api/v1/policies"
WHEN = {"field": "prompt_tokens", "op": "gt", "value": 10}
DENIES: dict[str, Any] = {"id": "long", "when": WHEN, "then": [{"action": "deny", "reason": "too long"}]}
WANTED: dict[str, Any] = {"name": "short prompts", "rules": [DENIES]}


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def root(place: Place) -> httpx.Client:
    return place.client(Role.ADMIN, EVERYTHING)


def made(client: httpx.Client, **more: Any) -> dict[str, Any]:
    answer = client.post(POLICIES, json={**WANTED, **more})
    assert answer.status_code == 201, answer.text
    PublishedView.model_validate_json(answer.content)
    found: dict[str, Any] = answer.json()
    assert found.pop("warnings") == []
    PolicyView.model_validate(found)
    assert answer.headers["etag"] == f'"{found["version"]}"'
    return found


def test_a_set_is_written_read_changed_and_removed(place: Place, root: httpx.Client) -> None:
    first = made(root, share=50, effective_from="2026-01-31T00:00:00+01:00")
    path = f"{POLICIES}/{first['id']}"
    assert root.get(path).json() == first
    PolicyList.model_validate_json(root.get(POLICIES).content)
    assert [each["id"] for each in root.get(POLICIES).json()["policies"]] == [first["id"]]
    assert [each.id for each in place.core.live.current.policies] == [first["id"]]
    second = root.put(path, json={**WANTED, "name": "renamed", "reason": "clearer"}, headers={"If-Match": '"1"'})
    assert (second.status_code, second.json()["version"], second.json()["name"]) == (200, 2, "renamed")
    stale = root.put(path, json=WANTED, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert "version 2" in stale.json()["detail"]
    back = root.post(f"{path}/rollback", json={"version": 1}).json()
    assert (back["version"], back["name"], back["share"]) == (3, "short prompts", 50)
    versions = root.get(f"{path}/versions")
    PolicyVersionList.model_validate_json(versions.content)
    assert [(v["version"], v["reason"]) for v in versions.json()["versions"]] == [
        (3, "back to version 1"), (2, "clearer"), (1, ""),
    ]  # fmt: skip
    assert root.request("DELETE", path).status_code == 200
    assert root.get(path).status_code == 404
    assert root.get(f"{path}/versions").json()["versions"][0]["policy"] is None
    assert place.core.live.current.policies == ()


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"name": "x"}, "rules"),
        ({**WANTED, "colour": 1}, "colour"),
        ({**WANTED, "share": 101}, "share"),
        ({**WANTED, "effective_from": "soon"}, "effective_from"),
        ({**WANTED, "workspace": "main"}, "workspace"),
        ({**WANTED, "rules": [{**DENIES, "when": {**WHEN, "field": "promt"}}]}, "rules[0].when.field"),
        ({**WANTED, "rules": [{**DENIES, "then": [{"action": "x"}]}]}, "rules[0].then[0].action"),
        ({**WANTED, "rules": [DENIES, DENIES]}, "rules[1].id"),
    ],
)
def test_a_mistake_is_told_by_its_path_and_nothing_is_stored(
    root: httpx.Client, document: dict[str, Any], field: str
) -> None:
    answer = root.post(POLICIES, json=document)
    assert answer.status_code == 422
    assert field in fields_of(answer)
    assert root.get(POLICIES).json()["policies"] == []


def test_a_key_of_a_tenant_makes_sets_of_that_one_alone(place: Place, root: httpx.Client) -> None:
    everybodys = made(root)
    admin = place.client(Role.ADMIN, ACME)
    own = made(admin)
    assert own["organization"] == "acme"
    assert admin.post(POLICIES, json={**WANTED, "organization": "other"}).status_code == 403
    assert [each["id"] for each in admin.get(POLICIES).json()["policies"]] == [own["id"]]
    assert admin.get(f"{POLICIES}/{everybodys['id']}").status_code == 404
    other = place.client(Role.ADMIN, Scope("other"))
    path = f"{POLICIES}/{own['id']}"
    answers = [other.get(path), other.put(path, json=WANTED), other.delete(path), other.get(f"{path}/versions")]
    answers.append(other.post(f"{path}/rollback", json={"version": 1}))
    assert [answer.status_code for answer in answers] == [404] * 5


@pytest.mark.parametrize("role", [Role.VIEWER, Role.SERVICE, Role.OPERATOR])
def test_who_may_read_and_who_may_write(place: Place, root: httpx.Client, role: Role) -> None:
    path = f"{POLICIES}/{made(root, organization='acme')['id']}"
    client = place.client(role)
    assert client.get(path).status_code == (200 if role is Role.OPERATOR else 403)
    for answer in (client.post(POLICIES, json=WANTED), client.put(path, json=WANTED), client.delete(path)):
        assert answer.status_code == 403


def tried(client: httpx.Client, **wanted: Any) -> dict[str, Any]:
    answer = client.post(f"{POLICIES}/evaluate", json=wanted)
    assert answer.status_code == 200, answer.text
    EvaluationView.model_validate_json(answer.content)
    found: dict[str, Any] = answer.json()
    return found


def test_policies_are_tried_on_stated_facts(root: httpx.Client) -> None:
    made(root)
    found = tried(root, facts={"prompt_tokens": 11})
    assert (found["decision"], "too long" in found["reason"]) == ("deny", True)
    [report] = found["rules"]
    assert (report["rule"], report["matched"], report["condition"]["seen"]) == ("long", True, 11)
    assert tried(root, facts={"prompt_tokens": 10})["decision"] == "allow"


def test_a_draft_is_tried_on_a_recorded_job_before_it_decides(place: Place, root: httpx.Client) -> None:
    job_id = submitted(place.client(Role.SERVICE), prompt="word " * 50, metadata={"team": "core"})
    when = {"all": [WHEN, {"field": "metadata.team", "op": "eq", "value": "core"}]}
    draft = {**WANTED, "rules": [{**DENIES, "when": when}]}
    assert tried(root, job_id=job_id, draft=draft)["decision"] == "deny"
    assert tried(root, job_id=job_id)["decision"] == "allow"
    assert tried(root, job_id=job_id, draft=draft, facts={"prompt_tokens": 1})["decision"] == "allow"


def test_what_cannot_be_tried_is_told(place: Place, root: httpx.Client) -> None:
    for wanted, field in (({"facts": {"promt": 1}}, "facts.promt"), ({"draft": {"name": "x"}}, "draft.rules")):
        answer = root.post(f"{POLICIES}/evaluate", json=wanted)
        assert field in fields_of(answer)
    unknown = "01990000-0000-7000-8000-000000000000"
    assert root.post(f"{POLICIES}/evaluate", json={"job_id": unknown}).status_code == 404
    operator = place.client(Role.OPERATOR, ACME)
    assert operator.post(f"{POLICIES}/evaluate", json={"facts": {"organization": "other"}}).status_code == 403
    job_id = submitted(place.client(Role.SERVICE, Scope("other")))
    assert operator.post(f"{POLICIES}/evaluate", json={"job_id": job_id}).status_code == 404
    assert root.get(f"{JOBS}/{job_id}").status_code == 200
