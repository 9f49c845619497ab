"""Keys over HTTP: within the caller's own tenant, shown once, and refused when they are revoked or have expired."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

import api.http.auth
from api.v1.key_views import KeyList, KeyView, NewKey, OrganizationList, OrganizationView
from api.v1.views import View
from synthralos.bus.protocol import Topic
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.keys import Keys
from synthralos.store.sql.database import Database
from tests.fakes.plain_http import NO_TLS
from tests.integration.api_place import ACME, JOBS, Place, api_over, core_over, fields_of, submitted

KEYS = "/api/v1/keys"
ORGANIZATIONS = "/api/v1/organizations"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered: what was changed shows with the next request."""
    monkeypatch.setattr(api.http.auth, "CACHE_SECONDS", 0.0)
    monkeypatch.setattr(api.http.auth.BriefCache.__init__, "__defaults__", (0.0,))


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def root(place: Place) -> httpx.Client:
    return place.client(Role.ADMIN, EVERYTHING)


def made(client: httpx.Client, **wanted: Any) -> dict[str, Any]:
    answer = client.post(KEYS, json={"name": "test", **wanted})
    assert answer.status_code == 201, answer.text
    return checked(NewKey, answer)


def checked(model: type[View], answer: httpx.Response) -> dict[str, Any]:
    """The answer, which keeps to its model."""
    model.model_validate(answer.json())
    found: dict[str, Any] = answer.json()
    return found


def admitted(place: Place, secret: str) -> int:
    return place.client_with(secret).get(JOBS).status_code


def test_a_key_that_was_made_works_and_is_listed_without_itself(place: Place, root: httpx.Client) -> None:
    key = made(root, name="ci 🔑", role="viewer", organization="acme", workspace="main", account_plan="pro")
    assert admitted(place, key["key"]) == 200
    listed = root.get(KEYS)
    assert checked(KeyList, listed)["keys"][0] == {name: value for name, value in key.items() if name != "key"}
    assert key["key"] not in listed.text
    assert (key["role"], key["organization"], key["account_plan"]) == ("viewer", "acme", "pro")


def test_a_revoked_key_is_refused_and_revoking_it_again_changes_nothing(place: Place, root: httpx.Client) -> None:
    key = made(root)
    revoked = checked(KeyView, root.delete(f"{KEYS}/{key['id']}"))
    assert revoked["revoked_at"] is not None
    assert admitted(place, key["key"]) == 401
    assert checked(KeyView, root.delete(f"{KEYS}/{key['id']}")) == revoked


def test_a_rotated_key_goes_on_for_its_grace_alone(place: Place, root: httpx.Client) -> None:
    old = made(root, role="operator", organization="acme")
    new = checked(NewKey, root.post(f"{KEYS}/{old['id']}/rotate", json={"grace_seconds": 3600}))
    assert [new[name] for name in ("name", "role", "organization")] == ["test", "operator", "acme"]
    assert (admitted(place, old["key"]), admitted(place, new["key"])) == (200, 200)
    newest = checked(NewKey, root.post(f"{KEYS}/{new['id']}/rotate"))
    assert (admitted(place, new["key"]), admitted(place, newest["key"])) == (401, 200)


def test_a_rotation_never_lengthens_the_old_key_s_life(root: httpx.Client) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    old = made(root, expires_at=soon.isoformat())
    new = root.post(f"{KEYS}/{old['id']}/rotate", json={"grace_seconds": 3600}).json()
    by_id = {key["id"]: key for key in root.get(KEYS).json()["keys"]}
    assert by_id[old["id"]]["expires_at"] == old["expires_at"]
    assert new["expires_at"] is not None


def test_an_expired_key_is_refused(place: Place, root: httpx.Client) -> None:
    key = made(root, expires_in_seconds=3600)
    assert admitted(place, key["key"]) == 200
    place.server.room.auth._now = lambda: datetime.now(UTC) + timedelta(hours=2)
    assert admitted(place, key["key"]) == 401


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a", "role": "god"}, "role"),
        ({"name": "a", "colour": "red"}, "colour"),
        ({"name": "a", "workspace": "main"}, "organization"),
        ({"name": "a", "organization": "acme", "user": "ann"}, "workspace"),
        ({"name": "a", "account_plan": "gold", "organization": "acme"}, "account_plan"),
        ({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "a", "expires_at": "soon"}, "expires_at"),
        ({"name": "a", "expires_in_seconds": 0}, "expires_in_seconds"),
        ({"name": "a", "expires_at": "2999-01-01T00:00:00Z", "expires_in_seconds": 1}, "expires_in_seconds"),
    ],
)
def test_what_is_wrong_is_named_and_no_key_is_made(root: httpx.Client, wanted: dict[str, Any], field: str) -> None:
    before = root.get(KEYS).json()
    answer = root.post(KEYS, json=wanted)
    assert (answer.status_code, fields_of(answer)) == (422, [field])
    assert root.get(KEYS).json() == before


def test_an_organization_s_admin_stays_within_it(place: Place, root: httpx.Client) -> None:
    foreign = made(root, organization="other")
    admin = place.client(Role.ADMIN, ACME)
    assert made(admin, role="admin")["organization"] == "acme"
    assert admin.post(KEYS, json={"name": "a", "organization": "other"}).status_code == 403
    assert admin.post(KEYS, json={"name": "a", "account_plan": "enterprise"}).status_code == 403
    assert admin.delete(f"{KEYS}/{foreign['id']}").status_code == 404
    assert admin.post(f"{KEYS}/{foreign['id']}/rotate").status_code == 404
    assert {key["organization"] for key in admin.get(KEYS).json()["keys"]} == {"acme"}
    assert admitted(place, foreign["key"]) == 200


@pytest.mark.parametrize("role", [Role.VIEWER, Role.SERVICE, Role.OPERATOR])
def test_nobody_but_admins_manages_keys(place: Place, role: Role) -> None:
    client = place.client(role)
    assert client.get(KEYS).status_code == 403
    refused = client.post(KEYS, json={"name": "a"})
    assert refused.status_code == 403
    assert "keys:write" in refused.json()["detail"]


def test_organizations_are_seen_and_put_on_plans(place: Place, root: httpx.Client) -> None:
    put = checked(OrganizationView, root.put(f"{ORGANIZATIONS}/acme", json={"account_plan": "enterprise"}))
    assert (put["name"], put["account_plan"]) == ("acme", "enterprise")
    assert fields_of(root.put(f"{ORGANIZATIONS}/acme", json={"account_plan": "gold"})) == ["account_plan"]
    listed = checked(OrganizationList, root.get(ORGANIZATIONS))["organizations"]
    assert [(each["name"], each["account_plan"]) for each in listed] == [("acme", "enterprise")]
    own = place.client(Role.ADMIN, Scope("other"))
    assert own.put(f"{ORGANIZATIONS}/other", json={"account_plan": "pro"}).status_code == 403
    assert [each["name"] for each in own.get(ORGANIZATIONS).json()["organizations"]] == ["other"]


def test_a_key_that_was_used_says_when(place: Place, root: httpx.Client, database: Database) -> None:
    key = made(root, role="viewer")
    assert key["last_used_at"] is None
    assert admitted(place, key["key"]) == 200
    place.server.stop()
    found = Keys(database).get(key["id"], EVERYTHING)
    assert found is not None
    assert found.last_used_at is not None


def test_a_stream_ends_with_its_key(place: Place, root: httpx.Client) -> None:
    key = made(root, role="service", organization="acme")
    client = place.client_with(key["key"])
    job_id = submitted(client)
    with client.stream("GET", f"{JOBS}/{job_id}/events") as stream:
        lines = stream.iter_lines()
        while not next(lines).startswith("data:"):
            pass
        root.delete(f"{KEYS}/{key['id']}")
        place.started(job_id)
        place.core.bus.publish(Topic.CHANGED, [job_id])
        assert not [line for line in lines if line.startswith("event: done")]


def test_those_who_guess_keys_do_not_keep_others_out(place: Place) -> None:
    good = place.client(Role.VIEWER)
    assert good.get(JOBS).status_code == 200
    tried = threading.Barrier(40)

    def guess(number: int) -> int:
        tried.wait(30)
        with httpx.Client(verify=NO_TLS, base_url=place.url, timeout=60) as client:
            return client.get(JOBS, headers={"Authorization": f"Bearer sk-syn-{number:043d}"}).status_code

    with ThreadPoolExecutor(40) as threads:
        codes = set(threads.map(guess, range(40)))
    assert codes <= {401, 429}
    assert good.get(JOBS).status_code == 200
